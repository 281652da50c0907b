"""A storage SCU on a plain socket, which sends its data sets as slowly as a test wants."""

from __future__ import annotations

import socket
import struct
from types import TracebackType

from pydicom.dataset import Dataset

from hilum.dimse.command_set import decode_command_set, encode_command_set
from hilum.dimse.messages import CStoreRequest, CStoreResponse
from support.instances import data_set_bytes, part10
from support.running import RunningHilum
from support.ul import (
    APPLICATION_CONTEXT,
    CT_STORAGE,
    EXPLICIT,
    raw_associate,
    raw_item,
    raw_pdu,
    raw_pdv,
    raw_proposed_context,
    raw_user_information,
)

_ASSOCIATE_ACCEPT, _DATA, _RELEASE_RESPONSE = 2, 4, 6


class WirePeer:
    """One association for CT images in explicit VR little endian."""

    def __init__(self, hilum: RunningHilum, calling: str = "WIRE") -> None:
        self.socket = socket.create_connection(("127.0.0.1", hilum.dicom_port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(
            raw_associate(
                1,
                raw_item(0x10, APPLICATION_CONTEXT.encode()),
                raw_proposed_context(1, CT_STORAGE, EXPLICIT),
                raw_user_information(),
                called=hilum.ae_title.encode().ljust(16),
                calling=calling.encode().ljust(16),
            )
        )
        self.answer, self.answer_body = self._receive()

    @property
    def is_established(self) -> bool:
        """Whether the association was accepted."""
        return self.answer == _ASSOCIATE_ACCEPT

    def begin(self, dataset: Dataset) -> bytes:
        """Send the C-STORE request; return the data set's bytes, which are the test's to send."""
        request = CStoreRequest(
            message_id=1, affected_sop_class_uid=CT_STORAGE, affected_sop_instance_uid=dataset.SOPInstanceUID
        )
        self.socket.sendall(raw_pdu(4, raw_pdv(1, 0x03, bytes(encode_command_set(request)))))
        return data_set_bytes(part10(dataset))

    def send(self, piece: bytes, *, is_last: bool = False) -> None:
        """Send a piece of the data set as one PDU."""
        self.socket.sendall(raw_pdu(4, raw_pdv(1, 0x02 if is_last else 0x00, piece)))

    def status(self) -> int:
        """Return the status of the response."""
        kind, body = self._receive()
        assert kind == _DATA, f"PDU of type {kind} instead of a response"
        response = decode_command_set(body[6:])
        assert isinstance(response, CStoreResponse)
        return response.status

    def release(self) -> None:
        """Release the association."""
        self.socket.sendall(raw_pdu(5, bytes(4)))
        kind, _ = self._receive()
        assert kind == _RELEASE_RESPONSE

    def _receive(self) -> tuple[int, bytes]:
        """Return type and body of the next PDU; type 0 when the peer closed."""
        head = self._read(6)
        if len(head) < 6:
            return 0, b""
        kind, length = struct.unpack(">BxI", head)
        return kind, self._read(length)

    def _read(self, length: int) -> bytes:
        received = b""
        while len(received) < length:
            piece = self.socket.recv(length - len(received))
            if not piece:
                break
            received += piece
        return received

    def __enter__(self) -> WirePeer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()
