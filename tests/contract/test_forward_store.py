"""Forwarding on a real PostgreSQL: the outbox, orders, and what is known of each instance whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from hilum.archive.changes import InstanceChange
from hilum.archive.forwarding import (
    ForwardOrder,
    ForwardOutcome,
    ForwardRule,
    ForwardState,
    RuleCondition,
    RuleTiming,
    lane_of,
)
from hilum.archive.jobs import Job, JobSelection, JobState, LaneUnavailable
from hilum.archive.model import DuplicatePolicy, StoredInstance
from hilum.archive.remotes import RemoteAe
from hilum.archive.sending import InstanceSent, SendState
from hilum.index.embedded import EmbeddedPostgres
from hilum.index.pool import TenantPool
from hilum.index.postgres import PostgresIndex
from hilum.kernel.clock import SystemClock
from hilum.kernel.errors import Conflict, NotFound, Unavailable
from hilum.kernel.limits import MAX_FORWARD_ATTEMPTS
from hilum.queue.connections import SETTINGS
from hilum.queue.outbox import PostgresOutbox
from hilum.services.forward_sending import ForwardSender
from hilum.services.forwarding import SEND, STABLE, ForwardService
from support.database import draft
from support.jobs import Queue, open_queue

STUDY = "1.2.1"


@pytest.fixture
async def queue(database: EmbeddedPostgres) -> AsyncIterator[Queue]:
    async with open_queue(database.app_address()) as opened:
        yield opened


@pytest.fixture
async def outbox(database: EmbeddedPostgres) -> AsyncIterator[PostgresOutbox]:
    pool = TenantPool(database.app_address(), 3, SETTINGS)
    yield PostgresOutbox(pool)
    await pool.close()


@dataclass
class Registry:
    """Remotes that are registered."""

    titles: set[str] = field(default_factory=lambda: {"DEST"})

    async def find(self, tenant_id: int, ae_title: str) -> RemoteAe | None:
        return RemoteAe(1, tenant_id, ae_title, "127.0.0.1", 104) if ae_title in self.titles else None


@dataclass
class ScriptedSender:
    """Says of each instance what `say` says, and remembers what was sent."""

    say: Callable[[StoredInstance], tuple[SendState, int | None]] = lambda _instance: (SendState.STORED, 0)
    sent: list[str] = field(default_factory=list)
    gate: asyncio.Event | None = None
    batches: list[int] = field(default_factory=list)

    async def send(
        self, remote: RemoteAe, instances: Sequence[StoredInstance], **options: Any
    ) -> AsyncGenerator[InstanceSent, None]:
        self.batches.append(len(instances))
        for number, instance in enumerate(instances):
            if self.gate is not None and number == 2:
                await self.gate.wait()
            self.sent.append(instance.sop_instance_uid)
            state, status = self.say(instance)
            yield InstanceSent(instance, state, status, "" if state is SendState.STORED else "said so")


class Silent:
    def forwarded(self, destination: str, result: str, size_bytes: int) -> None:
        pass


async def answers(_remote: RemoteAe) -> None:
    return


async def is_silent(_remote: RemoteAe) -> None:
    raise Unavailable("nobody there")


def sender_with(index: PostgresIndex, sender: ScriptedSender, reach: Any = answers) -> ForwardSender:
    return ForwardSender(index.forwarding, Registry(), sender, reach, "HILUM", Silent())


async def ingest(index: PostgresIndex, tenant_id: int, count: int, *, study: str = STUDY, start: int = 1) -> list[str]:
    uids = [f"{study}.1.{number}" for number in range(start, start + count)]
    drafts = [index.prepare(draft(study, f"{study}.1", uid)) for uid in uids]
    await index.ingest(tenant_id, drafts, DuplicatePolicy.REPLACE)
    return uids


async def order_all(index: PostgresIndex, tenant_id: int, *, destination: str = "DEST", delay_s: float = 0.0) -> None:
    facts = await index.forwarding.facts_of_study(tenant_id, STUDY)
    orders = [ForwardOrder(f.instance_key, f.version, STUDY, destination, delay_s=delay_s) for f in facts]
    await index.forwarding.order(tenant_id, orders)


async def take(queue: Queue, tenant_id: int, kind: str = SEND) -> Job:
    """Take this tenant's next job of the kind; those of other tests wait on."""
    async with asyncio.timeout(20):
        while True:
            for job in await queue.leases.take("test", [kind], 100, 60):
                if job.tenant_id == tenant_id:
                    return job
            await asyncio.sleep(0.02)


async def counts(index: PostgresIndex, tenant_id: int) -> dict[ForwardState, int]:
    (study,) = await index.forwarding.studies(tenant_id, limit=10)
    return dict(study.counts)


