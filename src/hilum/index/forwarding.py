"""Forwarding rules and orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import asyncpg
import msgspec
import orjson

from hilum.archive.forwarding import (
    ClaimedInstance,
    DestinationSettings,
    ForwardedStudy,
    ForwardOrder,
    ForwardOutcome,
    ForwardRule,
    ForwardState,
    InstanceFacts,
    RuleCondition,
    RuleTiming,
)
from hilum.archive.jobs import Job
from hilum.archive.model import BlobRef, Origin, StoredInstance
from hilum.index import forwarding_sql as sql
from hilum.index.pool import TenantPool
from hilum.kernel.errors import Conflict, NotFound

_GONE: Final = "the instance was deleted or replaced before it was sent"


class PostgresForwarding:
    """Implements `hilum.archive.forwarding.ForwardStore`.

    Args:
        pool: the worker's connections for writing.
    """

    def __init__(self, pool: TenantPool) -> None:
        self._pool = pool

    async def rules(self, tenant_id: int) -> Sequence[ForwardRule]:
        """Return all rules by id."""
        async with self._pool.use(tenant_id) as connection:
            return [_rule(record) for record in await connection.fetch(sql.RULES, tenant_id)]

    async def save_rule(self, rule: ForwardRule) -> ForwardRule:
        """Keep a new rule (its `rule_id` is 0) or the changed one of that id, and return it as kept.

        Raises:
            Conflict: another rule has the name.
            NotFound: there is no rule of that id.
        """
        values = (
            rule.tenant_id,
            rule.name,
            list(rule.destinations),
            msgspec.json.encode(rule.condition).decode(),
            rule.timing,
            rule.stable_s,
            rule.priority,
            rule.transfer_syntax_uid,
            rule.is_enabled,
        )
        async with self._pool.use(rule.tenant_id) as connection:
            try:
                if rule.rule_id:
                    record = await connection.fetchrow(sql.CHANGE_RULE, *values, rule.rule_id)
                else:
                    record = await connection.fetchrow(sql.ADD_RULE, *values)
            except asyncpg.UniqueViolationError as error:
                raise Conflict("another forwarding rule has this name", code="rule-exists") from error
        if record is None:
            raise NotFound("there is no such forwarding rule", code="no-such-rule")
        return _rule(record)

    async def remove_rule(self, tenant_id: int, rule_id: int) -> bool:
        """Remove the rule; False when there is none."""
        async with self._pool.use(tenant_id) as connection:
            done = await connection.execute(sql.REMOVE_RULE, tenant_id, rule_id)
        return str(done) != "DELETE 0"

    async def facts(self, tenant_id: int, instance_keys: Sequence[int]) -> list[InstanceFacts]:
        """Return what rules look at, of those of the instances that are there."""
        async with self._pool.use(tenant_id) as connection:
            records = await connection.fetch(sql.FACTS, tenant_id, list(instance_keys))
        return [_facts(record) for record in records]

    async def facts_of_study(self, tenant_id: int, study_instance_uid: str) -> list[InstanceFacts]:
        """Return what rules look at, of all instances of the study."""
        async with self._pool.use(tenant_id) as connection:
            records = await connection.fetch(sql.FACTS_OF_STUDY, tenant_id, study_instance_uid)
        return [_facts(record) for record in records]

    async def order(self, tenant_id: int, orders: Sequence[ForwardOrder], *, again: bool = False) -> None:
        """Keep the orders that are new, and enqueue jobs that send what waits, in one transaction."""
        if not orders:
            return
        columns = (
            [order.instance_key for order in orders],
            [order.version for order in orders],
            [order.study_instance_uid for order in orders],
            [order.destination for order in orders],
            [order.rule_id for order in orders],
            [order.priority for order in orders],
            [order.transfer_syntax_uid for order in orders],
            [order.delay_s for order in orders],
        )
        async with self._pool.use(tenant_id) as connection, connection.transaction():
            await connection.execute(sql.ORDER, tenant_id, *columns, again)
            await connection.execute(sql.ENQUEUE_ORDERED, tenant_id, *columns)

    async def claim(
        self, tenant_id: int, destination: str, study_instance_uid: str, job: Job, limit: int
    ) -> list[ClaimedInstance]:
        """Mark instances whose time has come as being sent by the job and return them; [] when there are none."""
        values = (tenant_id, destination, study_instance_uid, job.job_id, limit, job.started_at)
        async with self._pool.use(tenant_id) as connection:
            while records := await connection.fetch(sql.CLAIM, *values):
                gone = [record for record in records if record["blob_key"] is None]
                if gone:
                    outcomes = [
                        ForwardOutcome(record[0], record[1], ForwardState.CANCELLED, reason=_GONE) for record in gone
                    ]
                    await connection.execute(sql.RECORD, *_recorded(tenant_id, destination, job.job_id, outcomes))
                if len(gone) < len(records):
                    return [_claimed(record) for record in records if record["blob_key"] is not None]
        return []

    async def record(self, tenant_id: int, destination: str, job_id: int, outcomes: Sequence[ForwardOutcome]) -> None:
        """Keep what became of instances the job has claimed."""
        if outcomes:
            async with self._pool.use(tenant_id) as connection:
                await connection.execute(sql.RECORD, *_recorded(tenant_id, destination, job_id, outcomes))

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
        """Return how studies with instances in one of the states stand, the last to change first."""
        async with self._pool.use(tenant_id) as connection:
            records = await connection.fetch(
                sql.STUDIES, tenant_id, destination, list(states) or None, limit, offset, study_instance_uid
            )
        return [
            ForwardedStudy(
                study_instance_uid=record["study_instance_uid"],
                destination=record["destination"],
                counts={ForwardState(state): count for state, count in orjson.loads(record["counts"]).items()},
                error=record["error"],
                changed_at=record["changed_at"],
            )
            for record in records
        ]

    async def counts(self, tenant_id: int) -> Mapping[str, Mapping[ForwardState, int]]:
        """Return by destination how many instances are in each state but SENT."""
        counts: dict[str, dict[ForwardState, int]] = {}
        async with self._pool.use(tenant_id) as connection:
            for destination, state, count in await connection.fetch(sql.COUNTS, tenant_id):
                counts.setdefault(destination, {})[ForwardState(state)] = count
        return counts

    async def cancel(self, tenant_id: int, destination: str, study_instance_uid: str | None) -> int:
        """Give up what has not been sent to the destination; returns how many instances."""
        async with self._pool.use(tenant_id) as connection:
            done = await connection.execute(sql.CANCEL, tenant_id, destination, study_instance_uid)
        return int(done.rsplit(" ", 1)[1])

    async def retry(self, tenant_id: int, destination: str, study_instance_uid: str | None) -> int:
        """Let wait again what failed or was cancelled, and enqueue jobs for it; returns how many instances."""
        selected = (tenant_id, destination, study_instance_uid)
        async with self._pool.use(tenant_id) as connection, connection.transaction():
            done = await connection.execute(sql.RETRY, *selected)
            await connection.execute(sql.ENQUEUE_WAITING, *selected)
        return int(done.rsplit(" ", 1)[1])

    async def destinations(self, tenant_id: int) -> list[DestinationSettings]:
        """Return the settings of those destinations that have any."""
        async with self._pool.use(tenant_id) as connection:
            records = await connection.fetch(sql.DESTINATIONS, tenant_id)
        return [DestinationSettings(*record) for record in records]

    async def save_destination(self, tenant_id: int, settings: DestinationSettings) -> None:
        """Keep how much the destination takes."""
        values = (settings.destination, settings.concurrency, settings.max_bytes_per_s)
        async with self._pool.use(tenant_id) as connection:
            await connection.execute(sql.SAVE_DESTINATION, tenant_id, *values)


def _rule(record: asyncpg.Record) -> ForwardRule:
    return ForwardRule(
        **dict(record)
        | {
            "destinations": tuple(record["destinations"]),
            "condition": msgspec.json.decode(record["condition"], type=RuleCondition),
            "timing": RuleTiming(record["timing"]),
        }
    )


def _facts(record: asyncpg.Record) -> InstanceFacts:
    return InstanceFacts(**dict(record) | {"origin": msgspec.json.decode(record["origin"], type=Origin)})


def _claimed(record: asyncpg.Record) -> ClaimedInstance:
    instance = StoredInstance(
        instance_key=record["instance_key"],
        study_instance_uid=record["study_instance_uid"],
        series_instance_uid=record["series_instance_uid"],
        sop_instance_uid=record["sop_instance_uid"],
        sop_class_uid=record["sop_class_uid"],
        transfer_syntax_uid=record["transfer_syntax_uid"],
        blob=BlobRef(record["blob_key"], record["size_bytes"], record["data_set_offset"]),
        frame_count=record["frame_count"],
        has_bulk_data=record["has_bulk_data"],
        frame_index=record["frame_index"],
    )
    return ClaimedInstance(record["version"], record["attempt"], record["wanted"], instance)


def _recorded(tenant_id: int, destination: str, job_id: int, outcomes: Sequence[ForwardOutcome]) -> tuple[object, ...]:
    return (
        tenant_id,
        destination,
        job_id,
        [outcome.instance_key for outcome in outcomes],
        [outcome.version for outcome in outcomes],
        [outcome.state.value for outcome in outcomes],
        [outcome.status for outcome in outcomes],
        [outcome.reason for outcome in outcomes],
        [outcome.counts for outcome in outcomes],
    )
