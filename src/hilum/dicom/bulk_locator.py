"""Finds a large value in a stored data set by reading what stands before it window by window."""

from __future__ import annotations

from typing import Final

from hilum.dicom.elements import UNDEFINED_LENGTH, BulkLocation, ElementReader
from hilum.dicom.encodings import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from hilum.dicom.frames import FrameIndex
from hilum.dicom.uids import transfer_syntax
from hilum.kernel.errors import LimitExceeded
from hilum.kernel.limits import INLINE_BINARY_BYTES, INLINE_TEXT_BYTES, MAX_HEADER_BYTES

_WINDOW_BYTES: Final = 64 * 1024
_SEQUENCE_DELIMITER_BYTES: Final = 8


class BulkLocator:
    """Looks for the bulk data of one path; large values and pixel data on the way are leapt over, not read.

    Ask `next_range` for the bytes it wants, give them to `feed`, until `next_range` is None; then `location` stands.

    Args:
        path: of the value, as in the header's `bulk`.
        size_bytes: of the whole data set, which is not deflated.
        frames: of the instance, if it has pixel data: tells where encapsulated pixel data end.

    Reference: PS3.18 §F.2.6
    """

    def __init__(self, path: str, transfer_syntax_uid: str, size_bytes: int, frames: FrameIndex | None) -> None:
        syntax = transfer_syntax(transfer_syntax_uid)
        encoding = EXPLICIT_LITTLE if syntax.is_explicit else IMPLICIT_LITTLE
        if not syntax.is_little_endian:
            encoding = EXPLICIT_BIG
        self._path = path
        self._size_bytes = size_bytes
        self._frames = frames
        self._elements = ElementReader(
            encoding, inline_binary_bytes=INLINE_BINARY_BYTES, inline_text_bytes=INLINE_TEXT_BYTES
        )
        self._window_bytes = _WINDOW_BYTES
        self._read_bytes = 0
        self._is_at_end = False

    @property
    def location(self) -> BulkLocation | None:
        """Where the value stands in the data set; None if it was not met."""
        return self._elements.bulk.get(self._path)

    def next_range(self) -> tuple[int, int] | None:
        """Return offset and length of the bytes to read next, None once the search is over."""
        offset = self._elements.position
        if self._is_at_end or offset >= self._size_bytes or self.location is not None:
            return None
        return offset, min(self._window_bytes, self._size_bytes - offset)

    def feed(self, window: bytes) -> None:
        """Read on in the bytes `next_range` asked for.

        Raises:
            LimitExceeded: what stands before the value is beyond the bound of a header.
        """
        elements = self._elements
        offset, pixels = elements.position, elements.pixels
        is_stopped = elements.read(window, offset, self._size_bytes)
        self._read_bytes += len(window)
        if elements.position == offset:
            self._window_bytes *= 4
        if self._read_bytes > 4 * MAX_HEADER_BYTES:
            raise LimitExceeded("the header is beyond bounds", code="header-size", limit=MAX_HEADER_BYTES)
        if elements.pixels is not pixels and elements.pixels is not None:
            elements.position = self._end_of_pixels(elements.pixels.value_offset, elements.pixels.length)
        elif is_stopped:
            self._is_at_end = True

    def _end_of_pixels(self, offset: int, length: int) -> int:
        if length != UNDEFINED_LENGTH:
            return offset + length
        if self._frames is None or not self._frames.frame_count:
            return self._size_bytes
        last_offset, last_length = self._frames.frame_ranges(self._frames.frame_count - 1)[-1]
        return last_offset + last_length + _SEQUENCE_DELIMITER_BYTES
