"""Stores many files through the store service, several at a time, and keeps account of what became of each."""

from __future__ import annotations

import asyncio
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from lzma import LZMAError
from typing import IO
from zipfile import BadZipFile

from hilum.app.sources import Source, Unreadable
from hilum.archive.model import IngestStatus, Origin
from hilum.dicom.dicomdir import is_dicomdir
from hilum.dicom.part10 import FileMeta, read_file_meta
from hilum.dicom.uids import is_valid_uid
from hilum.kernel.errors import HilumError, InvalidInput
from hilum.kernel.limits import MIB
from hilum.services.store import StoreResult, StoreService

_CHUNK_BYTES = 1 * MIB
PARALLEL = 8
# What reading a file or a member of a ZIP archive may raise; NotImplementedError: packed in a way Python cannot unpack.
_READING_ERRORS = (OSError, EOFError, BadZipFile, LZMAError, zlib.error, NotImplementedError)
_MAX_LISTED = 1000


@dataclass(slots=True)
class ImportReport:
    """What became of the files of one import. `refused` lists label and reason, at most a thousand of them."""

    by_status: Counter[IngestStatus] = field(default_factory=Counter)
    skipped_count: int = 0
    refused_count: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)
    refused_by_reason: Counter[str] = field(default_factory=Counter)
    flagged_count: int = 0
    patient_differs_count: int = 0
    size_bytes: int = 0
    studies: set[str] = field(default_factory=set)

    @property
    def done_count(self) -> int:
        """Files dealt with so far."""
        return sum(self.by_status.values()) + self.skipped_count + self.refused_count

    def refuse(self, label: str, reason: str, code: str) -> None:
        """Note a file that was not stored."""
        self.refused_count += 1
        self.refused_by_reason[code] += 1
        if len(self.refused) < _MAX_LISTED:
            self.refused.append((label, reason))


async def import_sources(
    store: StoreService,
    tenant_id: int,
    sources: Iterator[Source | Unreadable],
    origin: Origin,
    *,
    progress: Callable[[ImportReport], None] = lambda _report: None,
    parallel: int = PARALLEL,
) -> ImportReport:
    """Store every source that is an instance; one bad file never stops the others.

    Raises:
        Unavailable: the archive cannot store anything now (database away, disk full).
    """
    report = ImportReport()
    lock = asyncio.Lock()

    async def take() -> Source | Unreadable | None:
        async with lock:
            return await asyncio.to_thread(next, sources, None)

    async def work() -> None:
        while (source := await take()) is not None:
            if isinstance(source, Unreadable):
                report.refuse(source.label, source.reason, "unreadable")
            else:
                await _import_one(store, tenant_id, source, origin, report)
            progress(report)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(parallel):
                group.create_task(work())
    except* HilumError as errors:
        raise _first(errors) from None
    return report


def _first(errors: ExceptionGroup[HilumError]) -> HilumError:
    """Return the error that ended the work; the others are the same trouble met by its neighbours."""
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, ExceptionGroup) else error


async def _import_one(
    store: StoreService, tenant_id: int, source: Source, origin: Origin, report: ImportReport
) -> None:
    try:
        stream = await asyncio.to_thread(source.open)
    except (*_READING_ERRORS, HilumError) as error:
        report.refuse(source.label, _reason(error), "unreadable")
        return
    try:
        result = await store_stream(store, tenant_id, stream, origin)
    except _READING_ERRORS as error:
        report.refuse(source.label, _reason(error), "unreadable")
        return
    except HilumError as error:
        if error.retryable:
            raise
        report.refuse(source.label, error.message, error.reason_code)
        return
    finally:
        await asyncio.to_thread(stream.close)
    if result is None:
        report.skipped_count += 1
        return
    report.by_status[result.status] += 1
    report.size_bytes += source.size_bytes
    report.flagged_count += bool(result.damage)
    report.patient_differs_count += result.patient_differs
    report.studies.add(result.study_instance_uid)


async def store_stream(store: StoreService, tenant_id: int, stream: IO[bytes], origin: Origin) -> StoreResult | None:
    """Store one Part 10 file; None when it is a DICOMDIR."""
    first = await asyncio.to_thread(stream.read, _CHUNK_BYTES)
    meta: FileMeta = read_file_meta(first)
    if is_dicomdir(meta.media_storage_sop_class_uid):
        return None
    if not is_valid_uid(meta.transfer_syntax_uid):
        raise InvalidInput("TransferSyntaxUID is no UID", code="invalid-uid", attribute="TransferSyntaxUID")
    intake = store.begin(tenant_id=tenant_id, transfer_syntax_uid=meta.transfer_syntax_uid, origin=origin)
    try:
        chunk: bytes | memoryview = memoryview(first)[meta.data_set_offset :]
        while len(chunk):
            waiting = intake.write(chunk)
            if waiting is not None:
                await waiting
            chunk = await asyncio.to_thread(stream.read, _CHUNK_BYTES)
        return await intake.commit()
    except BaseException:
        await intake.discard()
        raise


def _reason(error: Exception) -> str:
    if isinstance(error, HilumError):
        return error.message
    return getattr(error, "strerror", None) or "the file cannot be read"
