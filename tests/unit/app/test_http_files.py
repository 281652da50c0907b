"""Files as pieces of HTTP answers, over real sockets (ASGI extension Zero Copy Send)."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvicorn
from starlette.types import Message, Receive, Scope, Send

from hilum.app import http_server
from hilum.app.http_files import EXTENSION
from hilum.app.http_server import HttpServer, PatientlyBoundedProtocol
from hilum.kernel.errors import CorruptData
from support.certificates import Authority

# More than the buffers of both kernels hold.
MUCH = 48 << 20
HEAD_AND_TAIL = b"before", b"after"


@dataclass
class _FileApp:
    """Answers with bytes, a range of the file, and bytes again."""

    file: Path
    size_bytes: int
    is_chunked: bool = False
    offset: int = 0
    told_bytes: int | None = None
    extensions: list[object] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    after_head: Callable[[], Awaitable[None]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.extensions.append(scope.get("extensions"))
        descriptor = os.open(self.file, os.O_RDONLY)
        try:
            await self._answer(descriptor, send)
        except BaseException as error:
            self.errors.append(error)
            raise
        finally:
            os.close(descriptor)
            self.ended.set()

    async def _answer(self, descriptor: int, send: Send) -> None:
        head, tail = HEAD_AND_TAIL
        count = self.size_bytes - self.offset
        told = count if self.told_bytes is None else self.told_bytes
        length = (b"content-length", str(len(head) + told + len(tail)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [] if self.is_chunked else [length]})
        await send({"type": "http.response.body", "body": head, "more_body": True})
        if self.after_head is not None:
            await self.after_head()
        await send({"type": EXTENSION, "file": descriptor, "offset": self.offset, "count": count, "more_body": True})
        await send({"type": "http.response.body", "body": tail})


@pytest.fixture
def content(tmp_path: Path) -> tuple[Path, bytes]:
    path = tmp_path / "blob"
    path.write_bytes(os.urandom(3 << 20) + b"end")
    return path, path.read_bytes()


@pytest.fixture
async def serving() -> AsyncIterator[Callable[[_FileApp], Awaitable[int]]]:
    started: list[tuple[HttpServer, socket.socket]] = []

    async def start(app: _FileApp) -> int:
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setblocking(False)
        server = HttpServer(app, trusted_proxies=[], drain_s=5.0)
        await server.start([listening])
        started.append((server, listening))
        return int(listening.getsockname()[1])

    yield start
    for server, listening in started:
        await server.stop()
        listening.close()


Serving = Callable[[_FileApp], Awaitable[int]]


def _request(method: str = "GET", version: str = "1.1", **headers: str) -> bytes:
    lines = [f"{method} / HTTP/{version}", "Host: localhost", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def _open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def _until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it does not come to this")


async def _answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Return head and body of one answer, chunks joined."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"transfer-encoding: chunked" not in head:
        length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
        return head, await reader.readexactly(length)
    body = bytearray()
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += await reader.readexactly(size)
        assert await reader.readexactly(2) == b"\r\n"
    assert await reader.readexactly(2) == b"\r\n"
    return head, bytes(body)


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("offset", [0, 1_000_001])
async def test_bytes_and_files_come_in_their_order(
    serving: Serving, content: tuple[Path, bytes], is_chunked: bool, offset: int
) -> None:
    path, expected = content
    port = await serving(_FileApp(path, len(expected), is_chunked=is_chunked, offset=offset))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    # The second request comes before the first is answered, the third on the same connection afterwards.
    writer.write(_request() * 2)
    for number in range(3):
        head, body = await _answer(reader)
        assert head.startswith(b"http/1.1 200 ")
        assert body == HEAD_AND_TAIL[0] + expected[offset:] + HEAD_AND_TAIL[1]
        if number == 1:
            writer.write(_request())
    writer.close()


async def test_http_1_0_ends_with_the_connection(serving: Serving, content: tuple[Path, bytes]) -> None:
    path, expected = content
    port = await serving(_FileApp(path, len(expected)))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_request(version="1.0"))
    _, body = await _answer(reader)
    assert body == HEAD_AND_TAIL[0] + expected + HEAD_AND_TAIL[1]
    assert await reader.read() == b""
    writer.close()


async def test_head_gets_no_body(serving: Serving, content: tuple[Path, bytes]) -> None:
    path, expected = content
    port = await serving(_FileApp(path, len(expected)))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_request("HEAD", Connection="close"))
    head = await reader.read()
    assert f"content-length: {len(expected) + 11}".encode() in head
    assert head.endswith(b"\r\n\r\n")
    writer.close()


async def test_an_empty_range_is_nothing(serving: Serving, content: tuple[Path, bytes]) -> None:
    path, expected = content
    port = await serving(_FileApp(path, len(expected), is_chunked=True, offset=len(expected)))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_request())
    assert (await _answer(reader))[1] == b"".join(HEAD_AND_TAIL)
    writer.close()


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_file_that_ends_early_breaks_the_connection(
    serving: Serving, content: tuple[Path, bytes], is_chunked: bool
) -> None:
    path, expected = content
    app = _FileApp(path, len(expected) + 10, is_chunked=is_chunked)
    port = await serving(app)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_request())
    with pytest.raises(asyncio.IncompleteReadError):
        await _answer(reader)
    assert isinstance(app.errors[0], CorruptData)
    writer.close()


async def test_more_than_was_announced_is_not_sent(serving: Serving, content: tuple[Path, bytes]) -> None:
    path, expected = content
    app = _FileApp(path, len(expected), told_bytes=5)
    port = await serving(app)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_request())
    answer = await reader.read()
    assert expected[:5] not in answer
    assert isinstance(app.errors[0], RuntimeError)
    writer.close()


@pytest.fixture
def much(tmp_path: Path) -> Path:
    path = tmp_path / "much"
    with path.open("wb") as file:
        file.truncate(MUCH)
    return path


async def test_a_slow_reader_gets_all_and_holds_up_nobody(serving: Serving, much: Path) -> None:
    app = _FileApp(much, MUCH)
    port = await serving(app)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=64 * 1024)
    writer.write(_request())
    await reader.readexactly(1 << 20)
    await asyncio.sleep(0.2)
    assert not app.ended.is_set()
    other_reader, other = await asyncio.open_connection("127.0.0.1", port)
    other.write(_request("HEAD"))
    assert (await other_reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    other.close()
    received = 1 << 20
    while received < MUCH:
        received += len(await reader.readexactly(1 << 20))
    assert (await reader.readuntil(b"after")).endswith(b"after")
    await app.ended.wait()
    writer.close()


async def test_what_is_written_before_a_file_is_waited_for(serving: Serving, content: tuple[Path, bytes]) -> None:
    """Bytes that the client has not taken yet stay in front of the file."""
    path, expected = content
    before = os.urandom(MUCH)

    class App(_FileApp):
        async def _answer(self, descriptor: int, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": before, "more_body": True})
            await send({"type": EXTENSION, "file": descriptor})

    port = await serving(App(path, len(expected)))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_request())
    await asyncio.sleep(0.1)
    _, body = await _answer(reader)
    assert body == before + expected
    writer.close()


@pytest.mark.parametrize("is_reset", [False, True])
async def test_a_client_that_leaves_midway_leaves_nothing_open(serving: Serving, much: Path, is_reset: bool) -> None:
    app = _FileApp(much, MUCH)
    port = await serving(app)
    before = _open_descriptors()
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(_request())
    await asyncio.to_thread(client.recv, 1000)
    if is_reset:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, http_server._RESET)
    client.close()
    await asyncio.wait_for(app.ended.wait(), 10)
    await _until(lambda: _open_descriptors() <= before)


async def test_a_client_that_left_before_the_file_gets_none(serving: Serving, content: tuple[Path, bytes]) -> None:
    path, expected = content
    has_left = asyncio.Event()
    app = _FileApp(path, len(expected), after_head=has_left.wait)  # type: ignore[arg-type]
    port = await serving(app)
    before = _open_descriptors()
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(_request())
    await asyncio.to_thread(client.recv, 1000)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, http_server._RESET)
    client.close()
    # The answer holds its file, the server lets go of the connection.
    await _until(lambda: _open_descriptors() <= before + 1)
    has_left.set()
    await asyncio.wait_for(app.ended.wait(), 10)
    assert not app.errors


@pytest.mark.timeout(20)
@pytest.mark.parametrize("connection", ["keep-alive", "close"])
async def test_a_client_that_takes_nothing_is_let_go(
    serving: Serving, much: Path, monkeypatch: pytest.MonkeyPatch, connection: str
) -> None:
    monkeypatch.setattr(http_server, "HTTP_WRITE_TIMEOUT_S", 1.0)
    app = _FileApp(much, MUCH)
    port = await serving(app)
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(_request(Connection=connection))
        await app.ended.wait()
        await asyncio.to_thread(_await_reset, client)


def _await_reset(client: socket.socket) -> None:
    waiting = select.poll()
    waiting.register(client, select.POLLERR | select.POLLHUP)
    waiting.poll()


async def test_a_cancelled_answer_ends_the_connection(serving: Serving, much: Path) -> None:
    app = _FileApp(much, MUCH)
    answering: list[asyncio.Task[None] | None] = []

    async def note() -> None:
        answering.append(asyncio.current_task())

    app.after_head = note
    port = await serving(app)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_request())
    await reader.readexactly(1 << 20)
    assert answering[0] is not None
    answering[0].cancel()
    rest = await reader.read()
    assert len(rest) < MUCH - (1 << 20)
    writer.close()


async def test_over_tls_the_extension_is_not_offered(content: tuple[Path, bytes], tmp_path: Path) -> None:
    path, expected = content
    app = _FileApp(path, len(expected))
    authority = Authority(tmp_path)
    issued = authority.issue("server")
    offered: list[object] = []

    async def sends_bytes(scope: Scope, receive: Receive, send: Send) -> None:
        offered.append(scope.get("extensions"))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    config = uvicorn.Config(
        sends_bytes,
        http=PatientlyBoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        ssl_certfile=str(issued.certificate),
        ssl_keyfile=str(issued.key),
    )
    config.load()
    server = uvicorn.Server(config)
    server.servers = []
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(
        lambda: PatientlyBoundedProtocol(config, server.server_state, {}), "127.0.0.1", 0, ssl=config.ssl
    )
    trusting = ssl.create_default_context(cafile=str(authority.certificate))
    reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname(), ssl=trusting)
    writer.write(_request())
    assert (await _answer(reader))[1] == b"ok"
    assert offered == [None]
    assert app.extensions == []
    writer.close()
    await writer.wait_closed()
    listening.close()
    await listening.wait_closed()


async def test_on_plain_tcp_the_extension_is_offered(serving: Serving, content: tuple[Path, bytes]) -> None:
    path, expected = content
    app = _FileApp(path, len(expected))
    port = await serving(app)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_request())
    await _answer(reader)
    assert app.extensions == [{EXTENSION: {}}]
    writer.close()


async def test_a_file_outside_an_answer_is_refused(serving: Serving, content: tuple[Path, bytes]) -> None:
    path, expected = content
    refused: list[Exception] = []

    class App(_FileApp):
        async def _answer(self, descriptor: int, send: Send) -> None:
            message: Message = {"type": EXTENSION, "file": descriptor}
            for _ in range(2):
                try:
                    await send(message)
                except RuntimeError as error:
                    refused.append(error)
                await send({"type": "http.response.start", "status": 200, "headers": []}) if not refused[1:] else None
                if len(refused) == 1:
                    await send({"type": "http.response.body", "body": b"ok"})

    port = await serving(App(path, len(expected)))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_request())
    assert (await _answer(reader))[1] == b"ok"
    assert len(refused) == 2
    writer.close()