class TestOutbox:
    async def test_every_change_is_handed_on_once_in_order_and_again_when_it_was_not_taken(
        self, index: PostgresIndex, outbox: PostgresOutbox, tenant_id: int
    ) -> None:
        uids = await ingest(index, tenant_id, 3) + await ingest(index, tenant_id, 2, start=4)
        heard: list[str] = []

        async def refuse(_tenant_id: int, _changes: Sequence[InstanceChange]) -> None:
            raise Unavailable("not now")

        async def take_in(tenant: int, changes: Sequence[InstanceChange]) -> None:
            heard.extend(change.sop_instance_uid for change in changes if tenant == tenant_id)

        with pytest.raises(Unavailable):
            await outbox.hand_on(refuse, 1000)
        while await outbox.hand_on(take_in, 2):
            pass
        assert heard == uids
        assert await outbox.hand_on(take_in, 1000) == 0

    async def test_what_is_not_committed_holds_back_what_came_after_it(
        self, database: EmbeddedPostgres, index: PostgresIndex, outbox: PostgresOutbox, tenant_id: int
    ) -> None:
        async def forget(_tenant_id: int, _changes: Sequence[InstanceChange]) -> None:
            return

        while await outbox.hand_on(forget, 1000):
            pass
        open_connection = await asyncpg.connect(**database.app_address().connect_arguments())
        transaction = open_connection.transaction()
        await transaction.start()
        await open_connection.execute("SELECT pg_current_xact_id()")
        await ingest(index, tenant_id, 1)
        assert await outbox.hand_on(forget, 1000) == 0
        await transaction.rollback()
        assert await outbox.hand_on(forget, 1000) == 1
        await open_connection.close()

    async def test_one_process_hands_on_at_a_time(
        self, index: PostgresIndex, outbox: PostgresOutbox, tenant_id: int
    ) -> None:
        await ingest(index, tenant_id, 1)
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def slow(_tenant_id: int, _changes: Sequence[InstanceChange]) -> None:
            begun.set()
            await go_on.wait()

        first = asyncio.create_task(outbox.hand_on(slow, 1000))
        await begun.wait()
        assert await outbox.hand_on(slow, 1000) == 0
        go_on.set()
        assert await first >= 1


class TestRules:
    async def test_a_rule_comes_back_as_it_was_kept(self, index: PostgresIndex, tenant_id: int) -> None:
        condition = RuleCondition(modalities=("CT", "!M*"), calling_ae_titles=("MOD?",))
        rule = ForwardRule(
            0, tenant_id, "first", ("DEST",), condition, RuleTiming.STABLE, 12.5, 3, "1.2.840.10008.1.2.1"
        )
        kept = await index.forwarding.save_rule(rule)
        assert await index.forwarding.rules(tenant_id) == [kept]
        with pytest.raises(Conflict):
            await index.forwarding.save_rule(rule)
        with pytest.raises(NotFound):
            await index.forwarding.save_rule(ForwardRule(kept.rule_id + 1000, tenant_id, "other", ("DEST",), condition))
        assert await index.forwarding.remove_rule(tenant_id, kept.rule_id)
        assert not await index.forwarding.remove_rule(tenant_id, kept.rule_id)

    async def test_what_comes_is_ordered_by_rules_at_arrival_and_when_its_study_is_stable(
        self, index: PostgresIndex, outbox: PostgresOutbox, queue: Queue, tenant_id: int
    ) -> None:
        service = ForwardService(
            store=index.forwarding, queue=queue.jobs, remotes=Registry({"DEST", "LATER"}), clock=SystemClock()
        )
        await service.save_rule(ForwardRule(0, tenant_id, "now", ("DEST",), RuleCondition(modalities=("CT",))))
        await service.save_rule(ForwardRule(0, tenant_id, "never", ("DEST",), RuleCondition(modalities=("MR",))))
        stable = ForwardRule(0, tenant_id, "later", ("LATER",), timing=RuleTiming.STABLE, stable_s=3600)
        await service.save_rule(stable)
        for start in (1, 4):
            await ingest(index, tenant_id, 3, start=start)
            while await outbox.hand_on(service.route, 1000):
                pass
        assert dict(await index.forwarding.counts(tenant_id)) == {"DEST": {ForwardState.WAITING: 6}}
        jobs = await queue.jobs.select(tenant_id, JobSelection(), limit=10)
        assert sorted(job.kind for job in jobs) == [SEND, STABLE]
        (quiet,) = [job for job in jobs if job.kind == STABLE]
        assert (quiet.run_at - datetime.now(UTC)).total_seconds() > 3500
        await service.study_is_stable(quiet)
        assert (await index.forwarding.counts(tenant_id))["LATER"] == {ForwardState.WAITING: 6}


