"""Messages of one direction never mix: PS3.8 Annex E.2."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import cast

import pytest

from hilum.dimse.exchanges import DataSetFragment, Exchanges, MessageReceived
from hilum.dimse.messages import CEchoRequest, CEchoResponse
from hilum.kernel.errors import Unavailable
from hilum.net.connection import Connection
from hilum.net.outbox import Outbox
from hilum.ul.primitives import PData
from support.dimse import store_request

CONTENT = bytes(range(256)) * 10


class SlowConnection:
    """Takes what is sent, and lets the sender wait for `gate`."""

    def __init__(self) -> None:
        self.core = SimpleNamespace(max_sent_pdu_length=106)
        self.sent: list[PData] = []
        self.gate = asyncio.Event()
        self.is_ended = False
        self.aborted_with: BaseException | None = None

    def send(self, *primitives: PData) -> None:
        self.sent += primitives

    async def drained(self) -> None:
        await self.gate.wait()

    def abort(self, error: BaseException | None = None) -> None:
        self.aborted_with = error
        self.is_ended = True

    def seen_by_peer(self) -> list[object]:
        """Return messages and whole data sets as the peer reads them."""
        exchanges = Exchanges({1, 3}, max_performed=0, max_invoked=0)
        for message_id in (50, 51):
            exchanges.invoke(CEchoRequest(message_id=message_id, affected_sop_class_uid="1.2"))
        seen: list[object] = []
        data_set = b""
        for pdv in (pdv for each in self.sent for pdv in each.pdvs):
            event = exchanges.receive(pdv)
            if isinstance(event, MessageReceived):
                seen.append(event.message)
            elif isinstance(event, DataSetFragment):
                data_set += event.data
                if event.is_last:
                    seen.append(data_set)
                    data_set = b""
        return seen


def response(message_id: int) -> CEchoResponse:
    return CEchoResponse(message_id_being_responded_to=message_id, status=0)


async def send_store(outbox: Outbox, data_set: bytes | AsyncIterator[bytes], message_id: int = 1) -> None:
    async with outbox.turn():
        await outbox.stream(3, store_request(message_id), data_set)


@pytest.fixture
async def connection() -> SlowConnection:
    return SlowConnection()


async def test_a_command_waits_until_the_data_set_before_it_is_out(connection: SlowConnection) -> None:
    outbox = Outbox(cast(Connection, connection))
    outbox.put(1, response(50))
    streaming = asyncio.create_task(send_store(outbox, CONTENT))
    await asyncio.sleep(0)
    outbox.put(1, response(51))
    connection.gate.set()
    await streaming
    assert connection.seen_by_peer() == [response(50), store_request(), CONTENT, response(51)]


async def test_a_data_set_waits_until_the_one_before_it_is_out(connection: SlowConnection) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield CONTENT[:1001]
        yield b""
        yield CONTENT[1001:]

    outbox = Outbox(cast(Connection, connection))
    both = [asyncio.create_task(send_store(outbox, each, index + 1)) for index, each in enumerate((CONTENT, pieces()))]
    connection.gate.set()
    await asyncio.gather(*both)
    assert connection.seen_by_peer() == [store_request(1), CONTENT, store_request(2), CONTENT]


async def test_a_data_set_that_cannot_be_read_to_its_end_aborts_the_association(connection: SlowConnection) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield CONTENT
        raise Unavailable("the file is gone")

    connection.gate.set()
    with pytest.raises(Unavailable, match="the file is gone") as caught:
        await send_store(Outbox(cast(Connection, connection)), failing())
    assert connection.aborted_with is caught.value


async def test_nothing_is_written_once_the_association_is_over(connection: SlowConnection) -> None:
    connection.is_ended = True
    with pytest.raises(Unavailable):
        await send_store(Outbox(cast(Connection, connection)), CONTENT)
    assert connection.sent == []


async def test_a_turn_that_fails_still_lets_the_commands_behind_it_go(connection: SlowConnection) -> None:
    outbox = Outbox(cast(Connection, connection))
    with pytest.raises(ZeroDivisionError):
        async with outbox.turn():
            outbox.put(1, response(50))
            raise ZeroDivisionError
    assert connection.seen_by_peer() == [response(50)]
