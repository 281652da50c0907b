"""multipart/related bodies become the same events however they are cut."""

from __future__ import annotations

import hashlib

import pytest

from hilum.kernel.errors import InvalidInput, LimitExceeded, LocalProtocolError
from hilum.kernel.limits import MAX_PART_HEADER_BYTES, MAX_PART_HEADERS, MAX_PREAMBLE_BYTES
from hilum.multipart import (
    PartBegin,
    PartData,
    PartEnd,
    RelatedReader,
    closing_delimiter,
    new_boundary,
    part_head,
    related_content_type,
)

BOUNDARY = "frontier"
CONTENTS = [
    b"",
    b"\r\n" * 50,
    b"\r\n--frontie\r\n--frontiez"[:-1] + b"-\r\n--front",
    bytes(range(256)) * 40,
    b"--",
]


def message(contents: list[bytes], *, preamble: bytes = b"", epilogue: bytes = b"") -> bytes:
    body = preamble
    for index, content in enumerate(contents):
        body += part_head(BOUNDARY, [("Content-Type", "application/dicom")], is_first=index == 0) + content
    return body + closing_delimiter(BOUNDARY) + epilogue


def read(body: bytes, chunk_size: int) -> list[tuple[dict[str, str], bytes]]:
    reader = RelatedReader(BOUNDARY)
    parts: list[tuple[dict[str, str], bytearray]] = []
    open_parts = 0
    for start in range(0, len(body), chunk_size):
        for event in reader.feed(body[start : start + chunk_size]):
            if isinstance(event, PartBegin):
                assert event.part_index == len(parts)
                parts.append((dict(event.headers), bytearray()))
                open_parts += 1
            elif isinstance(event, PartData):
                assert event.data
                parts[-1][1].extend(event.data)
            else:
                assert isinstance(event, PartEnd)
                open_parts -= 1
    reader.finish()
    assert open_parts == 0
    return [(headers, bytes(content)) for headers, content in parts]


class TestRelatedReader:
    """RFC 2046 §5.1, RFC 2387."""

    @pytest.mark.parametrize("chunk_size", [1, 2, 3, 7, 11, 13, 64, 997, 1 << 20])
    def test_any_chunking_gives_the_same_parts(self, chunk_size: int) -> None:
        parts = read(message(CONTENTS), chunk_size)
        assert [content for _, content in parts] == CONTENTS
        assert all(headers == {"content-type": "application/dicom"} for headers, _ in parts)

    @pytest.mark.parametrize("chunk_size", [1, 17, 4096])
    def test_preamble_and_epilogue_are_passed_over(self, chunk_size: int) -> None:
        body = message([b"x"], preamble=b"This is MIME.\r\n", epilogue=b"\r\nbye --frontier")
        assert [content for _, content in read(body, chunk_size)] == [b"x"]

    def test_message_without_parts_is_read_as_empty(self) -> None:
        assert read(b"--frontier--\r\n", 5) == []

    def test_content_disposition_is_not_needed_and_wrong_part_length_is_ignored(self) -> None:
        body = b"--frontier\r\nContent-Length: 3\r\n\r\nabcdefgh\r\n--frontier--"
        assert read(body, 4) == [({"content-length": "3"}, b"abcdefgh")]

    def test_large_part_comes_through_unchanged(self) -> None:
        content = hashlib.sha512(b"seed").digest() * 50_000
        assert read(message([content]), 65536)[0][1] == content

    @pytest.mark.parametrize("boundary", [None, "", "x" * 201, "a\nb", "gr\xfcn"])
    def test_missing_or_impossible_boundary_is_invalid_input(self, boundary: str | None) -> None:
        with pytest.raises(InvalidInput):
            RelatedReader(boundary)

    @pytest.mark.parametrize("cut", [10, 60, 100])
    def test_truncated_message_is_reported_at_its_end(self, cut: int) -> None:
        reader = RelatedReader(BOUNDARY)
        list(reader.feed(message([b"y" * 100])[:-cut]))
        with pytest.raises(InvalidInput) as refusal:
            reader.finish()
        assert refusal.value.reason_code == "truncated-multipart"

    def test_endless_header_line_is_refused_early(self) -> None:
        reader = RelatedReader(BOUNDARY)
        list(reader.feed(b"--frontier\r\nX-Long: "))
        fed = 0
        with pytest.raises(LimitExceeded):
            while fed < 100 * MAX_PART_HEADER_BYTES:
                list(reader.feed(b"a" * 1024))
                fed += 1024
        assert fed <= 2 * MAX_PART_HEADER_BYTES

    def test_endless_headers_are_refused_early(self) -> None:
        reader = RelatedReader(BOUNDARY)
        list(reader.feed(b"--frontier\r\n"))
        with pytest.raises(LimitExceeded):
            for number in range(MAX_PART_HEADERS + 2):
                list(reader.feed(f"X-{number}: 1\r\n".encode()))

    def test_headers_that_are_too_long_together_are_refused(self) -> None:
        line = b"X-A%d: " + b"v" * (MAX_PART_HEADER_BYTES // 8) + b"\r\n"
        reader = RelatedReader(BOUNDARY)
        with pytest.raises(LimitExceeded):
            list(reader.feed(b"--frontier\r\n" + b"".join(line % number for number in range(9)) + b"\r\n"))

    def test_endless_preamble_is_refused(self) -> None:
        reader = RelatedReader(BOUNDARY)
        with pytest.raises(LimitExceeded):
            for _ in range(MAX_PREAMBLE_BYTES // 1000 + 2):
                list(reader.feed(b"z" * 1000))

    @pytest.mark.parametrize(
        "body",
        [
            b"--frontier\r\nno colon\r\n\r\n",
            b"--frontier\r\nA: \xff\r\n\r\n",
            b"--frontier\n\n",
            b"--frontier\r\n\r\nabc\r\n--frontierXY",
            b"x--frontier\r\n",
        ],
    )
    def test_malformed_message_is_invalid_input(self, body: bytes) -> None:
        with pytest.raises(InvalidInput) as refusal:
            list(RelatedReader(BOUNDARY).feed(body))
        assert refusal.value.reason_code == "malformed-multipart"


class TestWriter:
    """PS3.18 §8.6.1.2."""

    def test_boundaries_differ_and_need_no_quotes(self) -> None:
        assert new_boundary() != new_boundary()
        assert related_content_type("b", "application/dicom") == (
            'multipart/related; type="application/dicom"; boundary=b'
        )

    @pytest.mark.parametrize("value", ["a\r\nX: b", "a\nb", "a\x00", "gr\xfcn"])
    def test_headers_cannot_be_broken_out_of(self, value: str) -> None:
        with pytest.raises(LocalProtocolError):
            part_head(BOUNDARY, [("Content-Type", value)], is_first=True)
