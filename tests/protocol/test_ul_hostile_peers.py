"""What a hostile or broken peer gets: the right abort, at once, for next to no memory. PS3.8 §9.3, Table 9-26."""

from __future__ import annotations

import struct
import tracemalloc

import pytest

from hilum.kernel import limits
from hilum.ul.core import AssociationCore, Role
from hilum.ul.primitives import NEED_DATA, Abort, AbortReason, AbortSource, AssociateRequest, ConnectionClosed, PData
from support.ul import (
    ASSOCIATE_RQ,
    IMPLICIT,
    P_DATA_TF,
    REJECT,
    RELEASE_RQ,
    REQUEST,
    RQ_ITEMS,
    VERIFICATION,
    core_in,
    established,
    events_of,
    raw_associate,
    raw_item,
    raw_pdu,
    raw_pdv,
    raw_proposed_context,
    received,
    sent_by,
)

USER_ABORT = bytes.fromhex("07 00 00000004 00 00 00 00")


def provider_abort(reason: AbortReason) -> bytes:
    return bytes.fromhex("07 00 00000004 00 00 02") + bytes((reason,))


def peak_of(core: AssociationCore, chunk: bytes, count: int) -> int:
    """Feed a chunk again and again; return the most memory that was in use meanwhile."""
    tracemalloc.start()
    try:
        for _ in range(count):
            core.receive_data(chunk, 0.0)
            events_of(core)
            core.data_to_send()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("state", [2, 3, 5, 6, 7, 8, 9, 10, 11, 12])
@pytest.mark.parametrize("pdu_type", range(1, 8))
def test_length_of_four_gigabytes_is_refused_from_the_header_alone(state: int, pdu_type: int) -> None:
    core = core_in(state)
    events = received(core, struct.pack(">BBI", pdu_type, 0, 0xFFFFFFFF))
    if state == 2:
        # AA-1: the table has the service user's abort here, and no indication.
        assert (events, sent_by(core)) == ([], USER_ABORT)
    else:
        reason = AbortReason.INVALID_PDU_PARAMETER_VALUE
        assert events == [Abort(AbortSource.SERVICE_PROVIDER, reason)]
        assert sent_by(core) == provider_abort(reason)
    assert core.state == 13
    assert core.peer_violation is not None
    assert peak_of(core, bytes(100_000), 50) < 50_000


def test_unknown_pdu_type_is_answered_with_its_own_reason() -> None:
    core = core_in(6)
    (abort,) = received(core, b"GET / HTTP/1.1\r\n\r\n")
    assert isinstance(abort, Abort)
    assert (abort.reason, abort.by_peer) == (AbortReason.UNRECOGNIZED_PDU, False)
    assert "0x47" in abort.detail
    assert sent_by(core) == provider_abort(AbortReason.UNRECOGNIZED_PDU)


def test_unexpected_pdu_is_refused_from_its_header_and_passed_over() -> None:
    core = core_in(3)
    (abort,) = received(core, P_DATA_TF[:6])
    assert abort == Abort(AbortSource.SERVICE_PROVIDER, AbortReason.UNEXPECTED_PDU)
    assert sent_by(core) == provider_abort(AbortReason.UNEXPECTED_PDU)
    assert received(core, P_DATA_TF[6:] + USER_ABORT) == [ConnectionClosed()]
    assert core.state == 1


@pytest.mark.parametrize("state", [2, 6])
def test_invalid_body_gets_the_abort_of_the_state(state: int) -> None:
    core = core_in(state)
    body = raw_associate(1, b"\x20\0\xff\xff") if state == 2 else raw_pdu(4, b"\0\0\xff\xff\1\2ab")
    received(core, body)
    expected = USER_ABORT if state == 2 else provider_abort(AbortReason.INVALID_PDU_PARAMETER_VALUE)
    assert sent_by(core) == expected


def test_pdv_for_a_context_that_was_not_accepted_is_refused() -> None:
    core = established(Role.ACCEPTOR)
    assert received(core, raw_pdu(4, raw_pdv(1, 2, b"ab") + raw_pdv(3, 2, b"ab"))) == [
        Abort(AbortSource.SERVICE_PROVIDER, AbortReason.INVALID_PDU_PARAMETER_VALUE)
    ]


def test_pdu_larger_than_announced_is_taken_up_to_the_bound_that_holds_anyway() -> None:
    core = established(Role.ACCEPTOR)
    largest = raw_pdu(4, raw_pdv(1, 2, bytes(limits.MAX_PDU_LENGTH_BYTES - 6)))
    assert len(received(core, largest)) == 1
    received(core, raw_pdu(4, raw_pdv(1, 2, bytes(limits.MAX_PDU_LENGTH_BYTES - 5)))[:6])
    assert sent_by(core) == provider_abort(AbortReason.INVALID_PDU_PARAMETER_VALUE)


def test_ten_thousand_presentation_contexts_are_refused() -> None:
    core = core_in(2)
    contexts = [raw_proposed_context(2 * n % 256 + 1, VERIFICATION, IMPLICIT) for n in range(10_000)]
    received(core, raw_associate(1, RQ_ITEMS[0], *contexts, RQ_ITEMS[3]))
    assert (core.state, sent_by(core)) == (13, USER_ABORT)


def test_128_presentation_contexts_with_many_transfer_syntaxes_are_taken() -> None:
    syntaxes = [f"1.2.840.10008.1.2.4.{n}" for n in range(limits.MAX_TRANSFER_SYNTAXES_PER_CONTEXT)]
    contexts = [
        raw_proposed_context(2 * n + 1, VERIFICATION, *syntaxes) for n in range(limits.MAX_PRESENTATION_CONTEXTS)
    ]
    (request,) = received(core_in(2), raw_associate(1, RQ_ITEMS[0], *contexts, RQ_ITEMS[3]))
    assert isinstance(request, AssociateRequest)
    assert len(request.presentation_contexts) == limits.MAX_PRESENTATION_CONTEXTS


def test_request_that_comes_byte_by_byte_is_read_in_flat_memory() -> None:
    padding = raw_item(0x99, bytes(60_000))
    request = raw_associate(1, *RQ_ITEMS, padding)
    core = core_in(2)
    tracemalloc.start()
    for offset in range(len(request) - 1):
        core.receive_data(request[offset : offset + 1], 0.0)
        assert core.next_event() is NEED_DATA
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert received(core, request[-1:]) == [REQUEST]
    assert peak < 1.5 * len(request)


def test_small_pdus_without_end_are_read_in_flat_memory() -> None:
    core = established(Role.ACCEPTOR)
    chunk = raw_pdu(4, raw_pdv(1, 0, b"a")) * 1000
    assert peak_of(core, chunk, 20) < 2_000_000


def test_peer_that_keeps_sending_after_the_end_makes_no_output_grow() -> None:
    core = core_in(3)
    core.send(REJECT, 0.0)
    sent_by(core)
    core.receive_data(ASSOCIATE_RQ * 50 + P_DATA_TF * 50 + RELEASE_RQ * 50, 0.0)
    assert events_of(core) == []
    assert sent_by(core) == provider_abort(AbortReason.UNEXPECTED_PDU)
    assert core.state == 13


def test_idle_association_is_small() -> None:
    tracemalloc.start()
    cores = [established(Role.ACCEPTOR) for _ in range(50)]
    for core in cores:
        core.receive_data(raw_pdu(4, raw_pdv(1, 2, bytes(100_000))), 0.0)
        assert isinstance(core.next_event(), PData)
        assert core.next_event() is NEED_DATA
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert used / len(cores) < 20_000
