"""Bodies of answers: parts, ranges, documents."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from starlette.requests import Request
from starlette.responses import Response

from hilum.dicomweb.answers import Part, document, entity_tag, is_unchanged, multipart, once, ranged
from hilum.dicomweb.frames import parse_frame_list
from hilum.dicomweb.negotiation import DICOM_XML
from hilum.dicomweb.pieces import PiecesResponse
from hilum.kernel.errors import InvalidInput, LimitExceeded
from hilum.kernel.limits import MAX_FRAMES_PER_REQUEST
from hilum.multipart import PartBegin, PartData, RelatedReader, parse_content_type

CONTENT = bytes(range(100))


def request(**headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": raw, "query_string": b""})


async def stream(offset: int, length: int) -> AsyncIterator[bytes]:
    yield CONTENT[offset : offset + length]


async def body_of(response: Response) -> bytes:
    if isinstance(response, PiecesResponse):
        return b"".join([piece async for piece in response.pieces if isinstance(piece, bytes)])
    return bytes(response.body)


def parts_of(response: Response, body: bytes) -> list[tuple[str, bytes]]:
    content_type = parse_content_type(response.headers["content-type"])
    reader = RelatedReader(content_type.parameters["boundary"])
    parts: list[tuple[str, bytes]] = []
    for event in reader.feed(body):
        if isinstance(event, PartBegin):
            parts.append((event.headers["content-type"], b""))
        elif isinstance(event, PartData):
            parts[-1] = (parts[-1][0], parts[-1][1] + event.data)
    reader.finish()
    return parts


class TestMultipart:
    """PS3.18 §8.6.1.2."""

    async def test_parts_come_back_and_the_announced_length_is_the_real_one(self) -> None:
        contents = [b"", b"x" * 1_000_000, b"tail"]

        async def parts() -> AsyncIterator[Part]:
            for content in contents:
                yield [("Content-Type", "application/dicom")], once(content)

        known = [([("Content-Type", "application/dicom")], len(content)) for content in contents]
        response = multipart(parts(), "application/dicom", known=known)
        body = await body_of(response)
        assert len(body) == int(response.headers["content-length"])
        assert parts_of(response, body) == [("application/dicom", content) for content in contents]

    async def test_xml_documents_are_parts(self) -> None:
        data_set = {"00100020": {"vr": "LO", "Value": ["<1>"]}}
        response = document([data_set, data_set], DICOM_XML, {})
        parts = parts_of(response, await body_of(response))
        assert len(parts) == 2
        assert all(media_type == DICOM_XML and b"&lt;1&gt;" in content for media_type, content in parts)


class TestRanged:
    """PS3.18 §8.6.2, RFC 9110 §14."""

    @pytest.mark.parametrize(
        ("wanted", "status", "body", "content_range"),
        [
            ("bytes=0-9", 206, CONTENT[:10], "bytes 0-9/100"),
            ("bytes=90-", 206, CONTENT[90:], "bytes 90-99/100"),
            ("bytes=90-5000", 206, CONTENT[90:], "bytes 90-99/100"),
            ("bytes=-5", 206, CONTENT[95:], "bytes 95-99/100"),
            ("bytes=-500", 206, CONTENT, "bytes 0-99/100"),
            ("bytes=100-", 416, b"", "bytes */100"),
            ("bytes=-0", 416, b"", "bytes */100"),
            ("bytes=9-3", 200, CONTENT, None),
            ("bytes=0-1,5-6", 200, CONTENT, None),
            ("bytes=-", 200, CONTENT, None),
            ("lines=1-2", 200, CONTENT, None),
        ],
    )
    async def test_ranges(self, wanted: str, status: int, body: bytes, content_range: str | None) -> None:
        response = ranged(request(range=wanted), stream, 100, {"ETag": '"a"'})
        assert response.status_code == status
        assert response.headers.get("content-range") == content_range
        assert await body_of(response) == body
        assert int(response.headers["content-length"]) == len(body)

    async def test_if_range_decides_whether_the_range_counts(self) -> None:
        same = ranged(request(range="bytes=0-0", if_range='"a"'), stream, 100, {"ETag": '"a"'})
        other = ranged(request(range="bytes=0-0", if_range='"b"'), stream, 100, {"ETag": '"a"'})
        assert (same.status_code, other.status_code) == (206, 200)


def test_entity_tags_are_compared_as_http_says() -> None:
    tag = entity_tag("a", "b")
    assert tag != entity_tag("a", "c")
    for value in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        assert is_unchanged(request(if_none_match=value), tag)
    assert not is_unchanged(request(if_none_match='"x"'), tag)
    assert not is_unchanged(request(), tag)


class TestFrameList:
    """PS3.18 §10.1.2."""

    def test_numbers_and_ranges(self) -> None:
        assert parse_frame_list("3,1,5-7") == [3, 1, 5, 6, 7]

    @pytest.mark.parametrize("text", ["", "0", "a", "1,,2", "3-1", "-1", "1-", "1.5", "²", "1" * 12])
    def test_other_text_is_invalid_input(self, text: str) -> None:
        with pytest.raises(InvalidInput):
            parse_frame_list(text)

    def test_too_many_frames_are_refused(self) -> None:
        with pytest.raises(LimitExceeded):
            parse_frame_list(f"1-{MAX_FRAMES_PER_REQUEST + 1}")
