"""Files sent by the system itself: their bytes go from its memory to the socket and not through this process."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from typing import Final

from hilum.kernel.errors import CorruptData
from hilum.kernel.limits import MIB

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
        # Event loops do not let anyone wait for a descriptor that a transport has, so it gets a second one.
        self._descriptor = os.dup(transport.get_extra_info("socket").fileno())
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

    async def send(self, descriptor: int, offset: int, length: int) -> None:
        """Send a range of an open file.

        Ended early, by an error or a cancellation, it may have sent any part: the connection is of no use then.

        Raises:
            CorruptData: the file ends before the range does.
            ConnectionError: the connection is gone.
        """
        end = offset + length
        while offset < end:
            if not self._is_open:
                raise ConnectionResetError("the connection is closed")
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
            os.close(self._descriptor)
            self._wake()
