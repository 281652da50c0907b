"""A receiver of C-STORE that does as little as possible, and the C-GET and C-MOVE requests that make a peer send to it.

It speaks just enough of PS3.8 and PS3.7 to be a fair and equal sink for every sender: sockets are blocking, what comes
is read into one buffer and counted.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench.dimse_sender import CT_IMAGE_STORAGE, EXPLICIT_LITTLE_ENDIAN

STUDY_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.3"
_LARGEST_PDU = 131_072
_PENDING = 0xFF00


def _item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(content)) + content


def _context(context_id: int, abstract: str, transfer: str) -> bytes:
    content = struct.pack(">Bxxx", context_id) + _item(0x30, abstract.encode()) + _item(0x40, transfer.encode())
    return _item(0x20, content)


def _user(*more: bytes) -> bytes:
    content = _item(0x51, struct.pack(">I", _LARGEST_PDU)) + _item(0x52, b"2.25.1") + b"".join(more)
    return _item(0x50, content)


def _associate(kind: int, called: str, calling: str, *items: bytes) -> bytes:
    body = struct.pack(">Hxx16s16s32x", 1, called.ljust(16).encode(), calling.ljust(16).encode())
    body += _item(0x10, b"1.2.840.10008.3.1.1.1") + b"".join(items)
    return struct.pack(">BxI", kind, len(body)) + body


def _element(element: int, value: bytes) -> bytes:
    return struct.pack("<HHI", 0, element, len(value)) + value


def _text(value: str) -> bytes:
    return value.encode() + (b"\0" if len(value) % 2 else b"")


def _message(context_id: int, header: int, content: bytes) -> bytes:
    return struct.pack(">BxIIBB", 4, len(content) + 6, len(content) + 2, context_id, header) + content


def _command(context_id: int, *elements: bytes) -> bytes:
    body = b"".join(elements)
    return _message(context_id, 3, _element(0x0000, struct.pack("<I", len(body))) + body)


def _word(value: int) -> bytes:
    return struct.pack("<H", value)


def _find(message: bytes, element: int) -> bytes | None:
    at = 0
    while at + 8 <= len(message):
        _, found, length = struct.unpack_from("<HHI", message, at)
        if found == element:
            return bytes(message[at + 8 : at + 8 + length])
        at += 8 + length
    return None


def _number(message: bytes, element: int) -> int:
    value = _find(message, element)
    return struct.unpack("<H", value)[0] if value else -1


@dataclass
class Sink:
    """What arrived."""

    instances: int = 0
    size_bytes: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Link:
    """One association: answers each C-STORE with success, until the final response to its own request, or the end."""

    def __init__(self, connection: socket.socket, sink: Sink) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection = connection
        self._sink = sink
        self._buffer = bytearray(4 * _LARGEST_PDU)
        self._command = bytearray()
        self._request: bytes | None = None

    def pdu(self) -> tuple[int, memoryview]:
        """Return type and body of the next PDU; 0 at the end."""
        head = self._exactly(6)
        if head is None:
            return 0, memoryview(b"")
        kind, length = struct.unpack(">BxI", head)
        body = self._exactly(length)
        if body is None:
            raise ConnectionError("the peer closed within a PDU")
        return kind, body

    def _exactly(self, count: int) -> memoryview | None:
        view = memoryview(self._buffer)[:count]
        at = 0
        while at < count:
            received = self._connection.recv_into(view[at:], count - at, socket.MSG_WAITALL)
            if not received:
                return None
            at += received
        return view

    def send(self, content: bytes) -> None:
        """Write all of it."""
        self._connection.sendall(content)

    def run(self) -> bytes | None:
        """Return the final response of this side's request; None when the peer released before."""
        while True:
            kind, body = self.pdu()
            if kind == 5:
                self.send(struct.pack(">BxII", 6, 4, 0))
                return None
            if kind != 4:
                if kind == 0:
                    return None
                raise ConnectionError(f"PDU type {kind}")
            final = self._data(body)
            if final is not None:
                return final

    def _data(self, body: memoryview) -> bytes | None:
        at = 0
        while at < len(body):
            length, context_id, header = struct.unpack_from(">IBB", body, at)
            fragment = body[at + 6 : at + 4 + length]
            at += 4 + length
            if header & 1:
                self._command += fragment
                if header & 2:
                    message, self._command = bytes(self._command), bytearray()
                    if _number(message, 0x0100) == 1:
                        self._request = message
                    elif _number(message, 0x0900) != _PENDING:
                        return message
            elif self._request is not None:
                self._sink.size_bytes += len(fragment)
                if header & 2:
                    self._answer(context_id, self._request)
                    self._request = None
        return None

    def _answer(self, context_id: int, request: bytes) -> None:
        with self._sink.lock:
            self._sink.instances += 1
        self.send(
            _command(
                context_id,
                _element(0x0002, _find(request, 0x0002) or b""),
                _element(0x0100, _word(0x8001)),
                _element(0x0120, _find(request, 0x0110) or b""),
                _element(0x0800, _word(0x0101)),
                _element(0x0900, _word(0)),
                _element(0x1000, _find(request, 0x1000) or b""),
            )
        )

    def release(self) -> None:
        """Release the association and close."""
        self.send(struct.pack(">BxII", 5, 4, 0))
        self.pdu()
        self._connection.close()


