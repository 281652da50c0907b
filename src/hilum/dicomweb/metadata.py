"""WADO-RS: metadata, in the best case the ready-made bytes passed on (PS3.18 §10.4.1.1.2)."""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from hilum.archive.model import SeriesMetadata
from hilum.dicom.dictionary import tag_of
from hilum.dicom.elements import BULK_DATA_PREFIX
from hilum.dicom.native_xml import native_xml
from hilum.dicomweb.address import Target, base_url, target_of
from hilum.dicomweb.answers import Part, entity_tag, is_unchanged, multipart, once
from hilum.dicomweb.negotiation import DICOM_JSON, DICOM_XML, choose_document
from hilum.services.retrieve import RetrieveService

_GZIP = 16 + zlib.MAX_WBITS
# Level 1: these bytes are sent once, mostly over a fast line.
_COMPRESSION_LEVEL = 1
_STUDY, _SERIES, _INSTANCE = (tag_of(f"{level}InstanceUID") for level in ("Study", "Series", "SOP"))
_PLACEHOLDER = f'"BulkDataURI":"{BULK_DATA_PREFIX}'.encode()


async def retrieve_metadata(request: Request, retrieve: RetrieveService) -> Response:
    """Answer with the attributes of all instances of a study, a series, or of one instance, without bulk data.

    Bulk data references are absolute addresses. Clients that accept gzip get the stored bytes where nothing has to be
    put in.

    Reference: PS3.18 §10.4.1.1.2, §8.7.3.2
    """
    form = choose_document(request)
    target = target_of(request)
    tenant_id = request.state.principal.tenant.tenant_id
    all_series = await retrieve.metadata(tenant_id, target.study, target.series, target.instance)
    base = base_url(request)
    accepts_gzip = form == DICOM_JSON and _accepts_gzip(request)
    digests = (hashlib.sha256(series.gzip_json).hexdigest() for series in all_series)
    tag = entity_tag(*digests, base, form, str(accepts_gzip))
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Accept, Accept-Encoding"}
    if is_unchanged(request, tag):
        return Response(status_code=304, headers=headers)
    if form == DICOM_XML:
        return multipart(_xml_parts(all_series, base), DICOM_XML, headers)
    if accepts_gzip:
        headers["Content-Encoding"] = "gzip"
    if accepts_gzip and len(all_series) == 1 and not all_series[0].has_placeholders:
        return Response(all_series[0].gzip_json, headers=headers, media_type=DICOM_JSON)
    body = await asyncio.to_thread(_joined, all_series, base, compress=accepts_gzip)
    return Response(body, headers=headers, media_type=DICOM_JSON)


def _accepts_gzip(request: Request) -> bool:
    for piece in request.headers.get("accept-encoding", "").lower().split(","):
        coding, _, parameter = piece.partition(";")
        if coding.strip() in ("gzip", "*"):
            return parameter.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _joined(all_series: Sequence[SeriesMetadata], base: str, *, compress: bool) -> bytes:
    """Return one JSON array of all series' instances."""
    pieces: list[bytes] = []
    for series in all_series:
        text = zlib.decompress(series.gzip_json, _GZIP)
        # The brackets of each array go, so that the arrays become one.
        pieces.append(b",".join(_completed(text, base)) if series.has_placeholders else text[1:-1])
    body = b"[" + b",".join(piece for piece in pieces if piece) + b"]"
    if not compress:
        return body
    compressor = zlib.compressobj(_COMPRESSION_LEVEL, wbits=_GZIP)
    return compressor.compress(body) + compressor.flush()


def _completed(text: bytes, base: str) -> Iterator[bytes]:
    """Yield each instance of an array as JSON text, its bulk data references being absolute."""
    for attributes in orjson.loads(text):
        instance = orjson.dumps(attributes)
        if _PLACEHOLDER in instance:
            address = orjson.dumps(f"{_address(attributes, base)}/bulkdata/")[1:-1]
            instance = instance.replace(_PLACEHOLDER, b'"BulkDataURI":"' + address)
        yield instance


def _address(attributes: dict[str, Any], base: str) -> str:
    study, series, instance = (attributes[tag]["Value"][0] for tag in (_STUDY, _SERIES, _INSTANCE))
    return Target(study, series, instance).url(base)


async def _xml_parts(all_series: Sequence[SeriesMetadata], base: str) -> AsyncIterator[Part]:
    for series in all_series:
        text = await asyncio.to_thread(zlib.decompress, series.gzip_json, _GZIP)
        for instance in _completed(text, base):
            yield [("Content-Type", DICOM_XML)], once(await asyncio.to_thread(_xml, instance))


def _xml(instance: bytes) -> bytes:
    return native_xml(orjson.loads(instance))
