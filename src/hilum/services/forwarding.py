"""Forwarding: rules decide where instances go, at arrival or when their study is stable; people see and steer it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from hilum.archive.changes import InstanceChange
from hilum.archive.forwarding import (
    DestinationSettings,
    ForwardedStudy,
    ForwardOrder,
    ForwardRule,
    ForwardState,
    ForwardStore,
    InstanceFacts,
    RuleTiming,
    lane_of,
)
from hilum.archive.jobs import Job, JobQueue, JobSelection, JobState, NewJob
from hilum.kernel.clock import Clock
from hilum.kernel.errors import InvalidInput, LimitExceeded, NotFound
from hilum.kernel.limits import MAX_FORWARD_RULES
from hilum.policies.routing import Decision, decide, sound_rule
from hilum.services.forward_sending import RemoteFinder

SEND: Final = "forward.send"
"""The kind of job that sends one study's instances to one destination."""
STABLE: Final = "forward.stable"
"""The kind of job that runs when a study has been quiet for a while."""

_EXPLAINED: Final = 100


@dataclass(frozen=True, slots=True)
class DestinationStatus:
    """How forwarding to one destination stands: instances by state but sent, jobs by state, and what is set."""

    destination: str
    instances: dict[ForwardState, int]
    jobs: dict[JobState, int]
    is_registered: bool
    is_held: bool
    concurrency: int
    max_bytes_per_s: float | None
    rests_until: datetime | None
    oldest_queued_at: datetime | None
    error: str | None


