"""Jobs enqueued in the transaction of the rows that call for them: both are there, or neither."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import orjson

from hilum.archive.jobs import NewJob
from hilum.index.pool import Connection

_ENQUEUE: Final = "SELECT enqueue_job($1, $2, $3::jsonb, $4, $5, $6, $7, $8)"


async def enqueue(connection: Connection, tenant_id: int, jobs: Sequence[NewJob]) -> None:
    """The jobs wait once the transaction this connection is in has been committed."""
    for job in jobs:
        await connection.execute(
            _ENQUEUE,
            tenant_id,
            job.kind,
            orjson.dumps(job.payload).decode(),
            job.lane,
            job.priority,
            job.dedupe_key,
            job.delay_s,
            job.is_postponed,
        )
