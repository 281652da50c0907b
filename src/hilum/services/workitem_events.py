"""Delivery of workitem events: each subscriber is told everything in order, by one worker at a time, until it knows.

Events are kept in the database with the change they tell of. Whoever made one wakes all workers; a worker that has an
association of the subscriber goes first, others open one to where the registry says the subscriber listens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeAlias

from hilum.archive.ports import Notices
from hilum.archive.workitems import WorkitemEvent, Workitems
from hilum.kernel.clock import Clock
from hilum.kernel.errors import HilumError
from hilum.kernel.limits import (
    MAX_WORKITEM_DELIVERIES,
    WORKITEM_DELIVERY_LEASE_S,
    WORKITEM_EVENT_INTERVAL_S,
    WORKITEM_EVENT_LIFETIME_S,
    WORKITEM_EVENTS_PER_DELIVERY,
)
from hilum.observe.logs import get_logger

_log = get_logger("workitems")

TOPIC: Final = "workitem_event"
"""The topic of notices that there are events to be delivered."""

# So long a worker that would have to open an association leaves an event to those that may have one.
_PRECEDENCE_S: Final = 0.2

Tell: TypeAlias = Callable[[WorkitemEvent], Awaitable[None]]
"""Returns once the subscriber has answered. Raises Unavailable when it has not."""


class EventCarrier(Protocol):
    """The ways events take to subscribers."""

    def is_present(self, tenant_id: int, subscriber: str) -> bool:
        """Return whether the subscriber has an association open here that takes events."""
        ...

    async def has_address(self, tenant_id: int, subscriber: str) -> bool:
        """Return whether an association to the subscriber could be opened."""
        ...

    def connection(self, tenant_id: int, subscriber: str) -> AbstractAsyncContextManager[Tell]:
        """Return what tells the subscriber of events, over its own association if it has one here.

        Entering it raises a HilumError when there is no way to it now.
        """
        ...


class WorkitemEventDelivery:
    """One worker's share of the deliveries.

    Args:
        workitems: where the events wait.
        notices: tell of events that other workers made.
        interval_s: how often to look for events whose time has come.
    """

    def __init__(
        self,
        workitems: Workitems,
        carrier: EventCarrier,
        notices: Notices,
        clock: Clock,
        *,
        interval_s: float = WORKITEM_EVENT_INTERVAL_S,
    ) -> None:
        self._workitems = workitems
        self._carrier = carrier
        self._clock = clock
        self._interval_s = interval_s
        self._wake = asyncio.Event()
        self._work: asyncio.Task[None] | None = None
        self._under_way: dict[tuple[int, str], asyncio.Task[None]] = {}
        notices.subscribe(TOPIC, lambda _: self.wake())

    def start(self) -> None:
        """Begin to deliver."""
        self._work = asyncio.create_task(self._run())

    def wake(self) -> None:
        """Look at once: there may be new events, or a new way to a subscriber."""
        self._wake.set()

    async def close(self) -> None:
        """Stop; what is not delivered stays for later."""
        tasks = [*self._under_way.values(), *([self._work] if self._work else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._look(only_present=True)
                await asyncio.sleep(_PRECEDENCE_S)
                await self._look(only_present=False)
            except Exception as error:  # noqa: BLE001 - the worker loop: whatever fails, it goes on
                _log.warning("workitem events cannot be looked for", exc=error)
            try:
                async with asyncio.timeout(self._interval_s):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _look(self, *, only_present: bool) -> None:
        """Begin the deliveries there is a way for."""
        for tenant_id, subscriber, is_resting in await self._workitems.waiting_subscribers():
            if (tenant_id, subscriber) in self._under_way or len(self._under_way) >= MAX_WORKITEM_DELIVERIES:
                continue
            is_present = self._carrier.is_present(tenant_id, subscriber)
            if not is_present and (only_present or is_resting):
                continue
            if not is_present and not await self._carrier.has_address(tenant_id, subscriber):
                await self._workitems.give_up_events(tenant_id, subscriber, self._oldest())
                continue
            self._begin(tenant_id, subscriber)

    def _begin(self, tenant_id: int, subscriber: str) -> None:
        task = asyncio.create_task(self._deliver(tenant_id, subscriber))
        self._under_way[tenant_id, subscriber] = task
        task.add_done_callback(lambda done: self._ended(tenant_id, subscriber, done))

    def _ended(self, tenant_id: int, subscriber: str, task: asyncio.Task[None]) -> None:
        del self._under_way[tenant_id, subscriber]
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a delivery of workitem events failed", ae_title=subscriber, exc=error)

    async def _deliver(self, tenant_id: int, subscriber: str) -> None:
        """Tell one subscriber what waits for it. Errors are logged; the events stay."""
        workitems = self._workitems
        has_failed = False
        try:
            events = await workitems.lease_events(
                tenant_id, subscriber, WORKITEM_DELIVERY_LEASE_S, WORKITEM_EVENTS_PER_DELIVERY
            )
            if not events:
                return
            try:
                async with self._carrier.connection(tenant_id, subscriber) as tell:
                    for event in events:
                        await tell(event)
                        await workitems.delivered(tenant_id, subscriber, [event.event_id])
                self.wake()  # there may be more
            except HilumError as error:
                has_failed = True
                _log.info("workitem events not delivered", ae_title=subscriber, exc=error)
                await workitems.give_up_events(tenant_id, subscriber, self._oldest())
        except HilumError as error:
            _log.warning("workitem events cannot be read", ae_title=subscriber, exc=error)
        finally:
            await self._end_lease(tenant_id, subscriber, failed=has_failed)

    def _oldest(self) -> datetime:
        return self._clock.now() - timedelta(seconds=WORKITEM_EVENT_LIFETIME_S)

    async def _end_lease(self, tenant_id: int, subscriber: str, *, failed: bool) -> None:
        try:
            await self._workitems.end_lease(tenant_id, subscriber, failed=failed)
        except HilumError as error:
            _log.warning("the lease of a delivery runs out by itself", ae_title=subscriber, exc=error)
