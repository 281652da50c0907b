"""C-MOVE on a real socket, with an archive in memory and a sender that does as it is told: PS3.4 §C.4.2."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from hilum.archive.model import StoredInstance
from hilum.archive.remotes import DimseUse, RemoteAe
from hilum.archive.sending import InstanceSent, MoveOriginator, SendState
from support.dimse import until
from support.retrieving import (
    MemoryArchive,
    RetrievingPeer,
    ScriptedSender,
    counts_of,
    identifier,
    retrieval_archive,
    stored,
)

STUDY = identifier(LEVEL="STUDY", StudyInstanceUID="1.2.1")
VIEWER = RemoteAe(1, 1, "VIEWER", host="127.0.0.1", port=104)
MOVE = 9


@asynccontextmanager
async def peer_of(
    archive: MemoryArchive, sender: ScriptedSender, remotes: Sequence[RemoteAe] = (VIEWER,)
) -> AsyncIterator[RetrievingPeer]:
    async with retrieval_archive(archive, sender=sender, remotes=remotes) as port:
        peer = RetrievingPeer()
        await peer.connect(port)
        yield peer
        if not peer.association.is_ended:
            await peer.association.release()


async def test_all_instances_are_sent_in_the_name_of_who_asked() -> None:
    sender = ScriptedSender()
    async with peer_of(MemoryArchive([stored(1), stored(2)]), sender) as peer:
        final = await peer.move(STUDY, "VIEWER", context_id=MOVE)
        assert (final.status, counts_of(final)) == (0x0000, (None, 2, 0, 0))
        assert [counts_of(each) for each in peer.pending] == [(1, 1, 0, 0)]
    assert sender.asked == [(VIEWER, "HILUM", MoveOriginator("PEER", 1), 2)]
    assert sender.begun == ["1.2.1.1.1", "1.2.1.1.2"]


async def test_no_match_is_a_success_for_which_nobody_is_called() -> None:
    sender = ScriptedSender()
    async with peer_of(MemoryArchive([]), sender) as peer:
        final = await peer.move(STUDY, "VIEWER", context_id=MOVE)
        assert (final.status, counts_of(final)) == (0x0000, (None, 0, 0, 0))
    assert sender.asked == []


@pytest.mark.parametrize(
    ("destination", "comment"),
    [
        ("NOBODY", "the move destination is not registered here"),
        ("", "the move destination is not registered here"),
        ("ELSEWHERE", "the move destination is not registered here"),
        ("CALLER", "the move destination has no address"),
        ("PRINTER", "the move destination may not be sent to"),
    ],
)
async def test_a_destination_that_cannot_be_sent_to_is_unknown(destination: str, comment: str) -> None:
    remotes = [
        VIEWER,
        RemoteAe(2, 2, "ELSEWHERE", host="127.0.0.1", port=104),
        RemoteAe(3, 1, "CALLER"),
        RemoteAe(4, 1, "PRINTER", host="127.0.0.1", port=104, may_be_asked=frozenset({DimseUse.ECHO})),
    ]
    sender = ScriptedSender()
    async with peer_of(MemoryArchive([stored(1)]), sender, remotes) as peer:
        final = await peer.move(STUDY, destination, context_id=MOVE)
        assert (final.status, final.error_comment) == (0xA801, comment)
    assert sender.asked == []


async def test_a_wrong_identifier_is_named_before_the_destination_is_looked_up() -> None:
    async with peer_of(MemoryArchive([stored(1)]), ScriptedSender()) as peer:
        final = await peer.move(identifier(LEVEL="STUDY"), "NOBODY", context_id=MOVE)
        assert (final.status, final.error_comment) == (0xA900, "StudyInstanceUID is missing")


async def test_what_the_destination_answers_is_counted_and_failures_are_named() -> None:
    answers = {
        "1.2.1.1.1": (SendState.STORED, 0x0000),
        "1.2.1.1.2": (SendState.STORED, 0xB000),
        "1.2.1.1.3": (SendState.REFUSED, 0xA700),
        "1.2.1.1.4": (SendState.FAILED, None),
    }

    def script(each: StoredInstance) -> InstanceSent:
        state, status = answers[each.sop_instance_uid]
        return InstanceSent(each, state, status, "what went wrong" if state is not SendState.STORED else "")

    archive = MemoryArchive([stored(number) for number in (1, 2, 3, 4)])
    async with peer_of(archive, ScriptedSender(script)) as peer:
        final = await peer.move(STUDY, "VIEWER", context_id=MOVE)
        assert (final.status, counts_of(final)) == (0xB000, (None, 1, 2, 1))
        assert (peer.failed_uids, final.error_comment) == (["1.2.1.1.3", "1.2.1.1.4"], "what went wrong")


async def test_nothing_arrived_is_a_failure_that_names_all() -> None:
    sender = ScriptedSender(lambda each: InstanceSent(each, SendState.FAILED, None, "cannot connect"))
    async with peer_of(MemoryArchive([stored(1), stored(2)]), sender) as peer:
        final = await peer.move(STUDY, "VIEWER", context_id=MOVE)
        assert (final.status, counts_of(final)) == (0xA702, (None, 0, 2, 0))
        assert peer.failed_uids == ["1.2.1.1.1", "1.2.1.1.2"]


async def test_a_cancel_stops_what_has_not_begun() -> None:
    gate = asyncio.Event()
    sender = ScriptedSender(gate=lambda position: gate if position == 2 else None)
    async with peer_of(MemoryArchive([stored(number) for number in range(1, 8)]), sender) as peer:
        await peer.begin_move(STUDY, "VIEWER", context_id=MOVE)
        await until(lambda: len(peer.pending) == 2)
        peer.cancel(MOVE)
        await until(lambda: sender.is_stopped())
        gate.set()
        final = await peer.final()
        # The third was under way when the cancel came.
        assert (final.status, counts_of(final)) == (0xFE00, (4, 3, 0, 0))
    assert sender.begun == ["1.2.1.1.1", "1.2.1.1.2", "1.2.1.1.3"]
    assert sender.closed == 1


async def test_a_cancel_is_answered_though_the_destination_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hilum.scp.move.CANCELLED_MOVE_GRACE_S", 0.05)
    never = asyncio.Event()
    sender = ScriptedSender(gate=lambda position: never if position == 1 else None)
    async with peer_of(MemoryArchive([stored(number) for number in (1, 2, 3)]), sender) as peer:
        await peer.begin_move(STUDY, "VIEWER", context_id=MOVE)
        await until(lambda: peer.pending)
        peer.cancel(MOVE)
        final = await peer.final()
        assert (final.status, counts_of(final)) == (0xFE00, (2, 1, 0, 0))
        await until(lambda: sender.closed)


async def test_sending_stops_when_the_requestor_is_gone() -> None:
    gate = asyncio.Event()
    sender = ScriptedSender(gate=lambda position: gate if position == 1 else None)
    async with peer_of(MemoryArchive([stored(number) for number in range(1, 8)]), sender) as peer:
        await peer.begin_move(STUDY, "VIEWER", context_id=MOVE)
        await until(lambda: peer.pending)
        peer.association.abort()
        await until(lambda: sender.is_stopped())
        gate.set()
        await until(lambda: sender.closed)
    assert sender.begun == ["1.2.1.1.1", "1.2.1.1.2"]


async def test_a_pending_response_comes_now_and_then_while_nothing_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hilum.scp.move.PENDING_LATEST_S", 0.02)
    monkeypatch.setattr("hilum.scp.suboperations.PENDING_LATEST_S", 0.01)
    gate = asyncio.Event()
    sender = ScriptedSender(gate=lambda position: gate)
    async with peer_of(MemoryArchive([stored(1)]), sender) as peer:
        await peer.begin_move(STUDY, "VIEWER", context_id=MOVE)
        await until(lambda: len(peer.pending) >= 3)
        gate.set()
        assert counts_of(await peer.final()) == (None, 1, 0, 0)
        assert counts_of(peer.pending[0]) == (1, 0, 0, 0)
