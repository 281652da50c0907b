"""Files sent by the system itself: their bytes go from its memory to the socket and not through this process."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final, cast

from hilum.kernel.errors import CorruptData
from hilum.kernel.files import FileRange
from hilum.kernel.limits import BLOB_CHUNK_BYTES, MIB

# What one call may hand over: about a tenth of a millisecond.
_AT_A_TIME_BYTES: Final = 1 * MIB


class FileChannel:
    """The socket of a plain TCP transport as something files are sent over, between the transport's own writes.

    Nothing may wait in the transport's buffer while a file is sent, and nothing be written to it: the bytes would get
    before or among the file's. asyncio's own `sendfile` exists on none of uvloop's transports.

    Args:
        transport: of the connection; it stays the owner of the socket.
        on_full: called when the peer has to take something first.
        on_room: called when it has.
    """

    def __init__(
        self, transport: asyncio.BaseTransport, on_full: Callable[[], object], on_room: Callable[[], object]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = cast(asyncio.WriteTransport, transport)
        # Event loops do not let anyone wait for a descriptor that a transport has, so it gets a second one.
        self._socket = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        self._descriptor = self._socket.fileno()
        self._on_full = on_full
        self._on_room = on_room
        self._waiting: asyncio.Future[None] | None = None
        self._is_open = True

    @staticmethod
    def is_possible(transport: asyncio.BaseTransport) -> bool:
        """Return whether the transport's peer gets its bytes as they are, over a socket the system sends files to."""
        sock = transport.get_extra_info("socket")
        return (
            sys.platform == "linux"
            and sock is not None
            and sock.type == socket.SOCK_STREAM
            and transport.get_extra_info("ssl_object") is None
        )

    async def emptied(self, drained: Callable[[], Awaitable[None]]) -> None:
        """Return when nothing waits in the transport's buffer.

        Args:
            drained: waits while the transport has its protocol pause.

        Raises:
            ConnectionError: the connection is gone, or closing.
        """
        transport = self._transport
        if transport.get_write_buffer_size():
            await asyncio.sleep(0)  # event loops gather the writes of one turn
        if not transport.get_write_buffer_size():
            return
        self._require_sound()
        _, high = transport.get_write_buffer_limits()
        transport.set_write_buffer_limits(high=0)
        try:
            while transport.get_write_buffer_size():
                await drained()
                await asyncio.sleep(0)
                self._require_sound()
        finally:
            if not transport.is_closing():
                transport.set_write_buffer_limits(high=high)

    async def send(self, descriptor: int, offset: int, length: int, *, head: bytes = b"") -> None:
        """Send a range of an open file, and before it some bytes.

        Ended early, by an error or a cancellation, it may have sent any part: the connection is of no use then.

        Raises:
            CorruptData: the file ends before the range does.
            ConnectionError: the connection is gone.
        """
        end = offset + length
        while head:
            self._require_open()
            try:
                # They leave together with the file's first bytes.
                head = head[self._socket.send(head, socket.MSG_MORE) :]
            except BlockingIOError:
                await self._room()
        while offset < end:
            self._require_open()
            try:
                sent = os.sendfile(self._descriptor, descriptor, offset, min(end - offset, _AT_A_TIME_BYTES))
            except BlockingIOError:
                await self._room()
                continue
            if not sent:
                raise CorruptData("a stored blob is shorter than recorded", code="short-blob")
            offset += sent
            if offset < end:
                await asyncio.sleep(0)  # a peer as fast as we are would leave others no turn

    def _require_sound(self) -> None:
        if not self._is_open or self._transport.is_closing():
            raise ConnectionResetError("the connection is closing")

    def _require_open(self) -> None:
        if not self._is_open:
            raise ConnectionResetError("the connection is closed")

    async def _room(self) -> None:
        self._waiting = self._loop.create_future()
        self._loop.add_writer(self._descriptor, self._wake)
        self._on_full()
        try:
            await self._waiting
        finally:
            self._waiting = None
            if self._is_open:
                self._loop.remove_writer(self._descriptor)
                self._on_room()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def close(self) -> None:
        """Let go of the socket; whoever sends gets an error. Without this the connection would stay open."""
        if self._is_open:
            self._is_open = False
            self._loop.remove_writer(self._descriptor)
            self._socket.close()
            self._wake()


async def chunks_of(file_range: FileRange) -> AsyncGenerator[bytes, None]:
    """Yield a range as bytes: one copy, and a thread only if the range is not in memory.

    Raises:
        CorruptData: the file ends before the range does.
    """
    offset, end = file_range.offset, file_range.offset + file_range.length
    while offset < end:
        size = min(BLOB_CHUNK_BYTES, end - offset)
        await file_range.file.load(offset, size)
        chunk = os.pread(file_range.file.descriptor, size, offset)
        if len(chunk) != size:
            raise CorruptData("a stored blob is shorter than recorded", code="short-blob")
        offset += size
        yield chunk