def _accept(link: Link) -> None:
    """Accept every context with Explicit VR Little Endian, and no other."""
    kind, request = link.pdu()
    if kind != 1:
        raise ConnectionError(f"PDU type {kind}")
    content = bytes(request)
    items, at = [], 68
    while at < len(content):
        kind, length = struct.unpack_from(">BxH", content, at)
        if kind == 0x20:
            item = content[at + 4 : at + 4 + length]
            is_taken = item.find(_item(0x40, EXPLICIT_LITTLE_ENDIAN.encode())) >= 0
            answer = struct.pack(">BxBx", item[0], 0 if is_taken else 4)
            items.append(_item(0x21, answer + _item(0x40, EXPLICIT_LITTLE_ENDIAN.encode())))
        at += 4 + length
    link.send(_associate(2, "SINK", "SINK", *items, _user()))


@contextmanager
def listening_sink() -> Iterator[tuple[int, Sink]]:
    """Receive on a free port of 127.0.0.1, each association on a thread of its own; yields port and counts."""
    sink = Sink()

    def serve(connection: socket.socket) -> None:
        with connection:
            link = Link(connection, sink)
            _accept(link)
            link.run()

    def listen() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=listen, daemon=True).start()
        yield server.getsockname()[1], sink
        server.shutdown(socket.SHUT_RDWR)


def retrieve(port: int, called: str, study: str, *, move_to: str | None = None) -> tuple[float, Sink, int]:
    """Return the seconds a study took from the request to the final response, what came by C-GET, and the status.

    Args:
        move_to: the destination of a C-MOVE; None for a C-GET.
    """
    model = STUDY_ROOT_MOVE if move_to else STUDY_ROOT_GET
    contexts, roles = [_context(1, model, EXPLICIT_LITTLE_ENDIAN)], []
    if not move_to:
        contexts.append(_context(3, CT_IMAGE_STORAGE, EXPLICIT_LITTLE_ENDIAN))
        uid = CT_IMAGE_STORAGE.encode()
        roles.append(_item(0x54, struct.pack(">H", len(uid)) + uid + b"\0\1"))
    sink = Sink()
    link = Link(socket.create_connection(("127.0.0.1", port)), sink)
    link.send(_associate(1, called, "SINK", *contexts, _user(*roles)))
    kind, _ = link.pdu()
    if kind != 2:
        raise ConnectionError(f"the association was not accepted: PDU type {kind}")
    request = [
        _element(0x0002, _text(model)),
        _element(0x0100, _word(0x0021 if move_to else 0x0010)),
        _element(0x0110, _word(1)),
        *([_element(0x0600, move_to.ljust(16).encode())] if move_to else []),
        _element(0x0700, _word(0)),
        _element(0x0800, _word(1)),
    ]
    uid = _text(study)
    identifier = struct.pack("<HH2sH", 8, 0x52, b"CS", 6) + b"STUDY "
    identifier += struct.pack("<HH2sH", 0x20, 0x0D, b"UI", len(uid)) + uid
    begun = time.perf_counter()
    link.send(_command(1, *request) + _message(1, 2, identifier))
    final = link.run()
    seconds = time.perf_counter() - begun
    if final is None:
        raise ConnectionError("the association ended before the final response")
    status = _number(final, 0x0900)
    if status == 0:
        link.release()
    return seconds, sink, status