class TestSending:
    async def test_each_instance_is_sent_once_however_often_it_is_ordered(
        self, index: PostgresIndex, queue: Queue, tenant_id: int
    ) -> None:
        uids = await ingest(index, tenant_id, 120)
        await order_all(index, tenant_id)
        await order_all(index, tenant_id)
        sender = ScriptedSender()
        await sender_with(index, sender).send_study(await take(queue, tenant_id))
        await order_all(index, tenant_id)
        await sender_with(index, sender).send_study(await take(queue, tenant_id))
        assert sorted(sender.sent) == sorted(uids)
        assert await counts(index, tenant_id) == {ForwardState.SENT: 120}

    async def test_what_has_no_answer_waits_and_the_lane_rests_when_the_destination_is_silent(
        self, index: PostgresIndex, queue: Queue, tenant_id: int
    ) -> None:
        await ingest(index, tenant_id, 3)
        await order_all(index, tenant_id)
        sender = ScriptedSender(lambda _: (SendState.FAILED, None))
        for attempt in range(1, MAX_FORWARD_ATTEMPTS + 2):
            job = await take(queue, tenant_id)
            with pytest.raises(LaneUnavailable):
                await sender_with(index, sender, is_silent).send_study(job)
            await queue.leases.put_back(job, 0.0, attempt=attempt)
        assert await counts(index, tenant_id) == {ForwardState.WAITING: 3}

    async def test_one_instance_that_breaks_every_association_is_given_up_and_the_others_arrive(
        self, index: PostgresIndex, queue: Queue, tenant_id: int
    ) -> None:
        uids = await ingest(index, tenant_id, 5)
        await order_all(index, tenant_id)
        bad = uids[1]
        sender = ScriptedSender(
            lambda one: (SendState.FAILED, None) if one.sop_instance_uid == bad else (SendState.STORED, 0)
        )
        forwarding = sender_with(index, sender)
        for attempt in range(1, MAX_FORWARD_ATTEMPTS + 1):
            job = await take(queue, tenant_id)
            if attempt < MAX_FORWARD_ATTEMPTS:
                with pytest.raises(Unavailable):
                    await forwarding.send_study(job)
                await queue.leases.put_back(job, 0.0, attempt=attempt)
            else:
                await forwarding.send_study(job)
        assert await counts(index, tenant_id) == {ForwardState.SENT: 4, ForwardState.FAILED: 1}
        assert sender.sent.count(bad) == MAX_FORWARD_ATTEMPTS
        assert all(sender.sent.count(uid) == 1 for uid in uids if uid != bad)

    @pytest.mark.parametrize(("status", "state"), [(0xA700, "waiting"), (0xC123, "failed"), (0xA900, "failed")])
    async def test_a_refusal_is_tried_again_when_it_may_pass(
        self, index: PostgresIndex, queue: Queue, tenant_id: int, status: int, state: str
    ) -> None:
        await ingest(index, tenant_id, 1)
        await order_all(index, tenant_id)
        forwarding = sender_with(index, ScriptedSender(lambda _: (SendState.REFUSED, status)))
        with contextlib.suppress(Unavailable):
            await forwarding.send_study(await take(queue, tenant_id))
        assert await counts(index, tenant_id) == {ForwardState(state): 1}

    async def test_a_stopped_job_leaves_what_was_answered_as_sent_and_the_rest_waiting(
        self, index: PostgresIndex, queue: Queue, tenant_id: int
    ) -> None:
        await ingest(index, tenant_id, 5)
        await order_all(index, tenant_id)
        sender = ScriptedSender(gate=asyncio.Event())
        sending = asyncio.create_task(sender_with(index, sender).send_study(await take(queue, tenant_id)))
        while len(sender.sent) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert await counts(index, tenant_id) == {ForwardState.SENT: 2, ForwardState.WAITING: 3}

    async def test_what_a_lost_job_was_sending_is_sent_again_and_nothing_else(
        self, index: PostgresIndex, queue: Queue, tenant_id: int
    ) -> None:
        uids = await ingest(index, tenant_id, 6)
        await order_all(index, tenant_id)
        lost = await take(queue, tenant_id)
        claimed = await index.forwarding.claim(tenant_id, "DEST", STUDY, lost, 4)
        answered = [
            ForwardOutcome(each.instance.instance_key, each.version, ForwardState.SENT, 0) for each in claimed[:3]
        ]
        await index.forwarding.record(tenant_id, "DEST", lost.job_id, answered)
        # Another job of the study leaves alone what the first one is sending.
        await order_all(index, tenant_id)
        other = await take(queue, tenant_id)
        sender = ScriptedSender()
        await sender_with(index, sender).send_study(other)
        assert sender.sent == uids[4:]
        # The first one's worker dies, and the job comes back.
        await queue.leases.renew([lost], 0.0)
        await queue.leases.sweep()
        await sender_with(index, sender).send_study(await take(queue, tenant_id))
        assert sender.sent == [*uids[4:], uids[3]]
        assert await counts(index, tenant_id) == {ForwardState.SENT: 6}

    async def test_a_deleted_or_replaced_instance_is_not_sent(
        self, index: PostgresIndex, queue: Queue, tenant_id: int
    ) -> None:
        await ingest(index, tenant_id, 2)
        await order_all(index, tenant_id)
        changed = index.prepare(draft(STUDY, f"{STUDY}.1", f"{STUDY}.1.1", content="other"))
        await index.ingest(tenant_id, [changed], DuplicatePolicy.REPLACE)
        sender = ScriptedSender()
        await sender_with(index, sender).send_study(await take(queue, tenant_id))
        assert sender.sent == [f"{STUDY}.1.2"]
        assert await counts(index, tenant_id) == {ForwardState.SENT: 1, ForwardState.CANCELLED: 1}

    async def test_what_waits_for_its_window_is_left_alone_until_someone_retries(
        self, index: PostgresIndex, queue: Queue, tenant_id: int
    ) -> None:
        uids = await ingest(index, tenant_id, 2)
        await order_all(index, tenant_id, delay_s=3600)
        (waiting,) = await queue.jobs.select(tenant_id, JobSelection(kind=SEND), limit=10)
        assert (waiting.run_at - datetime.now(UTC)).total_seconds() > 3500
        assert await index.forwarding.retry(tenant_id, "DEST", None) == 2
        sender = ScriptedSender()
        await sender_with(index, sender).send_study(await take(queue, tenant_id))
        assert sender.sent == uids

    async def test_an_unregistered_destination_lets_what_is_for_it_wait(
        self, index: PostgresIndex, queue: Queue, tenant_id: int
    ) -> None:
        await ingest(index, tenant_id, 1)
        await order_all(index, tenant_id, destination="GONE")
        with pytest.raises(LaneUnavailable, match="GONE is not registered"):
            await sender_with(index, ScriptedSender()).send_study(await take(queue, tenant_id))
        assert await counts(index, tenant_id) == {ForwardState.WAITING: 1}


