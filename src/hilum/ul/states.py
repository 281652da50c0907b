"""The state machine of the upper layer as data: states, events, actions, and which action answers what where.

The core interprets these tables; it holds no rule of its own about which event is welcome in which state.

Reference: PS3.8 §9.2, Tables 9-1 to 9-10
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import Final


class State(IntEnum):
    """States of the protocol machine, numbered as in the standard.

    Reference: PS3.8 §9.2.1, Tables 9-1 to 9-5
    """

    IDLE = 1
    AWAITING_ASSOCIATE_RQ = 2
    AWAITING_LOCAL_ASSOCIATE_RESPONSE = 3
    AWAITING_TRANSPORT_OPEN = 4
    AWAITING_ASSOCIATE_AC_OR_RJ = 5
    ESTABLISHED = 6
    AWAITING_RELEASE_RP = 7
    AWAITING_LOCAL_RELEASE_RESPONSE = 8
    COLLISION_REQUESTOR_AWAITING_LOCAL_RESPONSE = 9
    COLLISION_ACCEPTOR_AWAITING_RELEASE_RP = 10
    COLLISION_REQUESTOR_AWAITING_RELEASE_RP = 11
    COLLISION_ACCEPTOR_AWAITING_LOCAL_RESPONSE = 12
    AWAITING_TRANSPORT_CLOSE = 13


class Trigger(IntEnum):
    """Events of the protocol machine, numbered as in the standard.

    Reference: PS3.8 §9.2.3, Table 9-10 (first column)
    """

    LOCAL_ASSOCIATE_REQUEST = 1
    TRANSPORT_OPENED = 2
    ASSOCIATE_AC_PDU = 3
    ASSOCIATE_RJ_PDU = 4
    TRANSPORT_INDICATION = 5
    ASSOCIATE_RQ_PDU = 6
    LOCAL_ASSOCIATE_ACCEPT = 7
    LOCAL_ASSOCIATE_REJECT = 8
    LOCAL_P_DATA_REQUEST = 9
    P_DATA_TF_PDU = 10
    LOCAL_RELEASE_REQUEST = 11
    RELEASE_RQ_PDU = 12
    RELEASE_RP_PDU = 13
    LOCAL_RELEASE_RESPONSE = 14
    LOCAL_ABORT_REQUEST = 15
    ABORT_PDU = 16
    TRANSPORT_CLOSED = 17
    ARTIM_EXPIRED = 18
    INVALID_PDU = 19


class Step(Enum):
    """What actions are made of."""

    CONNECT_TRANSPORT = "issue the transport connect request"
    ACCEPT_TRANSPORT = "issue the transport connection response"
    SEND = "send the PDU of the primitive at hand"
    SEND_REJECT = "send the A-ASSOCIATE-RJ PDU the service provider decided on"
    SEND_USER_ABORT = "send an A-ABORT PDU, source service user"
    SEND_PROVIDER_ABORT = "send an A-ABORT PDU, source service provider"
    INDICATE = "issue the indication or confirmation of the PDU at hand"
    INDICATE_PROVIDER_ABORT = "issue the A-P-ABORT indication"
    START_ARTIM = "start the ARTIM timer, or restart it"
    STOP_ARTIM = "stop the ARTIM timer if it runs"
    CLOSE_TRANSPORT = "close the transport connection"


class Action(Enum):
    """Actions by the standard's names.

    Reference: PS3.8 §9.2.2
    """

    AE_1 = "AE-1"
    AE_2 = "AE-2"
    AE_3 = "AE-3"
    AE_4 = "AE-4"
    AE_5 = "AE-5"
    AE_6 = "AE-6"
    AE_7 = "AE-7"
    AE_8 = "AE-8"
    DT_1 = "DT-1"
    DT_2 = "DT-2"
    AR_1 = "AR-1"
    AR_2 = "AR-2"
    AR_3 = "AR-3"
    AR_4 = "AR-4"
    AR_5 = "AR-5"
    AR_6 = "AR-6"
    AR_7 = "AR-7"
    AR_8 = "AR-8"
    AR_9 = "AR-9"
    AR_10 = "AR-10"
    AA_1 = "AA-1"
    AA_2 = "AA-2"
    AA_3 = "AA-3"
    AA_4 = "AA-4"
    AA_5 = "AA-5"
    AA_6 = "AA-6"
    AA_7 = "AA-7"
    AA_8 = "AA-8"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an action does, in order, and where it leads.

    `otherwise` is the second branch of the two actions that have one: AE-6 when the service provider does not
    accept the request, AR-8 on the acceptor's side.
    """

    steps: tuple[Step, ...]
    next_state: State
    otherwise: Outcome | None = None


_S = State
_DO = Step

