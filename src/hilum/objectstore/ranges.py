"""Reading a blob piece by piece, one piece ahead of the reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from hilum.kernel.errors import CorruptData
from hilum.kernel.limits import BLOB_CHUNK_BYTES

ReadRange = Callable[[int, int], Coroutine[Any, Any, bytes]]


async def read_ahead(read: ReadRange, offset: int, length: int) -> AsyncIterator[bytes]:
    """Yield the range in chunks; while the reader works on one, the next is fetched. Two chunks of memory at most.

    Each chunk is a request of its own, so a reader may pause for as long as it likes.
    """
    end = offset + length
    ahead: asyncio.Task[bytes] | None = None
    try:
        while offset < end:
            size = min(BLOB_CHUNK_BYTES, end - offset)
            chunk = await (ahead or read(offset, size))
            offset += size
            ahead = None
            if offset < end:
                ahead = asyncio.create_task(read(offset, min(BLOB_CHUNK_BYTES, end - offset)))
            yield chunk
    finally:
        if ahead is not None:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)


def require_length(content: bytes, length: int) -> bytes:
    """Return the content if it has the expected length.

    Raises:
        CorruptData: the blob is shorter than it should be.
    """
    if len(content) != length:
        raise CorruptData("a stored blob is shorter than recorded", code="short-blob", expected=length)
    return content
