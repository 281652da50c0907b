"""The outbox that ingest fills in the transaction of its rows, handed on in the order of those transactions."""

from __future__ import annotations

from itertools import groupby
from typing import Final

from hilum.archive.changes import ChangeConsumer, InstanceChange
from hilum.queue.connections import Connections

_LOCK_KEY: Final = 0x48494C554F  # any number nobody else uses for an advisory lock: "HILUO"
_LOCK: Final = "SELECT pg_try_advisory_xact_lock($1)"
# Older transactions have all ended: no row with a lower place can appear behind these.
_NEXT: Final = """
SELECT outbox.transaction_id::text AS transaction_id, outbox.outbox_id, feed.tenant_id, action, instance_key, version,
    study_instance_uid, series_instance_uid, sop_instance_uid, occurred_at
FROM outbox JOIN change_feed feed USING (tenant_id, transaction_id, sequence)
WHERE outbox.transaction_id < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY outbox.transaction_id, outbox.outbox_id LIMIT $1
"""
_FORGET: Final = "DELETE FROM outbox WHERE (transaction_id, outbox_id) <= ($1::text::xid8, $2::bigint)"


class PostgresOutbox:
    """Implements `hilum.archive.changes.Outbox`.

    Args:
        connections: connections that show the rows of all tenants (`connections.SETTINGS`).
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def hand_on(self, consume: ChangeConsumer, count: int) -> int:
        """Hand on up to `count` changes, oldest first, and forget them once `consume` has returned."""
        async with self._connections.use(None) as connection, connection.transaction():
            # Held to the end of the transaction: when this process dies the database lets another one go on.
            if not await connection.fetchval(_LOCK, _LOCK_KEY):
                return 0
            records = await connection.fetch(_NEXT, count)
            if not records:
                return 0
            changes = [InstanceChange(*tuple(record)[2:]) for record in records]
            for tenant_id, of_tenant in groupby(changes, key=lambda change: change.tenant_id):
                await consume(tenant_id, list(of_tenant))
            await connection.execute(_FORGET, records[-1]["transaction_id"], records[-1]["outbox_id"])
        return len(records)
