"""PS3.8 §9.2.3, Table 9-10: all 13 x 19 cells, first as data, then as a core behaves on the wire."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from hilum.kernel.errors import LocalProtocolError
from hilum.ul.core import AssociationCore, Role
from hilum.ul.primitives import (
    NEED_DATA,
    Abort,
    AbortReason,
    AbortSource,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ConnectionClosed,
    PData,
    Primitive,
    ReleaseRequest,
    ReleaseResponse,
)
from hilum.ul.states import OUTCOMES, TRANSITIONS, Action, State, Step, Trigger
from support.ul import (
    ABORT_USER,
    ACCEPT,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    ASSOCIATE_RQ,
    P_DATA,
    P_DATA_TF,
    REJECT,
    RELEASE_RP,
    RELEASE_RQ,
    REQUEST,
    UNKNOWN_PDU,
    core_in,
    events_of,
    raw_associate,
    sent_by,
)

# What each state answers to each event, column by column of the standard's table. Events not named are empty cells.
ASSOCIATE_PDUS = (3, 4, 6)
PDUS_BUT_ABORT = (3, 4, 6, 10, 12, 13)
CELLS: dict[int, dict[int, tuple[str, int | tuple[int, int]]]] = {
    1: {1: ("AE-1", 4), 5: ("AE-5", 2)},
    2: {
        **dict.fromkeys((3, 4, 10, 12, 13, 19), ("AA-1", 13)),
        6: ("AE-6", (3, 13)),
        16: ("AA-2", 1),
        17: ("AA-5", 1),
        18: ("AA-2", 1),
    },
    3: {
        **dict.fromkeys((*PDUS_BUT_ABORT, 19), ("AA-8", 13)),
        7: ("AE-7", 6),
        8: ("AE-8", 13),
        15: ("AA-1", 13),
        16: ("AA-3", 1),
        17: ("AA-4", 1),
    },
    4: {2: ("AE-2", 5), 15: ("AA-2", 1), 17: ("AA-4", 1)},
    5: {
        3: ("AE-3", 6),
        4: ("AE-4", 1),
        **dict.fromkeys((6, 10, 12, 13, 19), ("AA-8", 13)),
        15: ("AA-1", 13),
        16: ("AA-3", 1),
        17: ("AA-4", 1),
    },
    6: {
        **dict.fromkeys((*ASSOCIATE_PDUS, 13, 19), ("AA-8", 13)),
        9: ("DT-1", 6),
        10: ("DT-2", 6),
        11: ("AR-1", 7),
        12: ("AR-2", 8),
        15: ("AA-1", 13),
        16: ("AA-3", 1),
        17: ("AA-4", 1),
    },
    7: {
        **dict.fromkeys((*ASSOCIATE_PDUS, 19), ("AA-8", 13)),
        10: ("AR-6", 7),
        12: ("AR-8", (9, 10)),
        13: ("AR-3", 1),
        15: ("AA-1", 13),
        16: ("AA-3", 1),
        17: ("AA-4", 1),
    },
    8: {
        **dict.fromkeys((*PDUS_BUT_ABORT, 19), ("AA-8", 13)),
        9: ("AR-7", 8),
        14: ("AR-4", 13),
        15: ("AA-1", 13),
        16: ("AA-3", 1),
        17: ("AA-4", 1),
    },
    9: {
        **dict.fromkeys((*PDUS_BUT_ABORT, 19), ("AA-8", 13)),
        14: ("AR-9", 11),
        15: ("AA-1", 13),
        16: ("AA-3", 1),
        17: ("AA-4", 1),
    },
    10: {
        **dict.fromkeys((*ASSOCIATE_PDUS, 10, 12, 19), ("AA-8", 13)),
        13: ("AR-10", 12),
        15: ("AA-1", 13),
        16: ("AA-3", 1),
        17: ("AA-4", 1),
    },
    11: {
        **dict.fromkeys((*ASSOCIATE_PDUS, 10, 12, 19), ("AA-8", 13)),
        13: ("AR-3", 1),
        15: ("AA-1", 13),
        16: ("AA-3", 1),
        17: ("AA-4", 1),
    },
    12: {
        **dict.fromkeys((*PDUS_BUT_ABORT, 19), ("AA-8", 13)),
        14: ("AR-4", 13),
        15: ("AA-1", 13),
        16: ("AA-3", 1),
        17: ("AA-4", 1),
    },
    13: {
        **dict.fromkeys((3, 4, 10, 12, 13), ("AA-6", 13)),
        6: ("AA-7", 13),
        16: ("AA-2", 1),
        17: ("AR-5", 1),
        18: ("AA-2", 1),
        19: ("AA-7", 13),
    },
}
ALL_CELLS = [(state, event) for state in range(1, 14) for event in range(1, 20)]


class TestTable:
    """PS3.8 §9.2.3, Table 9-10"""

    @pytest.mark.parametrize(("state", "event"), ALL_CELLS)
    def test_cell_holds_the_standards_action_and_next_state(self, state: int, event: int) -> None:
        action = TRANSITIONS[Trigger(event), State(state)]
        cell = CELLS[state].get(event)
        if cell is None:
            assert action is None
            return
        name, next_state = cell
        assert action is not None
        assert action.value == name
        outcome = OUTCOMES[action]
        if isinstance(next_state, tuple):
            assert outcome.otherwise is not None
            assert (outcome.next_state, outcome.otherwise.next_state) == next_state
        else:
            assert outcome.otherwise is None
            assert outcome.next_state == next_state

    def test_table_has_247_cells_and_no_more_are_filled_than_here(self) -> None:
        assert len(TRANSITIONS) == 13 * 19
        filled = sum(len(cells) for cells in CELLS.values())
        assert sum(action is not None for action in TRANSITIONS.values()) == filled

    def test_every_action_is_used_and_defined(self) -> None:
        assert {action for action in TRANSITIONS.values() if action is not None} == set(Action) == set(OUTCOMES)

    @pytest.mark.parametrize(
        ("action", "steps"),
        [
            (Action.AE_1, [Step.CONNECT_TRANSPORT]),
            (Action.AE_5, [Step.ACCEPT_TRANSPORT, Step.START_ARTIM]),
            (Action.AA_2, [Step.STOP_ARTIM, Step.CLOSE_TRANSPORT]),
            (Action.AA_3, [Step.INDICATE, Step.CLOSE_TRANSPORT]),
            (Action.AE_4, [Step.INDICATE, Step.CLOSE_TRANSPORT]),
            (Action.AR_3, [Step.INDICATE, Step.CLOSE_TRANSPORT]),
            (Action.AA_6, []),
        ],
    )
    def test_actions_on_the_transport_do_what_the_standard_lists(self, action: Action, steps: list[Step]) -> None:
        """Tables 9-6 to 9-9; what the other actions do shows on the wire below."""
        assert list(OUTCOMES[action].steps) == steps


@dataclass(frozen=True)
class Effect:
    """What an action does that can be seen: types of PDUs sent, events, and whether ARTIM runs afterwards."""

    sent: tuple[bytes, ...] = ()
    events: tuple[object, ...] = ()
    artim: bool = False


PROVIDER = AbortSource.SERVICE_PROVIDER
# An indication repeats what came in, so it stands here as the event's class; sent PDUs as their first bytes.
EFFECTS: dict[str, Effect] = {
    "AE-1": Effect(),
    "AE-3": Effect(events=(AssociateAccept,)),
    "AE-4": Effect(events=(AssociateReject, ConnectionClosed)),
    "AE-6": Effect(events=(AssociateRequest,)),
    "AE-7": Effect(sent=(b"\x02",)),
    "AE-8": Effect(sent=(b"\x03",), artim=True),
    "DT-1": Effect(sent=(b"\x04",)),
    "DT-2": Effect(events=(PData,)),
    "AR-1": Effect(sent=(b"\x05",)),
    "AR-2": Effect(events=(ReleaseRequest,)),
    "AR-3": Effect(events=(ReleaseResponse, ConnectionClosed)),
    "AR-4": Effect(sent=(RELEASE_RP,), artim=True),
    "AR-5": Effect(events=(ConnectionClosed,)),
    "AR-6": Effect(events=(PData,)),
    "AR-7": Effect(sent=(b"\x04",)),
    "AR-8": Effect(events=(ReleaseRequest,)),
    "AR-9": Effect(sent=(RELEASE_RP,)),
    "AR-10": Effect(events=(ReleaseResponse,)),
    "AA-1": Effect(sent=(bytes.fromhex("070000000004 0000 00 00"),), artim=True),
    "AA-2": Effect(events=(ConnectionClosed,)),
    "AA-3": Effect(events=(Abort, ConnectionClosed)),
    "AA-4": Effect(events=(Abort, ConnectionClosed)),
    "AA-5": Effect(events=(ConnectionClosed,)),
    "AA-6": Effect(artim=True),
    "AA-7": Effect(sent=(bytes.fromhex("070000000004 0000 02"),), artim=True),
    "AA-8": Effect(sent=(bytes.fromhex("070000000004 0000 02"),), events=(Abort,), artim=True),
}
PDUS: dict[int, bytes] = {
    3: ASSOCIATE_AC,
    4: ASSOCIATE_RJ,
    6: ASSOCIATE_RQ,
    10: P_DATA_TF,
    12: RELEASE_RQ,
    13: RELEASE_RP,
    16: ABORT_USER,
    19: UNKNOWN_PDU,
}
REQUESTS: dict[int, Primitive] = {
    1: REQUEST,
    7: ACCEPT,
    8: REJECT,
    9: P_DATA,
    11: ReleaseRequest(),
    14: ReleaseResponse(),
    15: Abort(),
}
# A core is made with its connection open: Sta4 is passed through within `send`, and Evt2 and Evt5 are not for it.
DRIVEN_STATES = [state for state in range(1, 14) if state != 4]


class TestCore:
    """PS3.8 §9.2: a core on the wire does what the table says"""

    @pytest.mark.parametrize("state", DRIVEN_STATES)
    @pytest.mark.parametrize("event", sorted(REQUESTS))
    def test_request_of_the_user(self, state: int, event: int) -> None:
        core = core_in(state)
        if event not in CELLS[state]:
            with pytest.raises(LocalProtocolError):
                core.send(REQUESTS[event], 1.0)
            assert (core.state, sent_by(core), events_of(core)) == (state, b"", [])
            return
        core.send(REQUESTS[event], 1.0)
        if event == 1:
            assert core.state == 5
            assert sent_by(core)[:1] == b"\x01"
        else:
            check(core, *CELLS[state][event])

    @pytest.mark.parametrize("state", DRIVEN_STATES)
    @pytest.mark.parametrize("event", sorted(PDUS))
    def test_pdu_from_the_peer(self, state: int, event: int) -> None:
        core = core_in(state)
        core.receive_data(PDUS[event], 1.0)
        if event not in CELLS[state]:
            assert state == 1
            assert (core.next_event(), core.state, sent_by(core)) == (NEED_DATA, 1, b"")
            return
        check(core, *CELLS[state][event])

    @pytest.mark.parametrize("state", DRIVEN_STATES)
    def test_end_of_the_connection(self, state: int) -> None:
        core = core_in(state)
        core.receive_eof(1.0)
        if state == 1:
            assert events_of(core) == [ConnectionClosed(by_peer=True)]
        else:
            check(core, *CELLS[state][17])

    @pytest.mark.parametrize("state", DRIVEN_STATES)
    def test_artim_timer(self, state: int) -> None:
        core = core_in(state)
        assert (core.next_deadline() is not None) == (18 in CELLS[state])
        core.handle_deadline(1000.0)
        if 18 in CELLS[state]:
            check(core, *CELLS[state][18])
        else:
            assert (core.state, sent_by(core), events_of(core)) == (state, b"", [])

    def test_request_the_provider_cannot_accept_is_rejected(self) -> None:
        """AE-6, second branch."""
        core = core_in(2)
        core.receive_data(raw_associate(1, version=2), 5.0)
        assert events_of(core) == []
        assert sent_by(core) == bytes.fromhex("03 00 00000004 00 01 02 02")
        assert core.state == 13
        assert core.next_deadline() == 35.0

    def test_release_collision_goes_to_the_acceptors_state_on_the_acceptors_side(self) -> None:
        """AR-8, second branch."""
        for role, next_state in ((Role.REQUESTOR, 9), (Role.ACCEPTOR, 10)):
            core = core_in(7, role)
            core.receive_data(RELEASE_RQ, 1.0)
            assert events_of(core) == [ReleaseRequest()]
            assert core.state == next_state


def check(core: AssociationCore, name: str, next_state: int | tuple[int, int]) -> None:
    events = events_of(core)
    sent = sent_by(core)
    effect = EFFECTS[name]
    assert tuple(type(event) for event in events) == effect.events
    if isinstance(next_state, tuple):
        next_state = next_state[name == "AR-8" and core.role is Role.ACCEPTOR]
    assert core.state == next_state
    if effect.sent:
        assert sent.startswith(effect.sent[0])
        assert len(sent) == 6 + int.from_bytes(sent[2:6], "big")
    else:
        assert sent == b""
    assert (core.next_deadline() is not None) == effect.artim
    aborts = [event for event in events if isinstance(event, Abort)]
    if name == "AA-8":
        assert [(a.source, a.by_peer) for a in aborts] == [(PROVIDER, False)]
        assert sent[-1] == aborts[0].reason
        assert aborts[0].reason in (AbortReason.UNRECOGNIZED_PDU, AbortReason.UNEXPECTED_PDU)
    elif name == "AA-3":
        assert [(a.source, a.by_peer) for a in aborts] == [(AbortSource.SERVICE_USER, True)]
    elif name == "AA-4":
        assert [(a.source, a.reason, a.by_peer) for a in aborts] == [(PROVIDER, AbortReason.NOT_SPECIFIED, False)]
    if next_state == 1:
        assert core.next_event() is NEED_DATA
        with pytest.raises(LocalProtocolError):
            core.send(Abort(), 2.0)