class TestSteering:
    async def test_cancelled_orders_are_not_sent_and_come_back_when_retried(
        self, index: PostgresIndex, queue: Queue, tenant_id: int
    ) -> None:
        service = ForwardService(store=index.forwarding, queue=queue.jobs, remotes=Registry(), clock=SystemClock())
        await ingest(index, tenant_id, 2)
        await order_all(index, tenant_id)
        assert await service.cancel(tenant_id, "DEST") == 2
        assert [job.state for job in await queue.jobs.select(tenant_id, JobSelection(), limit=5)] == [
            JobState.CANCELLED
        ]
        assert await service.retry(tenant_id, "DEST") == 2
        sender = ScriptedSender()
        await sender_with(index, sender).send_study(await take(queue, tenant_id))
        assert len(sender.sent) == 2

    async def test_a_study_is_sent_on_demand_also_when_it_was_sent_before(
        self, index: PostgresIndex, queue: Queue, tenant_id: int
    ) -> None:
        service = ForwardService(store=index.forwarding, queue=queue.jobs, remotes=Registry(), clock=SystemClock())
        uids = await ingest(index, tenant_id, 2)
        sender = ScriptedSender()
        for _ in range(2):
            assert await service.forward(tenant_id, STUDY, "DEST", priority=3) == 2
            await sender_with(index, sender).send_study(await take(queue, tenant_id))
        assert sender.sent == uids * 2
        with pytest.raises(NotFound):
            await service.forward(tenant_id, "1.2.3.4", "DEST")
        (status,) = await service.status(tenant_id)
        assert (status.destination, status.is_registered, status.is_held) == ("DEST", True, False)

    async def test_a_held_destination_is_shown_as_held_until_it_is_resumed(
        self, index: PostgresIndex, queue: Queue, tenant_id: int
    ) -> None:
        service = ForwardService(store=index.forwarding, queue=queue.jobs, remotes=Registry(), clock=SystemClock())
        await ingest(index, tenant_id, 1)
        await service.hold(tenant_id, "DEST")
        await order_all(index, tenant_id)
        assert [job for job in await queue.leases.take("test", [SEND], 100, 60) if job.tenant_id == tenant_id] == []
        assert [each.is_held for each in await service.status(tenant_id)] == [True]
        await service.resume(tenant_id, "DEST")
        assert (await take(queue, tenant_id)).lane == lane_of("DEST")
