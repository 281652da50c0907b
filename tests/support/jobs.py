"""A job queue on the test's database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from hilum.archive.jobs import Again, Job, JobState
from hilum.index.address import DatabaseAddress
from hilum.index.pool import TenantPool
from hilum.jobs.catalogue import Catalogue, JobKind
from hilum.jobs.retry import RetryRule
from hilum.jobs.worker import JobWorker, WorkerTimes
from hilum.kernel.clock import SystemClock
from hilum.queue.connections import SETTINGS
from hilum.queue.jobs import PostgresJobs
from hilum.queue.leases import PostgresLeases

TIMES = WorkerTimes(lease_s=1.5, heartbeat_s=0.2, poll_s=0.05, sweep_s=0.2)
AT_ONCE = RetryRule(attempts=5, first_delay_s=0.01, longest_delay_s=0.01)


@dataclass
class Queue:
    """Both sides of one process' queue."""

    jobs: PostgresJobs
    leases: PostgresLeases

    async def state(self, tenant_id: int, job_id: int) -> JobState:
        """The job's state now."""
        job = await self.jobs.find(tenant_id, job_id)
        assert job is not None
        return job.state

    async def until(self, tenant_id: int, job_id: int, *states: JobState) -> Job:
        """Return the job once it is in one of the states; fail after twenty seconds."""
        async with asyncio.timeout(20):
            while True:
                job = await self.jobs.find(tenant_id, job_id)
                if job is not None and job.state in states:
                    return job
                await asyncio.sleep(0.02)


@asynccontextmanager
async def open_queue(address: DatabaseAddress) -> AsyncIterator[Queue]:
    """Yield the queue as a worker process opens it."""
    own, all_tenants = TenantPool(address, 3, {"enable_seqscan": "off"}), TenantPool(address, 3, SETTINGS)
    try:
        yield Queue(PostgresJobs(own), PostgresLeases(all_tenants))
    finally:
        await own.close()
        await all_tenants.close()


def worker_of(
    queue: Queue,
    handlers: dict[str, Callable[[Job], Awaitable[Again | None]]],
    *,
    name: str = "worker",
    retry: RetryRule = AT_ONCE,
    concurrency: int = 8,
    times: WorkerTimes = TIMES,
) -> JobWorker:
    """Return a worker that is not started."""
    catalogue = Catalogue([JobKind(kind, handler, retry) for kind, handler in handlers.items()])
    return JobWorker(queue.leases, catalogue, name=name, clock=SystemClock(), concurrency=concurrency, times=times)
