"""Storage as SCU: many instances over one or more associations, with an answer for each."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeAlias, TypeVar

from hilum.archive.sending import MoveOriginator, SendState, never
from hilum.dimse.messages import CStoreRequest, Priority, Response
from hilum.dimse.status import STORAGE, StatusCategory, describe_status
from hilum.kernel.errors import CorruptData, Forbidden, HilumError, Unavailable, Unsupported
from hilum.kernel.files import Content, FileRange
from hilum.kernel.limits import SEND_ATTEMPTS, SEND_RETRY_DELAY_S, SEND_WINDOW
from hilum.net.association import Association
from hilum.net.files import chunks_of
from hilum.scu.contexts import InstanceKind, plan_contexts
from hilum.scu.handler import RequestorHandler
from hilum.scu.pace import Pace
from hilum.scu.remote import Remote, call
from hilum.ul.primitives import AsyncOperationsWindow, Buffer, ProposedContext


class Outgoing(Protocol):
    """An instance to send, wherever it lies."""

    @property
    def sop_class_uid(self) -> str:
        """Its SOP class."""
        ...

    @property
    def sop_instance_uid(self) -> str:
        """Its own UID."""
        ...

    @property
    def kind(self) -> InstanceKind:
        """What its presentation contexts are for, with the transfer syntaxes it can be sent in, best first."""
        ...

    async def data_set(self, transfer_syntax_uid: str) -> Content:
        """Return the data set in one of the syntaxes of its kind, of even length.

        Raises:
            Unsupported: it cannot be had in this syntax after all.
            HilumError: it cannot be read.
        """
        ...


OutgoingT = TypeVar("OutgoingT", bound=Outgoing)


@dataclass(frozen=True, slots=True)
class SendResult(Generic[OutgoingT]):
    """The answer for one instance; `status` and `comment` are the remote's own, None and empty when there is none."""

    instance: OutgoingT
    state: SendState
    status: int | None = None
    reason: str = ""
    comment: str = ""


Turn: TypeAlias = Callable[[Callable[[], bool]], AbstractAsyncContextManager[Callable[[], bool] | None]]
"""Waits, as long as it is wanted, for the turn to open an association; see `hilum.archive.sending.Turns`."""


@contextlib.asynccontextmanager
async def always(_is_wanted: Callable[[], bool]) -> AsyncIterator[Callable[[], bool] | None]:
    """The turn comes at once and is never over."""
    yield never


async def send_instances(
    instances: Sequence[OutgoingT],
    remote: Remote,
    *,
    calling_ae_title: str,
    associations: int = 1,
    originator: MoveOriginator | None = None,
    priority: int = Priority.MEDIUM,
    max_bytes_per_s: float | None = None,
    attempts: int = SEND_ATTEMPTS,
    retry_delay_s: float = SEND_RETRY_DELAY_S,
    is_stopped: Callable[[], bool] = never,
    turn: Turn = always,
) -> AsyncGenerator[SendResult[OutgoingT], None]:
    """Yield the answer for each instance as it comes, each exactly once.

    What was not answered when an association broke is sent again on a new one; an instance may reach the remote
    twice, which receivers take for the same. The next instance is read while the one before it is answered, and where
    the remote grants a window, several are under way at a time. Closed early, it sends nothing that has not begun,
    waits for the rest and releases.

    Args:
        instances: what to send, in this order as far as `associations` and the window allow.
        remote: where to.
        calling_ae_title: who we say we are.
        associations: how many to use at a time.
        originator: whose C-MOVE this is part of.
        priority: what the remote is told of the urgency.
        max_bytes_per_s: bounds the bytes of data sets sent in a second.
        attempts: how often an instance, and an association without any answer, is tried.
        retry_delay_s: how long to wait before the next association, doubled each time.
        is_stopped: asked before each instance. Once it says so nothing more begins, and the answers end with those of
            what has.
        turn: waited for before each association.

    Reference: PS3.4 Annex B
    """
    results: asyncio.Queue[SendResult[OutgoingT] | None] = asyncio.Queue()
    terms = _Terms(
        remote, calling_ae_title, associations, originator, priority,
        Pace(max_bytes_per_s) if max_bytes_per_s else None, attempts, retry_delay_s, is_stopped, turn,
    )  # fmt: skip
    shipment = _Shipment(terms, results)
    task = asyncio.create_task(shipment.send(instances))
    task.add_done_callback(lambda _: results.put_nowait(None))
    try:
        while (result := await results.get()) is not None:
            yield result
        await task
    finally:
        shipment.stop()
        try:
            await asyncio.wait([task])
        finally:
            # Whoever is cancelled a second time does not even wait for what has begun.
            task.cancel()
            await asyncio.wait([task])


@dataclass(frozen=True, slots=True)
class _Terms:
    """Where and how to send."""

    remote: Remote
    calling_ae_title: str
    associations: int
    originator: MoveOriginator | None
    priority: int
    pace: Pace | None
    attempts: int
    retry_delay_s: float
    is_stopped: Callable[[], bool]
    turn: Turn


