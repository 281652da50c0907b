"""The durable job queue on a real PostgreSQL, with workers of this process and of others."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from hilum.archive.jobs import Again, Job, JobSelection, JobState, LaneUnavailable, NewJob
from hilum.index.embedded import EmbeddedPostgres
from hilum.jobs.retry import RetryRule
from hilum.kernel.errors import Conflict, Unavailable
from hilum.kernel.limits import MAX_JOB_LOSSES
from support.database import new_tenant
from support.jobs import Queue, open_queue, worker_of

TESTS = Path(__file__).parents[1]
_numbers = itertools.count(1)


@pytest.fixture
async def queue(database: EmbeddedPostgres) -> AsyncIterator[Queue]:
    async with open_queue(database.app_address()) as opened:
        yield opened


@pytest.fixture
def kind() -> str:
    """A kind no other test's worker knows."""
    return f"test.kind-{next(_numbers)}"


@contextmanager
def other_process(database: EmbeddedPostgres, kind: str, seconds: float) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "support.job_process", database.app_address().to_json(), kind, str(seconds)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(TESTS)},
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ok(done: list[int]):  # type: ignore[no-untyped-def]
    async def handler(job: Job) -> None:
        done.append(job.job_id)

    return handler


class TestEnqueueing:
    async def test_a_job_is_done_once_by_one_of_two_workers(self, queue: Queue, tenant_id: int, kind: str) -> None:
        done: list[int] = []
        workers = [worker_of(queue, {kind: ok(done)}, name=f"w{n}") for n in range(2)]
        for worker in workers:
            worker.start()
        job_ids = await queue.jobs.enqueue(tenant_id, [NewJob(kind, {"n": n}) for n in range(50)])
        for job_id in job_ids:
            await queue.until(tenant_id, job_id, JobState.DONE)
        for worker in workers:
            await worker.close()
        assert sorted(done) == sorted(job_ids)

    async def test_a_waiting_job_with_the_same_key_takes_the_higher_priority(
        self, queue: Queue, tenant_id: int, kind: str
    ) -> None:
        (first,) = await queue.jobs.enqueue(tenant_id, [NewJob(kind, {}, dedupe_key=kind)])
        (second,) = await queue.jobs.enqueue(tenant_id, [NewJob(kind, {}, dedupe_key=kind, priority=5)])
        assert second == first
        job = await queue.jobs.find(tenant_id, first)
        assert job is not None and job.priority == 5

    async def test_a_postponed_job_waits_from_the_last_time_it_was_enqueued(
        self, queue: Queue, tenant_id: int, kind: str
    ) -> None:
        job = NewJob(kind, {}, dedupe_key=kind, delay_s=30, is_postponed=True)
        (job_id,) = await queue.jobs.enqueue(tenant_id, [job])
        before = await queue.jobs.find(tenant_id, job_id)
        await queue.jobs.enqueue(tenant_id, [job])
        after = await queue.jobs.find(tenant_id, job_id)
        assert before is not None and after is not None and after.run_at > before.run_at

    async def test_what_is_enqueued_while_its_twin_runs_runs_afterwards(
        self, queue: Queue, tenant_id: int, kind: str
    ) -> None:
        begun, go_on = asyncio.Event(), asyncio.Event()
        payloads: list[object] = []

        async def handler(job: Job) -> None:
            payloads.append(job.payload["n"])
            begun.set()
            await go_on.wait()

        worker = worker_of(queue, {kind: handler})
        worker.start()
        (first,) = await queue.jobs.enqueue(tenant_id, [NewJob(kind, {"n": 1}, dedupe_key=kind)])
        await begun.wait()
        (second,) = await queue.jobs.enqueue(tenant_id, [NewJob(kind, {"n": 2}, dedupe_key=kind)])
        go_on.set()
        await queue.until(tenant_id, second, JobState.DONE)
        await worker.close()
        assert second != first and payloads == [1, 2]

    async def test_a_rolled_back_transaction_leaves_no_job(
        self, database: EmbeddedPostgres, queue: Queue, tenant_id: int, kind: str
    ) -> None:
        connection = await asyncpg.connect(**database.app_address().connect_arguments())
        try:
            await connection.execute("SELECT set_config('hilum.tenant', $1, false)", str(tenant_id))
            for ending in ("ROLLBACK", "COMMIT"):
                await connection.execute("BEGIN")
                await connection.execute("SELECT enqueue_job($1, $2, '{}')", tenant_id, kind)
                await connection.execute(ending)
        finally:
            await connection.close()
        assert len(await queue.jobs.select(tenant_id, JobSelection(kind=kind), limit=10)) == 1

    async def test_no_tenant_sees_or_changes_the_jobs_of_another(
        self, database: EmbeddedPostgres, queue: Queue, tenant_id: int, kind: str
    ) -> None:
        stranger = await new_tenant(database.app_address())
        (job_id,) = await queue.jobs.enqueue(tenant_id, [NewJob(kind, {})])
        assert await queue.jobs.find(stranger, job_id) is None
        assert await queue.jobs.cancel(stranger, JobSelection(job_ids=[job_id])) == 0
        assert await queue.jobs.lanes(stranger, kind) == []
        assert await queue.state(tenant_id, job_id) is JobState.QUEUED