class ForwardService:
    """Decides what is forwarded, and lets people look and steer.

    Args:
        store: rules and orders.
        queue: where jobs wait.
        remotes: the registry of destinations.
        clock: tells when windows are open.
    """

    def __init__(self, *, store: ForwardStore, queue: JobQueue, remotes: RemoteFinder, clock: Clock) -> None:
        self._store = store
        self._queue = queue
        self._remotes = remotes
        self._clock = clock
        self._concurrency: dict[tuple[int, str], int] = {}

    async def route(self, tenant_id: int, changes: Sequence[InstanceChange]) -> None:
        """Order what rules want of instances that have come; hears of changes as `ChangeConsumer`."""
        arrived = [change for change in changes if change.action != "deleted"]
        rules = [rule for rule in await self._store.rules(tenant_id) if rule.is_enabled]
        if not rules or not arrived:
            return
        if any(rule.timing is RuleTiming.ARRIVAL for rule in rules):
            facts = await self._store.facts(tenant_id, [change.instance_key for change in arrived])
            await self._order(tenant_id, rules, facts, RuleTiming.ARRIVAL)
        quiet_times = {rule.stable_s for rule in rules if rule.timing is RuleTiming.STABLE}
        studies = dict.fromkeys(change.study_instance_uid for change in arrived)
        await self._queue.enqueue(
            tenant_id,
            [
                NewJob(
                    STABLE,
                    {"study_instance_uid": study_instance_uid, "stable_s": stable_s},
                    dedupe_key=f"{STABLE}:{stable_s}:{study_instance_uid}",
                    delay_s=stable_s,
                    is_postponed=True,
                )
                for study_instance_uid in studies
                for stable_s in sorted(quiet_times)
            ],
        )

    async def study_is_stable(self, job: Job) -> None:
        """Order what rules want of a study that has been quiet; the handler of the kind `forward.stable`."""
        rules = [
            rule
            for rule in await self._store.rules(job.tenant_id)
            if rule.timing is RuleTiming.STABLE and rule.stable_s == job.payload["stable_s"]
        ]
        if rules:
            facts = await self._store.facts_of_study(job.tenant_id, str(job.payload["study_instance_uid"]))
            await self._order(job.tenant_id, rules, facts, RuleTiming.STABLE)

    async def rules(self, tenant_id: int) -> Sequence[ForwardRule]:
        """Return all rules by id."""
        return await self._store.rules(tenant_id)

    async def save_rule(self, rule: ForwardRule) -> ForwardRule:
        """Keep a new rule (its `rule_id` is 0) or the changed one of that id, and return it as kept.

        Raises:
            InvalidInput: something about it cannot be; the message names it.
            LimitExceeded: there are too many rules.
            Conflict: another rule has the name.
            NotFound: there is no rule of that id.
        """
        rule = sound_rule(rule)
        for destination in rule.destinations:
            if await self._remotes.find(rule.tenant_id, destination) is None:
                raise InvalidInput(f"{destination} is not registered", code="no-such-remote")
        if not rule.rule_id and len(await self._store.rules(rule.tenant_id)) >= MAX_FORWARD_RULES:
            raise LimitExceeded(f"there are {MAX_FORWARD_RULES} forwarding rules already", code="too-many-rules")
        return await self._store.save_rule(rule)

    async def remove_rule(self, tenant_id: int, rule_id: int) -> None:
        """Remove the rule; what it has ordered is still sent.

        Raises:
            NotFound: there is no such rule.
        """
        if not await self._store.remove_rule(tenant_id, rule_id):
            raise NotFound("there is no such forwarding rule", code="no-such-rule")

    async def explain(self, tenant_id: int, study_instance_uid: str) -> list[tuple[InstanceFacts, list[Decision]]]:
        """Return what each rule says now of the study's first instances, at arrival and as part of a stable study."""
        rules = await self._store.rules(tenant_id)
        now = self._clock.now().astimezone()
        facts = await self._store.facts_of_study(tenant_id, study_instance_uid)
        return [(each, [decide(rules, each, timing, now) for timing in RuleTiming]) for each in facts[:_EXPLAINED]]

    async def forward(self, tenant_id: int, study_instance_uid: str, destination: str, priority: int = 0) -> int:
        """Send all of a study to a destination, whatever rules say and whether it was sent before.

        Returns how many instances.

        Raises:
            NotFound: there is no such study, or no such destination.
        """
        if await self._remotes.find(tenant_id, destination) is None:
            raise NotFound(f"{destination} is not registered", code="no-such-remote")
        facts = await self._store.facts_of_study(tenant_id, study_instance_uid)
        if not facts:
            raise NotFound("there is no such study", code="no-such-study")
        orders = [
            ForwardOrder(each.instance_key, each.version, study_instance_uid, destination, priority=priority)
            for each in facts
        ]
        await self._set_lanes(tenant_id, [destination])
        await self._store.order(tenant_id, orders, again=True)
        return len(orders)

    async def status(self, tenant_id: int) -> list[DestinationStatus]:
        """Return how every destination stands that a rule names, or that has something to show."""
        instances = await self._store.counts(tenant_id)
        settings = {each.destination: each for each in await self._store.destinations(tenant_id)}
        lanes = {each.lane: each for each in await self._queue.lanes(tenant_id, lane_of(""))}
        named = {name for rule in await self._store.rules(tenant_id) for name in rule.destinations}
        known = named | set(instances) | set(settings) | {lane.removeprefix(lane_of("")) for lane in lanes}
        found = []
        for destination in sorted(known):
            remote = await self._remotes.find(tenant_id, destination)
            lane, own = lanes.get(lane_of(destination)), settings.get(destination)
            concurrency = (own and own.concurrency) or (remote.max_associations if remote else 1)
            found.append(
                DestinationStatus(
                    destination=destination,
                    instances=dict(instances.get(destination, {})),
                    jobs=dict(lane.counts) if lane else {},
                    is_registered=remote is not None,
                    is_held=lane.is_held if lane else False,
                    concurrency=concurrency,
                    max_bytes_per_s=own.max_bytes_per_s if own else None,
                    rests_until=lane.rests_until if lane else None,
                    oldest_queued_at=lane.oldest_queued_at if lane else None,
                    error=lane.error if lane else None,
                )
            )
        return found

    async def studies(
        self,
        tenant_id: int,
        *,
        destination: str | None = None,
        study_instance_uid: str | None = None,
        states: Sequence[ForwardState] = (),
        limit: int,
        offset: int = 0,
    ) -> list[ForwardedStudy]:
        """Return how studies stand with their destinations, the last to change first."""
        return await self._store.studies(
            tenant_id,
            destination=destination,
            study_instance_uid=study_instance_uid,
            states=states,
            limit=limit,
            offset=offset,
        )

    async def set_destination(self, tenant_id: int, settings: DestinationSettings) -> None:
        """Say how much a destination takes at a time and in a second.

        Raises:
            NotFound: it is not registered.
        """
        if await self._remotes.find(tenant_id, settings.destination) is None:
            raise NotFound(f"{settings.destination} is not registered", code="no-such-remote")
        await self._store.save_destination(tenant_id, settings)
        await self._set_lanes(tenant_id, [settings.destination])

    async def hold(self, tenant_id: int, destination: str) -> None:
        """Send nothing more to the destination until it is resumed; what is on its way is stopped."""
        lane = lane_of(destination)
        await self._queue.set_lane(tenant_id, lane, is_held=True)
        await self._queue.hold(tenant_id, JobSelection(lane=lane, states=[JobState.RUNNING]))

    async def resume(self, tenant_id: int, destination: str) -> None:
        """Send to the destination again, what was held first."""
        lane = lane_of(destination)
        await self._queue.resume(tenant_id, JobSelection(lane=lane))
        await self._queue.set_lane(tenant_id, lane, is_held=False)

    async def cancel(self, tenant_id: int, destination: str, study_instance_uid: str | None = None) -> int:
        """Give up what has not been sent, of one study or of all; returns how many instances."""
        count = await self._store.cancel(tenant_id, destination, study_instance_uid)
        if study_instance_uid is None:
            await self._queue.cancel(tenant_id, JobSelection(lane=lane_of(destination)))
        return count

    async def retry(self, tenant_id: int, destination: str, study_instance_uid: str | None = None) -> int:
        """Send again what failed or was cancelled, and at once what waits; returns how many instances."""
        count = await self._store.retry(tenant_id, destination, study_instance_uid)
        if study_instance_uid is None:
            waiting = JobSelection(lane=lane_of(destination), states=[JobState.QUEUED])
            await self._queue.retry(tenant_id, waiting)
        return count

    async def _order(
        self, tenant_id: int, rules: Sequence[ForwardRule], facts: Sequence[InstanceFacts], timing: RuleTiming
    ) -> None:
        now = self._clock.now().astimezone()
        orders = [order for each in facts for order in decide(rules, each, timing, now).orders]
        await self._set_lanes(tenant_id, sorted({order.destination for order in orders}))
        await self._store.order(tenant_id, orders)

    async def _set_lanes(self, tenant_id: int, destinations: Sequence[str]) -> None:
        """Let each destination's lane run as many jobs at a time as the destination takes."""
        settings = (
            {each.destination: each for each in await self._store.destinations(tenant_id)} if destinations else {}
        )
        for destination in destinations:
            remote = await self._remotes.find(tenant_id, destination)
            own = settings.get(destination)
            concurrency = (own and own.concurrency) or (remote.max_associations if remote else 1)
            if self._concurrency.get((tenant_id, destination)) != concurrency:
                await self._queue.set_lane(tenant_id, lane_of(destination), concurrency=concurrency)
                self._concurrency[tenant_id, destination] = concurrency
