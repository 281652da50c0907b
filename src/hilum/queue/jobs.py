"""The queue as services use it: each call shows and changes one tenant's jobs."""

# ruff: noqa: S608 - the statements are put together from constants

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import orjson

from hilum.archive.jobs import Job, JobSelection, JobState, LaneStatus, NewJob
from hilum.queue.connections import Connections
from hilum.queue.rows import COLUMNS, job_of

_ENQUEUE: Final = """
SELECT enqueue_job($1, kind, payload::jsonb, lane, priority, dedupe_key, delay_s, is_postponed)
FROM unnest($2::text[], $3::text[], $4::text[], $5::integer[], $6::text[], $7::float8[], $8::boolean[])
    WITH ORDINALITY AS t (kind, payload, lane, priority, dedupe_key, delay_s, is_postponed, position)
ORDER BY position
"""
_FIND: Final = f"SELECT {COLUMNS} FROM job WHERE tenant_id = $1 AND job_id = $2"
_SELECT: Final = f"SELECT {COLUMNS} FROM job WHERE tenant_id = $1 {{}} ORDER BY job_id DESC LIMIT $2 OFFSET $3"

# What runs is only marked; its worker does the rest as soon as it hears of it.
_HOLD: Final = """
UPDATE job SET state = CASE state WHEN 'queued' THEN 'held' ELSE state END,
    wanted = CASE state WHEN 'running' THEN 'held' END
WHERE tenant_id = $1 AND state IN ('queued', 'running') {}
"""
_RESUME: Final = """
UPDATE job SET state = CASE state WHEN 'held' THEN 'queued' ELSE state END, wanted = NULL,
    run_at = CASE state WHEN 'held' THEN least(run_at, now()) ELSE run_at END
WHERE tenant_id = $1 AND (state = 'held' OR (state = 'running' AND wanted = 'held')) {}
"""
_CANCEL: Final = """
UPDATE job SET state = CASE state WHEN 'running' THEN state ELSE 'cancelled' END,
    wanted = CASE state WHEN 'running' THEN 'cancelled' END,
    finished_at = CASE state WHEN 'running' THEN finished_at ELSE now() END
WHERE tenant_id = $1 AND state IN ('queued', 'running', 'held') {}
"""
# Of several jobs with one key only the newest comes back, and none while another one waits.
_RETRY_ENDED: Final = """
UPDATE job SET state = 'queued', attempt = 0, losses = 0, run_at = now(), finished_at = NULL
WHERE tenant_id = $1 AND job_id IN (
    SELECT DISTINCT ON (coalesce(dedupe_key, job_id::text)) job_id FROM job ended
    WHERE tenant_id = $1 AND state IN ('failed', 'cancelled') AND error_code IS DISTINCT FROM 'superseded' {}
        AND NOT EXISTS (
            SELECT FROM job waiting WHERE waiting.tenant_id = $1 AND waiting.dedupe_key = ended.dedupe_key
                AND waiting.state IN ('queued', 'held'))
    ORDER BY coalesce(dedupe_key, job_id::text), job_id DESC)
"""
_RETRY_WAITING: Final = "UPDATE job SET run_at = now() WHERE tenant_id = $1 AND state = 'queued' AND run_at > now() {}"
_END_REST: Final = """
UPDATE job_lane SET rests_until = NULL, failures = 0 WHERE tenant_id = $1 AND rests_until IS NOT NULL
    AND lane IN (SELECT lane FROM job WHERE tenant_id = $1 AND state = 'queued' {})
"""
_SET_LANE: Final = """
INSERT INTO job_lane AS there (tenant_id, lane, concurrency, is_held)
VALUES ($1, $2, coalesce($3, 4), coalesce($4, false))
ON CONFLICT (lane, tenant_id) DO UPDATE
SET concurrency = coalesce($3, there.concurrency), is_held = coalesce($4, there.is_held)
WHERE (there.concurrency, there.is_held) IS DISTINCT FROM
    (coalesce($3, there.concurrency), coalesce($4, there.is_held))
"""
_LANES: Final = """
SELECT lane, concurrency, is_held, CASE WHEN rests_until > now() THEN rests_until END AS rests_until, error,
    (SELECT coalesce(json_object_agg(state, count), '{}') FROM (
        SELECT state, count(*) FROM job WHERE job.tenant_id = $1 AND job.lane = job_lane.lane GROUP BY state
    ) AS counted) AS counts,
    (SELECT min(created_at) FROM job
        WHERE job.tenant_id = $1 AND job.lane = job_lane.lane AND state = 'queued') AS oldest_queued_at
FROM job_lane WHERE tenant_id = $1 AND starts_with(lane, $2) ORDER BY lane
"""
_WAKE: Final = "SELECT pg_notify('hilum_jobs', $1)"


