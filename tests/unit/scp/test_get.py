"""C-GET on a real socket, with an archive in memory: PS3.4 §C.4.3, PS3.7 §9.1.3."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from hilum.archive.remotes import DimseUse, RemoteAe
from hilum.dimse.messages import CStoreRequest
from hilum.kernel.errors import CorruptData, LimitExceeded, NotFound, Unavailable
from hilum.kernel.limits import SEND_WINDOW
from hilum.scp.get import conversion_targets
from hilum.scp.service import Admission
from hilum.ul.primitives import AsyncOperationsWindow, ProposedContext, RoleSelection
from support.dimse import CT_STORAGE, EXPLICIT, until
from support.retrieving import (
    IMPLICIT,
    JPEG_2000_LOSSLESS,
    MemoryArchive,
    NamingTranscoder,
    RetrievingPeer,
    content_of,
    counts_of,
    default_contexts,
    identifier,
    retrieval_archive,
    stored,
)

STUDY = identifier(LEVEL="STUDY", StudyInstanceUID="1.2.1")
MR_STORAGE = "1.2.840.10008.5.1.4.1.1.4"


@asynccontextmanager
async def peer_of(
    archive: MemoryArchive, *, transcoder: NamingTranscoder | None = None, **options: object
) -> AsyncIterator[RetrievingPeer]:
    async with retrieval_archive(archive, transcoder=transcoder) as port:
        peer = RetrievingPeer()
        await peer.connect(port, **options)  # type: ignore[arg-type]
        yield peer
        if not peer.association.is_ended:
            await peer.association.release()


class TestSubOperations:
    """PS3.4 §C.4.3.1."""

    async def test_all_instances_of_a_study_come_byte_for_byte_and_the_counts_say_so(self) -> None:
        archive = MemoryArchive([stored(number) for number in (1, 2, 3)])
        async with peer_of(archive) as peer:
            final = await peer.get(STUDY)
            assert (final.status, counts_of(final)) == (0x0000, (None, 3, 0, 0))
            assert [each.sop_instance_uid for each in peer.received] == ["1.2.1.1.1", "1.2.1.1.2", "1.2.1.1.3"]
            assert [each.content for each in peer.received] == [content_of(each) for each in archive.instances]
            assert [counts_of(each) for each in peer.pending] == [(2, 1, 0, 0), (1, 2, 0, 0)]
            assert peer.identifiers == []
            assert {(each.priority, each.move_originator_message_id) for each in peer.requests} == {(1, None)}

    async def test_no_match_is_a_success_of_zero_sub_operations(self) -> None:
        async with peer_of(MemoryArchive([stored(1)])) as peer:
            final = await peer.get(identifier(LEVEL="STUDY", StudyInstanceUID="1.9"))
            assert (final.status, counts_of(final)) == (0x0000, (None, 0, 0, 0))

    async def test_a_large_instance_is_streamed_between_small_ones(self) -> None:
        archive = MemoryArchive([stored(1), stored(2, size=3_000_000), stored(3)])
        async with peer_of(archive) as peer:
            assert (await peer.get(STUDY)).status == 0x0000
            assert [each.content for each in peer.received] == [content_of(each) for each in archive.instances]
        assert archive.open_streams == 0

    async def test_a_second_retrieval_follows_on_the_same_association(self) -> None:
        async with peer_of(MemoryArchive([stored(1), stored(2)])) as peer:
            for message_id in (1, 2):
                assert (await peer.get(STUDY, message_id=message_id)).status == 0x0000
            assert len(peer.received) == 4

    async def test_of_many_sub_operations_not_each_has_a_pending_response(self) -> None:
        async with peer_of(MemoryArchive([stored(number, size=10) for number in range(1, 400)])) as peer:
            final = await peer.get(STUDY)
            assert counts_of(final) == (None, 399, 0, 0)
            assert len(peer.pending) < 100


class TestFailures:
    """PS3.4 §C.4.3.1.4, Table C.4-3: one instance never fails the whole."""

    async def test_what_cannot_be_read_is_counted_and_named_and_the_rest_comes(self) -> None:
        archive = MemoryArchive(
            [stored(number) for number in (1, 2, 3, 4)],
            broken={
                "1.2.1.1.1": NotFound("there is no such blob"),
                "1.2.1.1.3": Unavailable("the storage does not answer"),
            },
        )
        async with peer_of(archive) as peer:
            final = await peer.get(STUDY)
            assert (final.status, counts_of(final)) == (0xB000, (None, 2, 2, 0))
            assert peer.failed_uids == ["1.2.1.1.1", "1.2.1.1.3"]
            assert final.error_comment == "there is no such blob"
            assert [each.sop_instance_uid for each in peer.received] == ["1.2.1.1.2", "1.2.1.1.4"]

    @pytest.mark.parametrize(
        ("answers", "status", "expected", "failed"),
        [
            ({1: 0xA700}, 0xB000, (None, 2, 1, 0), ["1.2.1.1.1"]),
            ({1: 0xB000, 2: 0xB007}, 0xB000, (None, 1, 0, 2), None),
            ({1: 0xB000, 2: 0xB006, 3: 0xB007}, 0xB000, (None, 0, 0, 3), None),
            ({1: 0xA700, 2: 0xA900, 3: 0x0110}, 0xA702, (None, 0, 3, 0), ["1.2.1.1.1", "1.2.1.1.2", "1.2.1.1.3"]),
            ({1: 0xA700, 2: 0xB000, 3: 0xC000}, 0xB000, (None, 0, 2, 1), ["1.2.1.1.1", "1.2.1.1.3"]),
        ],
    )
    async def test_the_answers_to_sub_operations_make_the_final_status(
        self, answers: dict[int, int], status: int, expected: tuple[int | None, ...], failed: list[str] | None
    ) -> None:
        async with peer_of(MemoryArchive([stored(number) for number in (1, 2, 3)])) as peer:
            peer.answer = lambda request: answers.get(int(request.affected_sop_instance_uid[-1]), 0)
            final = await peer.get(STUDY)
            assert (final.status, counts_of(final)) == (status, expected)
            if failed is None:
                assert peer.identifiers == []
            else:
                assert peer.failed_uids == failed

    async def test_a_sop_class_without_context_fails_alone(self) -> None:
        archive = MemoryArchive([stored(1), stored(2, sop_class=MR_STORAGE)])
        async with peer_of(archive) as peer:
            final = await peer.get(STUDY)
            assert (final.status, counts_of(final)) == (0xB000, (None, 1, 1, 0))
            assert final.error_comment == "the requestor accepts no context for the SOP class as SCP"

    async def test_a_context_without_the_scp_role_is_not_used(self) -> None:
        async with peer_of(MemoryArchive([stored(1)]), roles=()) as peer:
            final = await peer.get(STUDY)
            assert (final.status, counts_of(final)) == (0xA702, (None, 0, 1, 0))
            assert peer.received == []

    async def test_a_long_list_of_failures_arrives_whole(self) -> None:
        archive = MemoryArchive([stored(number, sop_class=MR_STORAGE) for number in range(1, 301)])
        async with peer_of(archive) as peer:
            final = await peer.get(STUDY)
            assert counts_of(final) == (None, 0, 300, 0)
            assert len(peer.failed_uids) == 300

    async def test_a_data_set_that_breaks_in_the_middle_ends_the_association(self) -> None:
        broken = CorruptData("a stored blob is shorter than recorded")
        archive = MemoryArchive([stored(1), stored(2, size=200_000), stored(3)], fragile={"1.2.1.1.2": broken})
        async with peer_of(archive) as peer:
            await peer.begin_get(STUDY)
            async with asyncio.timeout(20):
                await peer.ended.wait()
            assert [each.sop_instance_uid for each in peer.received] == ["1.2.1.1.1"]
        assert archive.open_streams == 0

    @pytest.mark.parametrize(
        ("error", "status"),
        [(Unavailable("the database does not answer"), 0xA701), (LimitExceeded("more than 65535"), 0xA701)],
    )
    async def test_what_keeps_the_matches_from_being_counted_is_the_answer(
        self, error: Unavailable, status: int
    ) -> None:
        async with peer_of(MemoryArchive([], select_error=error)) as peer:
            final = await peer.get(STUDY)
            assert (final.status, final.error_comment) == (status, error.message)

    async def test_the_key_that_is_wrong_is_named(self) -> None:
        async with peer_of(MemoryArchive([])) as peer:
            final = await peer.get(identifier(LEVEL="SERIES", SeriesInstanceUID="1.2.1.1"))
            assert (final.status, final.offending_element) == (0xA900, (0x0020000D,))
            assert final.error_comment == "StudyInstanceUID is missing"


class TestTranscoding:
    """Only what the requestor does not take as it is stored is converted."""

    async def test_the_stored_syntax_is_preferred_to_a_conversion(self) -> None:
        archive = MemoryArchive([stored(1, transfer_syntax=IMPLICIT)])
        async with peer_of(archive, transcoder=NamingTranscoder({(IMPLICIT, EXPLICIT)})) as peer:
            assert (await peer.get(STUDY)).status == 0x0000
            assert [(each.transfer_syntax, each.content) for each in peer.received] == [
                (IMPLICIT, content_of(archive.instances[0]))
            ]

    async def test_what_is_not_taken_as_it_is_stored_is_converted(self) -> None:
        archive = MemoryArchive([stored(1, transfer_syntax=JPEG_2000_LOSSLESS), stored(2)])
        transcoder = NamingTranscoder({(JPEG_2000_LOSSLESS, IMPLICIT), (JPEG_2000_LOSSLESS, EXPLICIT)})
        async with peer_of(archive, transcoder=transcoder) as peer:
            assert (await peer.get(STUDY)).status == 0x0000
            first, second = sorted(peer.received, key=lambda each: each.sop_instance_uid)
            assert (first.transfer_syntax, first.content.strip()) == (EXPLICIT, f"1.2.1.1.1 as {EXPLICIT}".encode())
            assert second.content == content_of(archive.instances[1])
        assert archive.read == ["1.2.1.1.2"]

    @pytest.mark.parametrize("transcoder", [None, NamingTranscoder({(JPEG_2000_LOSSLESS, EXPLICIT)}, {"1.2.1.1.1"})])
    async def test_what_cannot_be_converted_fails_alone(self, transcoder: NamingTranscoder | None) -> None:
        archive = MemoryArchive([stored(1, transfer_syntax=JPEG_2000_LOSSLESS), stored(2)])
        async with peer_of(archive, transcoder=transcoder) as peer:
            final = await peer.get(STUDY)
            assert (final.status, counts_of(final)) == (0xB000, (None, 1, 1, 0))
            assert peer.failed_uids == ["1.2.1.1.1"]

    def test_explicit_vr_is_the_first_choice_and_what_may_lose_is_none(self) -> None:
        jpeg, jpeg_2000, jpeg_ls = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.80"
        accepted = {jpeg: 1, jpeg_ls: 3, IMPLICIT: 5, jpeg_2000: 7, JPEG_2000_LOSSLESS: 9, EXPLICIT: 11}
        assert conversion_targets(JPEG_2000_LOSSLESS, accepted) == [EXPLICIT, IMPLICIT, jpeg_ls]
        assert conversion_targets(jpeg, {jpeg_2000: 1}) == []


class TestCancel:
    """PS3.4 §C.4.3.1.5, PS3.7 §9.3.3.3."""

    async def test_what_has_not_begun_is_not_sent_and_the_counts_add_up(self) -> None:
        archive = MemoryArchive([stored(number) for number in range(1, 21)])
        async with peer_of(archive) as peer:

            def cancel_at_the_fifth(request: CStoreRequest) -> int | None:
                if request.affected_sop_instance_uid == "1.2.1.1.5":
                    peer.cancel()
                return 0

            peer.answer = cancel_at_the_fifth
            final = await peer.get(STUDY)
            assert (final.status, counts_of(final)) == (0xFE00, (15, 5, 0, 0))
            assert len(peer.received) == 5

    async def test_a_cancel_tells_what_had_failed(self) -> None:
        archive = MemoryArchive(
            [stored(number) for number in range(1, 6)], broken={"1.2.1.1.1": NotFound("there is no such blob")}
        )
        async with peer_of(archive) as peer:

            def cancel(request: CStoreRequest) -> int | None:
                peer.cancel()
                return 0

            peer.answer = cancel
            final = await peer.get(STUDY)
            assert (final.status, counts_of(final)) == (0xFE00, (3, 1, 1, 0))
            assert peer.failed_uids == ["1.2.1.1.1"]

    async def test_a_cancel_after_the_last_sub_operation_changes_nothing(self) -> None:
        async with peer_of(MemoryArchive([stored(1)])) as peer:

            def cancel(request: CStoreRequest) -> int | None:
                peer.cancel()
                return 0

            peer.answer = cancel
            assert (await peer.get(STUDY)).status == 0x0000

    async def test_nothing_more_is_read_once_the_association_is_lost(self) -> None:
        archive = MemoryArchive([stored(number) for number in range(1, 50)])
        async with retrieval_archive(archive) as port:
            peer = RetrievingPeer()
            await peer.connect(port)
            peer.answer = lambda request: None
            await peer.begin_get(STUDY)
            await until(lambda: peer.received)
            peer.association.abort()
            await asyncio.sleep(0.05)
            assert len(archive.read) < 5


class TestNegotiation:
    """PS3.7 §D.3.3.4 (roles), §D.3.3.3 (window); PS3.4 §C.5.3.1 (relational retrieval)."""

    async def test_the_same_context_may_carry_instances_both_ways(self) -> None:
        roles = [RoleSelection(CT_STORAGE, scu_role=True, scp_role=True)]
        async with peer_of(MemoryArchive([stored(1)]), roles=roles) as peer:
            context = peer.association.contexts[5]
            assert (context.requestor_is_scu, context.requestor_is_scp) == (True, True)
            assert (await peer.get(STUDY)).status == 0x0000

    async def test_a_caller_that_may_retrieve_and_not_store_takes_instances_and_gives_none(self) -> None:
        remote = RemoteAe(1, 1, "PEER", may_ask=frozenset({DimseUse.RETRIEVE}))
        archive = MemoryArchive([stored(1)])
        roles = [RoleSelection(CT_STORAGE, scu_role=True, scp_role=True)]
        async with retrieval_archive(archive, admission=Admission(remote=remote)) as port:
            peer = RetrievingPeer()
            await peer.connect(port, roles=roles)
            context = peer.association.contexts[5]
            assert (context.requestor_is_scu, context.requestor_is_scp) == (False, True)
            assert (await peer.get(STUDY)).status == 0x0000
            await peer.association.release()

    async def test_a_caller_that_may_store_and_not_retrieve_is_refused_the_models(self) -> None:
        remote = RemoteAe(1, 1, "PEER", may_ask=frozenset({DimseUse.STORE}))
        async with retrieval_archive(MemoryArchive([]), admission=Admission(remote=remote)) as port:
            peer = RetrievingPeer()
            await peer.connect(port)
            assert set(peer.association.contexts) == {5, 7}
            await peer.association.release()

    async def test_a_window_lets_several_sub_operations_be_under_way(self) -> None:
        archive = MemoryArchive([stored(number) for number in range(1, 31)])
        async with peer_of(archive, window=AsyncOperationsWindow(1, 0)) as peer:
            waiting: list[int] = []

            def hold_back(request: CStoreRequest) -> int | None:
                waiting.append(request.message_id)
                if len(waiting) == SEND_WINDOW:
                    for message_id in waiting[:-1]:
                        peer.store_response(message_id, 0)
                    return 0
                return None if len(waiting) < SEND_WINDOW else 0

            peer.answer = hold_back
            final = await peer.get(STUDY)
            assert counts_of(final) == (None, 30, 0, 0)
            assert peer.most_open == SEND_WINDOW

    async def test_two_retrievals_at_a_time_share_the_window(self) -> None:
        archive = MemoryArchive([stored(number) for number in range(1, 11)])
        async with peer_of(archive, window=AsyncOperationsWindow(2, 1)) as peer:
            await peer.begin_get(STUDY, message_id=1)
            await peer.begin_get(STUDY, message_id=2)
            finals = [await peer.final(), await peer.final()]
            assert [counts_of(each) for each in finals] == [(None, 10, 0, 0)] * 2
            assert peer.most_open == 1

    async def test_keys_above_the_level_may_be_left_out_once_relational_retrieval_is_agreed_on(self) -> None:
        model = default_contexts()[0].abstract_syntax
        keys = identifier(LEVEL="IMAGE", SOPInstanceUID=["1.2.1.1.2", "1.2.1.1.1"])
        async with peer_of(MemoryArchive([stored(1), stored(2)]), relational=model) as peer:
            assert counts_of(await peer.get(keys)) == (None, 2, 0, 0)
        async with peer_of(MemoryArchive([stored(1), stored(2)])) as peer:
            assert (await peer.get(keys)).status == 0xA900

    async def test_a_request_of_another_kind_on_the_model_is_not_served(self) -> None:
        async with peer_of(MemoryArchive([stored(1)])) as peer:
            await peer.begin_move(STUDY, "ANYWHERE", context_id=1)
            final = await peer.final()
            assert final.status == 0x0211

    async def test_contexts_of_unknown_models_are_refused(self) -> None:
        contexts = [*default_contexts(), ProposedContext(21, "1.2.840.10008.5.1.4.1.2.4.9", (EXPLICIT,))]
        async with peer_of(MemoryArchive([]), contexts=contexts) as peer:
            assert 21 not in peer.association.contexts
