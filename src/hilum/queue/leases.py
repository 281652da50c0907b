"""The queue as workers use it: jobs of all tenants, on lease."""

# ruff: noqa: S608 - the statements are put together from constants

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Final

import asyncpg

from hilum.archive.jobs import Job, JobState
from hilum.kernel.errors import Unavailable
from hilum.kernel.limits import (
    FAILED_JOB_HISTORY_S,
    JOB_HISTORY_S,
    MAX_JOB_LOSSES,
    MAX_JOBS_FORGOTTEN,
    MAX_LANE_REST_S,
)
from hilum.queue.connections import Connection, Connections
from hilum.queue.rows import COLUMNS, job_of

_DUE: Final = """
job.state = 'queued' AND job.run_at <= now() AND job.lane = job_lane.lane AND job.tenant_id = job_lane.tenant_id
    AND job.kind = ANY({})
"""
_ROOM: Final = """
job_lane.concurrency - (SELECT count(*) FROM job running WHERE running.lane = job_lane.lane
    AND running.tenant_id = job_lane.tenant_id AND running.state = 'running')
"""
# A lane is filled by one worker at a time. What runs in it is counted by the statement after this one, which sees
# what the last one to fill it has taken.
_LOCK_LANES: Final = f"""
SELECT tenant_id, lane FROM job_lane
WHERE NOT is_held AND (rests_until IS NULL OR rests_until <= now()) AND {_ROOM} > 0
    AND EXISTS (SELECT FROM job WHERE {_DUE.format("$1::text[]")})
FOR UPDATE SKIP LOCKED
"""
_TAKE: Final = f"""
WITH chosen AS (
    SELECT found.job_id, found.tenant_id
    FROM unnest($1::integer[], $2::text[]) AS t (tenant_id, lane) JOIN job_lane USING (tenant_id, lane)
    CROSS JOIN LATERAL (
        SELECT job_id, tenant_id, priority, run_at FROM job WHERE {_DUE.format("$3::text[]")}
        ORDER BY priority DESC, run_at, job_id LIMIT greatest({_ROOM}, 0)
        FOR UPDATE SKIP LOCKED
    ) AS found
    ORDER BY priority DESC, run_at, job_id LIMIT $4
)
UPDATE job SET state = 'running', wanted = NULL, attempt = attempt + 1, lease = lease + 1, worker = $5,
    started_at = now(), finished_at = NULL, leased_until = now() + make_interval(secs => $6)
FROM chosen WHERE job.tenant_id = chosen.tenant_id AND job.job_id = chosen.job_id
RETURNING {", ".join("job." + column.strip() for column in COLUMNS.split(","))}
"""
_RENEW: Final = """
UPDATE job SET leased_until = now() + make_interval(secs => $3)
FROM unnest($1::bigint[], $2::integer[]) AS mine (job_id, lease)
WHERE job.job_id = mine.job_id AND job.lease = mine.lease AND job.state = 'running'
RETURNING job.job_id, job.lease, coalesce(job.wanted, 'running') AS wanted
"""
_MINE: Final = "tenant_id = $1 AND job_id = $2 AND lease = $3 AND state = 'running'"
# Where one job of a lane went well the next ones need not rest.
_FINISH: Final = f"""
WITH ended AS (
    UPDATE job SET state = $4, wanted = NULL, leased_until = NULL, finished_at = now(), error_code = $5, error = $6
    WHERE {_MINE}
    RETURNING lane
), well AS (
    UPDATE job_lane SET rests_until = NULL, failures = 0, error = NULL FROM ended
    WHERE tenant_id = $1 AND job_lane.lane = ended.lane AND $4 = 'done' AND (failures > 0 OR error IS NOT NULL)
)
SELECT count(*) > 0 FROM ended
"""
_REST: Final = """
UPDATE job_lane SET failures = failures + 1, error = $4,
    rests_until = now() + make_interval(secs => least($3 * 2 ^ least(failures, 16), $5))
WHERE tenant_id = $1 AND lane = $2 AND (rests_until IS NULL OR rests_until <= now())
"""
# $4 state, $5 delay, $6 attempt, $7 and $8 error, $9 losses.
_PUT_BACK: Final = f"""
UPDATE job SET state = CASE wanted WHEN 'held' THEN 'held' WHEN 'cancelled' THEN 'cancelled' ELSE $4 END,
    finished_at = CASE wanted WHEN 'cancelled' THEN now() END, wanted = NULL, leased_until = NULL,
    run_at = now() + make_interval(secs => $5), attempt = $6, error_code = $7, error = $8, losses = losses + $9
WHERE {_MINE}
"""
_HAND_OVER: Final = """
UPDATE job SET attempt = greatest(attempt, $4), run_at = greatest(run_at, now() + make_interval(secs => $5)),
    error_code = $6, error = $7, state = CASE WHEN $8 = 'held' THEN 'held' ELSE state END
WHERE tenant_id = $1 AND dedupe_key = $2 AND job_id <> $3 AND state IN ('queued', 'held')
RETURNING job_id
"""
_LOST: Final = f"""
SELECT {COLUMNS}, losses FROM job WHERE state = 'running' AND leased_until < now()
ORDER BY job_id LIMIT 100 FOR UPDATE SKIP LOCKED
"""
_FORGET: Final = """
DELETE FROM job WHERE (tenant_id, job_id) IN (
    SELECT tenant_id, job_id FROM job WHERE state IN ('done', 'failed', 'cancelled')
        AND finished_at < now() - make_interval(secs => $1)
        AND (state = 'done' OR finished_at < now() - make_interval(secs => $2))
    ORDER BY finished_at LIMIT $3)
"""
_LOST_CODE: Final = "worker-lost"
_COLLISIONS: Final = 3