class TestOrderAndRoom:
    async def test_jobs_of_higher_priority_begin_first(self, queue: Queue, tenant_id: int, kind: str) -> None:
        done: list[int] = []
        await queue.jobs.set_lane(tenant_id, kind, concurrency=1)
        low, high, middle = await queue.jobs.enqueue(
            tenant_id, [NewJob(kind, {}, priority=priority) for priority in (-1, 9, 3)]
        )
        worker = worker_of(queue, {kind: ok(done)})
        worker.start()
        await queue.until(tenant_id, low, JobState.DONE)
        await worker.close()
        assert done == [high, middle, low]

    async def test_a_lane_runs_no_more_than_its_concurrency_in_all_workers_together(
        self, database: EmbeddedPostgres, tenant_id: int, kind: str
    ) -> None:
        running, most, done = 0, 0, 0

        async def handler(_job: Job) -> None:
            nonlocal running, most, done
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.01)
            running -= 1
            done += 1

        async with open_queue(database.app_address()) as one, open_queue(database.app_address()) as two:
            await one.jobs.set_lane(tenant_id, kind, concurrency=3)
            await one.jobs.enqueue(tenant_id, [NewJob(kind, {}) for _ in range(60)])
            workers = [worker_of(each, {kind: handler}, name=str(id(each))) for each in (one, two)]
            for worker in workers:
                worker.start()
            async with asyncio.timeout(30):
                while done < 60:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            for worker in workers:
                await worker.close(1)
        assert most == 3

    async def test_a_busy_lane_does_not_keep_others_from_running(self, queue: Queue, tenant_id: int, kind: str) -> None:
        forever = asyncio.Event()

        async def handler(job: Job) -> None:
            if job.lane == "slow":
                await forever.wait()

        await queue.jobs.set_lane(tenant_id, "slow", concurrency=1)
        await queue.jobs.enqueue(tenant_id, [NewJob(kind, {}, lane="slow", priority=9) for _ in range(20)])
        worker = worker_of(queue, {kind: handler}, concurrency=2)
        worker.start()
        (quick,) = await queue.jobs.enqueue(tenant_id, [NewJob(kind, {}, lane="quick")])
        await queue.until(tenant_id, quick, JobState.DONE)
        await worker.close()


