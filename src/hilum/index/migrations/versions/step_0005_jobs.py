"""The durable job queue."""

from __future__ import annotations

from alembic import op

from hilum.index.migrations.row_security import guard

revision = "0005"
down_revision = "0004"

_C = 'text COLLATE "C"'

# `wanted` is what a job that runs shall become when its worker hears of it. `lease` tells the holders of a job apart.
_TABLES = f"""
CREATE TABLE job_lane (
    tenant_id integer NOT NULL REFERENCES tenant,
    lane {_C} NOT NULL CHECK (lane <> ''),
    concurrency integer NOT NULL DEFAULT 4 CHECK (concurrency > 0),
    is_held boolean NOT NULL DEFAULT false,
    rests_until timestamptz,
    failures integer NOT NULL DEFAULT 0,
    error text,
    PRIMARY KEY (lane, tenant_id)
);

CREATE TABLE job (
    tenant_id integer NOT NULL,
    job_id bigint GENERATED ALWAYS AS IDENTITY,
    kind {_C} NOT NULL,
    lane {_C} NOT NULL,
    priority integer NOT NULL,
    state text NOT NULL DEFAULT 'queued'
        CHECK (state IN ('queued', 'running', 'held', 'done', 'failed', 'cancelled')),
    wanted text CHECK (wanted IN ('held', 'cancelled')),
    payload jsonb NOT NULL,
    dedupe_key {_C},
    attempt integer NOT NULL DEFAULT 0,
    losses integer NOT NULL DEFAULT 0,
    lease integer NOT NULL DEFAULT 0,
    leased_until timestamptz,
    worker text,
    created_at timestamptz NOT NULL DEFAULT now(),
    run_at timestamptz NOT NULL,
    started_at timestamptz,
    finished_at timestamptz,
    error_code text,
    error text,
    PRIMARY KEY (job_id, tenant_id),
    FOREIGN KEY (lane, tenant_id) REFERENCES job_lane
);
CREATE INDEX job_waiting ON job (lane, tenant_id, priority DESC, run_at, job_id) WHERE state = 'queued';
CREATE INDEX job_running ON job (lane, tenant_id) WHERE state = 'running';
CREATE UNIQUE INDEX job_dedupe ON job (dedupe_key, tenant_id)
    WHERE dedupe_key IS NOT NULL AND state IN ('queued', 'held');
CREATE INDEX job_ended ON job (finished_at) WHERE state IN ('done', 'failed', 'cancelled');
CREATE INDEX job_of_lane ON job (lane, tenant_id, state);
"""

# By this function any statement enqueues in its own transaction. What it returns is the id of the job that waits.
_ENQUEUE = """
CREATE FUNCTION enqueue_job(
    tenant_id integer, kind text, payload jsonb, lane text DEFAULT NULL, priority integer DEFAULT 0,
    dedupe_key text DEFAULT NULL, delay_s double precision DEFAULT 0, is_postponed boolean DEFAULT false
) RETURNS bigint LANGUAGE sql AS $body$
    INSERT INTO job_lane (tenant_id, lane) VALUES ($1, coalesce($4, $2)) ON CONFLICT DO NOTHING;
    SELECT pg_notify('hilum_jobs', '') WHERE $7 <= 0;
    INSERT INTO job AS waiting (tenant_id, kind, lane, priority, payload, dedupe_key, run_at)
    VALUES ($1, $2, coalesce($4, $2), $5, $3, $6, clock_timestamp() + make_interval(secs => greatest($7, 0)))
    ON CONFLICT (dedupe_key, tenant_id) WHERE dedupe_key IS NOT NULL AND state IN ('queued', 'held')
    DO UPDATE SET priority = greatest(waiting.priority, excluded.priority),
        run_at = CASE WHEN $8 THEN greatest(waiting.run_at, excluded.run_at) ELSE waiting.run_at END
    RETURNING job_id;
$body$
"""


def upgrade() -> None:
    """Make the tables; each tenant sees its own jobs, and the queue's own connections see all."""
    for statement in _TABLES.split(";\n"):
        if statement.strip():
            op.execute(statement)
    op.execute(_ENQUEUE)
    guard("job_lane", "job")
    for table in ("job_lane", "job"):
        op.execute(f"CREATE POLICY queue_worker ON {table} USING (current_setting('hilum.queue', true) = 'on')")


def downgrade() -> None:
    """Never: what was kept is not thrown away."""
    raise NotImplementedError("Steps go forward only.")
