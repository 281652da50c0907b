"""Workitems, their subscriptions, and the events that wait to be delivered."""

# ruff: noqa: S608 - the statements are put together from constants

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg
import orjson

from hilum.archive.identifiers import matching_keys
from hilum.archive.model import DicomJson
from hilum.archive.workitems import (
    GlobalSubscription,
    Workitem,
    WorkitemEvent,
    WorkitemEventType,
    WorkitemQuery,
    WorkitemReport,
    WorkitemState,
)
from hilum.dicom.dictionary import tag_of
from hilum.dicom.temporal import temporal_interval
from hilum.dicom.uids import UPS_GLOBAL_SUBSCRIPTION
from hilum.index.pool import Connection, TenantPool
from hilum.index.read_sql import TENANTS
from hilum.index.search import compiled_sql
from hilum.index.terms import first_text, json_text, terms_of
from hilum.index.workitem_search import search_statement
from hilum.kernel.limits import MAX_WORKITEM_RETRY_DELAY_S, WORKITEM_DELIVERY_LEASE_S, WORKITEM_RETRY_DELAY_S
from hilum.policies.workitems import state_report

TOPIC: Final = "workitem_event"
"""The topic of notices that there are events to be delivered."""

_PATIENT_ID: Final = tag_of("PatientID")
_LABEL: Final = tag_of("WorklistLabel")
_START: Final = tag_of("ScheduledProcedureStepStartDateTime")
_ROWS_AT_A_TIME: Final = 200

# A global subscription and a new workitem must see each other: whoever makes the one holds off the other.
_NEW_WORKITEM: Final = "SELECT pg_advisory_xact_lock_shared(hashtext('workitem'), $1)"
_NEW_SUBSCRIPTION: Final = "SELECT pg_advisory_xact_lock(hashtext('workitem'), $1)"

