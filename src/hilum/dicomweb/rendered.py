"""WADO-RS: rendered instances and thumbnails (PS3.18 §10.4.1.1.3, §8.3.5)."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator, Sequence

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse

from hilum.archive.model import StoredInstance
from hilum.dicom.dictionary import tag_of
from hilum.dicom.uids import ENCAPSULATED_PDF_STORAGE, transfer_syntax
from hilum.dicomweb.address import Target, target_of
from hilum.dicomweb.answers import Part, entity_tag, is_unchanged, multipart, once
from hilum.dicomweb.frames import check_frames, parse_frame_list
from hilum.dicomweb.negotiation import Accepted, accepted, not_acceptable
from hilum.dicomweb.report import is_report, report_page
from hilum.kernel.errors import CorruptData, InvalidInput, LimitExceeded, NotFound, Unsupported
from hilum.pixels.grayscale import Window, WindowFunction
from hilum.pixels.picture import Viewport
from hilum.services.render import PictureFormat, PictureOptions, RenderService
from hilum.services.retrieve import RetrieveService

_THUMBNAIL_SIDE = 256
_THUMBNAIL_QUALITY = 80
_QUALITY = re.compile(r"0*([1-9][0-9]?|100)", re.ASCII)
_PDF, _HTML = "application/pdf", "text/html"
# The page is made of escaped text alone; should that ever fail, nothing in it may run or load.
_HTML_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"}


async def rendered(request: Request, retrieve: RetrieveService, render: RenderService) -> Response:
    """Answer with what a person can look at: pictures, a video as it is stored, a PDF, a report as a page.

    One instance or frame is one picture, by default of the first frame, as GIF of all of them; a study, a series and
    several frames are parts of a message. Query parameters: viewport, window, quality.

    Reference: PS3.18 §10.4.1.1.3, §8.3.5, §8.7.4
    """
    target = target_of(request)
    tenant_id = request.state.principal.tenant.tenant_id
    instances = await retrieve.instances(tenant_id, target.study, target.series, target.instance, with_frame_index=True)
    ranges = accepted(request)
    if target.instance is not None and "frames" not in request.path_params:
        answer = await _other_than_picture(request, instances[0], ranges, retrieve, render)
        if answer is not None:
            return answer
    if target.instance is not None:
        numbers = parse_frame_list(request.path_params.get("frames", "1"))
        check_frames(instances[0], numbers)
        wanted = [(instances[0], number) for number in numbers]
    else:
        wanted = [(instance, 1) for instance in instances if _has_pictures(instance)]
        if not wanted:
            raise NotFound("There is nothing to render.", code="no-pixels")
    picture_format, is_multipart = _choose(ranges, len(wanted))
    options = PictureOptions(
        picture_format, _quality(request), _window(request), _viewport(request.query_params.get("viewport"))
    )
    tag = entity_tag(
        *(instance.blob.key for instance, _ in wanted), str(request.url.query), request.url.path, options.format
    )
    if is_unchanged(request, tag):
        return Response(status_code=304, headers={"ETag": tag})
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if is_multipart:
        return multipart(_parts(render, tenant_id, wanted, options), picture_format, headers)
    instance, number = wanted[0]
    is_cine = picture_format is PictureFormat.GIF and instance.frame_count > 1 and "frames" not in request.path_params
    if is_cine:
        content = await render.animation(tenant_id, instance, options)
    else:
        content = await render.picture(tenant_id, instance, number, options)
    return Response(content, headers=headers, media_type=picture_format)


async def thumbnail(request: Request, retrieve: RetrieveService, render: RenderService) -> Response:
    """Answer with a small picture that stands for a study, a series, an instance or a frame.

    It is the middle frame of the middle instance that can be shown, of the first series that has one.

    Reference: PS3.18 §10.4.1.1.4
    """
    target = target_of(request)
    tenant_id = request.state.principal.tenant.tenant_id
    instances = await retrieve.instances(tenant_id, target.study, target.series, target.instance, with_frame_index=True)
    if "frames" in request.path_params:
        numbers = parse_frame_list(request.path_params["frames"])
        check_frames(instances[0], numbers)
        instance, number = instances[0], numbers[0]
    else:
        instance = _representative(instances)
        number = (instance.frame_count + 1) // 2 or 1
    picture_format, _ = _choose(accepted(request), 1)
    viewport = _viewport(request.query_params.get("viewport")) or Viewport(_THUMBNAIL_SIDE, _THUMBNAIL_SIDE)
    tag = entity_tag(instance.blob.key, str(number), picture_format, repr(viewport))
    if is_unchanged(request, tag):
        return Response(status_code=304, headers={"ETag": tag})
    options = PictureOptions(picture_format, _THUMBNAIL_QUALITY, None, viewport)
    content = await render.picture(tenant_id, instance, number, options)
    return Response(content, headers={"ETag": tag, "Cache-Control": "private, no-cache"}, media_type=picture_format)


def _has_pictures(instance: StoredInstance) -> bool:
    return instance.frame_index is not None and not transfer_syntax(instance.transfer_syntax_uid).is_video


def _representative(instances: Sequence[StoredInstance]) -> StoredInstance:
    shown = [instance for instance in instances if _has_pictures(instance)]
    if not shown:
        raise NotFound("There is nothing to make a thumbnail of.", code="no-pixels")
    series = [one for one in shown if one.series_instance_uid == shown[0].series_instance_uid]
    return series[len(series) // 2]


async def _other_than_picture(
    request: Request,
    instance: StoredInstance,
    ranges: Sequence[Accepted],
    retrieve: RetrieveService,
    render: RenderService,
) -> Response | None:
    """Return the answer for video, documents and reports; None for what is rendered as a picture."""
    syntax = transfer_syntax(instance.transfer_syntax_uid)
    if instance.frame_index is not None:
        if not syntax.is_video:
            return None
        _require(ranges, syntax.media_type)
        size_bytes, content = await anext(retrieve.stored_frames(instance, [1]))
        headers = {"Content-Length": str(size_bytes)}
        return StreamingResponse(content, headers=headers, media_type=syntax.media_type)
    if instance.sop_class_uid == ENCAPSULATED_PDF_STORAGE:
        _require(ranges, _PDF)
        return await _pdf(request, instance, retrieve, render)
    if is_report(instance.sop_class_uid):
        _require(ranges, _HTML)
        attributes = await render.attributes(request.state.principal.tenant.tenant_id, instance)
        return HTMLResponse(report_page(attributes), headers=_HTML_HEADERS)
    raise NotFound("The instance has no pixels.", code="no-pixels")


def _require(ranges: Sequence[Accepted], media_type: str) -> None:
    if not any(one.allows(media_type) for one in ranges):
        raise not_acceptable(media_type)


async def _pdf(
    request: Request, instance: StoredInstance, retrieve: RetrieveService, render: RenderService
) -> Response:
    attributes = await render.attributes(request.state.principal.tenant.tenant_id, instance)
    element = attributes.get(tag_of("EncapsulatedDocument"), {})
    headers = {"Content-Disposition": "inline", "X-Content-Type-Options": "nosniff"}
    if "InlineBinary" in element:
        # Its true length only tells whether the padding to an even length belongs to it.
        lengths = attributes.get(tag_of("EncapsulatedDocumentLength"), {}).get("Value", ())
        document = base64.b64decode(element["InlineBinary"])
        is_padded = len(document) - 1 in lengths
        return Response(document[:-1] if is_padded else document, headers=headers, media_type=_PDF)
    if "BulkDataURI" not in element:
        raise NotFound("The instance holds no document.", code="no-document")
    _, content, size_bytes = await retrieve.bulk_data(instance, element["BulkDataURI"])
    headers |= {"Content-Length": str(size_bytes), "Content-Type": _PDF}
    return StreamingResponse(content, headers=headers)


def _choose(ranges: Sequence[Accepted], count: int) -> tuple[PictureFormat, bool]:
    for one in ranges:
        for picture_format in PictureFormat:
            if one.allows(picture_format) and (one.is_multipart or one.is_any or count == 1):
                return picture_format, one.is_multipart or count > 1
    raise not_acceptable(*PictureFormat)


async def _parts(
    render: RenderService, tenant_id: int, wanted: Sequence[tuple[StoredInstance, int]], options: PictureOptions
) -> AsyncIterator[Part]:
    for instance, number in wanted:
        try:
            content = await render.picture(tenant_id, instance, number, options)
        except (CorruptData, InvalidInput, LimitExceeded, Unsupported):
            # One picture that cannot be made must not cost the others; its address is missing from the message.
            continue
        address = Target(instance.study_instance_uid, instance.series_instance_uid, instance.sop_instance_uid).url("")
        yield [("Content-Type", options.format), ("Content-Location", f"{address[1:]}/frames/{number}")], once(content)


def _quality(request: Request) -> int:
    text = request.query_params.get("quality")
    if text is None:
        return PictureOptions().quality
    if not _QUALITY.fullmatch(text):
        raise InvalidInput("quality must be a whole number from 1 to 100.", code="invalid-quality")
    return int(text.lstrip("0"))


def _window(request: Request) -> Window | None:
    """Return the window of `window=center,width,function`."""
    text = request.query_params.get("window")
    if text is None:
        return None
    pieces = [piece.strip() for piece in text.split(",")]
    try:
        center, width = float(pieces[0]), float(pieces[1])
        name = pieces[2].upper().replace("-", "_") if len(pieces) > 2 and pieces[2] else "LINEAR"
        function = WindowFunction(name)
    except (ValueError, IndexError):
        raise InvalidInput(
            "window must be center,width and perhaps linear, linear-exact or sigmoid.", code="invalid-window"
        ) from None
    least = 1.0 if function is WindowFunction.LINEAR else 0.0
    if not (abs(center) < 1e15 and least <= width < 1e15) or width == 0:
        raise InvalidInput("The width of the window is out of range.", code="invalid-window")
    return Window(center, width, function)


def _viewport(text: str | None) -> Viewport | None:
    """Return the viewport of `viewport=vw,vh,sx,sy,sw,sh`; what is left empty has its default."""
    if text is None:
        return None
    try:
        numbers = [int(float(piece)) if piece.strip() else 0 for piece in text.split(",")]
    except (ValueError, OverflowError):
        numbers = []
    if len(numbers) not in (2, 4, 6):
        raise InvalidInput("viewport must be two, four or six numbers.", code="invalid-viewport")
    return Viewport(*numbers)