@dataclass(slots=True)
class _Pending(Generic[OutgoingT]):
    """An instance that has no answer yet, and how often it was tried."""

    instance: OutgoingT
    tries: int = 0


class _Shipment(Generic[OutgoingT]):
    """Instances that have no answer yet, shared by the workers that send them."""

    def __init__(self, terms: _Terms, results: asyncio.Queue[SendResult[OutgoingT] | None]) -> None:
        self.terms = terms
        self.pending: deque[_Pending[OutgoingT]] = deque()
        self.contexts: dict[InstanceKind, tuple[ProposedContext, ...]] = {}
        self.connected = 0
        self._is_stopped = False
        self._results = results

    def has_stopped(self) -> bool:
        """Return whether nothing more may begin; then nothing is pending."""
        if not self._is_stopped and self.terms.is_stopped():
            self.stop()
        return self._is_stopped

    async def send(self, instances: Sequence[OutgoingT]) -> None:
        """Return when each instance has its answer, or `stop` was called and nothing is under way.

        More kinds than one association has contexts for need several, one after the other.
        """
        for contexts in plan_contexts([each.kind for each in instances]):
            if self.has_stopped():
                return
            self.contexts = contexts
            self.pending.extend(_Pending(each) for each in instances if each.kind in contexts)
            count = max(1, min(self.terms.associations, len(self.pending)))
            async with asyncio.TaskGroup() as group:
                for _ in range(count):
                    group.create_task(_Worker(self).run())

    def stop(self) -> None:
        """Begin nothing more."""
        self._is_stopped = True
        self.pending.clear()

    def note(self, result: SendResult[OutgoingT]) -> None:
        """Tell of an answer."""
        self._results.put_nowait(result)

    def try_again(self, item: _Pending[OutgoingT], error: HilumError) -> None:
        """Put an instance that got no answer at the end: what follows must not suffer for one that fells the remote."""
        item.tries += 1
        if item.tries >= self.terms.attempts:
            self.note(SendResult(item.instance, SendState.FAILED, reason=error.message))
        elif not self.has_stopped():
            self.pending.append(item)

    def put_back(self, item: _Pending[OutgoingT]) -> None:
        """Take back an instance that was not begun."""
        if not self.has_stopped():
            self.pending.appendleft(item)

    def give_up(self, error: HilumError) -> None:
        """Fail what is pending, unless another worker still has an association to send it over."""
        state = SendState.REFUSED if isinstance(error, Forbidden) else SendState.FAILED
        while not self.has_stopped() and self.pending and not self.connected:
            self.note(SendResult(self.pending.popleft().instance, state, reason=error.message))


class _Worker(Generic[OutgoingT]):
    """Sends instances of a shipment, over one association at a time."""

    def __init__(self, shipment: _Shipment[OutgoingT]) -> None:
        self._shipment = shipment
        self._window = SEND_WINDOW

    async def run(self) -> None:
        """Return when nothing is left to send, or the remote is given up."""
        shipment, terms = self._shipment, self._shipment.terms
        failures = 0
        while not shipment.has_stopped() and shipment.pending:
            answer_count, error = 0, None
            try:
                async with terms.turn(self._has_work) as is_over:
                    if is_over is not None:
                        answer_count, error = await self._send_over_one_association(is_over)
            except HilumError as opening_error:
                error = opening_error
            if error is None or isinstance(error, _UnreadableError | CorruptData):
                continue
            failures = 1 if answer_count else failures + 1
            if isinstance(error, Forbidden) or failures >= terms.attempts:
                shipment.give_up(error)
                return
            # One of those under way may have felled the remote: from now on each goes alone.
            self._window = 1
            if shipment.pending:
                await asyncio.sleep(terms.retry_delay_s * 2 ** (failures - 1))

    def _has_work(self) -> bool:
        return not self._shipment.has_stopped() and bool(self._shipment.pending)

    async def _send_over_one_association(self, is_over: Callable[[], bool]) -> tuple[int, HilumError | None]:
        """Return how many answers came over it, and what broke it.

        Raises:
            HilumError: it cannot be opened.
        """
        shipment, terms = self._shipment, self._shipment.terms
        handler = RequestorHandler()
        contexts = {each.context_id: each for kind in shipment.contexts.values() for each in kind}
        window = AsyncOperationsWindow(self._window, 1) if self._window > 1 else None
        association = await call(
            terms.remote, terms.calling_ae_title, tuple(contexts.values()), handler, async_operations_window=window
        )
        shipment.connected += 1
        try:
            link = _Link(shipment, association, handler, self._window, is_over)
            answer_count, error = await link.send()
        except BaseException:
            association.abort()
            raise
        finally:
            shipment.connected -= 1
        if error is None:
            await association.release()
        else:
            association.abort()
        return answer_count, error