_VALUES: Final = "state, transaction_uid, performer, patient_id, worklist_label, starts_at, attributes, terms"
_INSERT: Final = f"""
INSERT INTO workitem (tenant_id, sop_instance_uid, version, {_VALUES})
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (sop_instance_uid, tenant_id) DO NOTHING RETURNING workitem_key
"""
_UPDATE: Final = f"""
UPDATE workitem SET ({_VALUES}) = ($4, $5, $6, $7, $8, $9, $10, $11), version = version + 1, changed_at = now()
WHERE sop_instance_uid = $2 AND tenant_id = $1 AND version = $3
"""
_FIND: Final = """
SELECT state, attributes, transaction_uid, performer, version FROM workitem
WHERE sop_instance_uid = $2 AND tenant_id = $1
"""
_KEY: Final = "SELECT workitem_key FROM workitem WHERE sop_instance_uid = $2 AND tenant_id = $1"
_GLOBAL: Final = "SELECT subscriber, has_deletion_lock, keys FROM workitem_global_subscription WHERE tenant_id = $1"
_SUBSCRIBE: Final = """
INSERT INTO workitem_subscription (tenant_id, workitem_key, subscriber, has_deletion_lock)
SELECT $1, key, $3, $4 FROM unnest($2::bigint[]) AS key
ON CONFLICT (workitem_key, subscriber, tenant_id) DO UPDATE SET has_deletion_lock = excluded.has_deletion_lock
"""
_UNSUBSCRIBE: Final = """
DELETE FROM workitem_subscription WHERE workitem_key = $2 AND subscriber = $3 AND tenant_id = $1
"""
_SUBSCRIBE_GLOBALLY: Final = """
INSERT INTO workitem_global_subscription (tenant_id, subscriber, has_deletion_lock, keys) VALUES ($1, $2, $3, $4)
ON CONFLICT (subscriber, tenant_id) DO UPDATE SET has_deletion_lock = excluded.has_deletion_lock, keys = excluded.keys
"""
_SUBSCRIBERS: Final = """
SELECT subscriber FROM workitem_subscription JOIN workitem USING (workitem_key, tenant_id)
WHERE sop_instance_uid = $2 AND tenant_id = $1
"""
_ALL_SUBSCRIBERS: Final = """
SELECT subscriber FROM workitem_subscription WHERE tenant_id = $1
UNION SELECT subscriber FROM workitem_global_subscription WHERE tenant_id = $1
"""
_ADD_EVENTS: Final = """
INSERT INTO workitem_event (tenant_id, subscriber, sop_instance_uid, event_type, information)
SELECT $1, subscriber, $3, event_type, information::jsonb
FROM unnest($4::integer[], $5::text[]) WITH ORDINALITY AS report (event_type, information, number)
CROSS JOIN unnest($2::text[]) AS subscriber
ORDER BY number
"""
_ADD_DELIVERIES: Final = """
INSERT INTO workitem_delivery (tenant_id, subscriber) SELECT $1, subscriber FROM unnest($2::text[]) AS subscriber
ORDER BY subscriber
ON CONFLICT DO NOTHING
"""
_TELL: Final = f"SELECT pg_notify('hilum_{TOPIC}', $1::text)"
_WAITING: Final = """
SELECT tenant_id, subscriber, retry_at > now() FROM workitem_delivery AS delivery
WHERE leased_until <= now() AND EXISTS (
    SELECT FROM workitem_event AS event
    WHERE event.subscriber = delivery.subscriber AND event.tenant_id = delivery.tenant_id)
"""
_LEASE: Final = """
UPDATE workitem_delivery SET lease = $3, leased_until = now() + make_interval(secs => $4)
WHERE subscriber = $2 AND tenant_id = $1 AND (leased_until <= now() OR lease = $3)
"""
_OLDEST: Final = """
SELECT event_id, sop_instance_uid, event_type, information, created_at FROM workitem_event
WHERE subscriber = $2 AND tenant_id = $1 ORDER BY event_id LIMIT $3
"""
_FORGET: Final = "DELETE FROM workitem_event WHERE event_id = ANY($2::bigint[]) AND subscriber = $3 AND tenant_id = $1"
_GIVE_UP: Final = "DELETE FROM workitem_event WHERE subscriber = $2 AND tenant_id = $1 AND created_at < $3"
_RENEW: Final = """
UPDATE workitem_delivery SET leased_until = now() + make_interval(secs => $4)
WHERE subscriber = $2 AND tenant_id = $1 AND lease = $3
"""
_END_LEASE: Final = """
UPDATE workitem_delivery SET lease = NULL, leased_until = '-infinity',
    failures = CASE WHEN $4 THEN failures + 1 ELSE 0 END,
    retry_at = CASE WHEN $4 THEN now() + make_interval(secs => least($5 * 2 ^ least(failures, 30), $6))
        ELSE '-infinity' END
WHERE subscriber = $2 AND tenant_id = $1 AND lease = $3
"""


# Others may be at it too. A lock that comes while a workitem goes finds none to hold (PS3.4 §CC.2.3).
_FORGET_ENDED: Final = """
DELETE FROM workitem WHERE tenant_id = $1 AND workitem_key = ANY(ARRAY(
    SELECT workitem_key FROM workitem AS w
    WHERE tenant_id = $1 AND state IN ('COMPLETED', 'CANCELED') AND changed_at < $2 AND NOT EXISTS (
        SELECT FROM workitem_subscription AS s
        WHERE s.workitem_key = w.workitem_key AND s.tenant_id = $1 AND s.has_deletion_lock)
    ORDER BY changed_at LIMIT $3 FOR UPDATE SKIP LOCKED))
"""


