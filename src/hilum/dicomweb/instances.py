"""WADO-RS: studies, series and instances as Part 10 files (PS3.18 §10.4.1)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response

from hilum.archive.model import StoredInstance
from hilum.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from hilum.dicomweb.address import target_of
from hilum.dicomweb.answers import Part, entity_tag, is_unchanged, multipart, once, ranged
from hilum.dicomweb.negotiation import DICOM, Accepted, accepted, not_acceptable, with_transfer_syntax
from hilum.pixels.codecs import can_decode
from hilum.services.render import RenderService
from hilum.services.retrieve import RetrieveService


async def retrieve_instances(request: Request, retrieve: RetrieveService, render: RenderService) -> Response:
    """Answer with the Part 10 files of a study, a series or one instance, as they were stored unless asked otherwise.

    A transfer syntax is a wish for the encoding: `*` or none is the stored one; Explicit VR Little Endian is made where
    an instance is stored in another; any other can only be had where it is the stored one.

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
        return await _single(request, retrieve, render, instances[0], choice, headers)
    parts = _parts(retrieve, render, tenant_id, instances, choice)
    if any(_is_transcoded(instance, choice) for instance in instances):
        return multipart(parts, DICOM, headers)
    sizes = [(_part_headers(instance.transfer_syntax_uid), instance.blob.size_bytes) for instance in instances]
    return multipart(parts, DICOM, headers, known=sizes)


def _may_transcode(request: Request) -> bool:
    return any(one.transfer_syntax_uid not in (None, "*") for one in accepted(request))


def _choose(ranges: Sequence[Accepted], instances: Sequence[StoredInstance], *, is_one: bool) -> Accepted:
    for one in ranges:
        if not one.allows(DICOM) or not all(_can_be_given(instance, one) for instance in instances):
            continue
        if one.is_multipart:
            return one
        if one.is_any:
            # Left open, the form is the standard's default for the resource (PS3.18 Table 10.4.4-1).
            return replace(one, media_type=DICOM, is_multipart=True)
        if is_one:
            return one
    stored = sorted({instance.transfer_syntax_uid for instance in instances})
    raise not_acceptable(*(f'multipart/related; type="application/dicom"; transfer-syntax={uid}' for uid in stored))


def _can_be_given(instance: StoredInstance, choice: Accepted) -> bool:
    if not _is_transcoded(instance, choice):
        return True
    return choice.transfer_syntax_uid == EXPLICIT_VR_LITTLE_ENDIAN and (
        instance.frame_count == 0 or can_decode(instance.transfer_syntax_uid)
    )


def _is_transcoded(instance: StoredInstance, choice: Accepted) -> bool:
    return choice.transfer_syntax_uid not in (None, "*", instance.transfer_syntax_uid)


async def _single(
    request: Request,
    retrieve: RetrieveService,
    render: RenderService,
    instance: StoredInstance,
    choice: Accepted,
    headers: dict[str, str],
) -> Response:
    if _is_transcoded(instance, choice):
        tenant_id = request.state.principal.tenant.tenant_id
        content = await render.in_explicit_little_endian(tenant_id, instance)
        media_type = _content_type(EXPLICIT_VR_LITTLE_ENDIAN)
        return Response(content, headers={**headers, "Content-Type": media_type})
    size_bytes = instance.blob.size_bytes
    media_type = _content_type(instance.transfer_syntax_uid)

    def stream(offset: int, length: int) -> AsyncIterator[bytes]:
        return retrieve.stream(instance, offset, length)

    return ranged(request, stream, size_bytes, {**headers, "Content-Type": media_type})


async def _parts(
    retrieve: RetrieveService,
    render: RenderService,
    tenant_id: int,
    instances: Sequence[StoredInstance],
    choice: Accepted,
) -> AsyncIterator[Part]:
    if not any(_is_transcoded(instance, choice) for instance in instances):
        async for instance, content in retrieve.part10(instances):
            yield _part_headers(instance.transfer_syntax_uid), content
        return
    for instance in instances:
        if _is_transcoded(instance, choice):
            file = await render.in_explicit_little_endian(tenant_id, instance)
            yield _part_headers(EXPLICIT_VR_LITTLE_ENDIAN), once(file)
        else:
            yield _part_headers(instance.transfer_syntax_uid), retrieve.stream(instance, 0, instance.blob.size_bytes)


def _content_type(transfer_syntax_uid: str) -> str:
    return with_transfer_syntax(DICOM, transfer_syntax_uid)


def _part_headers(transfer_syntax_uid: str) -> list[tuple[str, str]]:
    return [("Content-Type", _content_type(transfer_syntax_uid))]
