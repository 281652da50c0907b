"""Storage as SCU: many instances over one or more associations, with an answer for each."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hilum.archive.sending import SendState
from hilum.dimse.messages import CStoreRequest, Response
from hilum.dimse.status import STORAGE, StatusCategory, describe_status
from hilum.kernel.errors import Forbidden, HilumError, Unavailable
from hilum.kernel.limits import SEND_ATTEMPTS, SEND_RETRY_DELAY_S
from hilum.net.association import Association
from hilum.scu.handler import RequestorHandler
from hilum.scu.instances import OutgoingInstance, plan_contexts, read_data_set
from hilum.scu.remote import Remote, call
from hilum.ul.primitives import ProposedContext


@dataclass(frozen=True, slots=True)
class SendResult:
    """The answer for one instance; `status` is the remote's, None when there was none."""

    instance: OutgoingInstance
    state: SendState
    status: int | None = None
    reason: str = ""


async def send_instances(
    instances: Sequence[OutgoingInstance],
    remote: Remote,
    *,
    calling_ae_title: str,
    associations: int = 1,
    attempts: int = SEND_ATTEMPTS,
    retry_delay_s: float = SEND_RETRY_DELAY_S,
    on_result: Callable[[SendResult], None] = lambda result: None,
) -> list[SendResult]:
    """Return the answer for each instance, once all have one. Nothing is converted.

    What was not answered when an association broke is sent again on a new one; an instance may reach the remote
    twice, which receivers take for the same. More than 128 kinds of SOP class and transfer syntax need more
    associations, one after the other.

    Args:
        instances: what to send, in this order as far as `associations` allows.
        remote: where to.
        calling_ae_title: who we say we are.
        associations: how many to use at a time.
        attempts: how often an instance, and an association without any answer, is tried.
        retry_delay_s: how long to wait before the next association, doubled each time.
        on_result: told of each answer as it comes.

    Reference: PS3.4 Annex B
    """
    results: list[SendResult] = []

    def note(result: SendResult) -> None:
        results.append(result)
        on_result(result)

    for contexts in plan_contexts([each.kind for each in instances]):
        carried = {(each.abstract_syntax, each.transfer_syntaxes[0]) for each in contexts}
        batch = _Batch(
            deque(_Pending(each) for each in instances if each.kind in carried),
            contexts,
            remote,
            calling_ae_title,
            attempts,
            retry_delay_s,
            note,
        )
        count = max(1, min(associations, len(batch.pending)))
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(_Worker(batch).run())
    return results


@dataclass(slots=True)
class _Pending:
    """An instance that has no answer yet, and how often it was tried."""

    instance: OutgoingInstance
    tries: int = 0


@dataclass(slots=True)
class _Batch:
    """Instances whose kinds fit one association, shared by the workers that send them."""

    pending: deque[_Pending]
    contexts: list[ProposedContext]
    remote: Remote
    calling_ae_title: str
    attempts: int
    retry_delay_s: float
    note: Callable[[SendResult], None]
    connected: int = 0

    def give_up(self, error: HilumError) -> None:
        """Fail what is pending, unless another worker still has an association to send it over."""
        state = SendState.REFUSED if isinstance(error, Forbidden) else SendState.FAILED
        while self.pending and not self.connected:
            self.note(SendResult(self.pending.popleft().instance, state, reason=error.message))


class _Worker:
    """Sends instances of a batch, over one association at a time."""

    def __init__(self, batch: _Batch) -> None:
        self._batch = batch
        self._answers = 0

    async def run(self) -> None:
        """Return when nothing is left to send, or the remote is given up."""
        batch = self._batch
        failures = 0
        while batch.pending:
            answers_before = self._answers
            try:
                await self._send_over_one_association()
            except HilumError as error:
                failures = 1 if self._answers > answers_before else failures + 1
                if isinstance(error, Forbidden) or failures >= batch.attempts:
                    batch.give_up(error)
                    return
                if batch.pending:
                    await asyncio.sleep(batch.retry_delay_s * 2 ** (failures - 1))

    async def _send_over_one_association(self) -> None:
        """Raises HilumError when it cannot be opened or breaks."""
        batch = self._batch
        invocations = RequestorHandler()
        association = await call(batch.remote, batch.calling_ae_title, batch.contexts, invocations)
        batch.connected += 1
        try:
            await self._send_all(association, invocations)
        except BaseException:
            association.abort()
            raise
        finally:
            batch.connected -= 1
        await association.release()

    async def _send_all(self, association: Association, invocations: RequestorHandler) -> None:
        batch = self._batch
        context_ids = {
            (context.abstract_syntax, context.transfer_syntax): context.context_id
            for context in association.contexts.values()
        }
        message_id = 0
        while batch.pending:
            item = batch.pending.popleft()
            context_id = context_ids.get(item.instance.kind)
            if context_id is None:
                reason = "the remote accepts neither this SOP class nor this transfer syntax as it is"
                batch.note(SendResult(item.instance, SendState.REFUSED, reason=reason))
                continue
            message_id = message_id % 0xFFFF + 1
            try:
                response = await _invoke(association, invocations, context_id, message_id, item.instance)
            except _UnreadableError as error:
                batch.note(SendResult(item.instance, SendState.FAILED, reason=error.message))
            except HilumError as error:
                # It goes to the end of the queue: what follows must not suffer for one that fells the remote.
                item.tries += 1
                if item.tries < batch.attempts:
                    batch.pending.append(item)
                else:
                    batch.note(SendResult(item.instance, SendState.FAILED, reason=error.message))
                raise
            else:
                self._answers += 1
                batch.note(_judge(item.instance, response))


class _UnreadableError(Unavailable):
    """The file cannot be read; the association is untouched."""


async def _invoke(
    association: Association,
    invocations: RequestorHandler,
    context_id: int,
    message_id: int,
    instance: OutgoingInstance,
) -> Response:
    """Return the response to the C-STORE of one instance."""
    request = CStoreRequest(
        message_id=message_id,
        affected_sop_class_uid=instance.sop_class_uid,
        affected_sop_instance_uid=instance.sop_instance_uid,
    )
    try:
        data_set = await read_data_set(instance)
    except Unavailable as error:
        raise _UnreadableError(error.message, code=error.reason_code) from error
    if isinstance(data_set, bytes):
        return await invocations.invoke(association, context_id, request, data_set)
    async with contextlib.aclosing(data_set):
        return await invocations.invoke(association, context_id, request, data_set)


def _judge(instance: OutgoingInstance, response: Response) -> SendResult:
    row = describe_status(response.status, STORAGE)
    if row.category is StatusCategory.SUCCESS:
        return SendResult(instance, SendState.STORED, response.status)
    state = SendState.STORED if row.category is StatusCategory.WARNING else SendState.REFUSED
    reason = f"{row.meaning}: {response.error_comment}" if response.error_comment else row.meaning
    return SendResult(instance, state, response.status, reason)
