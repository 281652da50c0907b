"""The HTTP listener keeps senders within bounds."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from hilum.app import http_server
from hilum.app.http_server import HttpServer
from hilum.kernel.errors import Unavailable
from hilum.kernel.limits import MAX_PIPELINED_REQUESTS

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
# More than the buffers of both kernels hold.
MUCH = 32 << 20


class _Application:
    """Answers when it is let."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked += 1
        await self.may_answer.wait()
        await PlainTextResponse("ok")(scope, receive, send)


@pytest.fixture
def application() -> _Application:
    return _Application()


@pytest.fixture
async def port(application: _Application) -> AsyncIterator[int]:
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    server = HttpServer(application, trusted_proxies=[], drain_s=1.0)
    await server.start([listening])
    yield int(listening.getsockname()[1])
    application.may_answer.set()
    await server.stop()
    listening.close()


async def test_requests_sent_ahead_are_answered_in_turn(application: _Application, port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    application.may_answer.set()
    writer.write(REQUEST * MAX_PIPELINED_REQUESTS)
    for _ in range(MAX_PIPELINED_REQUESTS):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert await reader.readexactly(2) == b"ok"
    writer.close()
    await writer.wait_closed()


async def test_requests_sent_too_far_ahead_are_not_answered(application: _Application, port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST * (10 * MAX_PIPELINED_REQUESTS))
    await writer.drain()
    application.may_answer.set()
    answers = 0
    while (head := await reader.readuntil(b"\r\n\r\n")) and b"connection: close" not in head:
        assert await reader.readexactly(2) == b"ok"
        answers += 1
    # The first one does not wait.
    assert answers == MAX_PIPELINED_REQUESTS
    assert application.asked == MAX_PIPELINED_REQUESTS + 1
    writer.close()


async def test_endless_head_is_refused(application: _Application, port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200_000)
    assert (await _last_words(reader))[:13] in (b"", b"HTTP/1.1 400 ")
    assert application.asked == 0
    writer.close()


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the body."""
    pieces = [piece async for piece in Request(scope, receive).stream()]
    assert all(type(piece) is bytes for piece in pieces)
    await Response(b"".join(pieces))(scope, receive, send)


@pytest.mark.parametrize(
    "sizes",
    [[1], [5_000], [200_000], [1] * 3_000, [200_000, 1, 70_000, 3, 3, 65_537]],
    ids=lambda sizes: str(len(sizes)),
)
async def test_a_body_is_handed_on_as_it_was_sent_whatever_its_pieces(sizes: list[int]) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    server = HttpServer(_echo, trusted_proxies=[], drain_s=1.0)
    await server.start([listening])
    body = bytes(number % 251 for number in range(sum(sizes)))
    reader, writer = await asyncio.open_connection("127.0.0.1", listening.getsockname()[1])
    for _ in range(2):  # on one connection, where nothing of the first body may be left
        writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        start = 0
        for size in sizes:
            writer.write(b"%x\r\n%b\r\n" % (size, body[start : start + size]))
            start += size
        writer.write(b"0\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert await reader.readexactly(len(body)) == body
    writer.close()
    await writer.wait_closed()
    await server.stop()
    listening.close()


class _Giving:
    """Answers with much, whole or in pieces, and knows when the client is gone."""

    def __init__(self) -> None:
        self.given = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_whole = Request(scope).url.path == "/whole"
        answer = Response(bytes(MUCH)) if is_whole else StreamingResponse(self._pieces())
        try:
            await answer(scope, receive, send)
        finally:
            self.given.set()

    async def _pieces(self) -> AsyncIterator[bytes]:
        for _ in range(MUCH >> 20):
            yield bytes(1 << 20)


@pytest.fixture
async def giving(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[_Giving, int]]:
    monkeypatch.setattr(http_server, "HTTP_WRITE_TIMEOUT_S", 1.0)
    application = _Giving()
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    server = HttpServer(application, trusted_proxies=[], drain_s=30.0)
    await server.start([listening])
    yield application, int(listening.getsockname()[1])
    # A connection that nobody ends would hold this up beyond the time a test has.
    await server.stop()
    listening.close()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("path", ["whole", "pieces"])
@pytest.mark.parametrize("connection", ["keep-alive", "close"])
async def test_client_that_takes_nothing_is_let_go(giving: tuple[_Giving, int], path: str, connection: str) -> None:
    application, port = giving
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(f"GET /{path} HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n\r\n".encode())
        await application.given.wait()
        await asyncio.to_thread(_await_reset, client)


async def test_client_that_takes_little_at_a_time_gets_all(giving: tuple[_Giving, int]) -> None:
    _, port = giving
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=64 * 1024)
    writer.write(b"GET /pieces HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    received = 0
    for _ in range(25):
        received += len(await reader.readexactly(512 * 1024))
        await asyncio.sleep(0.1)
    received += len(await reader.read())
    assert received > MUCH
    writer.close()


class TestEnd:
    """Whoever runs the server learns of its end."""

    async def test_it_serves_until_told(self, application: _Application) -> None:
        server, listening = await _started(application)
        stop = asyncio.Event()
        serving = asyncio.create_task(server.serve_until(stop))
        _, writer = await asyncio.open_connection(*listening.getsockname())
        writer.close()
        assert not serving.done()
        stop.set()
        await serving
        await server.stop()

    @pytest.mark.parametrize("is_failing", [True, False])
    async def test_its_own_end_is_an_error(
        self, application: _Application, monkeypatch: pytest.MonkeyPatch, is_failing: bool
    ) -> None:
        server, listening = await _started(application)
        address = listening.getsockname()

        async def end(_server: uvicorn.Server, _counter: int) -> bool:
            if is_failing:
                raise OSError("no clock")
            return True

        monkeypatch.setattr(uvicorn.Server, "on_tick", end)
        with pytest.raises(Unavailable) as error:
            await server.serve_until(asyncio.Event())
        assert isinstance(error.value.__cause__, OSError) == is_failing
        await server.stop()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*address)


async def _started(application: _Application) -> tuple[HttpServer, socket.socket]:
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    server = HttpServer(application, trusted_proxies=[], drain_s=1.0)
    await server.start([listening])
    return server, listening


def _await_reset(client: socket.socket) -> None:
    """Take nothing until the server has ended the connection, which it can only do by a reset."""
    waiting = select.poll()
    waiting.register(client, select.POLLERR | select.POLLHUP)
    waiting.poll()


async def _last_words(reader: asyncio.StreamReader) -> bytes:
    """Return what comes before the connection ends; what was sent unread may take it from the socket."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
