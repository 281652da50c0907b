"""An incremental reader of multipart/related: bytes in, part events out, memory flat whatever is sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser

from hilum.kernel.errors import InvalidInput, LimitExceeded
from hilum.kernel.limits import (
    MAX_BOUNDARY_LENGTH,
    MAX_PART_HEADER_BYTES,
    MAX_PART_HEADERS,
    MAX_PARTS,
    MAX_PREAMBLE_BYTES,
)


@dataclass(frozen=True, slots=True)
class PartBegin:
    """A part begins. Header names are in lower case; the part index counts from 0."""

    part_index: int
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PartData:
    """Some bytes of the part, never none."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PartEnd:
    """The part was closed by its delimiter: it is complete."""


PartEvent: TypeAlias = PartBegin | PartData | PartEnd

_PART_END = PartEnd()


class _RelatedParser(PushMultipartParser):  # type: ignore[misc]  # the library carries no types
    """The library's parser without the rules of multipart/form-data."""

    def _create_segment(self, headerlist: list[tuple[str, str]]) -> Any:
        # The delimiter alone says where a part ends (RFC 2046 §5.1): a wrong Content-Length of one part must not
        # cost the others.
        self._segment_limit = -1
        segment = MultipartSegment([])
        segment.headerlist = headerlist
        return segment


class RelatedReader:
    """Turns the body of a multipart/related message into part events.

    Feed it chunks of any size; exhaust each iterator before the next call. After the last chunk call `finish`.

    Args:
        boundary: the boundary parameter of the message's Content-Type.

    Raises:
        InvalidInput: the boundary is missing, too long, or has characters RFC 2046 §5.1.1 does not allow.
    """

    def __init__(self, boundary: str | None) -> None:
        if not boundary:
            raise InvalidInput("The multipart message names no boundary.", code="malformed-multipart")
        if len(boundary) > MAX_BOUNDARY_LENGTH or not boundary.isascii() or not boundary.isprintable():
            raise InvalidInput("The multipart boundary is too long or malformed.", code="malformed-multipart")
        self._parser = _RelatedParser(
            boundary,
            max_header_size=MAX_PART_HEADER_BYTES,
            max_header_count=MAX_PART_HEADERS,
            max_segment_count=MAX_PARTS,
        )
        self._part_count = 0
        self._bytes_fed = 0

    @property
    def part_count(self) -> int:
        """How many parts have begun."""
        return self._part_count

    def feed(self, data: bytes) -> Iterator[PartEvent]:
        """Yield the events that the next chunk brings.

        Raises:
            InvalidInput: this is no well-formed multipart message.
            LimitExceeded: too many parts, part headers too long or too many, or too much before the first part.
        """
        if not data:
            return
        self._bytes_fed += len(data)
        try:
            for event in self._parser.parse(data):
                if event is None:
                    yield _PART_END
                elif isinstance(event, MultipartSegment):
                    yield PartBegin(self._part_count, self._headers_of(event))
                    self._part_count += 1
                else:
                    yield PartData(bytes(event))
        except MultipartError as error:
            raise _translated(error) from error
        if self._part_count == 0 and self._bytes_fed > MAX_PREAMBLE_BYTES:
            raise LimitExceeded(
                f"No part begins within the first {MAX_PREAMBLE_BYTES} bytes of the message.",
                code="multipart-preamble-too-long",
            )

    def finish(self) -> None:
        """Note that the message has ended.

        Raises:
            InvalidInput: it ended before its closing delimiter.
        """
        try:
            self._parser.close()
        except MultipartError as error:
            raise InvalidInput(
                "The multipart message ends before its closing delimiter.", code="truncated-multipart"
            ) from error

    def _headers_of(self, segment: Any) -> Mapping[str, str]:
        headers: dict[str, str] = {}
        size_bytes = 0
        for name, value in segment.headerlist:
            size_bytes += len(name) + len(value)
            headers.setdefault(name.lower(), value.rstrip(" \t"))
        if size_bytes > MAX_PART_HEADER_BYTES:
            raise LimitExceeded(
                f"The headers of one part are longer than {MAX_PART_HEADER_BYTES} bytes.",
                code="part-headers-too-long",
            )
        return MappingProxyType(headers)


def _translated(error: MultipartError) -> InvalidInput | LimitExceeded:
    if isinstance(error, ParserLimitReached):
        return LimitExceeded(
            "The multipart message has too many parts, or too many or too long part headers.",
            code="multipart-limit-exceeded",
        )
    return InvalidInput("The multipart message is malformed.", code="malformed-multipart")
