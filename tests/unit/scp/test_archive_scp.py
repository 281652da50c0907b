"""Verification and Storage on a real socket, with a store in memory: PS3.7 §9.1, PS3.4 Annexes A and B."""

from __future__ import annotations

import asyncio
import random

import pytest

from hilum.dimse.fragments import fragment_command, fragment_data_set
from hilum.dimse.messages import (
    CCancelRequest,
    CEchoRequest,
    CEchoResponse,
    CFindRequest,
    CFindResponse,
    CStoreRequest,
    CStoreResponse,
    NDeleteRequest,
    NDeleteResponse,
)
from hilum.kernel.errors import Conflict, InvalidInput, Unavailable
from hilum.net.reports import Outcome
from hilum.ul.primitives import (
    Abort,
    AbortSource,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    AsyncOperationsWindow,
    ConnectionClosed,
    PData,
    RejectReason,
    RejectResult,
    ReleaseRequest,
    ReleaseResponse,
)
from support.dimse import (
    CT_STORAGE,
    EXPLICIT,
    VERIFICATION,
    MemoryStore,
    Peer,
    archive_scp,
    association_request,
    running_archive,
    store_request,
    until,
)

ECHO, STORAGE = 1, 3


def echo(message_id: int = 1) -> CEchoRequest:
    return CEchoRequest(message_id=message_id, affected_sop_class_uid=VERIFICATION)


class TestVerification:
    """PS3.4 Annex A."""

    async def test_an_echo_is_answered_with_success(self) -> None:
        async with running_archive() as archive:
            peer = await Peer.associated(archive.port)
            peer.send_message(ECHO, echo(7))
            assert await peer.response() == CEchoResponse(
                message_id_being_responded_to=7, status=0, affected_sop_class_uid=VERIFICATION
            )
            await peer.release()
            await until(lambda: archive.outcomes == [Outcome.ACCEPTED, Outcome.RELEASED])


class TestAdmission:
    """PS3.8 §9.3.4."""

    @pytest.mark.parametrize(
        ("request_", "reason"),
        [
            (association_request(called="NOBODY"), RejectReason.CALLED_AE_TITLE_NOT_RECOGNIZED),
            (association_request(calling="STRANGER"), RejectReason.CALLING_AE_TITLE_NOT_RECOGNIZED),
            (association_request(application_context="1.2.3"), RejectReason.APPLICATION_CONTEXT_NOT_SUPPORTED),
        ],
    )
    async def test_an_association_is_rejected_with_its_reason(
        self, request_: AssociateRequest, reason: RejectReason
    ) -> None:
        async with running_archive() as archive:
            peer = await Peer.connected(archive.port)
            peer.send(request_)
            assert await peer.event() == AssociateReject(RejectResult.PERMANENT, reason)
            await peer.close()
            await until(lambda: archive.acceptor.connection_count == 0)
            await until(lambda: archive.outcomes == [Outcome.REJECTED])
            assert archive.reports[0].calling_ae_title == request_.calling_ae_title

    async def test_an_association_is_rejected_for_the_moment_when_the_accounts_do_not_answer(self) -> None:
        async def away(_title: str) -> None:
            raise Unavailable("the database is away")

        async with running_archive(answering=archive_scp(MemoryStore(), tenant_of=away)) as archive:
            peer = await Peer.connected(archive.port)
            peer.send(association_request())
            rejection = AssociateReject(RejectResult.TRANSIENT, RejectReason.TEMPORARY_CONGESTION)
            assert await peer.event() == rejection
            await peer.close()

    async def test_the_called_title_decides_whose_archive_it_is(self) -> None:
        async with running_archive() as archive:
            for title in ("SECOND", "HILUM"):
                peer = await Peer.associated(archive.port, association_request(called=title, calling="CT_1"))
                peer.send_message(STORAGE, store_request(), b"ab")
                await peer.response()
                await peer.release()
            assert [each.tenant_id for each in archive.store.instances] == [2, 1]
            origin = archive.store.instances[0].origin
            assert (origin.kind, origin.calling_ae_title, origin.called_ae_title) == ("dimse", "CT_1", "SECOND")
            assert origin.peer == "127.0.0.1"


