"""The HTTP listener keeps senders within bounds."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from hilum.app.http_server import HttpServer
from hilum.kernel.limits import MAX_PIPELINED_REQUESTS

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


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
    writer.write(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000)
    assert (await _last_words(reader))[:13] in (b"", b"HTTP/1.1 400 ")
    assert application.asked == 0
    writer.close()


async def _last_words(reader: asyncio.StreamReader) -> bytes:
    """Return what comes before the connection ends; what was sent unread may take it from the socket."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
