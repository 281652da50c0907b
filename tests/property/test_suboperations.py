"""The counts of C-MOVE and C-GET add up, whatever fails and whenever it is cancelled: PS3.4 §C.4.2.1, §C.4.3.1."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from enum import Enum

from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.archive.model import StoredInstance
from hilum.archive.remotes import RemoteAe
from hilum.archive.sending import InstanceSent, SendState
from hilum.dimse.messages import CStoreRequest, RetrieveResponse
from hilum.kernel.errors import NotFound
from hilum.scp.suboperations import Outcome, SubOperations, outcome_of
from support.dimse import EXPLICIT
from support.retrieving import (
    JPEG_2000_LOSSLESS,
    MemoryArchive,
    NamingTranscoder,
    RetrievingPeer,
    ScriptedSender,
    identifier,
    retrieval_archive,
    stored,
)

STUDY = identifier(LEVEL="STUDY", StudyInstanceUID="1.2.1")
OUTCOMES = st.sampled_from(list(Outcome))


class Fate(Enum):
    """What happens to one instance on its way; the value is what it has to be counted as."""

    TAKEN = (0x0000, Outcome.COMPLETED)
    TAKEN_WITH_WARNING = (0xB007, Outcome.WARNING)
    REFUSED = (0xA700, Outcome.FAILED)
    NOT_UNDERSTOOD = (0xC123, Outcome.FAILED)
    UNREADABLE = (None, Outcome.FAILED)
    WITHOUT_CONTEXT = (None, Outcome.FAILED, None)
    CONVERTED = (0x0000, Outcome.COMPLETED, None)

    @property
    def status(self) -> int | None:
        return self.value[0]

    @property
    def outcome(self) -> Outcome:
        return self.value[1]


FATES = st.lists(st.sampled_from(list(Fate)), max_size=12)


@given(st.lists(OUTCOMES, max_size=20), st.integers(0, 20))
def test_counts_add_up_at_each_step(outcomes: list[Outcome], cancelled_after: int) -> None:
    counts = SubOperations(len(outcomes))
    for number, outcome in enumerate(outcomes[:cancelled_after]):
        counts.note(outcome, f"1.{number}")
        assert counts.remaining + counts.completed + counts.failed + counts.warning == len(outcomes)
    done = outcomes[:cancelled_after]
    assert counts.remaining == len(outcomes) - len(done)
    assert counts.failed_sop_instance_uids == [
        f"1.{number}" for number, outcome in enumerate(done) if outcome is Outcome.FAILED
    ]
    if len(done) < len(outcomes):
        expected = 0xFE00
    elif set(done) <= {Outcome.COMPLETED}:
        expected = 0x0000
    elif set(done) == {Outcome.FAILED}:
        expected = 0xA702
    else:
        expected = 0xB000
    assert counts.final_status == expected


@given(st.integers(0, 0xFFFF))
def test_each_status_of_a_store_is_one_outcome(code: int) -> None:
    outcome = outcome_of(code)
    assert (outcome is Outcome.COMPLETED) == (code == 0)
    if code >> 12 == 0xB:
        assert outcome is Outcome.WARNING
    if code >> 12 in (0xA, 0xC):
        assert outcome is Outcome.FAILED


def check(responses: list[RetrieveResponse], fates: Mapping[str, Fate], failed_uids: list[str]) -> None:
    """Hold all responses of one retrieval against what happened to its instances."""
    final = responses[-1]
    last = (len(fates) + 1, 0)
    for response in responses:
        completed = response.number_of_completed_suboperations or 0
        failed = response.number_of_failed_suboperations or 0
        warning = response.number_of_warning_suboperations or 0
        remaining = response.number_of_remaining_suboperations
        if response.status in (0xFF00, 0xFE00):
            assert remaining is not None
            assert remaining + completed + failed + warning == len(fates)
        else:
            assert remaining is None
            assert completed + failed + warning == len(fates)
        # What is done is never undone.
        assert (-(remaining or 0), completed + failed + warning) >= (-last[0], last[1])
        last = (remaining or 0, completed + failed + warning)
    assert [response.status for response in responses[:-1]] == [0xFF00] * (len(responses) - 1)
    assert len(failed_uids) == final.number_of_failed_suboperations
    assert all(fates[uid].outcome is Outcome.FAILED for uid in failed_uids)
    if final.status != 0xFE00:
        outcomes = [fate.outcome for fate in fates.values()]
        assert final.number_of_completed_suboperations == outcomes.count(Outcome.COMPLETED)
        assert final.number_of_failed_suboperations == outcomes.count(Outcome.FAILED)
        assert final.number_of_warning_suboperations == outcomes.count(Outcome.WARNING)


def instances_of(fates: list[Fate]) -> dict[str, tuple[StoredInstance, Fate]]:
    found = {}
    for number, fate in enumerate(fates, start=1):
        instance = stored(
            number,
            size=120_000 if number % 3 == 0 else 500,
            sop_class="1.2.840.10008.5.1.4.1.1.4" if fate is Fate.WITHOUT_CONTEXT else "1.2.840.10008.5.1.4.1.1.2",
            transfer_syntax=JPEG_2000_LOSSLESS if fate is Fate.CONVERTED else EXPLICIT,
        )
        found[instance.sop_instance_uid] = instance, fate
    return found


async def get(fates: list[Fate], cancel_after: int | None) -> None:
    instances = instances_of(fates)
    archive = MemoryArchive(
        [instance for instance, _ in instances.values()],
        broken={uid: NotFound("gone") for uid, (_, fate) in instances.items() if fate is Fate.UNREADABLE},
    )
    async with retrieval_archive(archive, transcoder=NamingTranscoder({(JPEG_2000_LOSSLESS, EXPLICIT)})) as port:
        peer = RetrievingPeer()
        await peer.connect(port)

        def answer(request: CStoreRequest) -> int | None:
            if cancel_after is not None and len(peer.received) == cancel_after:
                peer.cancel()
            return instances[request.affected_sop_instance_uid][1].status

        peer.answer = answer
        await peer.get(STUDY)
        await peer.association.release()
    check(peer.responses, {uid: fate for uid, (_, fate) in instances.items()}, peer.failed_uids)
    assert archive.open_streams == 0
    if cancel_after is not None and peer.responses[-1].status == 0xFE00:
        assert len(peer.received) == cancel_after


async def move(fates: list[Fate], cancel_after: int | None, order: random.Random) -> None:
    instances = instances_of(fates)

    def script(instance: StoredInstance) -> InstanceSent:
        fate = instances[instance.sop_instance_uid][1]
        state = SendState.REFUSED if fate.outcome is Outcome.FAILED else SendState.STORED
        return InstanceSent(instance, state, fate.status, "why" if fate.outcome is Outcome.FAILED else "")

    shuffled = [instance for instance, _ in instances.values()]
    order.shuffle(shuffled)
    gates = [asyncio.Event() for _ in fates]
    sender = ScriptedSender(script, lambda position: gates[position])
    remote = RemoteAe(1, 1, "VIEWER", host="127.0.0.1", port=104)
    async with retrieval_archive(MemoryArchive(shuffled), sender=sender, remotes=[remote]) as port:
        peer = RetrievingPeer()
        await peer.connect(port)
        await peer.begin_move(STUDY, "VIEWER", context_id=9)
        for position, gate in enumerate(gates):
            if position == cancel_after:
                peer.cancel(9)
            gate.set()
            await asyncio.sleep(0)
        await peer.final()
        await peer.association.release()
    check(peer.responses, {uid: fate for uid, (_, fate) in instances.items()}, peer.failed_uids)


CANCELS = st.none() | st.integers(1, 12)


@settings(max_examples=60, deadline=None)
@given(FATES, CANCELS)
def test_a_get_s_counts_add_up_whatever_fails(fates: list[Fate], cancel_after: int | None) -> None:
    asyncio.run(get(fates, cancel_after))


@settings(max_examples=60, deadline=None)
@given(FATES, CANCELS, st.randoms(use_true_random=False))
def test_a_move_s_counts_add_up_whatever_fails(
    fates: list[Fate], cancel_after: int | None, order: random.Random
) -> None:
    asyncio.run(move(fates, cancel_after, order))
