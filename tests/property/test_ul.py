"""Properties of the upper layer: round trips, any chunking, and no error but the documented ones."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from hilum.kernel.errors import HilumError, LocalProtocolError, RemoteProtocolError
from hilum.ul.codec import decode, encode
from hilum.ul.core import AssociationCore, Role
from hilum.ul.pdu import PduType
from hilum.ul.primitives import (
    NEED_DATA,
    Abort,
    AbortReason,
    AssociateReject,
    ConnectionClosed,
    Event,
    NeedData,
    PData,
    PresentationDataValue,
    Primitive,
    ReleaseRequest,
    ReleaseResponse,
)
from support.ul import (
    ACCEPT,
    ASSOCIATE_AC,
    ASSOCIATE_RQ,
    P_DATA_TF,
    RELEASE_RP,
    RELEASE_RQ,
    REQUEST,
    core_in,
    events_of,
    raw_pdu,
    sent_by,
)
from support.ul_strategies import primitives

INVALID_PARAMETERS = {AbortReason.INVALID_PDU_PARAMETER_VALUE, AbortReason.UNEXPECTED_PDU_PARAMETER}


@given(primitives)
def test_what_is_written_is_read_back(primitive: Primitive) -> None:
    pdu = b"".join(encode(primitive))
    assert int.from_bytes(pdu[2:6], "big") == len(pdu) - 6
    assert decode(PduType(pdu[0]), memoryview(pdu)[6:]) == primitive


def chunked(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


messages = st.lists(
    st.builds(
        PData,
        st.lists(
            st.builds(
                PresentationDataValue,
                st.just(1),
                st.booleans(),
                st.booleans(),
                st.binary(min_size=1, max_size=2000),
            ),
            min_size=1,
            max_size=3,
        ).map(tuple),
    ),
    max_size=6,
)


class Link:
    """Two cores and what flows between them, in chunks of any size."""

    def __init__(self, cuts: list[int]) -> None:
        self.cuts = cuts
        self.requestor = AssociationCore(Role.REQUESTOR, now=0.0)
        self.acceptor = AssociationCore(Role.ACCEPTOR, now=0.0)

    def carry(self, source: AssociationCore, sink: AssociationCore) -> list[Event]:
        events: list[Event] = []
        for chunk in chunked(sent_by(source), self.cuts):
            sink.receive_data(chunk, 0.0)
            events += events_of(sink)
        return events


@given(messages, messages, st.lists(st.integers(0, 5000), max_size=12))
def test_two_cores_tell_each_other_everything_whatever_the_chunks(
    there: list[PData], back: list[PData], cuts: list[int]
) -> None:
    link = Link(cuts)
    requestor, acceptor = link.requestor, link.acceptor
    requestor.send(REQUEST, 0.0)
    assert link.carry(requestor, acceptor) == [REQUEST]
    acceptor.send(ACCEPT, 0.0)
    assert link.carry(acceptor, requestor) == [ACCEPT]
    for p_data in there:
        requestor.send(p_data, 0.0)
    for p_data in back:
        acceptor.send(p_data, 0.0)
    assert link.carry(requestor, acceptor) == there
    requestor.send(ReleaseRequest(), 0.0)
    assert link.carry(acceptor, requestor) == back
    assert link.carry(requestor, acceptor) == [ReleaseRequest()]
    acceptor.send(ReleaseResponse(), 0.0)
    assert link.carry(acceptor, requestor) == [ReleaseResponse(), ConnectionClosed()]
    acceptor.receive_eof(0.0)
    assert events_of(acceptor) == [ConnectionClosed(by_peer=True)]


def damage(primitive: Primitive, wounds: list[tuple[int, int]], cut: int) -> bytes:
    pdu = bytearray(b"".join(encode(primitive)))
    for position, value in wounds:
        pdu[6 + position % (len(pdu) - 6)] = value
    del pdu[6 + cut % (len(pdu) - 6) :]
    return bytes(pdu)


byte_values = st.sampled_from([0, 1, 2, 0x20, 0x21, 0x30, 0x40, 0x50, 0x53, 0x54, 0x56, 0x57, 0x58, 0x7F, 0xFF])
damaged = st.builds(
    damage,
    primitives,
    st.lists(st.tuples(st.integers(0, 500), byte_values), max_size=4),
    st.integers(1, 1000),
)
pdus = st.one_of(
    damaged,
    damaged.map(lambda pdu: raw_pdu(pdu[0], pdu[6:])),
    st.sampled_from([ASSOCIATE_RQ, ASSOCIATE_AC, P_DATA_TF, RELEASE_RQ, RELEASE_RP]),
    st.builds(raw_pdu, st.integers(1, 7), st.binary(max_size=120)),
    st.binary(max_size=40),
    primitives.map(lambda primitive: b"".join(encode(primitive))),
)
streams = st.lists(pdus, max_size=8).map(b"".join)
states = st.sampled_from([2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13])


@given(states, streams, st.lists(st.integers(0, 3000), max_size=20))
def test_any_stream_gives_the_same_events_and_answers_in_any_chunks(state: int, stream: bytes, cuts: list[int]) -> None:
    whole, cut = core_in(state), core_in(state)
    whole.receive_data(stream, 1.0)
    whole_events = events_of(whole)
    cut_events: list[Event] = []
    for chunk in chunked(stream, cuts):
        cut.receive_data(chunk, 1.0)
        cut_events += events_of(cut)
    assert cut_events == whole_events
    assert cut.state == whole.state
    assert sent_by(cut) == sent_by(whole)
    assert cut.next_deadline() == whole.next_deadline()


@given(states, streams)
@example(2, ASSOCIATE_RQ[:-1] + b"\xff")
def test_no_stream_makes_a_core_raise_and_the_end_of_the_connection_ends_it(state: int, stream: bytes) -> None:
    core = core_in(state)
    core.receive_data(stream, 1.0)
    core.receive_eof(2.0)
    events = events_of(core)
    assert [event for event in events if isinstance(event, ConnectionClosed)] == events[-1:]
    assert core.state == 1
    assert core.next_deadline() is None


@given(st.one_of(damaged, st.builds(raw_pdu, st.sampled_from(PduType), st.binary(max_size=400))))
def test_decoding_any_bytes_gives_a_primitive_or_the_abort_it_deserves(pdu: bytes) -> None:
    pdu_type = PduType(pdu[0])
    try:
        primitive = decode(pdu_type, memoryview(pdu)[6:])
    except RemoteProtocolError as error:
        if isinstance(error.answer, AssociateReject):
            assert pdu_type is PduType.ASSOCIATE_RQ
        else:
            assert isinstance(error.answer, Abort)
            assert error.answer.reason in INVALID_PARAMETERS
    else:
        assert primitive is not None


steps = st.lists(st.one_of(primitives, pdus, st.just("eof"), st.integers(0, 100)), max_size=20)


@given(st.sampled_from(Role), steps)
def test_no_order_of_calls_raises_more_than_the_documented_errors(
    role: Role, calls: list[Primitive | bytes | str | int]
) -> None:
    core = AssociationCore(role, now=0.0)
    seen: list[Event | NeedData] = []
    for call in calls:
        before = (core.state, core.next_deadline())
        if isinstance(call, bytes):
            core.receive_data(call, 1.0)
        elif isinstance(call, int):
            core.handle_deadline(float(call))
        elif isinstance(call, str):
            core.receive_eof(1.0)
        else:
            try:
                core.send(call, 1.0)
            except HilumError as error:
                assert isinstance(error, LocalProtocolError)
                assert (core.state, core.next_deadline()) == before
        seen.append(core.next_event())
        core.data_to_send()
    ends = [index for index, event in enumerate(seen) if isinstance(event, ConnectionClosed)]
    assert len(ends) <= 1
    if ends:
        assert all(event is NEED_DATA for event in seen[ends[0] + 1 :])
        assert core.state == 1