class TestStorage:
    """PS3.7 §9.1.1, PS3.4 Annex B."""

    @pytest.mark.parametrize("fragment", [2, 100, 16000])
    async def test_an_instance_arrives_byte_for_byte_however_it_is_cut(self, fragment: int) -> None:
        content = random.Random(fragment).randbytes(40_000)
        async with running_archive() as archive:
            peer = await Peer.associated(archive.port)
            peer.send_message(STORAGE, store_request(9, "1.2.3.4"), content, size=fragment)
            assert await peer.response() == CStoreResponse(
                message_id_being_responded_to=9,
                status=0,
                affected_sop_class_uid=CT_STORAGE,
                affected_sop_instance_uid="1.2.3.4",
            )
            (instance,) = archive.store.instances
            assert bytes(instance.content) == content
            assert (instance.sop_class_uid, instance.sop_instance_uid) == (CT_STORAGE, "1.2.3.4")
            assert instance.transfer_syntax_uid == EXPLICIT
            await peer.release()

    async def test_many_instances_on_many_associations_at_once_do_not_mix(self) -> None:
        async def send(port: int, number: int) -> None:
            peer = await Peer.associated(port)
            for index in range(5):
                uid = f"1.2.{number}.{index}"
                peer.send_message(STORAGE, store_request(index + 1, uid), uid.encode() * 20_000, size=30_000)
                response = await peer.response()
                assert isinstance(response, CStoreResponse)
                assert response.status == 0
            await peer.release()

        async with running_archive() as archive:
            await asyncio.gather(*(send(archive.port, number) for number in range(8)))
            assert len(archive.store.instances) == 40
            for each in archive.store.instances:
                assert each.sop_instance_uid is not None
                assert bytes(each.content) == each.sop_instance_uid.encode() * 20_000

    @pytest.mark.parametrize(
        ("request_", "status", "offending"),
        [
            (store_request(uid=""), 0x0117, (0x00001000,)),
            (store_request(uid="../../etc"), 0x0117, (0x00001000,)),
            (store_request(uid="1.2\0.3"), 0x0117, (0x00001000,)),
            (store_request(uid="1." * 33), 0x0117, (0x00001000,)),
            (store_request(sop_class_uid="x"), 0x0122, ()),
        ],
    )
    async def test_a_request_with_a_uid_that_is_none_is_refused_after_its_data_set(
        self, request_: CStoreRequest, status: int, offending: tuple[int, ...]
    ) -> None:
        async with running_archive() as archive:
            peer = await Peer.associated(archive.port)
            peer.send_message(STORAGE, request_, b"abcd")
            response = await peer.response()
            assert isinstance(response, CStoreResponse)
            assert response.status == status
            assert response.offending_element == offending
            assert "UID" in (response.error_comment or "")
            assert archive.store.begun == []
            peer.send_message(STORAGE, store_request(2), b"abcd")
            good = await peer.response()
            assert isinstance(good, CStoreResponse)
            assert good.status == 0
            await peer.release()

    @pytest.mark.parametrize("where", ["begin_error", "write_error", "commit_error"])
    async def test_a_refusal_of_the_store_is_answered_with_its_status_and_comment(self, where: str) -> None:
        async with running_archive() as archive:
            error = InvalidInput("StudyInstanceUID is missing", attribute="StudyInstanceUID")
            setattr(archive.store, where, error)
            peer = await Peer.associated(archive.port)
            peer.send_message(STORAGE, store_request(), bytes(50_000))
            response = await peer.response()
            assert isinstance(response, CStoreResponse)
            assert response.status == 0xC000
            assert response.error_comment == "StudyInstanceUID is missing"
            assert response.offending_element == (0x0020000D,)
            await peer.release()

    async def test_after_a_failed_write_the_rest_of_the_data_set_is_passed_over(self) -> None:
        async with running_archive() as archive:
            archive.store.write_error = Unavailable("the disk is full")
            peer = await Peer.associated(archive.port)
            peer.send_message(STORAGE, store_request(), bytes(50_000), size=10_000)
            response = await peer.response()
            assert isinstance(response, CStoreResponse)
            assert response.status == 0xA700
            assert archive.store.writes == 1
            assert archive.store.discarded == archive.store.begun
            await peer.release()

    async def test_a_refused_duplicate_does_not_end_the_association(self) -> None:
        async with running_archive() as archive:
            archive.store.commit_error = Conflict("already there", code="duplicate")
            peer = await Peer.associated(archive.port)
            for message_id in (1, 2):
                peer.send_message(STORAGE, store_request(message_id), b"ab")
                response = await peer.response()
                assert isinstance(response, CStoreResponse)
                assert response.status == 0x0111
            await peer.release()

    async def test_a_fault_of_our_own_aborts_this_association_alone(self) -> None:
        async with running_archive() as archive:
            other = await Peer.associated(archive.port)
            peer = await Peer.associated(archive.port)
            archive.store.commit_error = ZeroDivisionError("a bug")
            peer.send_message(STORAGE, store_request(), b"ab")
            event = await peer.event()
            assert isinstance(event, Abort)
            assert event.source is AbortSource.SERVICE_USER
            await peer.close()
            report = next(each for each in archive.reports if each.outcome is Outcome.ABORTED)
            assert isinstance(report.error, ZeroDivisionError)
            archive.store.commit_error = None
            other.send_message(STORAGE, store_request(), b"ab")
            response = await other.response()
            assert isinstance(response, CStoreResponse)
            assert response.status == 0
            await other.release()

    async def test_a_store_on_the_verification_context_is_not_recognized(self) -> None:
        async with running_archive() as archive:
            peer = await Peer.associated(archive.port)
            peer.send_message(ECHO, store_request(), b"ab")
            response = await peer.response()
            assert isinstance(response, CStoreResponse)
            assert response.status == 0x0211
            assert archive.store.begun == []
            await peer.release()

    async def test_an_abort_in_the_middle_of_an_instance_leaves_nothing(self) -> None:
        async with running_archive() as archive:
            peer = await Peer.associated(archive.port)
            peer.send(*fragment_command(STORAGE, store_request(), 1000))
            peer.send(*fragment_data_set(STORAGE, bytes(5000), 1000, is_end=False))
            await until(lambda: archive.store.writes >= 5)
            peer.send(Abort())
            await peer.close()
            await until(lambda: archive.store.discarded)
            assert archive.store.discarded == archive.store.begun
            assert archive.store.instances == []
            await until(lambda: archive.outcomes == [Outcome.ACCEPTED, Outcome.ABORTED_BY_PEER])

    async def test_a_connection_lost_in_the_middle_of_an_instance_leaves_nothing(self) -> None:
        async with running_archive() as archive:
            peer = await Peer.associated(archive.port)
            peer.send(*fragment_command(STORAGE, store_request(), 1000))
            peer.send(*fragment_data_set(STORAGE, bytes(5000), 1000, is_end=False))
            await until(lambda: archive.store.writes >= 5)
            peer.writer.transport.abort()
            await until(lambda: archive.store.discarded)
            assert archive.store.instances == []
            await until(lambda: archive.outcomes == [Outcome.ACCEPTED, Outcome.LOST])

    async def test_an_instance_received_whole_is_kept_though_the_peer_is_gone(self) -> None:
        async with running_archive() as archive:
            archive.store.commit_gate = asyncio.Event()
            peer = await Peer.associated(archive.port)
            peer.send_message(STORAGE, store_request(), b"ab")
            await until(lambda: archive.store.writes)
            peer.writer.transport.abort()
            await until(lambda: archive.acceptor.connection_count == 0)
            archive.store.commit_gate.set()
            await until(lambda: archive.store.instances)
            assert archive.store.discarded == []

    async def test_a_release_waits_until_what_was_received_is_answered(self) -> None:
        async with running_archive() as archive:
            archive.store.commit_gate = asyncio.Event()
            peer = await Peer.associated(archive.port)
            peer.send_message(STORAGE, store_request(), b"ab")
            peer.send(ReleaseRequest())
            await until(lambda: archive.store.writes)
            archive.store.commit_gate.set()
            response = await peer.response()
            assert isinstance(response, CStoreResponse)
            assert response.status == 0
            assert isinstance(await peer.event(), ReleaseResponse)
            assert isinstance(await peer.event(), ConnectionClosed)
            await peer.close()


