"""WADO-RS: frames, as they are stored or decoded (PS3.18 §10.4.1.4)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from hilum.archive.model import StoredInstance
from hilum.dicom.uids import (
    DEFLATED_IMAGE_FRAME,
    EXPLICIT_VR_LITTLE_ENDIAN,
    HTJ2K_LOSSLESS,
    IMPLICIT_VR_LITTLE_ENDIAN,
    JPEG_2000_LOSSLESS,
    JPEG_LOSSLESS_SV1,
    JPEG_LS_LOSSLESS,
    JPEG_XL_LOSSLESS,
    RLE_LOSSLESS,
    TransferSyntax,
    transfer_syntax,
)
from hilum.dicomweb.address import target_of
from hilum.dicomweb.answers import Part, after, entity_tag, is_unchanged, multipart, once
from hilum.dicomweb.negotiation import OCTET_STREAM, Accepted, accepted, not_acceptable, with_transfer_syntax
from hilum.kernel.errors import InvalidInput, LimitExceeded, NotFound
from hilum.kernel.limits import MAX_FRAMES_PER_REQUEST
from hilum.pixels.codecs import can_decode
from hilum.pixels.transcode import can_transcode, inherent_loss
from hilum.services.retrieve import RetrieveService
from hilum.services.transcode import TranscodeService

# The transfer syntax meant where only the type is named (PS3.18 Table 8.7.3-5).
_DEFAULT_SYNTAXES = {
    "image/jpeg": JPEG_LOSSLESS_SV1,
    "image/jls": JPEG_LS_LOSSLESS,
    "image/jp2": JPEG_2000_LOSSLESS,
    "image/jphc": HTJ2K_LOSSLESS,
    "image/jxl": JPEG_XL_LOSSLESS,
    "image/dicom-rle": RLE_LOSSLESS,
    "application/x-deflate": DEFLATED_IMAGE_FRAME,
}
_Frames: TypeAlias = AsyncIterator[tuple[int, AsyncIterator[bytes]]]


@dataclass(frozen=True, slots=True)
class _Form:
    """How frames go out: `content_type` of each, stored bytes or decoded ones, in parts or alone."""

    media_type: str
    transfer_syntax_uid: str
    is_stored: bool
    is_multipart: bool

    @property
    def content_type(self) -> str:
        return with_transfer_syntax(self.media_type, self.transfer_syntax_uid)


async def retrieve_frames(request: Request, retrieve: RetrieveService, transcode: TranscodeService) -> Response:
    """Answer with frames of one instance in the order of the list.

    `application/octet-stream` without a transfer syntax means decoded samples, little endian; with `*` the stored bytes
    whatever they are; an image or video type means stored bytes of that type if they are, else frames encoded to it, in
    the transfer syntax named or else in the one the standard has for the type. What is stored goes before what has to
    be made, whatever the order.

    Reference: PS3.18 §10.4.1.4, Table 8.7.3-5
    """
    target = target_of(request)
    tenant_id = request.state.principal.tenant.tenant_id
    numbers = parse_frame_list(request.path_params["frames"])
    (instance,) = await retrieve.instances(
        tenant_id, target.study, target.series, target.instance, with_frame_index=True
    )
    check_frames(instance, numbers)
    form = _choose(accepted(request), transfer_syntax(instance.transfer_syntax_uid), len(numbers))
    tag = entity_tag(instance.blob.key, form.content_type, ",".join(map(str, numbers)))
    if is_unchanged(request, tag):
        return Response(status_code=304, headers={"ETag": tag})
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if form.is_stored:
        frames = retrieve.stored_frames(instance, numbers)
    else:
        loss = inherent_loss(form.transfer_syntax_uid)
        frames = _whole(transcode.frames(instance, numbers, form.transfer_syntax_uid, loss=loss))
    # The first bytes are fetched before the answer begins, so that what is wrong with them can still be said.
    size_bytes, content = await anext(frames)
    first = after(await anext(content, b""), content)
    if not form.is_multipart:
        headers |= {"Content-Type": form.content_type, "Content-Length": str(size_bytes)}
        return StreamingResponse(first, headers=headers)
    part_headers = [("Content-Type", form.content_type)]
    known = [(part_headers, size_bytes)] if len(numbers) == 1 else None
    return multipart(_parts(first, frames, part_headers), form.media_type, headers, known=known)


def parse_frame_list(text: str) -> list[int]:
    """Return the frame numbers of a list like "1,3,7-9".

    Raises:
        InvalidInput: a piece is no frame number or range of them.
        LimitExceeded: the list names more frames than one request may.

    Reference: PS3.18 §10.1.2
    """
    numbers: list[int] = []
    for piece in text.split(","):
        low, hyphen, high = piece.strip().partition("-")
        bounds = (low, high) if hyphen else (low, low)
        if not all(bound.isascii() and bound.isdecimal() and len(bound) <= 9 for bound in bounds):
            raise InvalidInput("The frame list must be numbers or ranges, parted by commas.", code="invalid-frames")
        first, last = int(bounds[0]), int(bounds[1])
        if first < 1 or last < first:
            raise InvalidInput("Frame numbers begin at 1 and ranges ascend.", code="invalid-frames")
        if len(numbers) + last - first + 1 > MAX_FRAMES_PER_REQUEST:
            raise LimitExceeded(f"One request may name {MAX_FRAMES_PER_REQUEST} frames.", code="too-many-frames")
        numbers.extend(range(first, last + 1))
    return numbers


def check_frames(instance: StoredInstance, numbers: Sequence[int]) -> None:
    """The instance has all these frames.

    Raises:
        NotFound: it has no pixels or fewer frames.
    """
    if instance.frame_index is None:
        raise NotFound("The instance has no pixels.", code="no-pixels")
    if max(numbers) > max(1, instance.frame_count):
        raise NotFound(f"The instance has {instance.frame_count} frames.", code="frame")


def _choose(ranges: Sequence[Accepted], stored: TransferSyntax, count: int) -> _Form:
    is_plain = stored.uid in (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN) or (
        not stored.is_encapsulated and stored.is_little_endian
    )
    stored_uid = EXPLICIT_VR_LITTLE_ENDIAN if is_plain else stored.uid
    for one in ranges:
        is_multipart = one.is_multipart or one.is_any
        if not is_multipart and count > 1:
            continue
        wanted = one.transfer_syntax_uid
        if one.media_type == OCTET_STREAM and wanted in (None, EXPLICIT_VR_LITTLE_ENDIAN):
            if is_plain or can_decode(stored.uid):
                return _Form(OCTET_STREAM, EXPLICIT_VR_LITTLE_ENDIAN, is_plain, is_multipart)
        elif wanted not in (None, "*", stored_uid, stored.uid):
            continue
        elif one.media_type == OCTET_STREAM:
            return _Form(OCTET_STREAM, stored_uid, True, is_multipart)
        elif one.allows(stored.media_type):
            return _Form(stored.media_type, stored_uid, True, is_multipart)
    made = _choose_made(ranges, stored, count)
    if made is not None:
        return made
    alternatives = [f'multipart/related; type="{stored.media_type}"; transfer-syntax={stored_uid}']
    if can_decode(stored.uid):
        alternatives.append('multipart/related; type="application/octet-stream"')
    raise not_acceptable(*alternatives)


def _choose_made(ranges: Sequence[Accepted], stored: TransferSyntax, count: int) -> _Form | None:
    for one in ranges:
        is_multipart = one.is_multipart or one.is_any
        target_uid = one.transfer_syntax_uid or _DEFAULT_SYNTAXES.get(one.media_type)
        if target_uid is None or (count > 1 and not is_multipart):
            continue
        target = transfer_syntax(target_uid)
        if (
            one.media_type in (target.media_type, OCTET_STREAM)
            and target.is_encapsulated
            and can_transcode(stored.uid, target_uid, inherent_loss(target_uid))
        ):
            return _Form(one.media_type, target_uid, False, is_multipart)
    return None


async def _whole(frames: AsyncIterator[bytes]) -> _Frames:
    async for frame in frames:
        yield len(frame), once(frame)


async def _parts(
    first: AsyncIterator[bytes], rest: _Frames, part_headers: list[tuple[str, str]]
) -> AsyncIterator[Part]:
    yield part_headers, first
    async for _, content in rest:
        yield part_headers, content
