"""Storage commitment transactions in the database."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import asyncpg

from hilum.archive.commitment import (
    COMMITMENT_JOB,
    Commitment,
    CommitmentDirection,
    CommitmentFailure,
    CommitmentTally,
    InstanceReference,
    KeptInstance,
    Verdict,
)
from hilum.archive.model import BlobRef
from hilum.index.pool import Connection, TenantPool
from hilum.kernel.errors import Conflict, Unavailable

_COLUMNS: Final = "commitment_id, direction, transaction_uid, remote_ae_title, own_ae_title, requested_at, sent_at"
_OPEN: Final = """
INSERT INTO commitment (tenant_id, direction, transaction_uid, remote_ae_title, own_ae_title, claimed_until)
VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6))
ON CONFLICT (transaction_uid, remote_ae_title, direction, tenant_id) DO UPDATE
SET claimed_until = excluded.claimed_until, requested_at = now(), decided_at = NULL, sent_at = NULL
RETURNING commitment_id, xmax <> 0 AS was_there
"""
_ADD: Final = """
INSERT INTO commitment_instance (tenant_id, commitment_id, position, sop_class_uid, sop_instance_uid, digest)
SELECT $1, $2, position, sop_class_uid, sop_instance_uid,
    (SELECT digest FROM instance WHERE instance.tenant_id = $1 AND instance.sop_instance_uid = t.sop_instance_uid)
FROM unnest($3::text[], $4::text[]) WITH ORDINALITY AS t (sop_class_uid, sop_instance_uid, position)
"""
_ENQUEUE: Final = """
SELECT enqueue_job($1, $2, jsonb_build_object('commitment_id', $3::bigint), lane => $4, dedupe_key => $5, delay_s => $6)
"""
_FIND: Final = f"SELECT {_COLUMNS}, decided_at FROM commitment WHERE commitment_id = $2 AND tenant_id = $1"  # noqa: S608
_FIND_REQUEST: Final = """
SELECT commitment_id FROM commitment
WHERE transaction_uid = $3 AND remote_ae_title = $2 AND direction = 'they-commit' AND tenant_id = $1
"""
_INSTANCES: Final = """
SELECT sop_class_uid, sop_instance_uid, is_committed, failure_reason FROM commitment_instance
WHERE commitment_id = $2 AND tenant_id = $1 ORDER BY position
"""
_RECENT: Final = f"SELECT {_COLUMNS} FROM commitment WHERE tenant_id = $1 ORDER BY commitment_id DESC LIMIT $2"  # noqa: S608
# What was decided of a request counts no more when the same request has come once again.
_TALLIES: Final = """
SELECT commitment_id, count(*), count(*) FILTER (WHERE is_committed AND decided_at IS NOT NULL),
    count(*) FILTER (WHERE NOT is_committed AND decided_at IS NOT NULL)
FROM commitment_instance JOIN commitment USING (commitment_id, tenant_id)
WHERE commitment_id = ANY($2) AND tenant_id = $1 GROUP BY commitment_id
"""
_CLAIM: Final = """
UPDATE commitment SET claimed_until = now() + make_interval(secs => $3)
WHERE commitment_id = $2 AND tenant_id = $1 AND (claimed_until IS NULL OR claimed_until <= now())
RETURNING 1
"""
_GIVE_UP: Final = "UPDATE commitment SET claimed_until = NULL WHERE commitment_id = $2 AND tenant_id = $1"
_DECIDE: Final = """
UPDATE commitment_instance AS i SET is_committed = t.reason IS NULL, failure_reason = t.reason
FROM unnest($3::text[], $4::text[], $5::integer[]) AS t (sop_class_uid, sop_instance_uid, reason)
WHERE i.commitment_id = $2 AND i.tenant_id = $1
    AND i.sop_instance_uid = t.sop_instance_uid AND i.sop_class_uid = t.sop_class_uid