class TestWindow:
    """PS3.7 §D.3.3.3."""

    async def test_several_instances_may_be_under_way_and_are_answered_as_they_finish(self) -> None:
        async with running_archive() as archive:
            archive.store.commit_gate = asyncio.Event()
            peer = await Peer.associated(
                archive.port, association_request(window=AsyncOperationsWindow(max_invoked=4, max_performed=1))
            )
            for message_id in range(1, 5):
                peer.send_message(STORAGE, store_request(message_id, f"1.2.{message_id}"), bytes(20_000))
            await until(lambda: len(archive.store.begun) == 4 and archive.store.writes == 8)
            archive.store.commit_gate.set()
            answered = [await peer.response() for _ in range(4)]
            ids = sorted(each.message_id_being_responded_to for each in answered if isinstance(each, CStoreResponse))
            assert ids == [1, 2, 3, 4]
            await peer.release()

    async def test_more_than_was_negotiated_ends_the_association(self) -> None:
        async with running_archive() as archive:
            archive.store.commit_gate = asyncio.Event()
            peer = await Peer.associated(archive.port)
            peer.send_message(STORAGE, store_request(1), b"ab")
            peer.send_message(STORAGE, store_request(2), b"ab")
            assert isinstance(await peer.event(), Abort)
            await peer.close()
            archive.store.commit_gate.set()
            await until(lambda: archive.store.instances)
            assert [each.sop_instance_uid for each in archive.store.instances] == ["1.2.3"]


