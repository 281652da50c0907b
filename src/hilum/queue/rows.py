"""Rows made jobs."""

from __future__ import annotations

from typing import Final

import asyncpg
import orjson

from hilum.archive.jobs import Job, JobState

COLUMNS: Final = (
    "job_id, tenant_id, kind, payload, lane, priority, state, attempt, lease, dedupe_key, created_at, run_at, "
    "started_at, finished_at, worker, error_code, error"
)
_NAMES: Final = COLUMNS.split(", ")


def job_of(record: asyncpg.Record) -> Job:
    """Return the job of a row with `COLUMNS`."""
    values = {name: record[name] for name in _NAMES}
    return Job(**values | {"payload": orjson.loads(values["payload"]), "state": JobState(values["state"])})
