"""uvicorn inside a worker: our sockets, our signals, and no patience for heads that never end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hilum.kernel.limits import HTTP_HEAD_TIMEOUT_S, MAX_HTTP_HEAD_BYTES, MAX_PIPELINED_REQUESTS


class PatientlyBoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, closing connections whose first request head does not come in time or grows too long."""

    _head_deadline: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin the time for the first head."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=1 << 20)
        self._await_head()

    def _await_head(self) -> None:
        self._head_bytes = 0
        if self._head_deadline is None:
            self._head_deadline = asyncio.get_running_loop().call_later(HTTP_HEAD_TIMEOUT_S, self._give_up)

    def _give_up(self) -> None:
        self._head_deadline = None
        if not self.transport.is_closing():
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Count the bytes of an unfinished head; pass everything on."""
        if self._head_deadline is not None:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_deadline is not None and self._head_bytes > MAX_HTTP_HEAD_BYTES:
            self.send_400_response("The request's head is too long.")

    def on_message_begin(self) -> None:
        """Begin the time for the head of a further request on the same connection."""
        super().on_message_begin()
        self._await_head()

    def on_headers_complete(self) -> None:
        """The head came in time. Whoever sends too many requests ahead gets no answer to the later ones."""
        self._stop_waiting()
        super().on_headers_complete()
        if len(self.pipeline) > MAX_PIPELINED_REQUESTS:
            self.pipeline.popleft()
            # The last one that is answered ends the connection.
            self.pipeline[0][0].keep_alive = False

    def on_response_complete(self) -> None:
        """Go on with the next request at hand before more are read: the queue would grow with every answer."""
        super().on_response_complete()
        if self.pipeline:
            self.flow.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _stop_waiting(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None


class HttpServer:
    """One worker's HTTP listener."""

    def __init__(self, app: ASGIApp, *, trusted_proxies: Sequence[str], drain_s: float) -> None:
        config = uvicorn.Config(
            app,
            http=PatientlyBoundedProtocol,
            ws="none",
            lifespan="off",
            loop="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(trusted_proxies),
            forwarded_allow_ips=list(trusted_proxies),
            timeout_keep_alive=75,
            timeout_graceful_shutdown=max(1, int(drain_s)),
            backlog=2048,
        )
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self, sockets: list[socket.socket]) -> None:
        """Accept connections on the sockets."""
        self._task = asyncio.create_task(self._server.serve(sockets=sockets), name="http")
        while not self._server.started:
            if self._task.done():
                await self._task
                raise RuntimeError("the HTTP server ended before it accepted connections")
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Stop accepting, let requests under way finish within the drain time, close."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task


class _Server(uvicorn.Server):
    """Leaves signals to the worker."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """Do nothing."""
        return nullcontext()
