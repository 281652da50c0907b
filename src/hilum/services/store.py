"""Store: an instance's bytes become durable, then its index rows, then and only then the sender hears of success."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from hilum.archive.keys import instance_blob_key
from hilum.archive.model import (
    BlobRef,
    DuplicatePolicy,
    IngestOutcome,
    IngestStatus,
    InstanceDraft,
    Origin,
    OriginKind,
)
from hilum.archive.ports import BlobStore, InstanceIndex
from hilum.dicom.damage import Damage
from hilum.dicom.header import Header, require_identity
from hilum.dicom.part10 import write_file_meta
from hilum.dicom.uids import is_valid_uid
from hilum.kernel.clock import Clock
from hilum.kernel.errors import Conflict, HilumError, InvalidInput, LimitExceeded, LocalProtocolError, Unavailable
from hilum.kernel.ids import new_blob_name
from hilum.kernel.limits import MAX_INSTANCE_BYTES, STAGING_SWEEP_INTERVAL_S, UNSETTLED_BLOB_GRACE_S
from hilum.services.group_commit import GroupCommit
from hilum.services.reception import Buffer, Reception
from hilum.services.staging import StagingDirectory, repair_staging

T = TypeVar("T")

# Hashing and parsing keep cores busy, staging files keep disks busy.
_THREADS: Final = 4 + (os.cpu_count() or 1)
_AE_TITLE_LENGTH: Final = 16


@dataclass(frozen=True, slots=True)
class StoreResult:
    """What became of a stored instance.

    `patient_differs`: the study is there under another patient's identity. `damage`: what was odd and kept.
    """

    status: IngestStatus
    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    patient_differs: bool
    damage: tuple[Damage, ...]


class StoreObserver(Protocol):
    """Hears what the store does, in counts and seconds; nothing of a patient."""

    def stored(self, origin: OriginKind, status: IngestStatus, size_bytes: int, duration_s: float) -> None:
        """An instance was answered with success, so long after its first byte."""
        ...

    def refused(self, origin: OriginKind, reason_code: str) -> None:
        """An instance was answered with a failure."""
        ...

    def committed(self, instance_count: int, duration_s: float) -> None:
        """The index took a batch."""
        ...

    def repaired(self, kept_count: int, removed_count: int) -> None:
        """Interrupted stores were settled: complete ones kept, others removed."""
        ...


class StoreService:
    """Stores instances for all doors of one worker process.

    Args:
        staging_directory: this worker's own, below the root that all workers share.
        on_stored: told of every instance that changed the archive, by tenant.
    """

    def __init__(
        self,
        *,
        index: InstanceIndex,
        blobs: BlobStore,
        staging_directory: Path,
        policy: DuplicatePolicy,
        clock: Clock,
        observe: StoreObserver | None = None,
        on_stored: Callable[[int, StoreResult], None] | None = None,
    ) -> None:
        self._index = index
        self._blobs = blobs
        self._clock = clock
        self._observe = observe
        self._on_stored = on_stored
        self._staging_root = staging_directory.parent
        self._staging = StagingDirectory(staging_directory, clock)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="store")
        self._commits = GroupCommit(index, policy, clock, self._committed)
        self._name_prefix = new_blob_name()[:16]
        self._name_numbers = itertools.count()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Settle what dead workers left, what they left just now after a moment; look for more every minute.

        Raises:
            Unavailable: index or store do not answer.
        """
        await self._repair()
        if self._sweeper is None:
            self._sweeper = asyncio.create_task(self._sweep())

    def begin(
        self,
        *,
        tenant_id: int,
        transfer_syntax_uid: str,
        origin: Origin,
        expected_sop_instance_uid: str | None = None,
        expected_sop_class_uid: str | None = None,
        expected_study_instance_uid: str | None = None,
        announced_size_bytes: int | None = None,
    ) -> Intake:
        """Return the sink for one instance's data set: no preamble, no file meta information.

        Args:
            expected_sop_instance_uid, expected_sop_class_uid, expected_study_instance_uid: what the sender said of it
                elsewhere; a data set that says otherwise is refused.
            announced_size_bytes: its length if known; one beyond the bounds is refused before it is received.
        """
        expected = {
            "SOPClassUID": expected_sop_class_uid,
            "SOPInstanceUID": expected_sop_instance_uid,
            "StudyInstanceUID": expected_study_instance_uid,
        }

        def make_meta(header: Header) -> bytes:
            source = origin.calling_ae_title or ""
            is_ae_title = source.isascii() and len(source) <= _AE_TITLE_LENGTH
            return write_file_meta(
                header.sop_class_uid, header.sop_instance_uid, transfer_syntax_uid, source if is_ae_title else None
            )

        reception = Reception(transfer_syntax_uid, self._staging, self._threads, make_meta)
        if not is_valid_uid(transfer_syntax_uid):
            reception.fail(
                InvalidInput("Transfer Syntax UID is no UID", code="invalid-uid", attribute="TransferSyntaxUID")
            )
        if announced_size_bytes is not None and announced_size_bytes > MAX_INSTANCE_BYTES:
            reception.fail(
                LimitExceeded(
                    "the instance is larger than this archive takes", code="instance-size", limit=MAX_INSTANCE_BYTES
                )
            )

        async def store() -> StoreResult:
            return await self._store(tenant_id, origin, reception, make_meta, expected, began)

        began = self._clock.monotonic()
        return Intake(reception, lambda: self._spawn(store()))

    async def close(self) -> None:
        """Wait for what is in flight and release the staging directory."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait([self._sweeper])
        while self._tasks:
            await asyncio.wait(self._tasks)
        self._threads.shutdown()
        self._staging.close()

    async def _store(
        self,
        tenant_id: int,
        origin: Origin,
        reception: Reception,
        make_meta: Callable[[Header], bytes],
        expected: dict[str, str | None],
        began: float,
    ) -> StoreResult:
        try:
            header = await reception.header()
            require_identity(header)
            _require_expected(header, expected)
            outcome = await self._keep(tenant_id, origin, reception, header, make_meta(header))
            if outcome.status is IngestStatus.REFUSED:
                raise Conflict("other content is kept under this SOP Instance UID", code="duplicate")
        except HilumError as error:
            if self._observe is not None:
                self._observe.refused(origin.kind, error.reason_code)
            raise
        finally:
            await reception.discard()
        result = StoreResult(
            outcome.status,
            header.sop_class_uid,
            header.sop_instance_uid,
            header.study_instance_uid,
            header.series_instance_uid,
            outcome.patient_differs,
            header.damage,
        )
        if self._observe is not None:
            duration_s = self._clock.monotonic() - began
            self._observe.stored(origin.kind, outcome.status, reception.size_bytes, duration_s)
        if self._on_stored is not None and outcome.status is not IngestStatus.IDENTICAL:
            self._on_stored(tenant_id, result)
        return result

    async def _keep(
        self, tenant_id: int, origin: Origin, reception: Reception, header: Header, meta: bytes
    ) -> IngestOutcome:
        """Make bytes and rows durable. Whatever happens, the claim on the blob is given up or left to the sweep."""
        key = instance_blob_key(tenant_id, header.study_instance_uid, self._new_name())
        blob = BlobRef(key, len(meta) + reception.size_bytes, len(meta))
        draft = InstanceDraft(header, blob, reception.digest(), origin, self._clock.now())
        claim = self._staging.claim(key)
        try:
            draft = await self._write(draft, reception, meta)
        except BaseException:
            await self._remove(claim, key)
            raise
        try:
            outcome = await self._commits.submit(tenant_id, draft)
        except HilumError as error:
            if error.retryable:
                # The rows may have been written all the same, so the blob must not go yet.
                self._staging.doubt(claim, key)
            else:
                await self._remove(claim, key)
            raise
        if outcome.status in (IngestStatus.IDENTICAL, IngestStatus.REFUSED):
            self._spawn(self._remove(claim, key))
        else:
            self._staging.give_up(claim)
        return outcome

    def _new_name(self) -> str:
        """Return a name no other blob has, without asking the system for random bits every time."""
        return f"{self._name_prefix}{next(self._name_numbers):016x}"

    async def _write(self, draft: InstanceDraft, reception: Reception, meta: bytes) -> InstanceDraft:
        """Make the blob durable; return the draft, which is prepared for the index meanwhile."""
        if reception.is_spilled:
            await self._blobs.put_file(draft.blob.key, await reception.staged_file(meta))
            return draft
        writing = self._blobs.put(draft.blob.key, (meta, reception.content))
        try:
            draft = self._index.prepare(draft)
        finally:
            await writing
        return draft

    async def _remove(self, claim: int, key: str) -> None:
        """Remove a blob that no rows will name; if the store does not answer, the sweep tries again."""
        try:
            await self._blobs.delete(key)
        except Unavailable:
            self._staging.doubt(claim, key)
        else:
            self._staging.give_up(claim)

    async def _sweep(self) -> None:
        # What the start found too young to be judged is old enough when the grace is over.
        delay_s = UNSETTLED_BLOB_GRACE_S + 1.0
        while True:
            await asyncio.sleep(delay_s)
            delay_s = STAGING_SWEEP_INTERVAL_S
            try:
                await self._repair()
            except HilumError:
                continue  # the parts that do not answer are watched elsewhere; the next round will do

    async def _repair(self) -> None:
        own = await self._staging.sweep(self._blobs, self._index)
        others = await repair_staging(self._staging_root, self._blobs, self._index, self._clock)
        if self._observe is not None:
            self._observe.repaired(own[0] + others[0], own[1] + others[1])

    def _committed(self, instance_count: int, duration_s: float) -> None:
        if self._observe is not None:
            self._observe.committed(instance_count, duration_s)

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run work that must come to its end even if nobody waits for it any more."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


class Intake:
    """The sink of one instance's data set. End it by `commit` or `discard`."""

    def __init__(self, reception: Reception, store: Callable[[], asyncio.Task[StoreResult]]) -> None:
        self._reception = reception
        self._store = store
        self._task: asyncio.Task[StoreResult] | None = None
        self._is_discarded = False

    def write(self, data: Buffer) -> Awaitable[None] | None:
        """Take a copy of the next bytes; when an awaitable is returned, await it before the next call.

        What is wrong with the data is told by `commit` only.
        """
        if self._task is not None or self._is_discarded:
            raise LocalProtocolError("this intake has ended")
        return self._reception.write(data)

    async def commit(self) -> StoreResult:
        """Return when bytes and rows are durable. A caller that is cancelled meanwhile leaves the store to its end.

        Raises:
            InvalidInput: code "missing-attribute", "invalid-uid" or "uid-mismatch" (fact `attribute`: its keyword),
                "empty-data-set".
            Conflict: code "duplicate": other content is there and stays.
            LimitExceeded: the instance or its header is beyond bounds.
            CorruptData: the data set cannot be read far enough to know its identity.
            Unavailable: the disk is full (code "storage-full"), or storage or database do not answer.
        """
        if self._task is not None or self._is_discarded:
            raise LocalProtocolError("this intake has ended")
        self._task = self._store()
        try:
            return await asyncio.shield(self._task)
        except asyncio.CancelledError:
            self._task.add_done_callback(_note_unheard)
            raise

    async def discard(self) -> None:
        """Nothing remains of what was written. Safe to call at any time; what `commit` has begun goes on."""
        if self._task is None and not self._is_discarded:
            self._is_discarded = True
            await self._reception.discard()


def _note_unheard(task: asyncio.Task[StoreResult]) -> None:
    """Take note of how a store ended that nobody waits for any more: the observer has heard of it."""
    if not task.cancelled():
        task.exception()


def _require_expected(header: Header, expected: dict[str, str | None]) -> None:
    for keyword, uid in expected.items():
        if uid is not None and header.text(keyword) != uid:
            raise InvalidInput(
                f"the data set's {keyword} is not the one announced", code="uid-mismatch", attribute=keyword
            )
