"""uvicorn inside a worker: our sockets, our signals, no patience for heads that never end or answers nobody takes."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import sys
import termios
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import uvicorn
from starlette.types import ASGIApp

from hilum.app.http_files import FileSendingProtocol
from hilum.kernel.errors import LocalProtocolError, Unavailable
from hilum.kernel.limits import (
    HTTP_HEAD_TIMEOUT_S,
    HTTP_WRITE_TIMEOUT_S,
    MAX_HTTP_HEAD_BYTES,
    MAX_PIPELINED_REQUESTS,
)
from hilum.observe.logs import get_logger

_log = get_logger("http")

# SO_LINGER: on, for no time.
_RESET = struct.pack("ii", 1, 0)


class PatientlyBoundedProtocol(FileSendingProtocol):
    """uvicorn's protocol, closing connections whose request head does not come in time or grows too long, and those
    whose peer takes nothing of what is waiting for it.
    """

    _head_deadline: asyncio.TimerHandle | None = None
    _write_deadline: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin the time for the first head."""
        super().connection_made(transport)
        self._await_head()

    def _await_head(self) -> None:
        self._head_bytes = 0
        if self._head_deadline is None:
            self._head_deadline = asyncio.get_running_loop().call_later(HTTP_HEAD_TIMEOUT_S, self._give_up)

    def _give_up(self) -> None:
        self._head_deadline = None
        if not self.transport.is_closing():
            self.transport.close()
            self._watch_writing()

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

    def on_body(self, body: bytes) -> None:
        """Hand a piece on as it is; only what comes before the last piece was taken is put together, by copying."""
        waiting: bytes | bytearray = self.cycle.body
        if not waiting:
            self.cycle.body, body = body, b""  # type: ignore[assignment]  # what is read of it has bytes as well
        elif isinstance(waiting, bytes):
            self.cycle.body = bytearray(waiting)  # tiny chunks come by the thousands
        super().on_body(body)

    def on_response_complete(self) -> None:
        """Go on with the next request at hand before more are read: the queue would grow with every answer."""
        super().on_response_complete()
        if self.pipeline:
            self.flow.pause_reading()
        if self.transport.is_closing():
            self._watch_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Close; what the peer has not taken yet is not waited for without end."""
        super().timeout_keep_alive_handler()
        self._watch_writing()

    def pause_writing(self) -> None:
        """Begin the time for the peer to take something."""
        super().pause_writing()
        self._watch_writing()

    def resume_writing(self) -> None:
        """The peer takes what it is sent."""
        super().resume_writing()
        if not self.transport.is_closing():
            self._stop_watching()

    def _watch_writing(self) -> None:
        self._stop_watching()
        if self not in self.connections:
            return  # it has ended by itself
        loop = asyncio.get_running_loop()
        self._write_deadline = loop.call_later(HTTP_WRITE_TIMEOUT_S, self._require_progress, self._unsent_bytes())

    def _require_progress(self, unsent_before: int) -> None:
        if self._unsent_bytes() < unsent_before:
            self._watch_writing()
        else:
            self._write_deadline = None
            # Without this the kernel would go on trying to deliver what it holds.
            options = self.transport.get_extra_info("socket")
            options.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()

    def _unsent_bytes(self) -> int:
        """Return what waits here and in the kernel: its buffer is so large that a slow peer empties ours in steps."""
        unsent: int = self.transport.get_write_buffer_size()
        if sys.platform == "linux":
            queued = fcntl.ioctl(self.transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
            unsent += int.from_bytes(queued, sys.byteorder)
        return unsent

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadlines."""
        self._stop_waiting()
        self._stop_watching()
        super().connection_lost(exc)

    def _stop_waiting(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def _stop_watching(self) -> None:
        if self._write_deadline is not None:
            self._write_deadline.cancel()
            self._write_deadline = None


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
        self._sockets: list[socket.socket] = []

    async def start(self, sockets: list[socket.socket]) -> None:
        """Accept connections on the sockets."""
        self._sockets = sockets
        self._task = asyncio.create_task(self._server.serve(sockets=sockets), name="http")
        while not self._server.started:
            if self._task.done():
                await self._task
                raise RuntimeError("the HTTP server ended before it accepted connections")
            await asyncio.sleep(0.005)

    async def serve_until(self, stop: asyncio.Event) -> None:
        """Return when `stop` is set.

        Raises:
            Unavailable: the listener ended by itself.
        """
        if self._task is None:
            raise LocalProtocolError("the HTTP server was not started")
        told = asyncio.create_task(stop.wait())
        await asyncio.wait({told, self._task}, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        if not stop.is_set():
            error = None if self._task.cancelled() else self._task.exception()
            _log.error("the HTTP listener ended by itself", exc=error)
            raise Unavailable("the HTTP listener ended by itself", code="http-ended") from error

    async def stop(self) -> None:
        """Stop accepting, let requests under way finish within the drain time, close."""
        self._server.should_exit = True
        if self._task is None:
            return
        await asyncio.wait({self._task})
        if self._server.started and (self._task.cancelled() or self._task.exception()):
            # It did not come to this itself.
            await self._server.shutdown(self._sockets)


class _Server(uvicorn.Server):
    """Leaves signals to the worker."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """Do nothing."""
        return nullcontext()
