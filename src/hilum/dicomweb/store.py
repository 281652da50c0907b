"""STOW-RS: instances come in, streamed, several being made durable at a time (PS3.18 §10.5)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import orjson
from starlette.requests import Request
from starlette.responses import Response

from hilum.archive.model import Origin, OriginKind
from hilum.dicom.native_xml import native_xml
from hilum.dicom.part10 import FileMeta, read_file_meta
from hilum.dicom.uids import is_valid_uid
from hilum.dicomweb.address import base_url, target_of
from hilum.dicomweb.negotiation import DICOM, DICOM_JSON, DICOM_XML, RELATED, accepted, not_acceptable
from hilum.dicomweb.store_report import Failure, StoreReport
from hilum.kernel.errors import HilumError, InvalidInput, LimitExceeded, Unsupported
from hilum.kernel.limits import FILE_META_PREFIX_BYTES, MAX_REQUEST_BODY_BYTES, MAX_STORES_IN_FLIGHT
from hilum.multipart import PartBegin, PartData, RelatedReader, parse_content_type
from hilum.services.store import Intake, StoreService


async def store_instances(request: Request, store: StoreService) -> Response:
    """Store the instances of the request's body and report on each of them.

    One instance that is refused costs none of the others. When the body breaks off or is malformed, what was complete
    before stays stored: the report names it, with the break as an entry of Other Failures Sequence and status 202; only
    when nothing was complete the whole request fails with 400. Instances are stored while the request goes on, so what
    had arrived completely when the client goes away stays.

    Reference: PS3.18 §10.5
    """
    form = _report_form(request)
    study = target_of(request).study if "study" in request.path_params else None
    _check_announced_length(request)
    upload = _Upload(request, store, study)
    content_type = parse_content_type(request.headers.get("content-type", "") or "missing/missing")
    if content_type.media_type == DICOM:
        await _read_single(request, upload)
    elif content_type.media_type == RELATED and content_type.parameters.get("type", DICOM).lower() == DICOM:
        await _read_parts(request, upload, RelatedReader(content_type.parameters.get("boundary")))
    else:
        raise Unsupported(
            'Instances are taken as multipart/related; type="application/dicom" or as application/dicom.',
            code="unsupported-media-type",
        )
    report = upload.report
    data_set = report.data_set(base_url(request))
    body = orjson.dumps(data_set) if form == DICOM_JSON else native_xml(data_set)
    return Response(body, report.status(), media_type=form)


def _report_form(request: Request) -> str:
    for one in accepted(request):
        if not one.is_multipart and (one.allows(DICOM_JSON) or one.media_type == "application/json"):
            return DICOM_JSON
        if one.allows(DICOM_XML):
            return DICOM_XML
    raise not_acceptable(DICOM_JSON, DICOM_XML)


def _check_announced_length(request: Request) -> None:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > MAX_REQUEST_BODY_BYTES:
        raise LimitExceeded(f"A request body is limited to {MAX_REQUEST_BODY_BYTES} bytes.", code="body-too-large")


async def _read_parts(request: Request, upload: _Upload, reader: RelatedReader) -> None:
    try:
        try:
            async for chunk in request.stream():
                upload.count(len(chunk))
                for event in reader.feed(chunk):
                    if isinstance(event, PartData):
                        await upload.write(event.data)
                    elif isinstance(event, PartBegin):
                        upload.begin(event.headers)
                    else:
                        await upload.end()
            reader.finish()
            if reader.part_count == 0:
                raise InvalidInput("The message has no parts.", code="no-instances")
        except (InvalidInput, LimitExceeded) as error:
            await upload.settle()
            if not upload.report.stored:
                raise
            upload.report.failed.append(Failure(error))
    finally:
        await upload.abandon()


async def _read_single(request: Request, upload: _Upload) -> None:
    try:
        upload.begin({})
        async for chunk in request.stream():
            if chunk:
                upload.count(len(chunk))
                await upload.write(chunk)
        await upload.end()
    finally:
        await upload.abandon()


class _Upload:
    """The instances of one request on their way into the archive, and the report that grows from them."""

    def __init__(self, request: Request, store: StoreService, study: str | None) -> None:
        principal = request.state.principal
        self.report = StoreReport()
        self._store = store
        self._study = study
        self._tenant_id: int = principal.tenant.tenant_id
        self._origin = Origin(
            OriginKind.STOW, peer=request.client.host if request.client else None, user_name=principal.name
        )
        self._slots = asyncio.Semaphore(MAX_STORES_IN_FLIGHT)
        self._commits: set[asyncio.Task[None]] = set()
        self._received_bytes = 0
        self._prefix = bytearray()
        self._meta: FileMeta | None = None
        self._intake: Intake | None = None
        self._refusal: HilumError | None = None

    def count(self, size_bytes: int) -> None:
        """Account for received bytes, whatever the request announced."""
        self._received_bytes += size_bytes
        if self._received_bytes > MAX_REQUEST_BODY_BYTES:
            raise LimitExceeded(f"A request body is limited to {MAX_REQUEST_BODY_BYTES} bytes.", code="body-too-large")

    def begin(self, headers: Mapping[str, str]) -> None:
        """Open the next instance."""
        self._prefix.clear()
        self._meta = self._intake = self._refusal = None
        part_type = headers.get("content-type")
        try:
            if part_type is not None and parse_content_type(part_type).media_type != DICOM:
                raise Unsupported("The part is not application/dicom.", code="unsupported-media-type")
        except HilumError as error:
            self._refusal = error

    async def write(self, data: bytes) -> None:
        """Take more of the open instance's file."""
        if self._refusal is not None:
            return
        try:
            if self._intake is not None:
                waiting = self._intake.write(data)
                if waiting is not None:
                    await waiting
                return
            self._prefix += data
            if len(self._prefix) >= FILE_META_PREFIX_BYTES:
                await self._open_intake()
        except HilumError as error:
            await self._refuse(error)

    async def end(self) -> None:
        """Close the open instance: it is complete, and made durable while the next ones arrive."""
        try:
            if self._refusal is None and self._intake is None:
                await self._open_intake()
        except HilumError as error:
            await self._refuse(error)
        meta, intake, refusal = self._meta, self._intake, self._refusal
        self._meta = self._intake = self._refusal = None
        if refusal is not None or intake is None:
            self._note_failure(refusal or InvalidInput("The part is empty.", code="not-dicom"), meta)
            return
        await self._slots.acquire()
        commit = asyncio.create_task(self._commit(intake, meta))
        self._commits.add(commit)
        commit.add_done_callback(self._commits.discard)

    async def settle(self) -> None:
        """Wait until every complete instance is stored or refused."""
        while self._commits:
            await asyncio.gather(*self._commits)

    async def abandon(self) -> None:
        """Drop an instance that is not complete, and wait for the complete ones."""
        if self._intake is not None:
            await self._intake.discard()
            self._intake = None
        await self.settle()

    async def _open_intake(self) -> None:
        self._meta = meta = read_file_meta(self._prefix)
        if not is_valid_uid(meta.transfer_syntax_uid):
            raise InvalidInput("TransferSyntaxUID is no UID", code="invalid-uid", attribute="TransferSyntaxUID")
        self._intake = intake = self._store.begin(
            tenant_id=self._tenant_id,
            transfer_syntax_uid=meta.transfer_syntax_uid,
            origin=self._origin,
            expected_study_instance_uid=self._study,
        )
        waiting = intake.write(memoryview(bytes(self._prefix))[meta.data_set_offset :])
        if waiting is not None:
            await waiting
        self._prefix.clear()

    async def _refuse(self, error: HilumError) -> None:
        self._refusal = error
        self._prefix.clear()
        if self._intake is not None:
            await self._intake.discard()
            self._intake = None

    async def _commit(self, intake: Intake, meta: FileMeta | None) -> None:
        try:
            self.report.stored.append(await intake.commit())
        except HilumError as error:
            self._note_failure(error, meta)
        finally:
            self._slots.release()

    def _note_failure(self, error: HilumError, meta: FileMeta | None) -> None:
        self.report.failed.append(
            Failure(
                error,
                meta.media_storage_sop_class_uid if meta else None,
                meta.media_storage_sop_instance_uid if meta else None,
            )
        )
