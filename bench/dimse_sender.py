"""A C-STORE sender that does as little as possible: PDUs are encoded before the clock starts, sockets are blocking.

It speaks just enough of PS3.8 and PS3.7 to be a fair and equal load for every receiver.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from dataclasses import dataclass

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
_CONTEXT_ID = 1
_LARGEST_PDU = 131_072


@dataclass(frozen=True)
class Instance:
    """One instance to send: its UID and its data set (no file meta information)."""

    sop_instance_uid: str
    data_set: bytes


def _item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(content)) + content


def _associate(called: str, calling: str) -> bytes:
    context = (
        struct.pack(">Bxxx", _CONTEXT_ID)
        + _item(0x30, CT_IMAGE_STORAGE.encode())
        + _item(0x40, EXPLICIT_LITTLE_ENDIAN.encode())
    )
    user = _item(0x51, struct.pack(">I", _LARGEST_PDU)) + _item(0x52, b"2.25.1") + _item(0x55, b"BENCH")
    body = struct.pack(">Hxx16s16s32x", 1, called.ljust(16).encode(), calling.ljust(16).encode())
    body += _item(0x10, b"1.2.840.10008.3.1.1.1") + _item(0x20, context) + _item(0x50, user)
    return struct.pack(">BxI", 1, len(body)) + body


def _element(element: int, value: bytes) -> bytes:
    return struct.pack("<HHI", 0, element, len(value)) + value


def _text(value: str) -> bytes:
    return value.encode() + (b"\0" if len(value) % 2 else b"")


def _command(instance: Instance, message_id: int) -> bytes:
    body = _element(0x0002, _text(CT_IMAGE_STORAGE)) + _element(0x0100, struct.pack("<H", 1))
    body += _element(0x0110, struct.pack("<H", message_id)) + _element(0x0700, struct.pack("<H", 0))
    body += _element(0x0800, struct.pack("<H", 1)) + _element(0x1000, _text(instance.sop_instance_uid))
    return _element(0x0000, struct.pack("<I", len(body))) + body


def _data_pdu(header: int, fragment: bytes) -> bytes:
    return struct.pack(">BxIIBB", 4, len(fragment) + 6, len(fragment) + 2, _CONTEXT_ID, header) + fragment


def _encode(instance: Instance, message_id: int, max_length: int) -> bytes:
    size = max_length - 6
    pieces = [_data_pdu(3, _command(instance, message_id))]
    for start in range(0, len(instance.data_set), size):
        fragment = instance.data_set[start : start + size]
        pieces.append(_data_pdu(2 if start + size >= len(instance.data_set) else 0, fragment))
    return b"".join(pieces)


def _receive_pdu(connection: socket.socket) -> tuple[int, bytes]:
    head = _receive_exactly(connection, 6)
    kind, length = struct.unpack(">BxI", head)
    return kind, _receive_exactly(connection, length)


def _receive_exactly(connection: socket.socket, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:
        piece = connection.recv(count - len(received))
        if not piece:
            raise ConnectionError("the receiver closed the connection")
        received += piece
    return bytes(received)


def _max_length(accept: bytes) -> int:
    at = accept.find(b"\x51\x00\x00\x04")
    announced = struct.unpack_from(">I", accept, at + 4)[0] if at >= 0 else 16_384
    return min(announced or _LARGEST_PDU, _LARGEST_PDU)


def _status(message: bytes) -> int:
    at = message.find(b"\x00\x00\x00\x09\x02\x00\x00\x00")
    return struct.unpack_from("<H", message, at + 8)[0] if at >= 0 else -1


class Association:
    """One association; `encode` beforehand, then `send`."""

    def __init__(self, host: str, port: int, called: str) -> None:
        self._connection = socket.create_connection((host, port))
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.sendall(_associate(called, "BENCH"))
        kind, accept = _receive_pdu(self._connection)
        if kind != 2:
            raise ConnectionError(f"the association was not accepted: PDU type {kind}")
        self._max_length = _max_length(accept)
        self._messages: list[bytes] = []

    def encode(self, instances: list[Instance]) -> None:
        """Make the PDUs of the instances."""
        self._messages = [_encode(one, number % 65_000 + 1, self._max_length) for number, one in enumerate(instances)]

    def send(self) -> None:
        """Send all, each after the answer to the one before.

        Raises:
            ConnectionError: an answer is no success.
        """
        for message in self._messages:
            self._connection.sendall(message)
            kind, answer = _receive_pdu(self._connection)
            if kind != 4 or _status(answer) != 0:
                raise ConnectionError(f"PDU type {kind}, status {_status(answer):04X}")

    def release(self) -> None:
        """Release the association and close."""
        self._connection.sendall(struct.pack(">BxII", 5, 4, 0))
        _receive_pdu(self._connection)
        self._connection.close()


def send_all(host: str, port: int, called: str, instances: list[Instance], associations: int) -> float:
    """Return the seconds from the first byte to the last answer, over that many associations at a time."""
    opened = [Association(host, port, called) for _ in range(associations)]
    for number, association in enumerate(opened):
        association.encode(instances[number::associations])
    failures: list[BaseException] = []

    def work(association: Association) -> None:
        try:
            association.send()
        except (OSError, ConnectionError) as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(association,)) for association in opened]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begun
    if failures:
        raise failures[0]
    for association in opened:
        association.release()
    return seconds