class TestFailures:
    async def test_a_retryable_error_is_tried_again_until_the_rule_is_used_up(
        self, queue: Queue, tenant_id: int, kind: str
    ) -> None:
        async def handler(_job: Job) -> None:
            raise Unavailable("The peer is away.", code="peer-away")

        worker = worker_of(queue, {kind: handler})
        worker.start()
        (job_id,) = await queue.jobs.enqueue(tenant_id, [NewJob(kind, {})])
        job = await queue.until(tenant_id, job_id, JobState.FAILED)
        assert (job.attempt, job.error_code, job.error) == (5, "peer-away", "The peer is away.")
        await worker.close()

    async def test_an_error_that_trying_cannot_help_fails_the_job_at_once(
        self, queue: Queue, tenant_id: int, kind: str
    ) -> None:
        async def handler(_job: Job) -> None:
            raise Conflict("It is there.", code="there")

        worker = worker_of(queue, {kind: handler})
        worker.start()
        (job_id,) = await queue.jobs.enqueue(tenant_id, [NewJob(kind, {})])
        job = await queue.until(tenant_id, job_id, JobState.FAILED)
        assert (job.attempt, job.error_code) == (1, "there")
        await worker.close()

    async def test_what_a_defect_says_is_not_kept(self, queue: Queue, tenant_id: int, kind: str) -> None:
        async def handler(_job: Job) -> None:
            raise ValueError("Doe^Jane")

        worker = worker_of(queue, {kind: handler})
        worker.start()
        (job_id,) = await queue.jobs.enqueue(tenant_id, [NewJob(kind, {})])
        job = await queue.until(tenant_id, job_id, JobState.FAILED)
        assert job.error_code == "internal" and "Doe" not in str(job.error)
        await worker.close()

    async def test_a_failed_job_runs_again_when_told_to(self, queue: Queue, tenant_id: int, kind: str) -> None:
        errors: list[Exception] = [Conflict("once")]

        async def handler(_job: Job) -> None:
            if errors:
                raise errors.pop()

        worker = worker_of(queue, {kind: handler})
        worker.start()
        (job_id,) = await queue.jobs.enqueue(tenant_id, [NewJob(kind, {})])
        await queue.until(tenant_id, job_id, JobState.FAILED)
        assert await queue.jobs.retry(tenant_id, JobSelection(job_ids=[job_id])) == 1
        job = await queue.until(tenant_id, job_id, JobState.DONE)
        assert (job.attempt, job.error) == (1, None)
        await worker.close()

    async def test_a_lane_rests_when_its_peer_is_away_and_wakes_when_told_to(
        self, queue: Queue, tenant_id: int, kind: str
    ) -> None:
        tries: list[int] = []
        is_away = True

        async def handler(job: Job) -> None:
            tries.append(job.job_id)
            if is_away:
                raise LaneUnavailable("The peer is away.")

        rule = RetryRule(attempts=None, first_delay_s=600)
        await queue.jobs.set_lane(tenant_id, kind, concurrency=1)
        worker = worker_of(queue, {kind: handler}, retry=rule)
        worker.start()
        first, second = await queue.jobs.enqueue(tenant_id, [NewJob(kind, {}), NewJob(kind, {})])
        async with asyncio.timeout(20):
            while (await queue.jobs.lanes(tenant_id, kind))[0].rests_until is None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        (lane,) = await queue.jobs.lanes(tenant_id, kind)
        assert lane.error == "The peer is away." and lane.counts == {JobState.QUEUED: 2}
        is_away = False
        await queue.jobs.retry(tenant_id, JobSelection(lane=kind))
        for job_id in (first, second):
            await queue.until(tenant_id, job_id, JobState.DONE)
        (lane,) = await queue.jobs.lanes(tenant_id, kind)
        assert (lane.rests_until, lane.error) == (None, None)
        assert tries.count(first) == 2 and tries.count(second) == 1
        await worker.close()

    async def test_a_job_put_back_gives_way_to_one_with_its_key_that_waits(
        self, queue: Queue, tenant_id: int, kind: str
    ) -> None:
        (first,) = await queue.jobs.enqueue(tenant_id, [NewJob(kind, {}, dedupe_key=kind)])
        (job,) = await queue.leases.take("w", [kind], 1, 30)
        (second,) = await queue.jobs.enqueue(tenant_id, [NewJob(kind, {}, dedupe_key=kind)])
        assert await queue.leases.put_back(job, 0.0, attempt=4, error_code="away", error="Away.")
        assert await queue.state(tenant_id, first) is JobState.CANCELLED
        waiting = await queue.jobs.find(tenant_id, second)
        assert waiting is not None and (waiting.state, waiting.attempt) == (JobState.QUEUED, 4)


