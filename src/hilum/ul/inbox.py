"""Received bytes, cut into PDUs with as few copies as can be.

A PDU that lies whole in one received buffer is handed out as a view of it. Only what the end of a buffer cuts off is
copied, so what waits between two reads is never more than the part of one PDU that has arrived.
"""

from __future__ import annotations

from collections import deque

from hilum.ul.pdu import PDU_HEADER
from hilum.ul.primitives import Buffer

_HEADER_SIZE = PDU_HEADER.size
_EMPTY = memoryview(b"")


class Inbox:
    """The unread bytes of one connection."""

    __slots__ = ("_chunk", "_chunks", "_closed", "_header", "_offset", "_partial", "_to_skip")

    def __init__(self) -> None:
        self._chunks: deque[memoryview] = deque()
        self._chunk = _EMPTY
        self._offset = 0
        self._partial = bytearray()
        self._header: tuple[int, int] | None = None
        self._to_skip = 0
        self._closed = False

    @property
    def is_partial(self) -> bool:
        """Whether a PDU has begun that is not all here, once `header` or `body` has said so."""
        return self._header is not None or bool(self._partial)

    def feed(self, data: Buffer) -> None:
        """Take received bytes over; they must not be changed while some of them are unread or handed out."""
        if self._closed or not len(data):
            return
        view = memoryview(data)
        if self._offset == len(self._chunk):
            self._chunk = view
            self._offset = 0
        else:
            self._chunks.append(view)

    def close(self) -> None:
        """Forget what is unread and take nothing more: what follows an invalid PDU has no known beginning."""
        self._closed = True
        self._chunks.clear()
        self._chunk = _EMPTY
        self._offset = 0
        self._partial = bytearray()
        self._header = None

    def header(self) -> tuple[int, int] | None:
        """Return type and length of the next PDU, None until six bytes of it are here. It stays the next PDU."""
        if self._header is not None:
            return self._header
        if self._to_skip:
            self._skip()
        if not self._partial and len(self._chunk) - self._offset >= _HEADER_SIZE:
            self._header = PDU_HEADER.unpack_from(self._chunk, self._offset)
            self._offset += _HEADER_SIZE
        elif self._gather(_HEADER_SIZE):
            self._header = PDU_HEADER.unpack(self._partial)
            self._partial = bytearray()
        return self._header

    def body(self) -> memoryview | None:
        """Return the body of the PDU whose header was read, None until all of it is here. It is the next no more."""
        assert self._header is not None
        length = self._header[1]
        if not self._partial and len(self._chunk) - self._offset >= length:
            start = self._offset
            self._offset = start + length
            body = self._chunk[start : self._offset]
        elif self._gather(length):
            body = memoryview(self._partial)
            self._partial = bytearray()
        else:
            return None
        self._header = None
        return body

    def skip_body(self) -> None:
        """Pass over the PDU whose header was read without keeping any of it."""
        assert self._header is not None
        self._to_skip = self._header[1] - len(self._partial)
        self._partial = bytearray()
        self._header = None

    def _gather(self, size: int) -> bool:
        """Move bytes into the partial buffer until it holds `size`; False when more have to arrive."""
        partial = self._partial
        while True:
            end = min(self._offset + size - len(partial), len(self._chunk))
            partial += self._chunk[self._offset : end]
            self._offset = end
            if len(partial) == size:
                return True
            if not self._next_chunk():
                return False

    def _skip(self) -> None:
        while self._to_skip:
            skipped = min(self._to_skip, len(self._chunk) - self._offset)
            self._to_skip -= skipped
            self._offset += skipped
            if self._to_skip and not self._next_chunk():
                return

    def _next_chunk(self) -> bool:
        self._offset = 0
        if self._chunks:
            self._chunk = self._chunks.popleft()
            return True
        self._chunk = _EMPTY
        return False
