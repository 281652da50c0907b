"""Peers with Nagle's algorithm get TCP's acknowledgement at once while they still have to send (RFC 896, RFC 1122)."""

from __future__ import annotations

import asyncio

import pytest

from hilum.dimse.fragments import fragment_command, fragment_data_set
from hilum.dimse.messages import CEchoRequest, CEchoResponse
from hilum.net.connection import Connection
from hilum.net.requestor import open_association
from hilum.scu.handler import RequestorHandler
from hilum.ul.core import AssociationCore, Role
from hilum.ul.primitives import (
    NEED_DATA,
    AssociateAccept,
    AssociateRequest,
    ContextAnswer,
    ContextResult,
    PData,
    ReleaseRequest,
    ReleaseResponse,
    UserInformation,
)
from support.dimse import (
    APPLICATION_CONTEXT,
    EXPLICIT,
    VERIFICATION,
    Peer,
    association_request,
    running_archive,
    store_request,
    until,
)


@pytest.fixture
def acknowledged(monkeypatch: pytest.MonkeyPatch) -> list[Connection]:
    """Every connection that asked for an acknowledgement, as often as it did."""
    asked: list[Connection] = []
    monkeypatch.setattr(Connection, "_acknowledge_at_once", lambda connection: asked.append(connection))
    return asked


async def test_half_a_pdu_is_acknowledged_at_once(acknowledged: list[Connection]) -> None:
    async with running_archive() as archive:
        peer = await Peer.associated(archive.port)
        acknowledged.clear()
        peer.writer.write(b"\x04\x00\x00\x00")
        await until(lambda: acknowledged)
        await peer.close()


async def test_message_that_has_to_go_on_is_acknowledged_at_once_and_a_whole_one_by_its_answer(
    acknowledged: list[Connection],
) -> None:
    async with running_archive() as archive:
        peer = await Peer.associated(archive.port)
        gate = archive.store.commit_gate = asyncio.Event()
        acknowledged.clear()
        peer.send(*fragment_command(3, store_request(), 16000))
        await until(lambda: acknowledged)
        peer.send(*fragment_data_set(3, b"\x08\x00", 16000, is_end=False))
        await until(lambda: len(acknowledged) >= 2)
        count = len(acknowledged)
        peer.send(*fragment_data_set(3, b"\x16\x00", 16000, is_end=True))
        await until(lambda: archive.store.writes == 2)
        assert len(acknowledged) == count
        gate.set()
        await peer.response()
        await peer.release()


async def test_half_a_response_to_a_request_of_our_own_is_acknowledged_at_once(
    acknowledged: list[Connection],
) -> None:
    """DCMTK writes header and rest apart, and with Nagle's algorithm the rest waits: 40 ms for each instance sent."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        core = AssociationCore(Role.ACCEPTOR, now=0.0)
        while data := await reader.read(65536):
            core.receive_data(data, 0.0)
            while (event := core.next_event()) is not NEED_DATA:
                match event:
                    case AssociateRequest():
                        answers = (ContextAnswer(1, ContextResult.ACCEPTANCE, EXPLICIT),)
                        information = UserInformation(32768, "1.2.3.4")
                        core.send(AssociateAccept("PEER", "HILUM", APPLICATION_CONTEXT, answers, information), 0.0)
                    case PData():
                        response = CEchoResponse(message_id_being_responded_to=1, status=0)
                        for primitive in fragment_command(1, response, 16000):
                            core.send(primitive, 0.0)
                        content = b"".join(core.data_to_send())
                        acknowledged.clear()
                        writer.write(content[:12])
                        await until(lambda: acknowledged)
                        writer.write(content[12:])
                    case ReleaseRequest():
                        core.send(ReleaseResponse(), 0.0)
                        writer.writelines(core.data_to_send())
                        writer.close()
                        await writer.wait_closed()
                        return
            writer.writelines(core.data_to_send())

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        handler = RequestorHandler()
        port = server.sockets[0].getsockname()[1]
        association = await open_association("127.0.0.1", port, association_request(), handler)
        request = CEchoRequest(message_id=1, affected_sop_class_uid=VERIFICATION)
        assert (await handler.invoke(association, 1, request)).status == 0
        await association.release()