class TestHoldAndCancel:
    async def test_a_held_job_waits_until_it_is_resumed(self, queue: Queue, tenant_id: int, kind: str) -> None:
        done: list[int] = []
        held, other = await queue.jobs.enqueue(tenant_id, [NewJob(kind, {}), NewJob(kind, {})])
        assert await queue.jobs.hold(tenant_id, JobSelection(job_ids=[held])) == 1
        worker = worker_of(queue, {kind: ok(done)})
        worker.start()
        await queue.until(tenant_id, other, JobState.DONE)
        assert done == [other] and await queue.state(tenant_id, held) is JobState.HELD
        await queue.jobs.resume(tenant_id, JobSelection(job_ids=[held]))
        await queue.until(tenant_id, held, JobState.DONE)
        await worker.close()

    async def test_a_held_lane_starts_nothing(self, queue: Queue, tenant_id: int, kind: str) -> None:
        await queue.jobs.set_lane(tenant_id, kind, is_held=True)
        (job_id,) = await queue.jobs.enqueue(tenant_id, [NewJob(kind, {})])
        assert await queue.leases.take("w", [kind], 1, 30) == []
        await queue.jobs.set_lane(tenant_id, kind, is_held=False)
        assert [job.job_id for job in await queue.leases.take("w", [kind], 1, 30)] == [job_id]

    @pytest.mark.parametrize("state", [JobState.HELD, JobState.CANCELLED])
    async def test_a_running_job_is_stopped(self, queue: Queue, tenant_id: int, kind: str, state: JobState) -> None:
        begun, stopped = asyncio.Event(), asyncio.Event()

        async def handler(_job: Job) -> None:
            begun.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                stopped.set()
                raise

        worker = worker_of(queue, {kind: handler})
        worker.start()
        (job_id,) = await queue.jobs.enqueue(tenant_id, [NewJob(kind, {})])
        await begun.wait()
        act = queue.jobs.hold if state is JobState.HELD else queue.jobs.cancel
        await act(tenant_id, JobSelection(job_ids=[job_id]))
        job = await queue.until(tenant_id, job_id, state)
        assert stopped.is_set() and job.attempt == (0 if state is JobState.HELD else 1)
        await worker.close()


