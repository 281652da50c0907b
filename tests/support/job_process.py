"""A process that takes a job, says so, and works on it until it is killed or told to end by its standard input."""

# ruff: noqa: T201 - what it prints is read by the test

from __future__ import annotations

import asyncio
import sys

from hilum.archive.jobs import Job
from hilum.index.address import DatabaseAddress
from support.jobs import open_queue, worker_of


async def work(address: DatabaseAddress, kind: str, seconds: float) -> None:
    """Do jobs of the kind, each taking so long, until standard input ends."""

    async def handler(job: Job) -> None:
        print(f"begun {job.job_id} {job.attempt}", flush=True)
        await asyncio.sleep(seconds)
        print(f"done {job.job_id}", flush=True)

    async with open_queue(address) as queue:
        worker = worker_of(queue, {kind: handler}, name="other process")
        worker.start()
        await asyncio.to_thread(sys.stdin.read)
        await worker.close(0.0)


if __name__ == "__main__":
    asyncio.run(work(DatabaseAddress.from_json(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
