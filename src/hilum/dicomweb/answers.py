"""Bodies of answers: documents of attributes, and multipart messages streamed in large pieces."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from typing import Any, TypeAlias

import orjson
from starlette.requests import Request
from starlette.responses import Response

from hilum.dicom.dictionary import tag_of
from hilum.dicom.native_xml import native_xml
from hilum.dicomweb.negotiation import DICOM_JSON, DICOM_XML
from hilum.dicomweb.pieces import PiecesResponse
from hilum.kernel.files import FilePiece
from hilum.multipart import closing_delimiter, new_boundary, part_head, related_content_type

PartHeaders: TypeAlias = Sequence[tuple[str, str]]
Part: TypeAlias = tuple[PartHeaders, AsyncIterator[bytes | FilePiece]]
"""Headers and content of one part."""

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.ASCII)

# Small pieces are joined up to this, so that a thousand frames of 2 KB are a few writes.
_JOIN_BELOW_BYTES = 256 * 1024


def attributes_of(elements: Mapping[str, tuple[str, Sequence[Any]]]) -> dict[str, Any]:
    """Return a DICOM JSON data set from keyword to VR and values; elements without values are left out."""
    found = {tag_of(keyword): {"vr": vr, "Value": values} for keyword, (vr, values) in elements.items() if values}
    return dict(sorted(found.items()))


def document(data_sets: Sequence[Mapping[str, Any]], form: str, headers: Mapping[str, str]) -> Response:
    """Return an answer that carries data sets, as one JSON array or as XML parts.

    Reference: PS3.18 §8.7.3.2, §F.2, PS3.19 §A.1
    """
    if form == DICOM_JSON:
        return Response(orjson.dumps(data_sets), headers=dict(headers), media_type=DICOM_JSON)
    boundary = new_boundary()
    body = bytearray()
    for index, data_set in enumerate(data_sets):
        body += part_head(boundary, [("Content-Type", DICOM_XML)], is_first=index == 0)
        body += native_xml(data_set)
    body += closing_delimiter(boundary)
    return Response(bytes(body), headers=dict(headers), media_type=related_content_type(boundary, DICOM_XML))


def multipart(
    parts: AsyncIterator[Part],
    part_type: str,
    headers: Mapping[str, str] | None = None,
    *,
    known: Sequence[tuple[PartHeaders, int]] | None = None,
) -> Response:
    """Return a multipart/related answer whose parts are streamed.

    Args:
        parts: in their order.
        part_type: media type of the parts.
        headers: of the answer.
        known: headers and content length of every part, if they are known: the answer then tells its length.

    Reference: PS3.18 §8.6.1.2
    """
    boundary = new_boundary()
    all_headers = {**(headers or {}), "Content-Type": related_content_type(boundary, part_type)}
    if known is not None:
        length = len(closing_delimiter(boundary))
        for index, (part_headers, size_bytes) in enumerate(known):
            length += len(part_head(boundary, part_headers, is_first=index == 0)) + size_bytes
        all_headers["Content-Length"] = str(length)
    return PiecesResponse(_message(parts, boundary), headers=all_headers)


def ranged(
    request: Request,
    stream: Callable[[int, int], AsyncIterator[bytes | FilePiece]],
    size_bytes: int,
    headers: Mapping[str, str],
) -> Response:
    """Return content, or the byte range of it that the request asks for.

    A range that cannot be understood, several ranges, and one whose If-Range does not hold are answered with all of it.

    Args:
        request: may carry Range and If-Range.
        stream: gives the content from an offset for a length.
        size_bytes: of the whole content.
        headers: of the answer, an ETag among them.

    Reference: PS3.18 §8.6.2, RFC 9110 §14
    """
    headers = {**headers, "Accept-Ranges": "bytes"}
    wanted = request.headers.get("range")
    condition = request.headers.get("if-range")
    found = _RANGE.fullmatch(wanted.strip()) if wanted and condition in (None, headers.get("ETag")) else None
    if found is None or not (found[1] or found[2]):
        return PiecesResponse(stream(0, size_bytes), headers={**headers, "Content-Length": str(size_bytes)})
    first = int(found[1]) if found[1] else max(0, size_bytes - int(found[2]))
    last = min(int(found[2]), size_bytes - 1) if found[1] and found[2] else size_bytes - 1
    if found[1] and found[2] and int(found[2]) < first:
        return PiecesResponse(stream(0, size_bytes), headers={**headers, "Content-Length": str(size_bytes)})
    if first >= size_bytes or (not found[1] and int(found[2]) == 0):
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{size_bytes}"})
    length = last - first + 1
    partial = {"Content-Range": f"bytes {first}-{last}/{size_bytes}", "Content-Length": str(length)}
    return PiecesResponse(stream(first, length), 206, {**headers, **partial})


def entity_tag(*facts: str) -> str:
    """Return a strong ETag that changes with any of the facts."""
    return f'"{hashlib.sha256("|".join(facts).encode()).hexdigest()[:32]}"'


def is_unchanged(request: Request, tag: str) -> bool:
    """Return whether the client has the representation already (If-None-Match).

    Reference: RFC 9110 §13.1.2
    """
    known = [text.strip().removeprefix("W/") for text in request.headers.get("if-none-match", "").split(",")]
    return tag in known or "*" in known


async def _message(parts: AsyncIterator[Part], boundary: str) -> AsyncGenerator[bytes | FilePiece, None]:
    pending: list[bytes] = []
    pending_bytes = 0
    is_first = True
    try:
        async for headers, content in parts:
            head = part_head(boundary, headers, is_first=is_first)
            is_first = False
            pending.append(head)
            pending_bytes += len(head)
            async for chunk in content:
                if isinstance(chunk, FilePiece) or len(chunk) >= _JOIN_BELOW_BYTES:
                    # Large pieces are passed on as they are, without a copy.
                    yield b"".join(pending)
                    pending.clear()
                    pending_bytes = 0
                    yield chunk
                    continue
                pending.append(chunk)
                pending_bytes += len(chunk)
                if pending_bytes >= _JOIN_BELOW_BYTES:
                    yield b"".join(pending)
                    pending.clear()
                    pending_bytes = 0
        pending.append(closing_delimiter(boundary))
        yield b"".join(pending)
    finally:
        if isinstance(parts, AsyncGenerator):
            await parts.aclose()


async def after(beginning: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield what was fetched already, then the rest."""
    yield beginning
    async for chunk in rest:
        yield chunk


async def once(content: bytes) -> AsyncIterator[bytes]:
    """Yield content that is at hand."""
    yield content
