"""How many jobs a second go through the queue: enqueued one by one and in batches, and done by one and two workers.

Run: python bench/jobs.py [folder]     (the server's folder is made there; /dev/shm shows it without a disk)

The bar: a queue whose jobs each take a DICOM association or an HTTP request is never what one waits for; 200 jobs a
second through one lane are ten times what an archive needs.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path

from hilum.archive.jobs import Job, NewJob
from hilum.index.address import DatabaseAddress
from hilum.index.embedded import EmbeddedPostgres
from hilum.index.migrate import migrate
from hilum.index.pool import TenantPool
from hilum.jobs.catalogue import Catalogue, JobKind
from hilum.jobs.worker import JobWorker
from hilum.kernel.clock import SystemClock
from hilum.queue.connections import SETTINGS
from hilum.queue.jobs import PostgresJobs
from hilum.queue.leases import PostgresLeases

JOBS = 2000


async def drain(address: DatabaseAddress, queue: PostgresJobs, workers: int, lanes: int) -> float:
    """Return how many jobs a second so many workers do, spread over so many lanes."""
    done = asyncio.Event()
    count = 0

    async def handler(_job: Job) -> None:
        nonlocal count
        count += 1
        if count == JOBS:
            done.set()

    for lane in range(lanes):
        await queue.set_lane(1, f"lane {lane}", concurrency=8)
    await queue.enqueue(1, [NewJob("bench", {"n": n}, lane=f"lane {n % lanes}") for n in range(JOBS)])
    pools = [TenantPool(address, 3, SETTINGS) for _ in range(workers)]
    found = [
        JobWorker(
            PostgresLeases(pool), Catalogue([JobKind("bench", handler)]), name=f"w{number}", clock=SystemClock(),
            concurrency=8,
        )
        for number, pool in enumerate(pools)
    ]  # fmt: skip
    began = time.perf_counter()
    for worker in found:
        worker.start()
    await done.wait()
    took = time.perf_counter() - began
    for worker, pool in zip(found, pools, strict=True):
        await worker.close(5)
        await pool.close()
    return JOBS / took


async def measure(server: EmbeddedPostgres) -> None:
    """Print all numbers."""
    await migrate(server.owner_address())
    address = server.app_address()
    pool = TenantPool(address, 3, {"enable_seqscan": "off"})
    queue = PostgresJobs(pool)
    began = time.perf_counter()
    for n in range(300):
        await queue.enqueue(1, [NewJob("never", {"n": n})])
    print(f"enqueued one by one: {300 / (time.perf_counter() - began):.0f}/s")
    began = time.perf_counter()
    for _ in range(20):
        await queue.enqueue(1, [NewJob("never", {"n": n}) for n in range(100)])
    print(f"enqueued by hundreds: {2000 / (time.perf_counter() - began):.0f}/s")
    for workers, lanes in ((1, 1), (1, 8), (2, 8)):
        print(f"done by {workers} worker(s) over {lanes} lane(s): {await drain(address, queue, workers, lanes):.0f}/s")
    await pool.close()


def main() -> None:
    """Run on a server of its own."""
    folder = Path(tempfile.mkdtemp(dir=sys.argv[1] if len(sys.argv) > 1 else None))
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder / "data")
    try:
        server.start()
        asyncio.run(measure(server))
    finally:
        server.stop()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