class _Link(Generic[OutgoingT]):
    """Sends what is pending over one association, until nothing is or the association breaks."""

    def __init__(
        self,
        shipment: _Shipment[OutgoingT],
        association: Association,
        handler: RequestorHandler,
        max_window: int,
        is_over: Callable[[], bool],
    ) -> None:
        self._shipment = shipment
        self._association = association
        self._handler = handler
        self._is_over = is_over
        granted = association.max_invoked or max_window
        self._window = min(granted, max_window)
        self._slots = asyncio.Semaphore(self._window)
        self._message_id = 0
        self._answer_count = 0
        self._error: HilumError | None = None

    async def send(self) -> tuple[int, HilumError | None]:
        """Return how many answers came, and what broke the association."""
        # One lane more than may be under way: it reads the next instance meanwhile.
        count = min(self._window + 1, len(self._shipment.pending))
        lanes = [asyncio.ensure_future(self._lane()) for _ in range(count)]
        try:
            await asyncio.gather(*lanes)
        except BaseException:
            for lane in lanes:
                lane.cancel()
            await asyncio.wait(lanes)
            raise
        return self._answer_count, self._error

    def _goes_on(self) -> bool:
        shipment = self._shipment
        return not shipment.has_stopped() and bool(shipment.pending) and self._error is None and not self._is_over()

    async def _lane(self) -> None:
        while self._goes_on():
            item = self._shipment.pending.popleft()
            try:
                found = await self._open(item.instance)
            except HilumError as error:
                refused = isinstance(error, Unsupported)
                state = SendState.REFUSED if refused else SendState.FAILED
                self._shipment.note(SendResult(item.instance, state, reason=error.message))
                continue
            context_id, data_set = found
            async with contextlib.AsyncExitStack() as stack:
                if not isinstance(data_set, bytes):
                    await stack.enter_async_context(contextlib.aclosing(data_set))
                async with self._slots:
                    if self._error is not None or self._shipment.has_stopped():
                        self._shipment.put_back(item)
                        return
                    await self._exchange(item, context_id, data_set)

    async def _open(self, instance: OutgoingT) -> tuple[int, Content]:
        """Return the context to send over, and the data set in its transfer syntax.

        Raises:
            Unsupported: the remote takes it in no syntax it can be had in.
            HilumError: it cannot be read.
        """
        trouble: HilumError | None = None
        for proposed in self._shipment.contexts[instance.kind]:
            context = self._association.contexts.get(proposed.context_id)
            if context is None:
                continue
            try:
                return context.context_id, await instance.data_set(context.transfer_syntax)
            except (Unsupported, CorruptData) as error:
                trouble = error
        raise trouble or Unsupported(
            "the remote accepts neither this SOP class nor any transfer syntax it can be sent in",
            code="context-refused",
        )

    async def _exchange(self, item: _Pending[OutgoingT], context_id: int, data_set: Content) -> None:
        """Send one instance and note its answer, or what broke the association."""
        terms = self._shipment.terms
        self._message_id = self._message_id % 0xFFFF + 1
        request = CStoreRequest(
            message_id=self._message_id,
            affected_sop_class_uid=item.instance.sop_class_uid,
            affected_sop_instance_uid=item.instance.sop_instance_uid,
            priority=terms.priority,
            move_originator_application_entity_title=terms.originator.ae_title if terms.originator else None,
            move_originator_message_id=terms.originator.message_id if terms.originator else None,
        )
        try:
            if isinstance(data_set, bytes | FileRange) and terms.pace is None:
                response = await self._handler.invoke(self._association, context_id, request, data_set)
            else:
                async with contextlib.aclosing(_outgoing(data_set, terms.pace)) as pieces:
                    response = await self._handler.invoke(self._association, context_id, request, pieces)
        except (_UnreadableError, CorruptData) as error:
            # The message was half sent: the association is lost with it, and the others under way are begun anew.
            self._error = error
            self._shipment.note(SendResult(item.instance, SendState.FAILED, reason=error.message))
        except HilumError as error:
            if isinstance(self._error, _UnreadableError | CorruptData):
                self._shipment.put_back(item)
                return
            self._error = error
            self._shipment.try_again(item, error)
        else:
            self._answer_count += 1
            self._shipment.note(_judge(item.instance, response))


class _UnreadableError(Unavailable):
    """The instance could not be read to its end."""


async def _outgoing(data_set: Content, pace: Pace | None) -> AsyncGenerator[Buffer, None]:
    """Yield the pieces of a data set as they may go; what fails to be read is no fault of the remote."""
    if isinstance(data_set, FileRange):
        data_set = chunks_of(data_set)
    try:
        if pace is not None:
            async for paced in pace.pieces(data_set):
                yield paced
        elif isinstance(data_set, bytes):
            yield data_set
        else:
            async for piece in data_set:
                yield piece
    except HilumError as error:
        raise _UnreadableError(error.message, code=error.reason_code) from error


def _judge(instance: OutgoingT, response: Response) -> SendResult[OutgoingT]:
    row = describe_status(response.status, STORAGE)
    comment = response.error_comment or ""
    if row.category is StatusCategory.SUCCESS:
        return SendResult(instance, SendState.STORED, response.status)
    state = SendState.STORED if row.category is StatusCategory.WARNING else SendState.REFUSED
    return SendResult(instance, state, response.status, row.meaning, comment)