class PostgresLeases:
    """Implements `hilum.archive.jobs.JobLeases`.

    Args:
        connections: connections that show the jobs of all tenants (`connections.SETTINGS`).
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def take(self, worker: str, kinds: Sequence[str], count: int, lease_s: float) -> list[Job]:
        """Lease up to `count` jobs of these kinds whose time has come and whose lanes have room."""
        async with self._connections.use(None) as connection, connection.transaction():
            lanes = await connection.fetch(_LOCK_LANES, list(kinds))
            if not lanes:
                return []
            records = await connection.fetch(
                _TAKE, [lane[0] for lane in lanes], [lane[1] for lane in lanes], list(kinds), count, worker, lease_s
            )
        return sorted((job_of(record) for record in records), key=lambda job: (-job.priority, job.run_at, job.job_id))

    async def renew(self, jobs: Sequence[Job], lease_s: float) -> dict[tuple[int, int], JobState]:
        """Renew the leases; returns by job id and lease what is wanted; lost ones are absent."""
        async with self._connections.use(None) as connection:
            records = await connection.fetch(_RENEW, [job.job_id for job in jobs], [job.lease for job in jobs], lease_s)
        return {(record["job_id"], record["lease"]): JobState(record["wanted"]) for record in records}

    async def finish(self, job: Job, state: JobState, error_code: str | None = None, error: str | None = None) -> bool:
        """End the job, or put it aside as HELD; False when the lease was lost."""
        if state is JobState.HELD:
            return await self._return(job, state, 0.0, job.attempt - 1, job.error_code, job.error)
        async with self._connections.use(None) as connection:
            return await _finish(connection, job, state, error_code, error)

    async def put_back(
        self,
        job: Job,
        delay_s: float,
        *,
        attempt: int,
        error_code: str | None = None,
        error: str | None = None,
        lane_rest_s: float = 0.0,
        longest_lane_rest_s: float = MAX_LANE_REST_S,
    ) -> bool:
        """Let the job wait for its next try; False when the lease was lost."""
        is_mine = await self._return(job, JobState.QUEUED, delay_s, attempt, error_code, error)
        if is_mine and lane_rest_s > 0:
            async with self._connections.use(None) as connection:
                await connection.execute(_REST, job.tenant_id, job.lane, lane_rest_s, error, longest_lane_rest_s)
        return is_mine

    async def sweep(self) -> int:
        """Let others have what lost workers held, and forget what ended long ago; returns how many were lost."""
        async with self._connections.use(None) as connection:
            async with connection.transaction():
                lost = await connection.fetch(_LOST)
                for record in lost:
                    job = job_of(record)
                    error = "The worker that had the job is gone."
                    if record["losses"] + 1 >= MAX_JOB_LOSSES:
                        await _finish(connection, job, JobState.FAILED, _LOST_CODE, error)
                    else:
                        await _put_back(connection, job, JobState.QUEUED, 0.0, job.attempt, _LOST_CODE, error, losses=1)
            await connection.execute(_FORGET, JOB_HISTORY_S, FAILED_JOB_HISTORY_S, MAX_JOBS_FORGOTTEN)
        return len(lost)

    async def _return(
        self, job: Job, state: JobState, delay_s: float, attempt: int, error_code: str | None, error: str | None
    ) -> bool:
        async with self._connections.use(None) as connection:
            for _ in range(_COLLISIONS):
                # A job with the same key may be enqueued between the two statements: then it is seen the next time.
                with contextlib.suppress(asyncpg.UniqueViolationError):
                    async with connection.transaction():
                        return await _put_back(connection, job, state, delay_s, attempt, error_code, error)
        raise Unavailable("The job could not be put back.", code="job-collision")


async def _finish(connection: Connection, job: Job, state: JobState, error_code: str | None, error: str | None) -> bool:
    is_mine: bool = await connection.fetchval(
        _FINISH, job.tenant_id, job.job_id, job.lease, state.value, error_code, error
    )
    return is_mine


async def _put_back(
    connection: Connection,
    job: Job,
    state: JobState,
    delay_s: float,
    attempt: int,
    error_code: str | None,
    error: str | None,
    *,
    losses: int = 0,
) -> bool:
    """Let the job wait again; when one with its key waits already, that one goes on in its place."""
    mine = (job.tenant_id, job.job_id, job.lease)
    if job.dedupe_key is not None:
        other = await connection.fetchval(
            _HAND_OVER, job.tenant_id, job.dedupe_key, job.job_id, attempt, delay_s, error_code, error, state
        )
        if other is not None:
            words = f"Job {other} goes on in its place."
            return await _finish(connection, job, JobState.CANCELLED, "superseded", words)
    done = await connection.execute(_PUT_BACK, *mine, state, delay_s, attempt, error_code, error, losses)
    return not done.endswith(" 0")
