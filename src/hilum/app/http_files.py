"""The ASGI extension `http.response.zerocopysend` for uvicorn: ranges of open files as pieces of an answer.

It is offered where the connection is plain TCP; behind TLS of our own, or on another system, applications find it
missing in the scope and send bytes.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any, Final

from starlette.types import Message
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from hilum.kernel.limits import MIB
from hilum.net.files import FileChannel

EXTENSION: Final = "http.response.zerocopysend"

_MAX_BUFFERED_BYTES: Final = 1 * MIB


class FileSendingProtocol(HttpToolsProtocol):
    """uvicorn's protocol with files. Reference: ASGI specification, extensions, Zero Copy Send."""

    _channel: FileChannel | None = None
    _can_send_files = False
    _is_lost = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Look whether files can be sent."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=_MAX_BUFFERED_BYTES)
        self._can_send_files = FileChannel.is_possible(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of the socket."""
        super().connection_lost(exc)
        self._is_lost = True
        if self._channel is not None:
            self._channel.close()

    def on_message_begin(self) -> None:
        """Offer the extension."""
        super().on_message_begin()
        if self._can_send_files:
            self.scope["extensions"] = {EXTENSION: {}}

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        async def with_files(scope: Any, receive: Any, send: Any) -> None:
            async def send_any(message: Message) -> None:
                if message["type"] == EXTENSION:
                    await self._send_file(cycle, message)
                else:
                    await send(message)

            await app(scope, receive, send_any)

        super()._start_asgi_task(cycle, with_files)

    async def _send_file(self, cycle: RequestResponseCycle, message: Message) -> None:
        if not cycle.response_started or cycle.response_complete:
            raise RuntimeError(f"{EXTENSION} comes after the start and before the end of a response")
        file, offset = message["file"], message.get("offset") or 0
        descriptor = file if isinstance(file, int) else file.fileno()
        count = message.get("count")
        if count is None:
            count = max(0, os.fstat(descriptor).st_size - offset)
        if count and cycle.scope["method"] != "HEAD":
            if not cycle.chunked_encoding:
                if count > cycle.expected_content_length:
                    raise RuntimeError("Response content longer than Content-Length")
                cycle.expected_content_length -= count
            await self._transmit(cycle, descriptor, offset, count)
        if not message.get("more_body", False):
            await cycle.send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _transmit(self, cycle: RequestResponseCycle, descriptor: int, offset: int, count: int) -> None:
        """Send the range, as a chunk of its own in chunked encoding; to a client that is gone nothing."""
        if self._is_lost:
            return
        if cycle.chunked_encoding:
            self.transport.write(b"%x\r\n" % count)
        if self._channel is None:
            self._channel = FileChannel(self.transport, self.pause_writing, self.resume_writing)
        try:
            await self._channel.emptied(self.flow.drain)
            await self._channel.send(descriptor, offset, count)
        except ConnectionError:
            self.transport.abort()
            return
        if cycle.chunked_encoding:
            self.transport.write(b"\r\n")
