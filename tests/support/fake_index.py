"""An index in memory that keeps the port's promises, for tests of services; optionally kept in a file."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from hilum.archive.model import (
    DicomJson,
    DuplicatePolicy,
    IngestOutcome,
    IngestStatus,
    InstanceDraft,
    SeriesMetadata,
    StoredInstance,
)
from hilum.archive.query import InstanceSelection, Query
from hilum.kernel.errors import HilumError


@dataclass
class Row:
    """One instance version."""

    tenant_id: int
    draft: InstanceDraft
    json: bytes
    is_current: bool = True


class MemoryIndex:
    """Instances by tenant and UID, with versions; search is left to the real index."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.batches: list[int] = []
        self.failure: HilumError | None = None
        self.failure_after_write: HilumError | None = None
        self.refuses: Callable[[InstanceDraft], HilumError | None] = lambda draft: None
        self.gate = asyncio.Event()
        self.gate.set()
        self.metadata: dict[tuple[int, str, str], SeriesMetadata] = {}

    def prepare(self, draft: InstanceDraft) -> InstanceDraft:
        return draft

    async def ingest(
        self, tenant_id: int, drafts: Sequence[InstanceDraft], policy: DuplicatePolicy
    ) -> list[IngestOutcome]:
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        for draft in drafts:
            refusal = self.refuses(draft)
            if refusal is not None:
                raise refusal
        self.batches.append(len(drafts))
        outcomes = [self._ingest_one(tenant_id, draft, policy) for draft in drafts]
        if self.failure_after_write is not None:
            raise self.failure_after_write
        return outcomes

    def _ingest_one(self, tenant_id: int, draft: InstanceDraft, policy: DuplicatePolicy) -> IngestOutcome:
        header = draft.header
        patient_differs = any(
            row.draft.header.study_instance_uid == header.study_instance_uid
            and row.draft.header.patient_id != header.patient_id
            for row in self.rows
            if row.tenant_id == tenant_id
        )
        status = IngestStatus.STORED
        for row in self.rows:
            is_same = row.tenant_id == tenant_id and row.draft.header.sop_instance_uid == header.sop_instance_uid
            if is_same and row.is_current:
                if row.draft.digest == draft.digest:
                    return IngestOutcome(IngestStatus.IDENTICAL, patient_differs)
                if policy is DuplicatePolicy.KEEP:
                    return IngestOutcome(IngestStatus.REFUSED, patient_differs)
                row.is_current = False
                status = IngestStatus.REPLACED
        self.rows.append(Row(tenant_id, draft, header.json()))
        return IngestOutcome(status, patient_differs)

    async def search(self, tenant_id: int, query: Query) -> AsyncIterator[DicomJson]:
        for row in self.rows[query.offset : query.offset + query.limit]:
            if row.tenant_id == tenant_id and row.is_current:
                yield orjson.loads(row.json)

    async def search_batches(self, tenant_id: int, query: Query) -> AsyncGenerator[list[DicomJson]]:
        yield [found async for found in self.search(tenant_id, query)]

    async def count(self, tenant_id: int, query: Query) -> int:
        return sum(row.tenant_id == tenant_id and row.is_current for row in self.rows)

    async def unsupported_matches(self, query: Query) -> list[str]:
        return [".".join(match.path) for match in query.matches if match.path[0].startswith("7777")]

    async def find_instances(
        self,
        tenant_id: int,
        study_instance_uid: str,
        series_instance_uid: str | None = None,
        sop_instance_uid: str | None = None,
        *,
        with_frame_index: bool = False,
    ) -> list[StoredInstance]:
        selection = InstanceSelection(
            study_instance_uids=(study_instance_uid,),
            series_instance_uids=(series_instance_uid,) if series_instance_uid is not None else (),
            sop_instance_uids=(sop_instance_uid,) if sop_instance_uid is not None else (),
        )
        return self._select(tenant_id, selection, with_frame_index)

    async def select_instances(self, tenant_id: int, selection: InstanceSelection, limit: int) -> list[StoredInstance]:
        return self._select(tenant_id, selection, with_frame_index=False)[:limit]

    def _select(self, tenant_id: int, selection: InstanceSelection, with_frame_index: bool) -> list[StoredInstance]:
        found = []
        for key, row in enumerate(self.rows):
            header = row.draft.header
            if (
                row.tenant_id != tenant_id
                or not row.is_current
                or selection.patient_id not in (None, header.patient_id)
                or header.study_instance_uid not in (selection.study_instance_uids or (header.study_instance_uid,))
                or header.series_instance_uid not in (selection.series_instance_uids or (header.series_instance_uid,))
                or header.sop_instance_uid not in (selection.sop_instance_uids or (header.sop_instance_uid,))
            ):
                continue
            frames = header.pixel_data.frames if header.pixel_data else None
            found.append(
                StoredInstance(
                    instance_key=key,
                    study_instance_uid=header.study_instance_uid,
                    series_instance_uid=header.series_instance_uid,
                    sop_instance_uid=header.sop_instance_uid,
                    sop_class_uid=header.sop_class_uid,
                    transfer_syntax_uid=header.transfer_syntax_uid,
                    blob=row.draft.blob,
                    frame_count=frames.frame_count if frames else 0,
                    has_bulk_data=bool(header.bulk),
                    frame_index=frames.to_bytes() if frames and with_frame_index else None,
                )
            )
        return sorted(found, key=lambda instance: (instance.series_instance_uid, instance.sop_instance_uid))

    async def read_attributes(self, tenant_id: int, instance_keys: Sequence[int]) -> list[bytes]:
        return [self.rows[key].json for key in instance_keys]

    async def series_stamp(self, tenant_id: int, study_instance_uid: str, series_instance_uid: str) -> str | None:
        keys = [
            instance.instance_key
            for instance in await self.find_instances(tenant_id, study_instance_uid, series_instance_uid)
        ]
        return json.dumps(keys) if keys else None

    async def read_series_metadata(
        self, tenant_id: int, study_instance_uid: str, series_instance_uid: str
    ) -> SeriesMetadata | None:
        metadata = self.metadata.get((tenant_id, study_instance_uid, series_instance_uid))
        stamp = await self.series_stamp(tenant_id, study_instance_uid, series_instance_uid)
        return metadata if metadata is not None and metadata.stamp == stamp else None

    async def write_series_metadata(
        self, tenant_id: int, study_instance_uid: str, series_instance_uid: str, metadata: SeriesMetadata
    ) -> None:
        self.metadata[tenant_id, study_instance_uid, series_instance_uid] = metadata

    async def known_blob_keys(self, keys: Sequence[str]) -> set[str]:
        if self.failure is not None:
            raise self.failure
        return {row.draft.blob.key for row in self.rows} & set(keys)


class FileIndex(MemoryIndex):
    """Additionally appends every committed key and UID to a file, durably, so that it outlives its process."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)

    async def ingest(
        self, tenant_id: int, drafts: Sequence[InstanceDraft], policy: DuplicatePolicy
    ) -> list[IngestOutcome]:
        outcomes = await super().ingest(tenant_id, drafts, policy)
        written = (IngestStatus.STORED, IngestStatus.REPLACED)
        lines = [
            f"{draft.blob.key} {draft.header.sop_instance_uid}\n"
            for draft, outcome in zip(drafts, outcomes, strict=True)
            if outcome.status in written
        ]
        os.write(self._descriptor, "".join(lines).encode())
        return outcomes

    def committed(self) -> dict[str, str]:
        """Return SOP Instance UIDs by the blob keys of all processes that wrote to the file."""
        content = os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0).decode()
        return dict(line.split(" ") for line in content.splitlines())

    async def known_blob_keys(self, keys: Sequence[str]) -> set[str]:
        return set(keys) & self.committed().keys()