OUTCOMES: Final = MappingProxyType(
    {
        Action.AE_1: Outcome((_DO.CONNECT_TRANSPORT,), _S.AWAITING_TRANSPORT_OPEN),
        Action.AE_2: Outcome((_DO.SEND,), _S.AWAITING_ASSOCIATE_AC_OR_RJ),
        Action.AE_3: Outcome((_DO.INDICATE,), _S.ESTABLISHED),
        Action.AE_4: Outcome((_DO.INDICATE, _DO.CLOSE_TRANSPORT), _S.IDLE),
        Action.AE_5: Outcome((_DO.ACCEPT_TRANSPORT, _DO.START_ARTIM), _S.AWAITING_ASSOCIATE_RQ),
        Action.AE_6: Outcome(
            (_DO.STOP_ARTIM, _DO.INDICATE),
            _S.AWAITING_LOCAL_ASSOCIATE_RESPONSE,
            otherwise=Outcome(
                (_DO.STOP_ARTIM, _DO.SEND_REJECT, _DO.START_ARTIM),
                _S.AWAITING_TRANSPORT_CLOSE,
            ),
        ),
        Action.AE_7: Outcome((_DO.SEND,), _S.ESTABLISHED),
        Action.AE_8: Outcome((_DO.SEND, _DO.START_ARTIM), _S.AWAITING_TRANSPORT_CLOSE),
        Action.DT_1: Outcome((_DO.SEND,), _S.ESTABLISHED),
        Action.DT_2: Outcome((_DO.INDICATE,), _S.ESTABLISHED),
        Action.AR_1: Outcome((_DO.SEND,), _S.AWAITING_RELEASE_RP),
        Action.AR_2: Outcome((_DO.INDICATE,), _S.AWAITING_LOCAL_RELEASE_RESPONSE),
        Action.AR_3: Outcome((_DO.INDICATE, _DO.CLOSE_TRANSPORT), _S.IDLE),
        Action.AR_4: Outcome((_DO.SEND, _DO.START_ARTIM), _S.AWAITING_TRANSPORT_CLOSE),
        Action.AR_5: Outcome((_DO.STOP_ARTIM,), _S.IDLE),
        Action.AR_6: Outcome((_DO.INDICATE,), _S.AWAITING_RELEASE_RP),
        Action.AR_7: Outcome((_DO.SEND,), _S.AWAITING_LOCAL_RELEASE_RESPONSE),
        Action.AR_8: Outcome(
            (_DO.INDICATE,),
            _S.COLLISION_REQUESTOR_AWAITING_LOCAL_RESPONSE,
            otherwise=Outcome((_DO.INDICATE,), _S.COLLISION_ACCEPTOR_AWAITING_RELEASE_RP),
        ),
        Action.AR_9: Outcome((_DO.SEND,), _S.COLLISION_REQUESTOR_AWAITING_RELEASE_RP),
        Action.AR_10: Outcome((_DO.INDICATE,), _S.COLLISION_ACCEPTOR_AWAITING_LOCAL_RESPONSE),
        Action.AA_1: Outcome((_DO.SEND_USER_ABORT, _DO.START_ARTIM), _S.AWAITING_TRANSPORT_CLOSE),
        Action.AA_2: Outcome((_DO.STOP_ARTIM, _DO.CLOSE_TRANSPORT), _S.IDLE),
        Action.AA_3: Outcome((_DO.INDICATE, _DO.CLOSE_TRANSPORT), _S.IDLE),
        Action.AA_4: Outcome((_DO.INDICATE_PROVIDER_ABORT,), _S.IDLE),
        Action.AA_5: Outcome((_DO.STOP_ARTIM,), _S.IDLE),
        Action.AA_6: Outcome((), _S.AWAITING_TRANSPORT_CLOSE),
        Action.AA_7: Outcome((_DO.SEND_PROVIDER_ABORT,), _S.AWAITING_TRANSPORT_CLOSE),
        Action.AA_8: Outcome(
            (_DO.SEND_PROVIDER_ABORT, _DO.INDICATE_PROVIDER_ABORT, _DO.START_ARTIM),
            _S.AWAITING_TRANSPORT_CLOSE,
        ),
    }
)
"""What each action does (PS3.8 Tables 9-6 to 9-9)."""

# Columns are Sta1 to Sta13, rows Evt1 to Evt19; a dash is an empty cell: it cannot happen or is not allowed.
_GRID = """
AE-1 -    -    -    -    -    -    -    -    -     -    -    -
-    -    -    AE-2 -    -    -    -    -    -     -    -    -
-    AA-1 AA-8 -    AE-3 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-6
-    AA-1 AA-8 -    AE-4 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-6
AE-5 -    -    -    -    -    -    -    -    -     -    -    -
-    AE-6 AA-8 -    AA-8 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-7
-    -    AE-7 -    -    -    -    -    -    -     -    -    -
-    -    AE-8 -    -    -    -    -    -    -     -    -    -
-    -    -    -    -    DT-1 -    AR-7 -    -     -    -    -
-    AA-1 AA-8 -    AA-8 DT-2 AR-6 AA-8 AA-8 AA-8  AA-8 AA-8 AA-6
-    -    -    -    -    AR-1 -    -    -    -     -    -    -
-    AA-1 AA-8 -    AA-8 AR-2 AR-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-6
-    AA-1 AA-8 -    AA-8 AA-8 AR-3 AA-8 AA-8 AR-10 AR-3 AA-8 AA-6
-    -    -    -    -    -    -    AR-4 AR-9 -     -    AR-4 -
-    -    AA-1 AA-2 AA-1 AA-1 AA-1 AA-1 AA-1 AA-1  AA-1 AA-1 -
-    AA-2 AA-3 -    AA-3 AA-3 AA-3 AA-3 AA-3 AA-3  AA-3 AA-3 AA-2
-    AA-5 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4  AA-4 AA-4 AR-5
-    AA-2 -    -    -    -    -    -    -    -     -    -    AA-2
-    AA-1 AA-8 -    AA-8 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-7
"""

TRANSITIONS: Final = MappingProxyType(
    {
        (trigger, state): None if cell == "-" else Action(cell)
        for trigger, row in zip(Trigger, _GRID.strip().splitlines(), strict=True)
        for state, cell in zip(State, row.split(), strict=True)
    }
)
"""The action for every pair of event and state; None in the empty cells (PS3.8 Table 9-10)."""
