"""One request of a peer, from its command set to its final response, as the services of this room see it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hilum.archive.model import Origin, Principal
from hilum.archive.remotes import DimseUse, RemoteAe
from hilum.dimse import status
from hilum.dimse.messages import RESPONSES, Request, Response
from hilum.kernel.errors import HilumError, LimitExceeded
from hilum.kernel.limits import MAX_IDENTIFIER_BYTES
from hilum.net.association import Association
from hilum.net.invocations import Invocations
from hilum.scp.statuses import StatusTable, refusal
from hilum.ul.negotiation import TransferSyntaxRule
from hilum.ul.primitives import AssociateRequest, Buffer, ExtendedNegotiation, RoleSelection


@dataclass(frozen=True, slots=True)
class Caller:
    """Who opened the association: whose archive it speaks to, and what is known of it.

    `remote` is its entry in the registry, None for one that is let in without;
    `principal` is the user it named and proved.
    """

    tenant_id: int
    origin: Origin
    remote: RemoteAe | None = None
    principal: Principal | None = None


class Operation(Protocol):
    """What becomes of one request whose data set is coming."""

    def data_set(self, data: Buffer, is_last: bool) -> Awaitable[None] | None:
        """Take a piece of the data set; after the last one the request is answered."""
        ...

    def abandon(self) -> None:
        """Undo: the association ended before the data set did."""
        ...


class Call:
    """One request on one association.

    `cancelled` is set when the peer cancels it, or when the association ends: who streams responses looks at it.
    `invocations` carries what this side asks of the peer meanwhile, as C-GET does. `ended` is told when the final
    response goes out.
    """

    def __init__(
        self,
        association: Association,
        context_id: int,
        request: Request,
        caller: Caller,
        invocations: Invocations,
        *,
        ended: Callable[[Call], object] = lambda call: None,
    ) -> None:
        self.association = association
        self.context_id = context_id
        self.request = request
        self.caller = caller
        self.invocations = invocations
        self.cancelled = asyncio.Event()
        self._ended = ended

    @property
    def abstract_syntax(self) -> str:
        """The SOP class of the presentation context."""
        return self.association.contexts[self.context_id].abstract_syntax

    @property
    def transfer_syntax(self) -> str:
        """The transfer syntax of the data sets of this call, both ways."""
        return self.association.contexts[self.context_id].transfer_syntax

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Let the work of this call run; it must send the final response."""
        self.association.spawn(work)

    def respond(self, response: Response) -> None:
        """Send a response without a data set. See `Association.respond`."""
        if not status.is_pending(response.status):
            self._ended(self)
        self.association.respond(self.context_id, response)

    async def respond_with(self, response: Response, data_set: Buffer) -> None:
        """Send a response with a data set. See `Association.respond_with`."""
        if not status.is_pending(response.status):
            self._ended(self)
        await self.association.respond_with(self.context_id, response, data_set)

    async def respond_with_each(self, response: Response, data_sets: Sequence[Buffer]) -> None:
        """Send a pending response with each of the data sets. See `Association.respond_with_each`."""
        await self.association.respond_with_each(self.context_id, response, data_sets)

    def refuse(self, error: HilumError, table: StatusTable) -> None:
        """Send the final response that an error is, by the service's table.

        Reference: PS3.7 Annex C
        """
        answer = refusal(error, table)
        self.respond(
            RESPONSES[self.request.command_field](
                message_id_being_responded_to=self.request.message_id,
                status=answer.status,
                error_comment=answer.error_comment or None,
                offending_element=answer.offending_element,
            )
        )


class DimseService(Protocol):
    """One service of the archive: what it agrees to when an association is asked for, and what it does on it.

    Methods with a body are defaults for classes that inherit from this one.
    """

    use: DimseUse
    """What a remote must be allowed to use it; see `RemoteAe.may_ask`."""

    def rule(self, abstract_syntax: str) -> TransferSyntaxRule | None:
        """Return which transfer syntaxes will do for an abstract syntax; None if this service does not serve it."""
        ...

    def begin(self, call: Call) -> Operation | None:
        """Act on a request in a context of this service.

        Return what takes the data set, when `call.request.has_data_set`; else None. A request this service has no
        answer to is handed to `unrecognized`.
        """
        ...

    def role_selection(self, request: AssociateRequest, proposed: RoleSelection) -> RoleSelection | None:
        """Return the roles granted for one of this service's SOP classes; None: the requestor is SCU alone."""
        return None

    def extended_negotiation(
        self, request: AssociateRequest, proposed: ExtendedNegotiation
    ) -> ExtendedNegotiation | None:
        """Return the answer to an extended negotiation for one of this service's SOP classes."""
        return None

    def opened(self, association: Association, caller: Caller, invocations: Invocations) -> None:
        """Note that an association is being opened on which this service may be used.

        Its contexts are known as soon as it is established. Services that have something to tell the peer by
        themselves remember it, and send by `invocations`.
        """
        return


class Gathering:
    """Gathers the data set of a request, which is small, and then lets `run` answer.

    A longer data set is passed over, and the answer is an error.

    Args:
        run: gets the whole data set, empty when there is none.
        table: says which status an error of `run` becomes.
    """

    def __init__(self, call: Call, run: Callable[[bytes], Coroutine[Any, Any, None]], table: StatusTable) -> None:
        self._call = call
        self._run = run
        self._table = table
        self._content = bytearray()
        self._is_too_long = False

    def data_set(self, data: Buffer, is_last: bool) -> None:
        """Take a piece."""
        self._is_too_long = self._is_too_long or len(self._content) + len(data) > MAX_IDENTIFIER_BYTES
        if self._is_too_long:
            self._content.clear()
        else:
            self._content += data
        if is_last:
            self._call.spawn(self._finish())

    def abandon(self) -> None:
        """Forget what has come."""
        self._content.clear()

    async def _finish(self) -> None:
        try:
            if self._is_too_long:
                raise LimitExceeded("the data set is longer than this service takes", limit=MAX_IDENTIFIER_BYTES)
            await self._run(bytes(self._content))
        except HilumError as error:
            # After the association's end there is nobody to answer, and `respond` says nothing.
            self._call.refuse(error, self._table)


def gather(call: Call, run: Callable[[bytes], Coroutine[Any, Any, None]], table: StatusTable) -> Gathering | None:
    """Let `run` answer once the data set of the call is there whole, or at once when it has none."""
    gathering = Gathering(call, run, table)
    if call.request.has_data_set:
        return gathering
    gathering.data_set(b"", is_last=True)
    return None


class _Unrecognized:
    """A request the archive does not serve: its data set is passed over and it is told so."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def data_set(self, data: Buffer, is_last: bool) -> None:
        if is_last:
            self.answer()

    def abandon(self) -> None:
        pass

    def answer(self) -> None:
        self._call.respond(
            RESPONSES[self._call.request.command_field](
                message_id_being_responded_to=self._call.request.message_id,
                status=status.UNRECOGNIZED_OPERATION,
                error_comment="this operation is not served here",
            )
        )


def unrecognized(call: Call) -> Operation | None:
    """Answer that the operation is not served on this SOP class, once its data set has gone by.

    Reference: PS3.7 §C.5.21
    """
    operation = _Unrecognized(call)
    if call.request.has_data_set:
        return operation
    operation.answer()
    return None
