"""WADO-RS: bulk data, the values too long for the metadata (PS3.18 §10.4.1.5)."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response

from hilum.dicom.uids import ENCAPSULATED_PDF_STORAGE
from hilum.dicomweb.address import target_of
from hilum.dicomweb.answers import Part, entity_tag, is_unchanged, multipart, ranged
from hilum.dicomweb.negotiation import OCTET_STREAM, accepted, not_acceptable
from hilum.services.retrieve import RetrieveService

_PDF = "application/pdf"


async def retrieve_bulk_data(request: Request, retrieve: RetrieveService) -> Response:
    """Answer with the value a BulkDataURI of the metadata points to, alone or as the one part of a message.

    The document of an encapsulated PDF is also application/pdf.

    Reference: PS3.18 §10.4.1.5, §8.7.3.3
    """
    target = target_of(request)
    tenant_id = request.state.principal.tenant.tenant_id
    path = request.path_params["path"]
    (instance,) = await retrieve.instances(
        tenant_id, target.study, target.series, target.instance, with_frame_index=True
    )
    is_pdf = instance.sop_class_uid == ENCAPSULATED_PDF_STORAGE
    available = (_PDF, OCTET_STREAM) if is_pdf else (OCTET_STREAM,)
    for one in accepted(request):
        media_type = next((candidate for candidate in available if one.allows(candidate)), None)
        if media_type is not None:
            break
    else:
        raise not_acceptable(*available)
    _, content, size_bytes = await retrieve.bulk_data(instance, path)
    tag = entity_tag(instance.blob.key, path, media_type)
    if is_unchanged(request, tag):
        return Response(status_code=304, headers={"ETag": tag})
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if one.is_multipart:
        part_headers = [("Content-Type", media_type)]
        return multipart(_one_part(part_headers, content), media_type, headers, known=[(part_headers, size_bytes)])

    def stream(offset: int, length: int) -> AsyncIterator[bytes]:
        return _slice(content, offset, length)

    return ranged(request, stream, size_bytes, {**headers, "Content-Type": media_type})


async def _one_part(headers: list[tuple[str, str]], content: AsyncIterator[bytes]) -> AsyncIterator[Part]:
    yield headers, content


async def _slice(content: AsyncIterator[bytes], offset: int, length: int) -> AsyncIterator[bytes]:
    async for chunk in content:
        piece = chunk[offset : offset + length]
        offset = max(0, offset - len(chunk))
        length -= len(piece)
        if piece:
            yield piece
        if not length:
            return
