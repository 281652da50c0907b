"""How fast bytes may leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable

from hilum.kernel.limits import KIB
from hilum.ul.primitives import Buffer

# A tenth of a second's bytes go at a time, so that a slow line is used evenly.
_PIECES_PER_S = 10
_MIN_PIECE_BYTES = 16 * KIB


class Pace:
    """Bounds the bytes that several senders write in a second, over all of them together."""

    def __init__(self, max_bytes_per_s: float) -> None:
        self._bytes_per_s = max_bytes_per_s
        self._piece_bytes = max(int(max_bytes_per_s / _PIECES_PER_S), _MIN_PIECE_BYTES) & ~1
        self._free_at = 0.0

    async def pieces(self, data: AsyncIterable[bytes] | bytes) -> AsyncGenerator[Buffer, None]:
        """Yield the bytes in pieces of even length, each when it may go."""
        if isinstance(data, bytes):
            async for piece in self._cut(data):
                yield piece
        else:
            async for chunk in data:
                async for piece in self._cut(chunk):
                    yield piece

    async def _cut(self, chunk: bytes) -> AsyncGenerator[Buffer, None]:
        view = memoryview(chunk)
        for start in range(0, len(view), self._piece_bytes):
            piece = view[start : start + self._piece_bytes]
            await self._turn(len(piece))
            yield piece

    async def _turn(self, size_bytes: int) -> None:
        now = asyncio.get_running_loop().time()
        begins_at = max(now, self._free_at)
        self._free_at = begins_at + size_bytes / self._bytes_per_s
        if begins_at > now:
            await asyncio.sleep(begins_at - now)