class TestLeases:
    async def test_the_job_of_a_killed_process_is_taken_over(
        self, database: EmbeddedPostgres, queue: Queue, tenant_id: int, kind: str
    ) -> None:
        (job_id,) = await queue.jobs.enqueue(tenant_id, [NewJob(kind, {})])
        with other_process(database, kind, 60) as process:
            assert process.stdout is not None
            assert await asyncio.to_thread(process.stdout.readline) == f"begun {job_id} 1\n"
            done: list[int] = []
            worker = worker_of(queue, {kind: ok(done)})
            worker.start()
            # The lease is renewed as long as the process lives: longer than it holds.
            await asyncio.sleep(2.5)
            assert done == []
            process.send_signal(signal.SIGKILL)
            job = await queue.until(tenant_id, job_id, JobState.DONE)
        await worker.close()
        assert done == [job_id] and job.attempt == 2 and job.worker == "worker"

    async def test_a_process_that_stops_puts_its_job_back_without_counting_the_try(
        self, database: EmbeddedPostgres, queue: Queue, tenant_id: int, kind: str
    ) -> None:
        (job_id,) = await queue.jobs.enqueue(tenant_id, [NewJob(kind, {})])
        with other_process(database, kind, 60) as process:
            assert process.stdout is not None and process.stdin is not None
            await asyncio.to_thread(process.stdout.readline)
            process.stdin.close()
            assert await asyncio.to_thread(process.wait, 20) == 0
            process.stdin = None
        job = await queue.jobs.find(tenant_id, job_id)
        assert job is not None and (job.state, job.attempt) == (JobState.QUEUED, 0)

    async def test_who_lost_a_lease_is_not_heard(self, queue: Queue, tenant_id: int, kind: str) -> None:
        (job_id,) = await queue.jobs.enqueue(tenant_id, [NewJob(kind, {})])
        (old,) = await queue.leases.take("slow", [kind], 1, 0.0)
        await queue.leases.sweep()
        (new,) = await queue.leases.take("quick", [kind], 1, 30)
        assert not await queue.leases.finish(old, JobState.DONE)
        assert not await queue.leases.put_back(old, 0.0, attempt=1)
        assert await queue.leases.renew([old], 30) == {}
        assert await queue.leases.renew([new], 30) == {(job_id, new.lease): JobState.RUNNING}
        assert await queue.leases.finish(new, JobState.DONE)

    async def test_a_job_that_brings_workers_down_is_given_up(self, queue: Queue, tenant_id: int, kind: str) -> None:
        (job_id,) = await queue.jobs.enqueue(tenant_id, [NewJob(kind, {})])
        for _ in range(MAX_JOB_LOSSES):
            assert len(await queue.leases.take("w", [kind], 1, 0.0)) == 1
            await queue.leases.sweep()
        job = await queue.jobs.find(tenant_id, job_id)
        assert job is not None and (job.state, job.error_code) == (JobState.FAILED, "worker-lost")

    async def test_a_handler_whose_lease_was_lost_is_stopped(self, queue: Queue, tenant_id: int, kind: str) -> None:
        begun, stopped = asyncio.Event(), asyncio.Event()

        async def handler(job: Job) -> None:
            if job.attempt > 1:
                return
            begun.set()
            try:
                await asyncio.sleep(60)
            finally:
                stopped.set()

        worker = worker_of(queue, {kind: handler})
        worker.start()
        (job_id,) = await queue.jobs.enqueue(tenant_id, [NewJob(kind, {})])
        await begun.wait()
        (job,) = await queue.jobs.select(tenant_id, JobSelection(job_ids=[job_id]), limit=1)
        await queue.leases.put_back(job, 0.0, attempt=1)
        await queue.until(tenant_id, job_id, JobState.DONE)
        await asyncio.wait_for(stopped.wait(), 10)
        await worker.close()

    async def test_a_draining_worker_lets_its_jobs_end(self, queue: Queue, tenant_id: int, kind: str) -> None:
        begun = asyncio.Event()

        async def handler(_job: Job) -> None:
            begun.set()
            await asyncio.sleep(0.3)

        worker = worker_of(queue, {kind: handler})
        worker.start()
        (job_id,) = await queue.jobs.enqueue(tenant_id, [NewJob(kind, {})])
        await begun.wait()
        assert [job.job_id for job in worker.status().jobs] == [job_id] and worker.status().state == "working"
        await worker.close(10)
        assert await queue.state(tenant_id, job_id) is JobState.DONE

    async def test_a_job_that_asks_for_it_runs_again(self, queue: Queue, tenant_id: int, kind: str) -> None:
        runs: list[int] = []

        async def handler(job: Job) -> Again | None:
            runs.append(job.attempt)
            return Again(0.0) if len(runs) < 3 else None

        worker = worker_of(queue, {kind: handler})
        worker.start()
        (job_id,) = await queue.jobs.enqueue(tenant_id, [NewJob(kind, {})])
        await queue.until(tenant_id, job_id, JobState.DONE)
        assert runs == [1, 1, 1]
        await worker.close()
