"""One association, sans-IO: `AssociationCore` joins framing, codec and state table.

The shell around it owns the socket and the clock. Its loop is: give received bytes to `receive_data`, take events from
`next_event` until `NEED_DATA`, write what `data_to_send` returns, and call `handle_deadline` when `next_deadline` has
come. After `ConnectionClosed` it writes what is left and closes the connection.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from enum import Enum
from types import MappingProxyType
from typing import Final

from hilum.kernel import limits
from hilum.kernel.errors import LocalProtocolError, RemoteProtocolError
from hilum.ul.codec import decode, decode_p_data, encode, encode_fragment_head, encode_fragments, p_data_length
from hilum.ul.inbox import Inbox
from hilum.ul.negotiation import AgreedContext, agreed_contexts
from hilum.ul.pdu import PDV_HEADER, PduType, check_header, violation
from hilum.ul.primitives import (
    NEED_DATA,
    Abort,
    AbortReason,
    AbortSource,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    Buffer,
    ConnectionClosed,
    Event,
    NeedData,
    PData,
    Primitive,
    ReleaseRequest,
    ReleaseResponse,
)
from hilum.ul.states import OUTCOMES, TRANSITIONS, Action, State, Step, Trigger

_RECEIVED: Final = {
    PduType.ASSOCIATE_RQ: Trigger.ASSOCIATE_RQ_PDU,
    PduType.ASSOCIATE_AC: Trigger.ASSOCIATE_AC_PDU,
    PduType.ASSOCIATE_RJ: Trigger.ASSOCIATE_RJ_PDU,
    PduType.P_DATA_TF: Trigger.P_DATA_TF_PDU,
    PduType.RELEASE_RQ: Trigger.RELEASE_RQ_PDU,
    PduType.RELEASE_RP: Trigger.RELEASE_RP_PDU,
    PduType.ABORT: Trigger.ABORT_PDU,
}
_REQUESTED: Final[Mapping[type[Primitive], Trigger]] = {
    AssociateRequest: Trigger.LOCAL_ASSOCIATE_REQUEST,
    AssociateAccept: Trigger.LOCAL_ASSOCIATE_ACCEPT,
    AssociateReject: Trigger.LOCAL_ASSOCIATE_REJECT,
    PData: Trigger.LOCAL_P_DATA_REQUEST,
    ReleaseRequest: Trigger.LOCAL_RELEASE_REQUEST,
    ReleaseResponse: Trigger.LOCAL_RELEASE_RESPONSE,
    Abort: Trigger.LOCAL_ABORT_REQUEST,
}
# Actions that answer a PDU by its type alone: its body is passed over as it comes in, never kept.
_BODY_UNREAD: Final = frozenset({Action.AA_1, Action.AA_6, Action.AA_7, Action.AA_8})
_P_DATA_TF: Final = int(PduType.P_DATA_TF)
# Where P-DATA changes no state (DT-2, AR-6), so that the table need not be asked.
_P_DATA_STATES: Final = (State.ESTABLISHED, State.AWAITING_RELEASE_RP)
_NO_CONTEXTS: Final[Mapping[int, AgreedContext]] = MappingProxyType({})


class Role(Enum):
    """Who opened the association."""

    REQUESTOR = "requestor"
    ACCEPTOR = "acceptor"


class AssociationCore:
    """The protocol machine of one association over one connection that is open.

    Received PDUs are read only as `next_event` is called, so the state is always the one the user has seen, and
    nothing is decoded that nobody takes. Whatever the peer sends, `receive_data` and `next_event` do not raise: the
    machine answers with the abort or the rejection the standard demands, and `peer_violation` tells what it was.

    Args:
        role: whether this side opened the connection.
        now: seconds on the shell's monotonic clock, as in all methods. An acceptor's ARTIM timer starts with it.
        artim_timeout_s: how long a peer may take to ask for an association, or to close the connection at its end.

    Reference: PS3.8 §9
    """

    def __init__(self, role: Role, *, now: float, artim_timeout_s: float = limits.ARTIM_TIMEOUT_S) -> None:
        self.role = role
        self.request: AssociateRequest | None = None
        """The request, once sent or received."""
        self.accept: AssociateAccept | None = None
        """The accept, once sent or received."""
        self.contexts: Mapping[int, AgreedContext] = _NO_CONTEXTS
        """The presentation contexts agreed on, by id; empty until the association is established."""
        self.peer_violation: RemoteProtocolError | None = None
        """How the peer last broke the protocol, if it did."""
        self._state = State.IDLE
        self._closed = False
        self._eof = False
        self._now = now
        self._artim_timeout_s = artim_timeout_s
        self._artim_deadline: float | None = None
        self._abort_sent = False
        self._max_received = limits.MAX_PDU_LENGTH_BYTES
        self._max_sent = limits.DEFAULT_PEER_PDU_LENGTH_BYTES
        self._inbox = Inbox()
        self._events: deque[Event] = deque()
        self._outgoing: list[Buffer] = []
        if role is Role.ACCEPTOR:
            self._perform(Trigger.TRANSPORT_INDICATION)

    @property
    def state(self) -> State:
        """The state of the protocol machine."""
        return self._state

    @property
    def max_sent_pdu_length(self) -> int:
        """Largest PDU-length of a P-DATA-TF the peer takes, in bytes after the 6-byte header; 0 means no bound."""
        return self._max_sent

    # --- from the connection -----------------------------------------------------------------------------------

    @property
    def is_mid_pdu(self) -> bool:
        """Whether the peer has sent the beginning of a PDU and not its end; of use once no event is waiting."""
        return self._inbox.is_partial

    def receive_data(self, data: Buffer, now: float) -> None:
        """Take received bytes over.

        Events hand out views into `data`, which may be held as long as wanted, so `bytes` are simply given away. A
        buffer that is used again may be written to only when `next_event` has returned `NEED_DATA` and nobody holds
        data of a PDV any more; the core itself then holds none of it. Any size will do; large reads save copies.
        """
        self._now = now
        # A requestor that has not asked yet leaves unread what a hasty peer sends.
        self._inbox.feed(bytes(data) if self._state is State.IDLE else data)

    def receive_eof(self, now: float) -> None:
        """Note that the connection is gone, closed by the peer or broken. What came before is still read."""
        self._now = now
        self._eof = True

    def next_event(self) -> Event | NeedData:
        """Return what happened next, `NEED_DATA` when nothing is waiting.

        `ConnectionClosed` is the last event; after it there is only `NEED_DATA`.
        """
        while True:
            if self._events:
                return self._events.popleft()
            if self._closed:
                return NEED_DATA
            header = self._inbox.header() if self._state is not State.IDLE else None
            event = NEED_DATA if header is None else self._read(*header)
            if event is NEED_DATA and self._eof:
                self._lose_connection()
            elif event is not None:
                return event

    def _read(self, pdu_type: int, length: int) -> PData | NeedData | None:
        """Act on the PDU whose header is there; return P-DATA at once, None when the machine did what is to do."""
        inbox = self._inbox
        try:
            if pdu_type == _P_DATA_TF and self._state in _P_DATA_STATES and length <= self._max_received:
                body = inbox.body()
                return NEED_DATA if body is None else self._read_p_data(body)
            known = check_header(pdu_type, length, self._max_received)
            trigger = _RECEIVED[known]
            if TRANSITIONS[trigger, self._state] in _BODY_UNREAD:
                inbox.skip_body()
                fault = violation(
                    AbortReason.UNEXPECTED_PDU,
                    f"PDU of type 0x{pdu_type:02x} in state {self._state.value}",
                    pdu_type=pdu_type,
                    state=self._state.value,
                )
                self._perform(trigger, fault=fault)
                return None
            body = inbox.body()
            if body is None:
                return NEED_DATA
            primitive = decode(known, body)
            if isinstance(primitive, AssociateAccept):
                self._establish(primitive)
        except RemoteProtocolError as fault:
            if isinstance(fault.answer, AssociateReject):
                self._perform(Trigger.ASSOCIATE_RQ_PDU, fault=fault)
            else:
                inbox.close()
                self._perform(Trigger.INVALID_PDU, fault=fault)
            return None
        if isinstance(primitive, AssociateRequest):
            self.request = primitive
            self._max_sent = primitive.user_information.max_pdu_length
        self._perform(trigger, primitive)
        return None

    def _read_p_data(self, body: memoryview) -> PData:
        p_data = decode_p_data(body)
        contexts = self.contexts
        for pdv in p_data.pdvs:
            if pdv.context_id not in contexts:
                raise violation(
                    AbortReason.INVALID_PDU_PARAMETER_VALUE,
                    "PDV for a presentation context that was not accepted",
                    context_id=pdv.context_id,
                )
        return p_data

    def _lose_connection(self) -> None:
        if self._state is State.IDLE:
            self._close()
        else:
            self._perform(Trigger.TRANSPORT_CLOSED)

    # --- from the user -----------------------------------------------------------------------------------------

    def send(self, primitive: Primitive, now: float) -> None:
        """Queue the PDU of a primitive for `data_to_send`.

        Data of PDVs are not copied and must not change until they are written. An `Abort` goes out with the source and
        reason it has.

        Raises:
            LocalProtocolError: the primitive is not allowed in this state; P-DATA is larger than the peer takes or
                names a context that was not agreed on; an accept does not fit the request; a request or an accept
                announces no bound for the PDUs this side receives. Nothing has changed then.
            InvalidInput: a value does not fit its field. Nothing has changed then.

        Reference: PS3.8 §7
        """
        trigger = _REQUESTED[type(primitive)]
        if self._closed or TRANSITIONS[trigger, self._state] is None:
            raise LocalProtocolError(
                f"{type(primitive).__name__} cannot be sent in state {self._state.value}", state=self._state.value
            )
        if isinstance(primitive, PData):
            self._check_p_data(primitive)
        buffers = encode(primitive)
        if isinstance(primitive, AssociateRequest | AssociateAccept):
            self._bound_received(primitive.user_information.max_pdu_length)
        if isinstance(primitive, AssociateAccept):
            try:
                self._establish(primitive)
            except RemoteProtocolError as error:
                raise LocalProtocolError(error.message) from error
        self._now = now
        if isinstance(primitive, AssociateRequest):
            self.request = primitive
            self._perform(trigger)
            # The shell opened the connection before it made this core.
            trigger = Trigger.TRANSPORT_OPENED
        self._perform(trigger, buffers=buffers)

    def send_fragments(self, context_id: int, fragments: Sequence[tuple[bool, Buffer]], now: float) -> None:
        """Queue many P-DATA-TF PDUs, each with one PDV that is a whole command set (True) or data set (False).

        It is what `send` does with as many `PData`, in a third of the time.

        Raises:
            LocalProtocolError: as `send`; nothing has changed then.

        Reference: PS3.8 §9.3.5
        """
        self._require_sendable(context_id, max((len(data) for _, data in fragments), default=0))
        self._now = now
        self._perform(_REQUESTED[PData], buffers=encode_fragments(context_id, fragments))

    def fragment_head(self, context_id: int, size_bytes: int, *, is_last: bool) -> bytes:
        """Return what stands before a fragment of a data set in a P-DATA-TF PDU of its own.

        For fragments whose bytes never come here: the caller writes this, and then them, with nothing between.

        Raises:
            LocalProtocolError: as `send`.

        Reference: PS3.8 §9.3.5
        """
        self._require_sendable(context_id, size_bytes)
        return encode_fragment_head(context_id, size_bytes, is_last=is_last)

    def _require_sendable(self, context_id: int, fragment_bytes: int) -> None:
        if self._closed or TRANSITIONS[_REQUESTED[PData], self._state] is None:
            raise LocalProtocolError(f"P-DATA cannot be sent in state {self._state.value}", state=self._state.value)
        if context_id not in self.contexts:
            raise LocalProtocolError("PDV for a context that was not agreed on", context_id=context_id)
        length = fragment_bytes + PDV_HEADER.size
        if self._max_sent and length > self._max_sent:
            raise LocalProtocolError("P-DATA larger than the peer takes", length=length, limit=self._max_sent)

    def _check_p_data(self, p_data: PData) -> None:
        if not p_data.pdvs:
            raise LocalProtocolError("P-DATA needs a PDV")
        for pdv in p_data.pdvs:
            if pdv.context_id not in self.contexts:
                raise LocalProtocolError("PDV for a context that was not agreed on", context_id=pdv.context_id)
        length = p_data_length(p_data)
        if self._max_sent and length > self._max_sent:
            raise LocalProtocolError("P-DATA larger than the peer takes", length=length, limit=self._max_sent)

    def _establish(self, accept: AssociateAccept) -> None:
        assert self.request is not None
        self.contexts = MappingProxyType(agreed_contexts(self.request, accept))
        self.accept = accept
        if self.role is Role.REQUESTOR:
            self._max_sent = accept.user_information.max_pdu_length

    def _bound_received(self, announced: int) -> None:
        if announced == 0:
            raise LocalProtocolError("announce a bound for the PDUs to receive: there is one")
        # Peers that overstep a small announced length do no harm below the bound that holds anyway.
        self._max_received = max(announced, limits.MAX_PDU_LENGTH_BYTES)

    def data_to_send(self) -> list[Buffer]:
        """Return the buffers to write, in order, and forget them; made for `writelines`."""
        outgoing = self._outgoing
        self._outgoing = []
        return outgoing

    # --- time --------------------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """Return when `handle_deadline` wants to be called, None if never."""
        return self._artim_deadline

    def handle_deadline(self, now: float) -> None:
        """Let the ARTIM timer expire if its time has come.

        Reference: PS3.8 §9.1.5
        """
        self._now = now
        if self._artim_deadline is not None and now >= self._artim_deadline:
            self._perform(Trigger.ARTIM_EXPIRED)

    # --- the machine -------------------------------------------------------------------------------------------

    def _perform(
        self,
        trigger: Trigger,
        primitive: Primitive | None = None,
        *,
        buffers: list[Buffer] | None = None,
        fault: RemoteProtocolError | None = None,
    ) -> None:
        """Do what the table says.

        Args:
            trigger: the event.
            primitive: what a received PDU said, for the indication.
            buffers: the PDU to send, for a request of the user.
            fault: why the PDU is invalid, unexpected or not acceptable.
        """
        action = TRANSITIONS[trigger, self._state]
        assert action is not None
        outcome = OUTCOMES[action]
        if outcome.otherwise is not None and (
            fault is not None if action is Action.AE_6 else self.role is Role.ACCEPTOR
        ):
            outcome = outcome.otherwise
        if fault is not None and action is not Action.AA_6:
            self.peer_violation = fault
        for step in outcome.steps:
            match step:
                case Step.SEND:
                    assert buffers is not None
                    self._outgoing += buffers
                case Step.INDICATE:
                    assert primitive is not None
                    self._events.append(primitive)
                case Step.START_ARTIM:
                    self._artim_deadline = self._now + self._artim_timeout_s
                case Step.STOP_ARTIM:
                    self._artim_deadline = None
                case Step.SEND_REJECT:
                    assert fault is not None and isinstance(fault.answer, AssociateReject)
                    self._outgoing += encode(fault.answer)
                case Step.SEND_USER_ABORT:
                    self._send_abort(buffers or encode(Abort()))
                case Step.SEND_PROVIDER_ABORT:
                    self._send_abort(encode(_provider_abort(fault)))
                case Step.INDICATE_PROVIDER_ABORT:
                    self._events.append(_provider_abort(fault))
                case Step.CONNECT_TRANSPORT | Step.ACCEPT_TRANSPORT | Step.CLOSE_TRANSPORT:
                    pass  # The shell's: it connects before, and closes after `ConnectionClosed`.
        self._state = outcome.next_state
        if self._state is State.IDLE:
            self._close()

    def _send_abort(self, buffers: list[Buffer]) -> None:
        # One is enough: a peer that goes on sending must not make this side's output grow.
        if not self._abort_sent:
            self._abort_sent = True
            self._outgoing += buffers

    def _close(self) -> None:
        self._closed = True
        self._events.append(ConnectionClosed(by_peer=self._eof))
        self._artim_deadline = None
        self._inbox.close()


def _provider_abort(fault: RemoteProtocolError | None) -> Abort:
    if fault is None:
        return Abort(AbortSource.SERVICE_PROVIDER, detail="connection lost")
    assert isinstance(fault.answer, Abort)
    return fault.answer
