"""Transcripts: what two sides of an association say, and what a core makes of it. PS3.8 §7 and §9."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hilum.kernel import limits
from hilum.kernel.errors import InvalidInput, LocalProtocolError
from hilum.ul.core import AssociationCore, Role
from hilum.ul.primitives import (
    NEED_DATA,
    Abort,
    AbortReason,
    AbortSource,
    AssociateReject,
    ConnectionClosed,
    ContextAnswer,
    ContextResult,
    Event,
    PData,
    PresentationDataValue,
    RejectReason,
    RejectResult,
    ReleaseRequest,
    ReleaseResponse,
)
from support.ul import (
    ABORT_USER,
    ACCEPT,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    ASSOCIATE_RQ,
    IMPLICIT,
    P_DATA,
    P_DATA_TF,
    REJECT,
    RELEASE_RP,
    RELEASE_RQ,
    REQUEST,
    RQ_ITEMS,
    core_in,
    established,
    events_of,
    raw_associate,
    raw_item,
    raw_pdu,
    raw_pdv,
    raw_user_information,
    received,
    sent_by,
)


class TestEstablishment:
    """PS3.8 §7.1"""

    def test_both_sides_agree_on_contexts_and_lengths(self) -> None:
        requestor, acceptor = AssociationCore(Role.REQUESTOR, now=0.0), AssociationCore(Role.ACCEPTOR, now=0.0)
        requestor.send(REQUEST, 0.0)
        assert received(acceptor, sent_by(requestor)) == [REQUEST]
        accept = replace(ACCEPT, user_information=replace(ACCEPT.user_information, max_pdu_length=20_000))
        acceptor.send(accept, 0.0)
        assert received(requestor, sent_by(acceptor)) == [accept]
        for core in (requestor, acceptor):
            assert core.request == REQUEST
            assert core.accept == accept
            assert list(core.contexts) == [1]
            assert core.next_deadline() is None
        assert requestor.max_sent_pdu_length == 20_000
        assert acceptor.max_sent_pdu_length == 32_768

    def test_association_is_over_for_the_requestor_once_rejected(self) -> None:
        core = core_in(5)
        assert received(core, ASSOCIATE_RJ) == [REJECT, ConnectionClosed()]
        assert sent_by(core) == b""

    def test_acceptor_that_rejects_waits_for_the_requestor_to_close(self) -> None:
        core = core_in(3)
        core.send(AssociateReject(RejectResult.TRANSIENT, RejectReason.LOCAL_LIMIT_EXCEEDED), 10.0)
        assert sent_by(core) == bytes.fromhex("03 00 00000004 00 02 03 02")
        assert core.next_deadline() == 10.0 + limits.ARTIM_TIMEOUT_S
        core.receive_eof(11.0)
        assert events_of(core) == [ConnectionClosed(by_peer=True)]
        assert core.next_deadline() is None

    def test_artim_ends_a_connection_on_which_nobody_asks(self) -> None:
        core = AssociationCore(Role.ACCEPTOR, now=100.0, artim_timeout_s=5.0)
        core.receive_data(ASSOCIATE_RQ[:-1], 104.0)
        assert core.next_event() is NEED_DATA
        assert core.next_deadline() == 105.0
        core.handle_deadline(104.9)
        assert core.next_event() is NEED_DATA
        core.handle_deadline(105.0)
        assert events_of(core) == [ConnectionClosed(by_peer=False)]

    def test_requestor_leaves_unread_what_comes_before_it_asked(self) -> None:
        core = AssociationCore(Role.REQUESTOR, now=0.0)
        assert received(core, ASSOCIATE_AC) == []
        core.send(REQUEST, 0.0)
        assert events_of(core) == [ACCEPT]

    @pytest.mark.parametrize(
        "answer",
        [
            raw_item(0x21, bytes((5, 0, 0, 0)) + raw_item(0x40, IMPLICIT.encode())),
            raw_item(0x21, bytes((1, 0, 0, 0)) + raw_item(0x40, b"1.2.3")),
        ],
        ids=["context not proposed", "transfer syntax not proposed"],
    )
    def test_accept_that_does_not_fit_the_request_is_aborted(self, answer: bytes) -> None:
        core = core_in(5)
        events = received(core, raw_associate(2, answer, raw_user_information()))
        assert events == [Abort(AbortSource.SERVICE_PROVIDER, AbortReason.INVALID_PDU_PARAMETER_VALUE)]
        assert sent_by(core) == bytes.fromhex("07 00 00000004 00 00 02 06")
        assert core.accept is None
        assert not core.contexts

    def test_accept_of_our_own_that_does_not_fit_the_request_changes_nothing(self) -> None:
        core = core_in(3)
        wrong = (ContextAnswer(5, ContextResult.ACCEPTANCE, IMPLICIT),)
        for mistake in (
            replace(ACCEPT, presentation_contexts=wrong),
            replace(ACCEPT, user_information=replace(ACCEPT.user_information, max_pdu_length=0)),
        ):
            with pytest.raises(LocalProtocolError):
                core.send(mistake, 0.0)
        with pytest.raises(InvalidInput):
            core.send(replace(ACCEPT, application_context_name=""), 0.0)
        assert (core.state, sent_by(core), dict(core.contexts)) == (3, b"", {})
        core.send(ACCEPT, 0.0)
        assert sent_by(core) == ASSOCIATE_AC

    def test_request_of_our_own_that_cannot_be_written_changes_nothing(self) -> None:
        core = core_in(1)
        with pytest.raises(InvalidInput):
            core.send(replace(REQUEST, called_ae_title="A" * 17), 0.0)
        with pytest.raises(LocalProtocolError):
            core.send(replace(REQUEST, user_information=replace(REQUEST.user_information, max_pdu_length=0)), 0.0)
        assert core.state == 1
        core.send(REQUEST, 0.0)
        assert sent_by(core) == ASSOCIATE_RQ


class TestDataTransfer:
    """PS3.8 §7.6, §9.3.5"""

    def test_pdvs_of_several_pdus_come_in_order_with_their_flags(self) -> None:
        core = established(Role.ACCEPTOR)
        two = raw_pdu(4, raw_pdv(1, 0x03, b"ab") + raw_pdv(1, 0xF0, b"cd"))
        assert received(core, P_DATA_TF + two) == [
            P_DATA,
            PData((PresentationDataValue(1, True, True, b"ab"), PresentationDataValue(1, False, False, b"cd"))),
        ]

    def test_data_of_a_pdu_received_at_once_is_a_view_of_the_received_bytes(self) -> None:
        core = established(Role.ACCEPTOR)
        chunk = P_DATA_TF * 2
        for event in received(core, chunk):
            assert isinstance(event, PData)
            data = event.pdvs[0].data
            assert isinstance(data, memoryview)
            assert data.obj is chunk

    @pytest.mark.parametrize(
        ("state", "stream", "event"),
        [(1, ASSOCIATE_AC, ACCEPT), (2, ASSOCIATE_RQ, REQUEST), (5, ASSOCIATE_AC, ACCEPT), (6, P_DATA_TF, P_DATA)],
    )
    @pytest.mark.parametrize("cut", [3, 6, 15])
    def test_buffer_may_be_used_again_once_nothing_is_waiting(
        self, state: int, stream: bytes, event: Event, cut: int
    ) -> None:
        core = core_in(state)
        buffer = bytearray(stream[:cut])
        core.receive_data(buffer, 0.0)
        assert core.next_event() is NEED_DATA
        buffer[:] = b"\xff" * cut
        core.receive_data(stream[cut:], 0.0)
        if state == 1:
            core.send(REQUEST, 0.0)
        assert events_of(core) == [event]

    def test_views_outlive_what_comes_later(self) -> None:
        core = established(Role.ACCEPTOR)
        core.receive_data(P_DATA_TF[:14], 0.0)
        assert core.next_event() is NEED_DATA
        core.receive_data(P_DATA_TF[14:], 0.0)
        (event,) = events_of(core)
        received(core, raw_pdu(4, raw_pdv(1, 2, b"\xff" * 4)))
        core.receive_eof(0.0)
        events_of(core)
        assert event == P_DATA

    def test_state_is_the_one_the_user_has_seen(self) -> None:
        core = established(Role.ACCEPTOR)
        core.receive_data(P_DATA_TF + RELEASE_RQ, 0.0)
        core.receive_eof(0.0)
        assert core.next_event() == P_DATA
        assert core.state == 6
        assert core.next_event() == ReleaseRequest()
        assert core.state == 8
        assert events_of(core) == [Abort(AbortSource.SERVICE_PROVIDER), ConnectionClosed(by_peer=True)]

    def test_pdu_as_large_as_the_peer_takes_is_sent_without_a_copy(self) -> None:
        core = established(Role.ACCEPTOR)
        payload = bytes(core.max_sent_pdu_length - 6)
        core.send(PData((PresentationDataValue(1, False, True, payload),)), 0.0)
        header, data = core.data_to_send()
        assert data is payload
        assert bytes(header) == bytes.fromhex("04 00 00008000 00007ffc 01 02")
        assert core.data_to_send() == []

    @pytest.mark.parametrize(
        "pdvs",
        [
            (),
            (PresentationDataValue(1, False, True, bytes(32_768 - 5)),),
            (PresentationDataValue(1, True, True, b""), PresentationDataValue(1, False, True, bytes(32_768 - 11))),
            (PresentationDataValue(3, True, True, b"ab"),),
        ],
        ids=["no PDV", "too large", "too large together", "refused context"],
    )
    def test_p_data_the_peer_must_not_get_is_refused(self, pdvs: tuple[PresentationDataValue, ...]) -> None:
        core = established(Role.ACCEPTOR)
        with pytest.raises(LocalProtocolError):
            core.send(PData(pdvs), 0.0)
        assert (core.state, core.data_to_send()) == (6, [])

    def test_peer_without_a_maximum_takes_any_length(self) -> None:
        core = AssociationCore(Role.ACCEPTOR, now=0.0)
        unbounded = raw_item(0x50, raw_item(0x51, bytes(4)))
        received(core, raw_associate(1, *RQ_ITEMS[:3], unbounded))
        core.send(ACCEPT, 0.0)
        assert core.max_sent_pdu_length == 0
        core.send(PData((PresentationDataValue(1, False, True, bytes(1_000_000)),)), 0.0)
        assert len(sent_by(core)) > 1_000_000


class TestRelease:
    """PS3.8 §7.2"""

    def test_requestor_releases(self) -> None:
        requestor, acceptor = established(Role.REQUESTOR), established(Role.ACCEPTOR)
        requestor.send(ReleaseRequest(), 0.0)
        assert received(acceptor, sent_by(requestor)) == [ReleaseRequest()]
        acceptor.send(ReleaseResponse(), 7.0)
        assert acceptor.next_deadline() == 7.0 + limits.ARTIM_TIMEOUT_S
        assert received(requestor, sent_by(acceptor)) == [ReleaseResponse(), ConnectionClosed()]
        acceptor.receive_eof(8.0)
        assert events_of(acceptor) == [ConnectionClosed(by_peer=True)]

    def test_data_still_flow_to_the_side_that_asked_until_the_answer(self) -> None:
        requestor, acceptor = established(Role.REQUESTOR), established(Role.ACCEPTOR)
        requestor.send(ReleaseRequest(), 0.0)
        with pytest.raises(LocalProtocolError):
            requestor.send(P_DATA, 0.0)
        received(acceptor, sent_by(requestor))
        acceptor.send(P_DATA, 0.0)
        acceptor.send(ReleaseResponse(), 0.0)
        assert received(requestor, sent_by(acceptor)) == [P_DATA, ReleaseResponse(), ConnectionClosed()]

    def test_collision_is_resolved_in_the_order_the_standard_gives(self) -> None:
        """§7.2.2: the requestor answers first."""
        requestor, acceptor = established(Role.REQUESTOR), established(Role.ACCEPTOR)
        requestor.send(ReleaseRequest(), 0.0)
        acceptor.send(ReleaseRequest(), 0.0)
        to_acceptor, to_requestor = sent_by(requestor), sent_by(acceptor)
        assert received(requestor, to_requestor) == [ReleaseRequest()]
        assert received(acceptor, to_acceptor) == [ReleaseRequest()]
        with pytest.raises(LocalProtocolError):
            acceptor.send(ReleaseResponse(), 0.0)
        requestor.send(ReleaseResponse(), 0.0)
        assert received(acceptor, sent_by(requestor)) == [ReleaseResponse()]
        acceptor.send(ReleaseResponse(), 0.0)
        assert received(requestor, sent_by(acceptor)) == [ReleaseResponse(), ConnectionClosed()]
        acceptor.receive_eof(0.0)
        assert events_of(acceptor) == [ConnectionClosed(by_peer=True)]

    def test_peer_that_never_closes_after_the_release_is_closed_by_artim(self) -> None:
        core = core_in(8)
        core.send(ReleaseResponse(), 0.0)
        sent_by(core)
        assert received(core, P_DATA_TF * 3 + RELEASE_RQ + RELEASE_RP, 1.0) == []
        core.handle_deadline(limits.ARTIM_TIMEOUT_S)
        assert events_of(core) == [ConnectionClosed()]
        assert sent_by(core) == b""


class TestAbort:
    """PS3.8 §7.3, §7.4"""

    def test_abort_of_the_user_waits_for_the_peer_to_close(self) -> None:
        core = core_in(6)
        core.send(Abort(), 3.0)
        assert sent_by(core) == ABORT_USER
        assert core.next_deadline() == 3.0 + limits.ARTIM_TIMEOUT_S
        assert received(core, P_DATA_TF, 4.0) == []
        core.receive_eof(5.0)
        assert events_of(core) == [ConnectionClosed(by_peer=True)]

    def test_abort_goes_out_with_the_source_and_reason_it_has(self) -> None:
        core = core_in(6)
        core.send(Abort(AbortSource.SERVICE_PROVIDER, AbortReason.UNEXPECTED_PDU_PARAMETER), 0.0)
        assert sent_by(core) == bytes.fromhex("07 00 00000004 00 00 02 05")

    def test_aborts_that_cross_end_on_both_sides(self) -> None:
        core = core_in(6)
        core.send(Abort(), 0.0)
        assert received(core, ABORT_USER) == [ConnectionClosed()]

    @pytest.mark.parametrize(
        ("pdu", "source", "reason"),
        [
            ("07 00 00000004 00 00 00 00", AbortSource.SERVICE_USER, AbortReason.NOT_SPECIFIED),
            ("07 00 00000004 00 00 02 01", AbortSource.SERVICE_PROVIDER, AbortReason.UNRECOGNIZED_PDU),
        ],
    )
    def test_abort_of_the_peer_says_who_and_why(self, pdu: str, source: AbortSource, reason: AbortReason) -> None:
        core = core_in(6)
        abort, closed = received(core, bytes.fromhex(pdu))
        assert isinstance(abort, Abort)
        assert (abort.source, abort.reason, abort.by_peer) == (source, reason, True)
        assert closed == ConnectionClosed()
        assert core.peer_violation is None

    def test_lost_connection_is_an_abort_by_the_provider(self) -> None:
        core = core_in(6)
        core.receive_data(P_DATA_TF[:-1], 0.0)
        core.receive_eof(0.0)
        abort, closed = events_of(core)
        assert isinstance(abort, Abort)
        assert (abort.source, abort.by_peer, abort.detail) == (
            AbortSource.SERVICE_PROVIDER,
            False,
            "connection lost",
        )
        assert closed == ConnectionClosed(by_peer=True)

    def test_nothing_is_taken_after_the_end(self) -> None:
        core = core_in(6)
        received(core, ABORT_USER)
        assert received(core, ASSOCIATE_RQ * 100) == []
        core.receive_eof(0.0)
        core.handle_deadline(1e9)
        assert events_of(core) == []
        with pytest.raises(LocalProtocolError):
            core.send(REQUEST, 0.0)