class PostgresWorkitems:
    """Implements `hilum.archive.workitems.Workitems`.

    Args:
        writing: the worker's connections for writing.
        reading: those for searches.
    """

    def __init__(self, writing: TenantPool, reading: TenantPool) -> None:
        self._writing = writing
        self._reading = reading
        # What this process has on lease.
        self._lease = uuid.uuid4()

    # --- workitems -----------------------------------------------------------------------------------------------

    async def create(self, tenant_id: int, workitem: Workitem, reports: Sequence[WorkitemReport]) -> bool:
        """Keep a new workitem, subscribe the global subscribers it concerns; False when the UID is taken."""
        async with self._writing.use(tenant_id) as connection, connection.transaction():
            await connection.execute(_NEW_WORKITEM, tenant_id)
            key = await connection.fetchval(_INSERT, tenant_id, *_row(workitem))
            if key is None:
                return False
            concerned = [
                subscription
                for record in await connection.fetch(_GLOBAL, tenant_id)
                if (subscription := _global_subscription(record)).concerns(workitem.attributes)
            ]
            for subscription in concerned:
                await connection.execute(
                    _SUBSCRIBE, tenant_id, [key], subscription.subscriber, subscription.has_deletion_lock
                )
            subscribers = [subscription.subscriber for subscription in concerned]
            await _add_events(connection, tenant_id, subscribers, workitem.sop_instance_uid, reports)
        return True

    async def find(self, tenant_id: int, sop_instance_uid: str) -> Workitem | None:
        """Return the workitem, or None."""
        async with self._writing.use(tenant_id) as connection:
            record = await connection.fetchrow(_FIND, tenant_id, sop_instance_uid)
        if record is None:
            return None
        return Workitem(
            sop_instance_uid,
            WorkitemState(record["state"]),
            orjson.loads(record["attributes"]),
            record["transaction_uid"],
            record["performer"],
            record["version"],
        )

    async def forget_ended(self, tenant_id: int, before: datetime, limit: int) -> int:
        """Forget up to `limit` workitems in a final state since before that, without a lock; return how many."""
        async with self._writing.use(tenant_id) as connection:
            done = await connection.execute(_FORGET_ENDED, tenant_id, before, limit)
        return int(str(done).removeprefix("DELETE "))

    async def replace(self, tenant_id: int, workitem: Workitem, reports: Sequence[WorkitemReport]) -> bool:
        """Keep the changed workitem as its next version; False when `workitem.version` is the current one no more."""
        async with self._writing.use(tenant_id) as connection, connection.transaction():
            if await connection.execute(_UPDATE, tenant_id, *_row(workitem)) == "UPDATE 0":
                return False
            await _report(connection, tenant_id, workitem.sop_instance_uid, reports)
        return True

    async def report(self, tenant_id: int, sop_instance_uid: str, reports: Sequence[WorkitemReport]) -> None:
        """Tell the workitem's subscribers of something that changes nothing."""
        async with self._writing.use(tenant_id) as connection, connection.transaction():
            await _report(connection, tenant_id, sop_instance_uid, reports)

    async def search(self, tenant_id: int, query: WorkitemQuery) -> AsyncGenerator[DicomJson]:
        """Yield the attributes of matching workitems from a cursor (flat memory).

        Raises:
            LimitExceeded: the query takes too long.
        """
        sql, parameters = compiled_sql(search_statement(tenant_id, query))
        async with self._reading.use(tenant_id) as connection, connection.transaction():
            async for record in connection.cursor(sql, *parameters, prefetch=_ROWS_AT_A_TIME):
                yield orjson.loads(record[0])

    # --- subscriptions -------------------------------------------------------------------------------------------

    async def is_subscribed(self, tenant_id: int, sop_instance_uid: str, subscriber: str) -> bool:
        """Return whether the application entity is told of the workitem's events."""
        async with self._writing.use(tenant_id) as connection:
            records = await connection.fetch(
                _SUBSCRIBERS + " AND subscriber = $3", tenant_id, sop_instance_uid, subscriber
            )
        return bool(records)

    async def subscribe(
        self, tenant_id: int, sop_instance_uid: str, subscriber: str, *, has_deletion_lock: bool, report: WorkitemReport
    ) -> bool:
        """Subscribe to one workitem, in place of an earlier subscription, and tell the subscriber how it stands."""
        async with self._writing.use(tenant_id) as connection, connection.transaction():
            key = await connection.fetchval(_KEY, tenant_id, sop_instance_uid)
            if key is None:
                return False
            await connection.execute(_SUBSCRIBE, tenant_id, [key], subscriber, has_deletion_lock)
            await _add_events(connection, tenant_id, [subscriber], sop_instance_uid, [report])
        return True

    async def unsubscribe(self, tenant_id: int, sop_instance_uid: str, subscriber: str) -> bool:
        """End the subscription, deletion lock and undelivered events included; False without such a workitem."""
        async with self._writing.use(tenant_id) as connection, connection.transaction():
            key = await connection.fetchval(_KEY, tenant_id, sop_instance_uid)
            if key is None:
                return False
            await connection.execute(_UNSUBSCRIBE, tenant_id, key, subscriber)
            await connection.execute(
                "DELETE FROM workitem_event WHERE subscriber = $2 AND tenant_id = $1 AND sop_instance_uid = $3",
                tenant_id,
                subscriber,
                sop_instance_uid,
            )
        return True

    async def subscribe_globally(self, tenant_id: int, subscription: GlobalSubscription) -> None:
        """Subscribe to all matching workitems, those that are there and those to come."""
        keys = None if subscription.keys is None else json_text(subscription.keys)
        async with self._writing.use(tenant_id) as connection, connection.transaction():
            await connection.execute(_NEW_SUBSCRIPTION, tenant_id)
            await connection.execute(
                _SUBSCRIBE_GLOBALLY, tenant_id, subscription.subscriber, subscription.has_deletion_lock, keys
            )
            query = WorkitemQuery(matching_keys(subscription.keys or {}), limit=None)
            sql, parameters = compiled_sql(search_statement(tenant_id, query))
            batch: list[asyncpg.Record] = []
            async for record in connection.cursor(sql, *parameters, prefetch=_ROWS_AT_A_TIME):
                batch.append(record)
                if len(batch) == _ROWS_AT_A_TIME:
                    await _subscribe_to(connection, tenant_id, subscription, batch)
                    batch.clear()
            await _subscribe_to(connection, tenant_id, subscription, batch)

    async def suspend(self, tenant_id: int, subscriber: str) -> None:
        """End a global subscription: nothing of workitems to come, all else stays."""
        async with self._writing.use(tenant_id) as connection:
            await _execute_for(connection, "workitem_global_subscription", tenant_id, subscriber)

    async def unsubscribe_globally(self, tenant_id: int, subscriber: str) -> None:
        """End every subscription of the application entity; undelivered events are dropped."""
        async with self._writing.use(tenant_id) as connection, connection.transaction():
            await connection.execute(_NEW_SUBSCRIPTION, tenant_id)
            for table in ("workitem_global_subscription", "workitem_subscription", "workitem_event"):
                await _execute_for(connection, table, tenant_id, subscriber)

    async def announce(self, report: WorkitemReport) -> None:
        """Tell every subscriber, of all tenants, something that is about no single workitem."""
        async with self._writing.use(None) as connection:
            tenants = [record[0] for record in await connection.fetch(TENANTS)]
        for tenant_id in tenants:
            async with self._writing.use(tenant_id) as connection, connection.transaction():
                subscribers = [record[0] for record in await connection.fetch(_ALL_SUBSCRIBERS, tenant_id)]
                await _add_events(connection, tenant_id, subscribers, UPS_GLOBAL_SUBSCRIPTION, [report])

    # --- events --------------------------------------------------------------------------------------------------

    async def waiting_subscribers(self) -> list[tuple[int, str, bool]]:
        """Return tenants and subscribers that have events and are not being served, and whether they rest."""
        async with self._writing.use(None) as connection, connection.transaction():
            await connection.execute("SELECT set_config('hilum.deliveries', 'on', true)")
            return [(record[0], record[1], record[2]) for record in await connection.fetch(_WAITING)]

    async def lease_events(self, tenant_id: int, subscriber: str, lease_s: float, limit: int) -> list[WorkitemEvent]:
        """Return a subscriber's oldest events, whose delivery is the caller's alone for a time; [] if it is not."""
        async with self._writing.use(tenant_id) as connection:
            leased = await connection.execute(_LEASE, tenant_id, subscriber, self._lease, lease_s)
            if leased == "UPDATE 0":
                return []
            records = await connection.fetch(_OLDEST, tenant_id, subscriber, limit)
        return [
            WorkitemEvent(
                record["event_id"],
                record["sop_instance_uid"],
                WorkitemReport(WorkitemEventType(record["event_type"]), orjson.loads(record["information"])),
                record["created_at"],
            )
            for record in records
        ]

    async def delivered(self, tenant_id: int, subscriber: str, event_ids: Sequence[int]) -> None:
        """Forget events; the lease begins anew."""
        async with self._writing.use(tenant_id) as connection, connection.transaction():
            await connection.execute(_FORGET, tenant_id, list(event_ids), subscriber)
            await connection.execute(_RENEW, tenant_id, subscriber, self._lease, WORKITEM_DELIVERY_LEASE_S)

    async def give_up_events(self, tenant_id: int, subscriber: str, before: datetime) -> None:
        """Forget a subscriber's events that are older."""
        async with self._writing.use(tenant_id) as connection:
            await connection.execute(_GIVE_UP, tenant_id, subscriber, before)

    async def end_lease(self, tenant_id: int, subscriber: str, *, failed: bool) -> None:
        """Give the delivery free; after a failure not before a time that grows with each one in a row."""
        async with self._writing.use(tenant_id) as connection:
            await connection.execute(
                _END_LEASE,
                tenant_id,
                subscriber,
                self._lease,
                failed,
                WORKITEM_RETRY_DELAY_S,
                MAX_WORKITEM_RETRY_DELAY_S,
            )


