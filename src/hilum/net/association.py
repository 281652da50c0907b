"""An association as its services see it: messages in, messages out, tasks that belong to it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hilum.dimse.exchanges import DataSetFragment, Exchanges
from hilum.dimse.messages import CCancelRequest, Message, Request, Response
from hilum.dimse.status import is_pending
from hilum.kernel.errors import Forbidden, HilumError, LimitExceeded, LocalProtocolError, Unavailable
from hilum.kernel.limits import ARTIM_TIMEOUT_S, DEPARTURE_TIMEOUT_S
from hilum.net.connection import Connection, Patience
from hilum.net.outbox import DataSet, Outbox
from hilum.net.reports import Observer, Outcome, Report
from hilum.ul.core import Role
from hilum.ul.negotiation import AgreedContext
from hilum.ul.primitives import (
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    AsyncOperationsWindow,
    Buffer,
    ConnectionClosed,
    Event,
    PData,
    PresentationDataValue,
    RejectResult,
    ReleaseRequest,
    ReleaseResponse,
)

_NUMBERS = itertools.count(1)


class MessageHandler(Protocol):
    """What received messages mean; one handler an association."""

    def message(self, context_id: int, message: Message) -> Awaitable[None] | None:
        """Act on a command set; when it has a data set, `data_set` calls follow before any other message."""
        ...

    def data_set(self, data: Buffer, is_last: bool) -> Awaitable[None] | None:
        """Take a piece of the data set of the last message. `data` lives until this, or its awaitable, returns."""
        ...

    def end(self) -> None:
        """Note that no more messages come, whether the association was released, aborted or lost."""
        ...


@dataclass(frozen=True, slots=True)
class Welcome:
    """A request that is accepted, and who serves the association."""

    accept: AssociateAccept
    handler: MessageHandler


class Answering(Protocol):
    """Decides about requests for associations; given to acceptors."""

    async def answer(self, association: Association, request: AssociateRequest) -> Welcome | AssociateReject:
        """Return the answer. It may take its time; nothing more is read meanwhile."""
        ...


class Association:
    """One association over one `Connection`, which knows it as its `ConnectionUser`.

    Args:
        role: whether this side opened it.
        answering: decides about the request of the peer; acceptors need it.
        observer: is told how it begins and ends.
    """

    def __init__(self, role: Role, observer: Observer, answering: Answering | None = None) -> None:
        self.number = next(_NUMBERS)
        self._loop = asyncio.get_running_loop()
        self._role = role
        self._observer = observer
        self._answering = answering
        self._began = self._loop.time()
        self._handler: MessageHandler | None = None
        self._exchanges: Exchanges | None = None
        self._outbox: Outbox | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._tasks_done: asyncio.Future[None] | None = None
        self._outcome: Outcome | None = None
        self._reason = ""
        self._leaving = False
        self._release_sent = False
        self._departure: asyncio.TimerHandle | None = None
        self._is_confirmation_owed = False
        self._opened: asyncio.Future[AssociateAccept] = self._loop.create_future()

    def attach(self, connection: Connection) -> None:
        """Give it the connection it lives on; comes before anything else."""
        self.connection = connection

    @property
    def request(self) -> AssociateRequest:
        """The request that opened it."""
        request = self.connection.core.request
        assert request is not None
        return request

    @property
    def contexts(self) -> Mapping[int, AgreedContext]:
        """The accepted presentation contexts by id; none before it is established."""
        return self.connection.core.contexts

    @property
    def max_invoked(self) -> int:
        """How many requests of this side may be open at a time, as negotiated; 0 means no bound."""
        exchanges, _ = self._talk()
        return exchanges.max_invoked

    @property
    def is_ended(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._outcome is not None

    # --- sending -----------------------------------------------------------------------------------------------

    def respond(self, context_id: int, response: Response) -> None:
        """Send a response without a data set; a final one closes the peer's request.

        An association that has ended meanwhile takes it silently: there is nobody to answer any more.

        Raises:
            LocalProtocolError: there is no such open request.
        """
        if self.is_ended or self._release_sent:
            return
        exchanges, outbox = self._talk()
        exchanges.respond(response)
        outbox.put(context_id, response)
        self._leave_when_idle()

    def next_message_id(self) -> int:
        """Return a message id no request of this side has now; see `Exchanges.next_message_id`.

        Raises:
            Unavailable: the association is not open.
        """
        exchanges, _ = self._talk()
        return exchanges.next_message_id()

    def cancel(self, context_id: int, request: CCancelRequest) -> None:
        """Ask the peer to end a request of this side early.

        Raises:
            LocalProtocolError: it has its final response already.
        """
        exchanges, outbox = self._talk()
        exchanges.cancel(request)
        outbox.put(context_id, request)

    async def invoke(self, context_id: int, request: Request, data_set: DataSet | None = None) -> None:
        """Send a request and its data set; the responses come to the handler.

        The data set is written as fast as the peer takes it and not copied. When its iterator fails midway the
        association is aborted: a message once begun cannot be taken back.

        Raises:
            LocalProtocolError: the window is full or the message id in use.
            Unavailable: the association has ended.
        """
        exchanges, outbox = self._talk()
        async with outbox.turn():
            if self.is_ended or self._leaving:
                raise _ended()
            exchanges.invoke(request)
            await outbox.stream(context_id, request, data_set)

    async def respond_with(self, context_id: int, response: Response, data_set: Buffer) -> None:
        """Send a response that carries a data set, as the pending ones of a C-FIND do.

        Raises:
            LocalProtocolError: there is no such open request.
            Unavailable: the association has ended.
        """
        exchanges, outbox = self._talk()
        async with outbox.turn():
            if self.is_ended or self._release_sent:
                raise _ended()
            exchanges.respond(response)
            await outbox.stream(context_id, response, data_set)
        self._leave_when_idle()

    async def respond_with_each(self, context_id: int, response: Response, data_sets: Sequence[Buffer]) -> None:
        """Send one pending response again and again, with each of the data sets, as fast as the peer takes them.

        Raises:
            LocalProtocolError: there is no such open request, the response is a final one, or says that it has no data
                set.
            Unavailable: the association has ended.
        """
        if not is_pending(response.status) or not response.has_data_set:
            raise LocalProtocolError("only pending responses with data sets are sent again and again")
        exchanges, outbox = self._talk()
        async with outbox.turn():
            if self.is_ended or self._release_sent:
                raise _ended()
            exchanges.respond(response)
            await outbox.repeat(context_id, response, data_sets)

    # --- tasks -------------------------------------------------------------------------------------------------

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Let work that belongs to this association run beside it.

        What it raises aborts the association, or is reported when that has ended already; the work itself is never
        cancelled by the end of the association.
        """
        task = self._loop.create_task(self._guard(work))
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - the connection's task: whatever fails ends this association alone
            if self.is_ended:
                self._report(Outcome.FAILED, error)
            else:
                self.abort(error)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not self._tasks and self._tasks_done is not None:
            self._tasks_done.set_result(None)
            self._tasks_done = None
        self._leave_when_idle()

    async def tasks_done(self) -> None:
        """Wait until no spawned work is left."""
        while self._tasks:
            if self._tasks_done is None:
                self._tasks_done = self._loop.create_future()
            await asyncio.shield(self._tasks_done)

    # --- opening and ending ------------------------------------------------------------------------------------

    def open(self, request: AssociateRequest, handler: MessageHandler) -> asyncio.Future[AssociateAccept]:
        """Ask for an association; the future has the peer's answer, or the error that came in its place."""
        self._handler = handler
        self.connection.send(request)
        return self._opened

    def abort(self, error: BaseException | None = None) -> None:
        """End the association at once with an A-ABORT."""
        self.connection.abort(error)

    async def release(self) -> None:
        """End the association in order, once everything under way is answered, and wait for its connection's end.

        A peer that does not confirm in the time of ARTIM gets an abort, and so it does when this is cancelled.
        """
        await self.tasks_done()
        if not self.is_ended and not self._release_sent:
            self._release_sent = True
            self.connection.send(ReleaseRequest())
        try:
            async with asyncio.timeout(ARTIM_TIMEOUT_S):
                await self.connection.closed()
        except TimeoutError:
            self.abort(LimitExceeded("the peer does not confirm the release", code="release-timeout"))
        except asyncio.CancelledError:
            self.abort()
            self.connection.close()
            raise

    def leave(self) -> None:
        """Release as soon as nothing is under way; what is being received is finished and answered before."""
        self._leaving = True
        self._leave_when_idle()

    def _leave_when_idle(self) -> None:
        if not self._leaving or self.is_ended or self._release_sent or self._tasks:
            return
        if self._exchanges is None:
            if self._role is Role.ACCEPTOR and self.connection.core.request is None:
                self.connection.close()
        elif self.patience() is Patience.IDLE:
            self._release_sent = True
            self.connection.send(ReleaseRequest())
            self._departure = asyncio.get_running_loop().call_later(DEPARTURE_TIMEOUT_S, self._stop_waiting)

    def _stop_waiting(self) -> None:
        """Leave a peer that does not confirm: many modalities never expect a release from the acceptor."""
        if not self.is_ended:
            self.abort(LimitExceeded("the peer does not confirm the release", code="release-timeout"))
            self.connection.close()

    # --- the connection's user ---------------------------------------------------------------------------------

    def receive(self, event: Event) -> Awaitable[None] | None:
        """Act on an event of the upper layer."""
        if isinstance(event, PData):
            return self._receive_data(event.pdvs, 0)
        match event:
            case AssociateRequest():
                return self._answer(event)
            case AssociateAccept():
                self._establish(event)
                self._opened.set_result(event)
            case AssociateReject():
                self._outcome = Outcome.REJECTED
                self._reason = event.reason.name.lower()
                self._report(Outcome.REJECTED)
                self._opened.set_exception(rejection(event))
            case ReleaseRequest():
                if self._release_sent and self._role is Role.ACCEPTOR:
                    # Both sides asked at once: the requestor confirms first (PS3.8 §9.2, states 9 to 12).
                    self._is_confirmation_owed = True
                else:
                    return self._confirm_release()
            case ReleaseResponse():
                self._outcome = Outcome.RELEASED
                if self._is_confirmation_owed:
                    self.connection.send(ReleaseResponse())
            case Abort():
                if event.by_peer:
                    self._outcome = Outcome.ABORTED_BY_PEER
                self._reason = event.detail or event.reason.name.lower()
            case ConnectionClosed():
                if not event.by_peer and self._outcome is None:
                    # The core closes by itself only after an end that was agreed on, or when ARTIM is over.
                    self._outcome, self._reason = Outcome.ABORTED, "artim"
        return None

    def _receive_data(self, pdvs: tuple[PresentationDataValue, ...], start: int) -> Awaitable[None] | None:
        exchanges, handler = self._exchanges, self._handler
        assert exchanges is not None
        assert handler is not None
        for index in range(start, len(pdvs)):
            if self._release_sent or self._outcome is not None:
                return None  # Nothing can be answered any more, so nothing is taken in.
            event = exchanges.receive(pdvs[index])
            if event is None:
                continue
            if isinstance(event, DataSetFragment):
                waiting = handler.data_set(event.data, event.is_last)
            else:
                waiting = handler.message(event.context_id, event.message)
            if waiting is not None:
                return self._go_on(waiting, pdvs, index + 1)
        return None

    async def _go_on(self, waiting: Awaitable[None], pdvs: tuple[PresentationDataValue, ...], start: int) -> None:
        await waiting
        rest = self._receive_data(pdvs, start)
        if rest is not None:
            await rest

    async def _answer(self, request: AssociateRequest) -> None:
        assert self._answering is not None
        answer = await self._answering.answer(self, request)
        if self.is_ended:
            return
        if isinstance(answer, AssociateReject):
            self._outcome = Outcome.REJECTED
            self._reason = answer.reason.name.lower()
            self.connection.send(answer)
            self._report(Outcome.REJECTED)
            return
        self.connection.send(answer.accept)
        self._handler = answer.handler
        self._establish(answer.accept)
        self._leave_when_idle()

    def _establish(self, accept: AssociateAccept) -> None:
        window = accept.user_information.async_operations_window or AsyncOperationsWindow()
        # The window is the requestor's: what it may invoke is what the acceptor performs.
        invoked, performed = window.max_invoked, window.max_performed
        if self._role is Role.ACCEPTOR:
            invoked, performed = performed, invoked
        self._exchanges = Exchanges(self.contexts, max_performed=performed, max_invoked=invoked)
        self._outbox = Outbox(self.connection)
        self._report(Outcome.ACCEPTED)

    async def _confirm_release(self) -> None:
        await self.tasks_done()
        if self._outcome is None:
            self._outcome = Outcome.RELEASED
            self.connection.send(ReleaseResponse())

    def end(self, error: BaseException | None) -> None:
        """Report the end, fail what waits for an opening, and tell the handler."""
        violation = self.connection.core.peer_violation
        if self._outcome is None:
            self._outcome = Outcome.LOST if error is None and violation is None else Outcome.ABORTED
        if self._outcome is not Outcome.REJECTED:
            self._report(self._outcome, error or violation)
        if not self._opened.done():
            failure = error if isinstance(error, HilumError) else violation
            self._opened.set_exception(
                failure or Unavailable("the peer ended the connection before it answered", code="association-ended")
            )
        # Whoever waits for the opening takes the error from there; acceptors have nobody waiting.
        if not self._opened.cancelled():
            self._opened.exception()
        if self._departure is not None:
            self._departure.cancel()
        if self._handler is not None:
            self._handler.end()

    def patience(self) -> Patience:
        """Return what is being waited for."""
        exchanges = self._exchanges
        if exchanges is None:
            return Patience.WORKING
        if exchanges.is_receiving:
            return Patience.RECEIVING
        if exchanges.performing or exchanges.invoked or self._tasks:
            return Patience.WORKING
        return Patience.IDLE

    def _talk(self) -> tuple[Exchanges, Outbox]:
        if self._exchanges is None or self._outbox is None:
            raise _ended()
        return self._exchanges, self._outbox

    def _report(self, outcome: Outcome, error: BaseException | None = None) -> None:
        request = self.connection.core.request
        self._observer(
            Report(
                outcome,
                self.number,
                self.connection.peer,
                request.calling_ae_title if request else "",
                request.called_ae_title if request else "",
                self.connection.received_bytes,
                self._loop.time() - self._began,
                self._exchanges is not None,
                self._reason,
                error,
            )
        )


def _ended() -> Unavailable:
    return Unavailable("the association is not open", code="association-ended")


def rejection(reject: AssociateReject) -> HilumError:
    """Return the error a rejected association is: retryable when the peer says so."""
    family = Unavailable if reject.result is RejectResult.TRANSIENT else Forbidden
    return family(
        f"the peer rejected the association: {reject.reason.name.lower().replace('_', ' ')}",
        code="association-rejected",
        result=reject.result.name.lower(),
        reason=reject.reason.name.lower(),
        source=reject.source.name.lower(),
    )
