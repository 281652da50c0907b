"""Deflated data sets, inflated piece by piece and never beyond the bound (PS3.5 §A.5)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final, TypeAlias

from hilum.kernel.errors import LimitExceeded

Buffer: TypeAlias = bytes | bytearray | memoryview

_PIECE_BYTES: Final = 1 << 20
# zlib hands back what it did not take as a copy: short inputs keep those copies short.
_INPUT_BYTES: Final = 1 << 16


class Inflater:
    """Inflates one raw deflate stream that arrives in parts.

    Args:
        limit_bytes: the whole stream may inflate to this.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.size = 0
        """Bytes inflated so far."""
        self.is_finished = False
        """The stream said that it ends."""
        self.is_corrupt = False
        """What came is no deflate stream from here on; what was inflated before stands."""
        self._limit = limit_bytes
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS)

    def inflate(self, data: Buffer) -> Iterator[bytes]:
        """Yield what the next part of the stream inflates to, in pieces of a mebibyte at most.

        Raises:
            LimitExceeded: more than `limit_bytes` came out; nothing beyond is inflated.

        Reference: PS3.5 §A.5
        """
        view = memoryview(data)
        if self.is_corrupt:
            return
        for start in range(0, len(view), _INPUT_BYTES):
            part: Buffer = view[start : start + _INPUT_BYTES]
            is_more = bool(part)
            while is_more and not self.is_finished:
                before = self._stream.copy()
                try:
                    piece = self._stream.decompress(part, _PIECE_BYTES)
                except zlib.error:
                    self.is_corrupt = True
                    yield from self._salvage(before, bytes(part))
                    return
                part = self._stream.unconsumed_tail
                # The input may be used up while what it inflates to is not.
                is_more = bool(part) or len(piece) == _PIECE_BYTES
                self.is_finished = self._stream.eof
                self._count(piece)
                if piece:
                    yield piece

    def _count(self, piece: bytes) -> None:
        self.size += len(piece)
        if self.size > self._limit:
            raise LimitExceeded(
                f"The deflated data set inflates to more than {self._limit} bytes",
                code="inflated-size",
                limit=self._limit,
            )

    def _salvage(self, stream: zlib._Decompress, part: bytes) -> Iterator[bytes]:
        """Yield what comes out before the corrupt byte: zlib itself drops all that the failing call had inflated."""
        for position in range(len(part)):
            try:
                piece = stream.decompress(part[position : position + 1])
            except zlib.error:
                return
            self._count(piece)
            if piece:
                yield piece
