"""A store service on a real file system with an index in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from hilum.archive.model import IngestStatus, Origin, OriginKind
from hilum.objectstore import FilesystemStore
from hilum.services.store import StoreResult, StoreService
from support.fake_index import MemoryIndex
from support.instances import data_set_bytes, part10

ORIGIN = Origin(OriginKind.DIMSE, calling_ae_title="SENDER", called_ae_title="HILUM", peer="127.0.0.1")


class SteppedClock:
    """A clock that goes on when a test says so."""

    def __init__(self) -> None:
        self.offset_s = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.offset_s)

    def monotonic(self) -> float:
        return self.offset_s


@dataclass
class Heard:
    """What an observer was told."""

    stored_statuses: list[IngestStatus] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    repairs: list[tuple[int, int]] = field(default_factory=list)

    def stored(self, origin: OriginKind, status: IngestStatus, size_bytes: int, duration_s: float) -> None:
        self.stored_statuses.append(status)

    def refused(self, origin: OriginKind, reason_code: str) -> None:
        self.refusals.append(reason_code)

    def committed(self, instance_count: int, duration_s: float) -> None:
        self.batches.append(instance_count)

    def repaired(self, kept_count: int, removed_count: int) -> None:
        self.repairs.append((kept_count, removed_count))


@dataclass
class House:
    """A store service and all it stands on."""

    root: Path
    service: StoreService
    index: MemoryIndex
    blobs: FilesystemStore
    clock: SteppedClock
    heard: Heard
    changed: list[StoreResult]

    async def store(self, dataset: Dataset, *, tenant_id: int = 1, chunk: int = 16 * 1024) -> StoreResult:
        """Store a data set as a peer sends it: in pieces."""
        return await self.store_bytes(data_set_bytes(part10(dataset)), tenant_id=tenant_id, chunk=chunk)

    async def store_bytes(
        self,
        content: bytes,
        transfer_syntax_uid: str = ExplicitVRLittleEndian,
        *,
        tenant_id: int = 1,
        chunk: int = 256 * 1024,
        **expected: str | None,
    ) -> StoreResult:
        intake = self.service.begin(
            tenant_id=tenant_id, transfer_syntax_uid=transfer_syntax_uid, origin=ORIGIN, **expected
        )
        for start in range(0, len(content), chunk):
            waiting = intake.write(memoryview(content)[start : start + chunk])
            if waiting is not None:
                await waiting
        return await intake.commit()

    def blob_files(self) -> list[Path]:
        """All files of the blob store, half written ones too."""
        return [path for path in (self.root / "blobs").rglob("*") if path.is_file()]

    def staged(self) -> list[str]:
        """What lies in staging: spilled files, and the keys that are claimed."""
        spilled = [path.name for path in (self.root / "staging").rglob("*.spill")]
        claims = [line for path in (self.root / "staging").rglob("claims") for line in path.read_text().split()]
        return spilled + claims


async def until(condition: Callable[[], bool]) -> None:
    """Return when the condition holds; fail after ten seconds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  (it is a file or a row that is waited for)
            await asyncio.sleep(0.005)
