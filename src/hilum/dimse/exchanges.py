"""The conversation on one association: which message comes next, which requests are open on either side.

Both sides may ask (on a C-GET the acceptor does), so one object keeps both windows: the requests the peer has
invoked and still waits for, and those this side has.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeAlias

from hilum.dimse.command_set import decode_command_set, violation
from hilum.dimse.messages import (
    RESPONSES,
    CCancelRequest,
    Message,
    Request,
    Response,
)
from hilum.dimse.status import is_pending
from hilum.kernel.errors import LocalProtocolError
from hilum.kernel.limits import MAX_COMMAND_SET_BYTES
from hilum.ul.primitives import Buffer, PresentationDataValue


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A command set is complete; when `message.has_data_set`, its fragments follow."""

    context_id: int
    message: Message


@dataclass(frozen=True, slots=True)
class DataSetFragment:
    """A piece of the data set of the message last received; `is_last` ends it."""

    data: Buffer
    is_last: bool


DimseEvent: TypeAlias = MessageReceived | DataSetFragment


class Exchanges:
    """What both sides of one association may say, and what they have said.

    Args:
        context_ids: the presentation contexts that were accepted.
        max_performed: how many requests the peer may have open at a time; 0 means no bound.
        max_invoked: how many requests this side may have open at a time; 0 means no bound.

    Reference: PS3.7 §6.3 (messages), §D.3.3.3 (windows); PS3.8 Annex E (fragments)
    """

    def __init__(self, context_ids: Collection[int], *, max_performed: int = 1, max_invoked: int = 1) -> None:
        self._context_ids = frozenset(context_ids)
        self._max_performed = max_performed
        self.max_invoked = max_invoked
        self._performing: dict[int, Request] = {}
        self._invoked: dict[int, Request] = {}
        self._last_message_id = 0
        # The message that is coming in: None between messages.
        self._context_id: int | None = None
        self._command = bytearray()
        self._in_data_set = False

    @property
    def is_receiving(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._context_id is not None

    @property
    def performing(self) -> Collection[Request]:
        """The peer's requests that have no final response yet."""
        return self._performing.values()

    @property
    def invoked(self) -> Collection[Request]:
        """This side's requests that have no final response yet."""
        return self._invoked.values()

    def receive(self, pdv: PresentationDataValue) -> DimseEvent | None:
        """Take the next fragment; return the message it completes or the piece of a data set it is.

        Fragments of a command set are copied, at most `MAX_COMMAND_SET_BYTES`; those of a data set are handed on
        as they are.

        Raises:
            RemoteProtocolError: the fragment may not come now, or the command set it ends is unusable; its
                answer is the abort to send.

        Reference: PS3.7 §6.3.1, PS3.8 Annex E.2
        """
        if self._in_data_set:
            if pdv.context_id != self._context_id or pdv.is_command:
                raise violation("a data set was interrupted by another message", context_id=pdv.context_id)
            if pdv.is_last:
                self._in_data_set = False
                self._context_id = None
            return DataSetFragment(pdv.data, pdv.is_last)
        return self._receive_command(pdv)

    def _receive_command(self, pdv: PresentationDataValue) -> MessageReceived | None:
        if not pdv.is_command:
            raise violation("a data set came without a command set", context_id=pdv.context_id)
        if pdv.context_id not in self._context_ids:
            raise violation("the presentation context was not accepted", context_id=pdv.context_id)
        if self._context_id is not None and pdv.context_id != self._context_id:
            raise violation("a command set was interrupted by another message", context_id=pdv.context_id)
        if len(self._command) + len(pdv.data) > MAX_COMMAND_SET_BYTES:
            raise violation("the command set is longer than MAX_COMMAND_SET_BYTES")
        if not pdv.is_last:
            self._context_id = pdv.context_id
            self._command += pdv.data
            return None
        if self._command:
            self._command += pdv.data
            message = decode_command_set(self._command)
            self._command = bytearray()
        else:
            message = decode_command_set(pdv.data)
        self._admit(message)
        self._in_data_set = message.has_data_set
        self._context_id = pdv.context_id if message.has_data_set else None
        return MessageReceived(pdv.context_id, message)

    def _admit(self, message: Message) -> None:
        """Check a received message against the windows and note it there."""
        if isinstance(message, Request):
            if message.message_id in self._performing:
                raise violation("the message id is in use by an open request", message_id=message.message_id)
            if 0 < self._max_performed <= len(self._performing):
                raise violation("the peer invoked more operations than were negotiated", window=self._max_performed)
            self._performing[message.message_id] = message
        elif isinstance(message, Response):
            request = self._invoked.get(message.message_id_being_responded_to)
            if request is None:
                raise violation("a response to no open request", message_id=message.message_id_being_responded_to)
            if not isinstance(message, RESPONSES[request.command_field]):
                raise violation("the response does not belong to the request", command=message.command_field.name)
            if not is_pending(message.status):
                del self._invoked[message.message_id_being_responded_to]

    def may_invoke(self) -> bool:
        """Whether the negotiated window lets this side send one more request."""
        return not 0 < self.max_invoked <= len(self._invoked)

    def next_message_id(self) -> int:
        """Return a message id that no open request of this side has, from 1 to 65535.

        Reference: PS3.7 §9.1.1.1.1
        """
        while True:
            self._last_message_id = self._last_message_id % 0xFFFF + 1
            if self._last_message_id not in self._invoked:
                return self._last_message_id

    def invoke(self, request: Request) -> None:
        """Note that this side sends `request`.

        Raises:
            LocalProtocolError: the window is full or the message id is in use.
        """
        if not self.may_invoke():
            raise LocalProtocolError("no more operations may be invoked now", window=self.max_invoked)
        if request.message_id in self._invoked:
            raise LocalProtocolError("the message id is in use", message_id=request.message_id)
        self._invoked[request.message_id] = request

    def respond(self, response: Response) -> None:
        """Note that this side sends `response`; a final one closes the peer's request.

        Raises:
            LocalProtocolError: no such request is open, or it is of another kind.
        """
        message_id = response.message_id_being_responded_to
        request = self._performing.get(message_id)
        if request is None:
            raise LocalProtocolError("a response to no open request", message_id=message_id)
        if not isinstance(response, RESPONSES[request.command_field]):
            raise LocalProtocolError("the response does not belong to the request", message_id=message_id)
        if not is_pending(response.status):
            del self._performing[message_id]

    def cancel(self, request: CCancelRequest) -> None:
        """Check that the request this side wants to cancel is still open.

        Raises:
            LocalProtocolError: it has its final response already.
        """
        if request.message_id_being_responded_to not in self._invoked:
            raise LocalProtocolError("there is no such request to cancel")
