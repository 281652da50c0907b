"""Requests with many responses on a real association, against a peer the test speaks for: PS3.7 §9.1.2, §9.3.2.3."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

import pytest

from hilum.dimse.messages import CCancelRequest, CFindRequest, CFindResponse, Message
from hilum.kernel.errors import LimitExceeded, Unavailable
from hilum.net.acceptor import Acceptor
from hilum.net.association import Association, Welcome
from hilum.net.reports import Outcome, Report
from hilum.net.streams import Answer
from hilum.scu.handler import RequestorHandler
from hilum.scu.remote import Remote, call
from hilum.ul.negotiation import AcceptorPolicy, TransferSyntaxRule, negotiate
from hilum.ul.primitives import AssociateAccept, AssociateReject, AssociateRequest, Buffer, ProposedContext
from support.dimse import EXPLICIT, until

FIND = "1.2.840.10008.5.1.4.1.2.2.1"
REQUEST = CFindRequest(message_id=1, affected_sop_class_uid=FIND)


class Policy(AcceptorPolicy):
    """Accepts everything."""

    implementation_class_uid = "1.2.3"

    def rejection(self, request: AssociateRequest) -> None:
        return None

    def transfer_syntax_rule(self, request: AssociateRequest, abstract_syntax: str) -> TransferSyntaxRule | None:
        return TransferSyntaxRule({EXPLICIT})


@dataclass
class Finder:
    """Answers one C-FIND as the test says; notes whether it was cancelled."""

    answer: Callable[[Finder, Association], Awaitable[None]]
    association: Association | None = None
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    reports: list[Report] = field(default_factory=list)
    sent: int = 0

    async def welcome(self, association: Association, request: AssociateRequest) -> Welcome | AssociateReject:
        self.association = association
        accept = negotiate(request, Policy())
        assert isinstance(accept, AssociateAccept)
        return Welcome(accept, self)

    def message(self, context_id: int, message: Message) -> None:
        assert self.association is not None
        if isinstance(message, CCancelRequest):
            self.cancelled.set()

    def data_set(self, data: Buffer, is_last: bool) -> None:
        assert self.association is not None
        if is_last:
            self.association.spawn(self.answer(self, self.association))

    def end(self) -> None:
        self.cancelled.set()

    async def pending(self, data: bytes) -> None:
        assert self.association is not None
        response = CFindResponse(message_id_being_responded_to=1, status=0xFF00, has_data_set=True)
        await self.association.respond_with(1, response, data)
        self.sent += 1

    def final(self, status: int = 0) -> None:
        assert self.association is not None
        self.association.respond(1, CFindResponse(message_id_being_responded_to=1, status=status))


@asynccontextmanager
async def asked(finder: Finder) -> AsyncIterator[tuple[Association, RequestorHandler]]:
    """An association to the finder."""

    class Answers:
        answer = staticmethod(finder.welcome)

    acceptor = Acceptor(Answers(), max_associations=5, observer=finder.reports.append)
    await acceptor.listen("127.0.0.1", 0)
    handler = RequestorHandler()
    remote = Remote("FINDER", "127.0.0.1", acceptor.addresses[0][1])
    association = await call(remote, "ME", [ProposedContext(1, FIND, (EXPLICIT,))], handler)
    try:
        yield association, handler
    finally:
        if not association.is_ended:
            association.abort()
        await acceptor.close(0.0)
        await association.connection.closed()


async def all_of(association: Association, handler: RequestorHandler, silence_s: float = 10) -> list[Answer]:
    stream = handler.responses.stream(association, 1, REQUEST, b"identifier", silence_s=silence_s)
    return [answer async for answer in stream]


async def test_responses_come_in_order_with_their_data_sets_and_the_final_one_last() -> None:
    async def answer(finder: Finder, association: Association) -> None:
        for number in range(300):
            await finder.pending(bytes([number % 256]) * 10_000)
        finder.final()

    async with asked(Finder(answer)) as (association, handler):
        answers = await all_of(association, handler)
        assert [data for _, data in answers[:-1]] == [bytes([number % 256]) * 10_000 for number in range(300)]
        assert (answers[-1][0].status, answers[-1][1]) == (0, None)
        # The association can be used again.
        assert len(await all_of(association, handler)) == 301


async def test_a_peer_whose_responses_are_not_taken_is_slowed_down() -> None:
    async def answer(finder: Finder, association: Association) -> None:
        for _ in range(2000):
            await finder.pending(b"\0" * 50_000)
        finder.final()

    finder = Finder(answer)
    async with asked(finder) as (association, handler):
        stream = handler.responses.stream(association, 1, REQUEST, b"identifier")
        async with aclosing(stream):
            await anext(stream)
            before = -1
            while before != finder.sent:  # until it stands still
                before = finder.sent
                await asyncio.sleep(0.2)
            # Buffers of both sides and of the system; all would be 100 MB.
            assert finder.sent < 500
            count = 1
            async for _ in stream:
                count += 1
            assert count == 2001


async def test_closed_early_it_cancels_and_the_association_can_be_used_again() -> None:
    async def answer(finder: Finder, association: Association) -> None:
        while not finder.cancelled.is_set():
            await finder.pending(b"\0" * 1000)
        finder.cancelled.clear()
        finder.final(0xFE00)

    async with asked(Finder(answer)) as (association, handler):
        for _ in range(2):
            stream = handler.responses.stream(association, 1, REQUEST, b"identifier")
            async with aclosing(stream):
                assert (await anext(stream))[0].status == 0xFF00
        await association.release()


async def test_a_peer_that_does_not_heed_the_cancel_is_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hilum.net.streams.CANCEL_TIMEOUT_S", 0.2)

    async def answer(finder: Finder, association: Association) -> None:
        await finder.pending(b"\0\0")

    finder = Finder(answer)
    async with asked(finder) as (association, handler):
        stream = handler.responses.stream(association, 1, REQUEST, b"identifier")
        async with aclosing(stream):
            await anext(stream)
        assert association.is_ended
        await until(lambda: Outcome.ABORTED_BY_PEER in [report.outcome for report in finder.reports])


async def test_who_waits_in_vain_is_told_when_the_peer_is_silent_or_gone() -> None:
    async def silent(finder: Finder, association: Association) -> None:
        await finder.pending(b"\0\0")

    async with asked(Finder(silent)) as (association, handler):
        with pytest.raises(Unavailable, match="does not answer"):
            await all_of(association, handler, silence_s=0.2)
        assert association.is_ended

    async def gone(finder: Finder, association: Association) -> None:
        await finder.pending(b"\1\1")
        association.abort()

    async with asked(Finder(gone)) as (association, handler):
        stream = handler.responses.stream(association, 1, REQUEST, b"identifier")
        assert (await anext(stream))[1] == b"\1\1"
        with pytest.raises(Unavailable, match="ended before the final response"):
            await anext(stream)


async def test_a_response_that_is_too_long_ends_the_association(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hilum.net.streams.MAX_IDENTIFIER_BYTES", 1000)

    async def answer(finder: Finder, association: Association) -> None:
        with pytest.raises(Unavailable):
            while True:
                await finder.pending(b"\0" * 2000)

    async with asked(Finder(answer)) as (association, handler):
        with pytest.raises((Unavailable, LimitExceeded)):
            await all_of(association, handler)
        assert association.is_ended
