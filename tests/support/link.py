"""A bad line: a TCP proxy that can be cut, slowed and reset."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Link:
    """Carries bytes between who connects to `port` and a target port of 127.0.0.1.

    `is_cut`: connections are refused and those there are end. `bytes_per_s` slows each direction of each connection.
    """

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.port = 0
        self.is_cut = False
        self.bytes_per_s: float | None = None
        self.connections = 0
        self.resets = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """End everything."""
        assert self._server is not None
        self._server.close()
        self.reset()

    def cut(self) -> None:
        """Let nothing through any more."""
        self.is_cut = True
        self.reset()

    def mend(self) -> None:
        """Let connections through again."""
        self.is_cut = False

    def reset(self) -> None:
        """Reset all connections that are open: both ends get RST in the middle of whatever they do."""
        self.resets += bool(self._writers)
        for writer in list(self._writers):
            sock = writer.get_extra_info("socket")
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_cut:
            writer.transport.abort()
            return
        self.connections += 1
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            writer.transport.abort()
            return
        writers = {writer, far_writer}
        self._writers |= writers
        try:
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers -= writers
            for each in writers:
                each.close()
            for each in writers:
                with contextlib.suppress(OSError):
                    await each.wait_closed()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(16 * 1024):
            if self.bytes_per_s is not None:
                await asyncio.sleep(len(chunk) / self.bytes_per_s)
            writer.write(chunk)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()


@asynccontextmanager
async def link_to(target_port: int) -> AsyncIterator[Link]:
    """A line to the port, good until it is told otherwise."""
    link = Link(target_port)
    await link.open()
    try:
        yield link
    finally:
        await link.close()


async def misbehave(links: list[Link], chance: random.Random, *, seconds: float, pause_s: float) -> None:
    """Slow, cut and reset the links at random for some time; at the end all are good again."""
    ends_at = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < ends_at:
        link = chance.choice(links)
        link.bytes_per_s = chance.choice([100_000, 400_000, 2_000_000])
        match chance.choice(["reset", "reset", "cut", "mend"]):
            case "reset":
                link.reset()
            case "cut":
                link.cut()
            case "mend":
                link.mend()
        await asyncio.sleep(2 * pause_s * chance.random())
        chance.choice(links).mend()
    for link in links:
        link.mend()
        link.bytes_per_s = None