class PostgresJobs:
    """Implements `hilum.archive.jobs.JobQueue`.

    Args:
        connections: connections that show the rows of the tenant they are lent for, and no other's.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def enqueue(self, tenant_id: int, jobs: Sequence[NewJob]) -> list[int]:
        """Keep the jobs, all or none, and wake idle workers; returns their ids (a duplicate's is the waiting one's)."""
        if not jobs:
            return []
        columns = (
            [job.kind for job in jobs],
            [orjson.dumps(job.payload).decode() for job in jobs],
            [job.lane for job in jobs],
            [job.priority for job in jobs],
            [job.dedupe_key for job in jobs],
            [job.delay_s for job in jobs],
            [job.is_postponed for job in jobs],
        )
        async with self._connections.use(tenant_id) as connection:
            return [record[0] for record in await connection.fetch(_ENQUEUE, tenant_id, *columns)]

    async def find(self, tenant_id: int, job_id: int) -> Job | None:
        """Return the job, or None when there is none."""
        async with self._connections.use(tenant_id) as connection:
            record = await connection.fetchrow(_FIND, tenant_id, job_id)
        return None if record is None else job_of(record)

    async def select(self, tenant_id: int, selection: JobSelection, *, limit: int, offset: int = 0) -> list[Job]:
        """Return the selected jobs, newest first."""
        condition, values = _condition(selection, first=4)
        async with self._connections.use(tenant_id) as connection:
            records = await connection.fetch(_SELECT.format(condition), tenant_id, limit, offset, *values)
        return [job_of(record) for record in records]

    async def hold(self, tenant_id: int, selection: JobSelection) -> int:
        """Hold what waits or runs of the selected jobs; returns how many."""
        return await self._change(tenant_id, selection, [_HOLD], "stop")

    async def resume(self, tenant_id: int, selection: JobSelection) -> int:
        """Let held jobs run; returns how many."""
        return await self._change(tenant_id, selection, [_RESUME], "")

    async def cancel(self, tenant_id: int, selection: JobSelection) -> int:
        """End what has not ended of the selected jobs; returns how many."""
        return await self._change(tenant_id, selection, [_CANCEL], "stop")

    async def retry(self, tenant_id: int, selection: JobSelection) -> int:
        """Let failed and cancelled jobs run again, and waiting ones at once, without rest; returns how many."""
        return await self._change(tenant_id, selection, [_RETRY_WAITING, _RETRY_ENDED, _END_REST], "", counted=2)

    async def set_lane(
        self, tenant_id: int, lane: str, *, concurrency: int | None = None, is_held: bool | None = None
    ) -> None:
        """Make the lane if need be and set what is given; takes effect in all workers with the next job."""
        async with self._connections.use(tenant_id) as connection:
            changed = await connection.execute(_SET_LANE, tenant_id, lane, concurrency, is_held)
            if not changed.endswith(" 0") and not is_held:
                await connection.execute(_WAKE, "")

    async def lanes(self, tenant_id: int, prefix: str = "") -> list[LaneStatus]:
        """Return the lanes whose names begin so, by name."""
        async with self._connections.use(tenant_id) as connection:
            records = await connection.fetch(_LANES, tenant_id, prefix)
        return [
            LaneStatus(
                lane=record["lane"],
                concurrency=record["concurrency"],
                is_held=record["is_held"],
                rests_until=record["rests_until"],
                counts={JobState(state): count for state, count in orjson.loads(record["counts"]).items()},
                oldest_queued_at=record["oldest_queued_at"],
                error=record["error"],
            )
            for record in records
        ]

    async def _change(
        self, tenant_id: int, selection: JobSelection, statements: Sequence[str], notice: str, *, counted: int = 1
    ) -> int:
        condition, values = _condition(selection, first=2)
        count = 0
        async with self._connections.use(tenant_id) as connection, connection.transaction():
            for position, statement in enumerate(statements):
                done = await connection.execute(statement.format(condition), tenant_id, *values)
                if position < counted:
                    count += int(done.rsplit(" ", 1)[1])
            await connection.execute(_WAKE, notice)
        return count


def _condition(selection: JobSelection, *, first: int) -> tuple[str, list[Any]]:
    """Return what stands after the tenant in WHERE, and the values of its parameters from number `first` on."""
    parts: list[str] = []
    values: list[Any] = []
    for column, sql_type, value in (
        ("job_id", "bigint[]", selection.job_ids),
        ("kind", "text", selection.kind),
        ("lane", "text", selection.lane),
        ("state", "text[]", list(selection.states) or None),
    ):
        if value is None:
            continue
        parameter = f"${first + len(values)}::{sql_type}"
        parts.append(f"AND {column} = " + (f"ANY({parameter})" if sql_type.endswith("[]") else parameter))
        values.append(value)
    return " ".join(parts), values