def _row(workitem: Workitem) -> list[Any]:
    attributes = workitem.attributes
    return [
        workitem.sop_instance_uid,
        workitem.version,
        workitem.state,
        workitem.transaction_uid,
        workitem.performer,
        first_text(attributes, _PATIENT_ID),
        first_text(attributes, _LABEL),
        _starts_at(attributes),
        json_text(attributes),
        json_text(terms_of(attributes)),
    ]


def _starts_at(attributes: DicomJson) -> datetime | None:
    interval = temporal_interval("DT", first_text(attributes, _START) or "")
    return interval[0] if interval else None


def _global_subscription(record: asyncpg.Record) -> GlobalSubscription:
    keys = record["keys"]
    return GlobalSubscription(
        record["subscriber"], record["has_deletion_lock"], None if keys is None else orjson.loads(keys)
    )


async def _subscribe_to(
    connection: Connection, tenant_id: int, subscription: GlobalSubscription, found: Sequence[asyncpg.Record]
) -> None:
    if not found:
        return
    keys = [record["workitem_key"] for record in found]
    await connection.execute(_SUBSCRIBE, tenant_id, keys, subscription.subscriber, subscription.has_deletion_lock)
    if subscription.has_deletion_lock:
        for record in found:
            report = state_report(orjson.loads(record["attributes"]))
            await _add_events(connection, tenant_id, [subscription.subscriber], record["sop_instance_uid"], [report])


async def _report(
    connection: Connection, tenant_id: int, sop_instance_uid: str, reports: Sequence[WorkitemReport]
) -> None:
    if reports:
        records = await connection.fetch(_SUBSCRIBERS, tenant_id, sop_instance_uid)
        await _add_events(connection, tenant_id, [record[0] for record in records], sop_instance_uid, reports)


async def _add_events(
    connection: Connection,
    tenant_id: int,
    subscribers: Sequence[str],
    sop_instance_uid: str,
    reports: Sequence[WorkitemReport],
) -> None:
    if not subscribers or not reports:
        return
    await connection.execute(
        _ADD_EVENTS,
        tenant_id,
        list(subscribers),
        sop_instance_uid,
        [int(report.event_type) for report in reports],
        [json_text(report.information) for report in reports],
    )
    await connection.execute(_ADD_DELIVERIES, tenant_id, list(subscribers))
    await connection.execute(_TELL, str(tenant_id))


async def _execute_for(connection: Connection, table: str, tenant_id: int, subscriber: str) -> None:
    await connection.execute(f"DELETE FROM {table} WHERE subscriber = $2 AND tenant_id = $1", tenant_id, subscriber)
