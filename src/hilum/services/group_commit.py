"""Index rows of all instances that wait at one moment, written in one transaction."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from hilum.archive.model import DuplicatePolicy, IngestOutcome, InstanceDraft
from hilum.archive.ports import InstanceIndex
from hilum.kernel.clock import Clock
from hilum.kernel.errors import HilumError, Unavailable
from hilum.kernel.limits import MAX_COMMIT_BATCH

_BATCHES_AT_A_TIME: Final = 2

_Waiting = tuple[int, InstanceDraft, "asyncio.Future[IngestOutcome]"]


class GroupCommit:
    """Collects drafts while the index is busy and gives it all of them at once.

    A lone draft does not wait: a batch begins as soon as one of the few that may run at a time is free.

    Args:
        committed: told the size and duration of every batch.
    """

    def __init__(
        self,
        index: InstanceIndex,
        policy: DuplicatePolicy,
        clock: Clock,
        committed: Callable[[int, float], None],
    ) -> None:
        self._index = index
        self._policy = policy
        self._clock = clock
        self._committed = committed
        self._waiting: deque[_Waiting] = deque()
        self._running: set[asyncio.Task[None]] = set()

    def submit(self, tenant_id: int, draft: InstanceDraft) -> asyncio.Future[IngestOutcome]:
        """Return the future answer of the index.

        It fails with the index's error. A retryable one leaves open whether the rows were written; any other means
        that they were not.
        """
        future: asyncio.Future[IngestOutcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((tenant_id, draft, future))
        self._begin_batches()
        return future

    def _begin_batches(self) -> None:
        while self._waiting and len(self._running) < _BATCHES_AT_A_TIME:
            batch = self._next_batch()
            task = asyncio.create_task(self._commit(batch))
            self._running.add(task)
            task.add_done_callback(lambda task, batch=batch: self._end_batch(task, batch))  # type: ignore[misc]

    def _next_batch(self) -> list[_Waiting]:
        """Take the drafts that wait for the same tenant as the one that has waited longest."""
        tenant_id = self._waiting[0][0]
        batch: list[_Waiting] = []
        others: deque[_Waiting] = deque()
        while self._waiting and len(batch) < MAX_COMMIT_BATCH:
            waiting = self._waiting.popleft()
            (batch if waiting[0] == tenant_id else others).append(waiting)
        self._waiting.extendleft(reversed(others))
        return batch

    async def _commit(self, batch: list[_Waiting]) -> None:
        began = self._clock.monotonic()
        try:
            outcomes = await self._index.ingest(batch[0][0], [draft for _, draft, _ in batch], self._policy)
        except HilumError as error:
            if error.retryable or len(batch) == 1:
                for _, _, future in batch:
                    _fail(future, error)
            else:
                # One draft the index cannot take must not fail its neighbours: nothing was written, so try each alone.
                for waiting in batch:
                    await self._commit([waiting])
            return
        self._committed(len(batch), self._clock.monotonic() - began)
        for (_, _, future), outcome in zip(batch, outcomes, strict=True):
            if not future.done():
                future.set_result(outcome)

    def _end_batch(self, task: asyncio.Task[None], batch: list[_Waiting]) -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        for _, _, future in batch:
            # Only a defect gets here with a future open; nobody may wait for ever because of it.
            if not future.done():
                unavailable = Unavailable("the index failed to answer", code="commit-failed")
                unavailable.__cause__ = error
                future.set_exception(unavailable)
        self._begin_batches()


def _fail(future: asyncio.Future[IngestOutcome], error: HilumError) -> None:
    if not future.done():
        future.set_exception(error)
