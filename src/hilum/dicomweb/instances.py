"""WADO-RS: studies, series and instances as Part 10 files (PS3.18 §10.4.1)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from hilum.archive.model import StoredInstance
from hilum.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, transfer_syntax
from hilum.dicomweb.address import target_of
from hilum.dicomweb.answers import Part, after, entity_tag, is_unchanged, multipart, ranged
from hilum.dicomweb.negotiation import DICOM, Accepted, accepted, not_acceptable, with_transfer_syntax
from hilum.dicomweb.pieces import takes_files
from hilum.kernel.files import FilePiece
from hilum.pixels.transcode import can_transcode, inherent_loss
from hilum.services.retrieve import RetrieveService
from hilum.services.transcode import TranscodeService


async def retrieve_instances(request: Request, retrieve: RetrieveService, transcode: TranscodeService) -> Response:
    """Answer with the Part 10 files of a study, a series or one instance, as they were stored unless asked otherwise.

    A transfer syntax is a wish for the encoding: `*` or none is the stored one. Another is made without loss, and with
    loss only where the syntax named cannot do without; the instance has another UID then. Of a study or series, what
    has no pixels comes in Explicit VR Little Endian instead of a syntax for pixels, and what does not fit the syntax as
    it is stored; the header of each part tells.

    Reference: PS3.18 §10.4, §8.7.3.5
    """
    target = target_of(request)
    tenant_id = request.state.principal.tenant.tenant_id
    instances = await retrieve.instances(
        tenant_id, target.study, target.series, target.instance, with_frame_index=_may_transcode(request)
    )
    choice = _choose(accepted(request), instances, is_one=target.instance is not None)
    tag = entity_tag(*(instance.blob.key for instance in instances), choice.transfer_syntax_uid or "*")
    if is_unchanged(request, tag):
        return Response(status_code=304, headers={"ETag": tag})
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if not choice.is_multipart:
        return await _single(request, retrieve, transcode, instances[0], choice, headers)
    if any(_is_transcoded(instance, choice) for instance in instances):
        parts = _parts(retrieve, transcode, instances, choice.transfer_syntax_uid or "")
        # The first part is begun before the answer, so that what is wrong with it can still be said.
        first = await anext(parts)
        return multipart(_after_part(first, parts), DICOM, headers)
    sizes = [(_part_headers(instance.transfer_syntax_uid), instance.blob.size_bytes) for instance in instances]
    stored = _stored_parts(retrieve, instances, as_files=takes_files(request))
    # The first file is opened before the answer, for the same reason.
    return multipart(_after_part(await anext(stored), stored), DICOM, headers, known=sizes)


def _may_transcode(request: Request) -> bool:
    return any(one.transfer_syntax_uid not in (None, "*") for one in accepted(request))


def _choose(ranges: Sequence[Accepted], instances: Sequence[StoredInstance], *, is_one: bool) -> Accepted:
    """Return the best range that can be satisfied; of equally good ones one that needs no work."""
    possible = [one for one in ranges if one.allows(DICOM) and (one.is_multipart or one.is_any or is_one)]
    for one in sorted(possible, key=lambda one: (-one.quality, _is_any_transcoded(instances, one))):
        if not all(_can_be_given(instance, one, is_one=is_one) for instance in instances):
            continue
        # Left open, the form is the standard's default for the resource (PS3.18 Table 10.4.4-1).
        return replace(one, media_type=DICOM, is_multipart=True) if one.is_any else one
    stored = sorted({instance.transfer_syntax_uid for instance in instances})
    raise not_acceptable(*(f'multipart/related; type="application/dicom"; transfer-syntax={uid}' for uid in stored))


def _is_any_transcoded(instances: Sequence[StoredInstance], choice: Accepted) -> bool:
    return any(_is_transcoded(instance, choice) for instance in instances)


def _can_be_given(instance: StoredInstance, choice: Accepted, *, is_one: bool) -> bool:
    if not _is_transcoded(instance, choice):
        return True
    target_uid = choice.transfer_syntax_uid or ""
    if not instance.frame_count:
        return not is_one or not transfer_syntax(target_uid).is_encapsulated
    return can_transcode(instance.transfer_syntax_uid, target_uid, inherent_loss(target_uid))


def _is_transcoded(instance: StoredInstance, choice: Accepted) -> bool:
    return choice.transfer_syntax_uid not in (None, "*", instance.transfer_syntax_uid)


async def _single(
    request: Request,
    retrieve: RetrieveService,
    transcode: TranscodeService,
    instance: StoredInstance,
    choice: Accepted,
    headers: dict[str, str],
) -> Response:
    target_uid = choice.transfer_syntax_uid
    if target_uid is not None and _is_transcoded(instance, choice):
        content = transcode.part10(instance, target_uid, loss=inherent_loss(target_uid))
        first = await anext(content)
        return StreamingResponse(after(first, content), headers={**headers, "Content-Type": _content_type(target_uid)})
    size_bytes = instance.blob.size_bytes
    media_type = _content_type(instance.transfer_syntax_uid)

    def stream(offset: int, length: int) -> AsyncIterator[bytes | FilePiece]:
        content = retrieve.pieces if takes_files(request) else retrieve.stream
        return content(instance, offset, length)

    return ranged(request, stream, size_bytes, {**headers, "Content-Type": media_type})


async def _stored_parts(
    retrieve: RetrieveService, instances: Sequence[StoredInstance], *, as_files: bool
) -> AsyncGenerator[Part, None]:
    if as_files:
        async with aclosing(retrieve.part10_pieces(instances)) as files:
            async for instance, pieces in files:
                yield _part_headers(instance.transfer_syntax_uid), pieces
        return
    async for instance, content in retrieve.part10(instances):
        yield _part_headers(instance.transfer_syntax_uid), content


async def _parts(
    retrieve: RetrieveService, transcode: TranscodeService, instances: Sequence[StoredInstance], target_uid: str
) -> AsyncGenerator[Part, None]:
    targets = [_target_of(instance, target_uid) for instance in instances]
    wanted = [(instance, uid, inherent_loss(uid)) for instance, uid in zip(instances, targets, strict=True)]
    async with aclosing(transcode.part10_of_all(wanted)) as files:
        for instance, uid in zip(instances, targets, strict=True):
            content = await anext(files)
            if content is not None:
                yield _part_headers(uid), content
            elif len(instances) > 1:
                yield _part_headers(instance.transfer_syntax_uid), retrieve.stream(instance)
            else:
                raise not_acceptable(f'multipart/related; type="{_content_type(instance.transfer_syntax_uid)}"')


def _target_of(instance: StoredInstance, target_uid: str) -> str:
    """Return what an instance is made: without pixels it cannot be in a syntax for pixels."""
    if instance.frame_count or not transfer_syntax(target_uid).is_encapsulated:
        return target_uid
    return EXPLICIT_VR_LITTLE_ENDIAN


async def _after_part(first: Part, rest: AsyncGenerator[Part, None]) -> AsyncGenerator[Part, None]:
    async with aclosing(rest):
        yield first
        async for part in rest:
            yield part


def _content_type(transfer_syntax_uid: str) -> str:
    return with_transfer_syntax(DICOM, transfer_syntax_uid)


def _part_headers(transfer_syntax_uid: str) -> list[tuple[str, str]]:
    return [("Content-Type", _content_type(transfer_syntax_uid))]