class TestOtherRequests:
    """PS3.7 Annex C: unrecognized operation."""

    async def test_a_request_nobody_serves_is_refused_after_its_data_set(self) -> None:
        async with running_archive() as archive:
            peer = await Peer.associated(archive.port)
            peer.send_message(STORAGE, CFindRequest(message_id=3, affected_sop_class_uid=CT_STORAGE), bytes(40_000))
            response = await peer.response()
            assert isinstance(response, CFindResponse)
            assert (response.message_id_being_responded_to, response.status) == (3, 0x0211)
            await peer.release()

    async def test_a_request_without_a_data_set_is_refused_at_once(self) -> None:
        async with running_archive() as archive:
            peer = await Peer.associated(archive.port)
            request = NDeleteRequest(message_id=4, requested_sop_class_uid="1.2", requested_sop_instance_uid="1.3")
            peer.send_message(STORAGE, request)
            response = await peer.response()
            assert isinstance(response, NDeleteResponse)
            assert (response.message_id_being_responded_to, response.status) == (4, 0x0211)
            await peer.release()

    async def test_a_cancel_of_what_cannot_be_cancelled_is_passed_over(self) -> None:
        async with running_archive() as archive:
            peer = await Peer.associated(archive.port)
            peer.send_message(STORAGE, CCancelRequest(message_id_being_responded_to=1))
            peer.send_message(ECHO, echo(2))
            assert isinstance(await peer.response(), CEchoResponse)
            await peer.release()


class TestBackPressure:
    """A slow store slows its sender, and nobody else."""

    async def test_a_slow_store_stops_the_reading_of_its_sender_alone_and_nothing_is_lost(self) -> None:
        content = random.Random(5).randbytes(30 * 1024 * 1024)
        async with running_archive() as archive:
            peer = await Peer.associated(archive.port, association_request())
            archive.store.gate = asyncio.Event()
            peer.send_message(STORAGE, store_request(1, "1.2.1"), content, size=200_000)
            await until(lambda: archive.store.writes == 1)
            # The sender's bytes stay with the sender: only what one read brought is held here.
            await asyncio.sleep(0.2)
            assert archive.store.writes == 1
            assert peer.writer.transport.get_write_buffer_size() > 10 * 1024 * 1024
            gate, archive.store.gate = archive.store.gate, None
            other = await Peer.associated(archive.port)
            for message_id in range(1, 20):
                other.send_message(STORAGE, store_request(message_id, f"1.3.{message_id}"), bytes(100_000))
                response = await other.response()
                assert isinstance(response, CStoreResponse)
                assert response.status == 0
            gate.set()
            response = await peer.response()
            assert isinstance(response, CStoreResponse)
            assert response.status == 0
            slow = next(each for each in archive.store.instances if each.sop_instance_uid == "1.2.1")
            assert bytes(slow.content) == content
            await peer.release()
            await other.release()

    async def test_pieces_reach_a_store_that_is_slow_with_each_of_them_unharmed(self) -> None:
        async with running_archive() as archive:
            archive.store.gate = asyncio.Event()
            peers = [await Peer.associated(archive.port) for _ in range(4)]
            contents = [random.Random(number).randbytes(900_000) for number in range(4)]
            for number, (peer, content) in enumerate(zip(peers, contents, strict=True)):
                peer.send_message(STORAGE, store_request(1, f"1.2.{number}"), content, size=30_000)
            await until(lambda: archive.store.writes == 4)
            archive.store.gate.set()
            for peer in peers:
                assert isinstance(await peer.response(), CStoreResponse)
                await peer.release()
            stored = {each.sop_instance_uid: bytes(each.content) for each in archive.store.instances}
            assert stored == {f"1.2.{number}": content for number, content in enumerate(contents)}


async def test_the_peer_may_accept_no_context_and_still_release() -> None:
    async with running_archive() as archive:
        peer = await Peer.connected(archive.port)
        request = association_request()
        contexts = tuple(
            type(each)(each.context_id, each.abstract_syntax, ("1.2.3",)) for each in request.presentation_contexts
        )
        peer.send(association_request(contexts=contexts))
        accept = await peer.event()
        assert isinstance(accept, AssociateAccept)
        await peer.release()


async def test_several_pdvs_in_one_pdu_are_taken_in_order_though_the_store_is_slow() -> None:
    async with running_archive() as archive:
        archive.store.gate = asyncio.Event()
        peer = await Peer.associated(archive.port)
        parts = [
            *fragment_command(STORAGE, store_request(), 1000),
            *fragment_data_set(STORAGE, b"abcdefgh", 2, is_end=True),
        ]
        peer.send(PData(tuple(pdv for part in parts for pdv in part.pdvs)))
        await until(lambda: archive.store.writes == 1)
        archive.store.gate.set()
        assert isinstance(await peer.response(), CStoreResponse)
        assert bytes(archive.store.instances[0].content) == b"abcdefgh"
        await peer.release()