"""
_DECIDED: Final = "UPDATE commitment SET decided_at = now() WHERE commitment_id = $2 AND tenant_id = $1"
_SENT: Final = "UPDATE commitment SET sent_at = now() WHERE commitment_id = $2 AND tenant_id = $1"
_KEPT: Final = """
SELECT sop_instance_uid, sop_class_uid, blob_key, size_bytes, data_set_offset, digest
FROM instance WHERE sop_instance_uid = ANY($2) AND tenant_id = $1
"""
_ELSEWHERE: Final = """
SELECT sop_instance_uid, array_agg(DISTINCT remote_ae_title) AS remotes
FROM commitment_instance AS asked
JOIN commitment USING (commitment_id, tenant_id)
JOIN instance USING (sop_instance_uid, tenant_id)
WHERE asked.sop_instance_uid = ANY($2) AND asked.tenant_id = $1 AND commitment.direction = 'they-commit'
    AND asked.is_committed AND asked.digest = instance.digest
GROUP BY sop_instance_uid
"""


class PostgresCommitments:
    """Implements `hilum.archive.commitment.Commitments`.

    Args:
        pool: the worker's connections for writing.
    """

    def __init__(self, pool: TenantPool) -> None:
        self._pool = pool

    async def open(
        self,
        tenant_id: int,
        direction: CommitmentDirection,
        transaction_uid: str,
        remote_ae_title: str,
        own_ae_title: str,
        references: Sequence[InstanceReference],
        *,
        claim_s: float,
        delay_s: float,
    ) -> Commitment:
        """Keep a new transaction and enqueue the job that carries it to its end."""
        async with self._pool.use(tenant_id) as connection, connection.transaction():
            record = await connection.fetchrow(
                _OPEN, tenant_id, direction, transaction_uid, remote_ae_title, own_ae_title, claim_s
            )
            assert record is not None
            commitment_id: int = record["commitment_id"]
            if record["was_there"]:
                there = await connection.fetch(_INSTANCES, tenant_id, commitment_id)
                if [_reference(row) for row in there] != list(references):
                    raise Conflict("this Transaction UID is in use for other instances", code="duplicate-transaction")
            else:
                classes = [reference.sop_class_uid for reference in references]
                uids = [reference.sop_instance_uid for reference in references]
                await connection.execute(_ADD, tenant_id, commitment_id, classes, uids)
            await connection.execute(
                _ENQUEUE,
                tenant_id,
                COMMITMENT_JOB,
                commitment_id,
                f"{COMMITMENT_JOB}:{remote_ae_title}",
                f"{COMMITMENT_JOB}:{commitment_id}",
                delay_s,
            )
            found = await _find(connection, tenant_id, commitment_id)
        if found is None:
            raise Unavailable("the transaction vanished as it was made", code="commitment-lost")
        return found

    async def find(self, tenant_id: int, commitment_id: int) -> Commitment | None:
        """Return a transaction."""
        async with self._pool.use(tenant_id) as connection:
            return await _find(connection, tenant_id, commitment_id)

    async def find_request(self, tenant_id: int, remote_ae_title: str, transaction_uid: str) -> Commitment | None:
        """Return the transaction in which we asked that remote."""
        async with self._pool.use(tenant_id) as connection:
            commitment_id = await connection.fetchval(_FIND_REQUEST, tenant_id, remote_ae_title, transaction_uid)
            return None if commitment_id is None else await _find(connection, tenant_id, commitment_id)

    async def recent(self, tenant_id: int, limit: int) -> list[Commitment]:
        """Return transactions, newest first, without references and verdicts of each instance."""
        async with self._pool.use(tenant_id) as connection:
            return [_commitment(tenant_id, row, ()) for row in await connection.fetch(_RECENT, tenant_id, limit)]

    async def tallies(self, tenant_id: int, commitment_ids: Sequence[int]) -> Mapping[int, CommitmentTally]:
        """Return how far the transactions are, by id."""
        async with self._pool.use(tenant_id) as connection:
            rows = await connection.fetch(_TALLIES, tenant_id, list(commitment_ids))
        return {row["commitment_id"]: CommitmentTally(*row[1:]) for row in rows}

    async def claim(self, tenant_id: int, commitment_id: int, seconds: float) -> bool:
        """Let nobody else work on the transaction for so long; False when somebody does."""
        async with self._pool.use(tenant_id) as connection:
            return await connection.fetchval(_CLAIM, tenant_id, commitment_id, seconds) is not None

    async def give_up_claim(self, tenant_id: int, commitment_id: int) -> None:
        """Let others work on it."""
        async with self._pool.use(tenant_id) as connection:
            await connection.execute(_GIVE_UP, tenant_id, commitment_id)

    async def decide(self, tenant_id: int, commitment_id: int, verdicts: Sequence[Verdict]) -> None:
        """Keep the answer."""
        classes = [verdict.reference.sop_class_uid for verdict in verdicts]
        uids = [verdict.reference.sop_instance_uid for verdict in verdicts]
        reasons = [verdict.failure_reason for verdict in verdicts]
        async with self._pool.use(tenant_id) as connection, connection.transaction():
            await connection.execute(_DECIDE, tenant_id, commitment_id, classes, uids, reasons)
            await connection.execute(_DECIDED, tenant_id, commitment_id)

    async def note_sent(self, tenant_id: int, commitment_id: int) -> None:
        """Note that the other side has heard."""
        async with self._pool.use(tenant_id) as connection:
            await connection.execute(_SENT, tenant_id, commitment_id)

    async def kept(self, tenant_id: int, sop_instance_uids: Collection[str]) -> Mapping[str, KeptInstance]:
        """Return what is there of these instances, by SOP Instance UID."""
        async with self._pool.use(tenant_id) as connection:
            rows = await connection.fetch(_KEPT, tenant_id, list(sop_instance_uids))
        return {
            row["sop_instance_uid"]: KeptInstance(
                row["sop_class_uid"],
                BlobRef(row["blob_key"], row["size_bytes"], row["data_set_offset"]),
                row["digest"],
            )
            for row in rows
        }

    async def committed_elsewhere(
        self, tenant_id: int, sop_instance_uids: Collection[str]
    ) -> Mapping[str, frozenset[str]]:
        """Return the remotes that have committed themselves to an instance as it is here now, by SOP Instance UID."""
        async with self._pool.use(tenant_id) as connection:
            rows = await connection.fetch(_ELSEWHERE, tenant_id, list(sop_instance_uids))
        return {row["sop_instance_uid"]: frozenset(row["remotes"]) for row in rows}


async def _find(connection: Connection, tenant_id: int, commitment_id: int) -> Commitment | None:
    record = await connection.fetchrow(_FIND, tenant_id, commitment_id)
    if record is None:
        return None
    instances = await connection.fetch(_INSTANCES, tenant_id, commitment_id)
    verdicts = None
    if record["decided_at"] is not None:
        # What an answer left out is not committed either.
        verdicts = tuple(
            Verdict(
                _reference(row),
                None if row["is_committed"] else row["failure_reason"] or CommitmentFailure.PROCESSING_FAILURE,
            )
            for row in instances
        )
    return _commitment(tenant_id, record, tuple(map(_reference, instances)), verdicts)


def _reference(row: asyncpg.Record) -> InstanceReference:
    return InstanceReference(row["sop_class_uid"], row["sop_instance_uid"])


def _commitment(
    tenant_id: int,
    row: asyncpg.Record,
    references: tuple[InstanceReference, ...],
    verdicts: tuple[Verdict, ...] | None = None,
) -> Commitment:
    return Commitment(
        row["commitment_id"],
        tenant_id,
        CommitmentDirection(row["direction"]),
        row["transaction_uid"],
        row["remote_ae_title"],
        row["own_ae_title"],
        references,
        row["requested_at"],
        verdicts,
        row["sent_at"],
    )
