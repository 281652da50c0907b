"""The loop by which one process does jobs: takes them on lease, keeps the leases, says what became of each.

A worker can say its name and what it is doing. It stops taking jobs when told to drain; what does not end in time is
put back and goes on elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, TypeVar

from hilum.archive.jobs import Again, Job, JobHandler, JobLeases, JobState, LaneUnavailable
from hilum.jobs.catalogue import Catalogue
from hilum.kernel.clock import Clock
from hilum.kernel.errors import HilumError
from hilum.kernel.limits import (
    JOB_HEARTBEAT_INTERVAL_S,
    JOB_LEASE_S,
    JOB_POLL_INTERVAL_S,
    JOB_SWEEP_INTERVAL_S,
    MAX_JOBS_PER_WORKER,
)
from hilum.observe.logs import get_logger

_log = get_logger("jobs")
_T = TypeVar("_T")
_Reporting: TypeAlias = Callable[[], Awaitable[bool]]

# How often a worker tells the queue what became of a job before it leaves it to the lease to run out.
_REPORT_ATTEMPTS: Final = 5
_REPORT_DELAY_S: Final = 1.0
# A defect is met this often: it may be one that another release on another worker does not have.
_DEFECT_ATTEMPTS: Final = 5

STOP_NOTICE: Final = "stop"
"""The text of a notice that a running job is to be held or cancelled."""


@dataclass(frozen=True, slots=True)
class WorkerTimes:
    """How long a lease holds, and how often the worker does what it does over and over."""

    lease_s: float = JOB_LEASE_S
    heartbeat_s: float = JOB_HEARTBEAT_INTERVAL_S
    poll_s: float = JOB_POLL_INTERVAL_S
    sweep_s: float = JOB_SWEEP_INTERVAL_S


class JobObserver(Protocol):
    """Told of what becomes of jobs."""

    def ended(self, job: Job, result: str, duration_s: float) -> None:
        """A try has ended: "done", "failed", "retried", "again", "held", "cancelled", "lost" or "returned"."""
        ...


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job under way."""

    job_id: int
    kind: str
    lane: str
    attempt: int
    duration_s: float


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """What a worker says of itself. `state` is "working", "idle", "waiting for the database" or "draining"."""

    name: str
    state: str
    jobs: Sequence[RunningJob]


@dataclass(slots=True, eq=False)
class _Running:
    job: Job
    since: float
    leased_at: float
    work: asyncio.Task[Again | None] | None = None
    is_interrupted: bool = False
    wanted: JobState | None = None
    """What becomes of the job when it was interrupted; None: its lease was lost, it is another worker's."""

    def interrupt(self, wanted: JobState | None) -> None:
        """Have the handler stop; a job whose handler has ended already is what it has become."""
        if self.work is not None and not self.work.done():
            self.is_interrupted = True
            self.wanted = wanted
            self.work.cancel()


class JobWorker:
    """Does jobs until it is closed.

    Args:
        leases: where jobs come from.
        catalogue: what is done for each kind.
        name: by which people find this worker, unique among those alive.
        clock: for leases and durations.
        observer: told of each try.
        concurrency: how many jobs at a time.
    """

    def __init__(
        self,
        leases: JobLeases,
        catalogue: Catalogue,
        *,
        name: str,
        clock: Clock,
        observer: JobObserver | None = None,
        concurrency: int = MAX_JOBS_PER_WORKER,
        times: WorkerTimes | None = None,
    ) -> None:
        self.name = name
        self._leases = leases
        self._catalogue = catalogue
        self._clock = clock
        self._observer = observer
        self._concurrency = concurrency
        self._times = times or WorkerTimes()
        # By job and lease: a job whose lease was lost may come back before its handler has stopped.
        self._running: dict[tuple[int, int], _Running] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loops: list[asyncio.Task[None]] = []
        self._something = asyncio.Event()
        self._pulse = asyncio.Event()
        self._is_draining = False
        self._is_cut_off = False

    def start(self) -> None:
        """Begin to take jobs."""
        self._loops = [asyncio.create_task(loop) for loop in (self._take_jobs(), self._keep_leases(), self._sweep())]

    def note(self, notice: str | None) -> None:
        """Hear a notice of the queue: there is a new job, or something is wanted of a running one (`STOP_NOTICE`).

        None stands for notices that may have been missed.
        """
        if notice in (STOP_NOTICE, None):
            self._pulse.set()
        self._something.set()

    def status(self) -> WorkerStatus:
        """Return what the worker is doing now."""
        now = self._clock.monotonic()
        jobs = [
            RunningJob(each.job.job_id, each.job.kind, each.job.lane, each.job.attempt, now - each.since)
            for each in self._running.values()
        ]
        if self._is_draining:
            state = "draining"
        elif self._is_cut_off:
            state = "waiting for the database"
        else:
            state = "working" if jobs else "idle"
        return WorkerStatus(self.name, state, jobs)

    async def close(self, drain_s: float = 0.0) -> None:
        """Take no more jobs, give those under way this time to end, and put back the others."""
        self._is_draining = True
        self._something.set()
        if self._loops:
            await asyncio.wait(self._loops[:1])
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=drain_s)
        for each in self._running.values():
            each.interrupt(JobState.QUEUED)
        if self._tasks:
            await asyncio.wait(self._tasks)
        for loop in self._loops:
            loop.cancel()
        if self._loops:
            await asyncio.wait(self._loops)

    async def _take_jobs(self) -> None:
        while not self._is_draining:
            self._something.clear()
            room = self._concurrency - len(self._running)
            asked_at = self._clock.monotonic()
            jobs: Sequence[Job] = ()
            if room:
                asking = self._leases.take(self.name, self._catalogue.names, room, self._times.lease_s)
                jobs = await self._ask("jobs cannot be taken", asking) or ()
            for job in jobs:
                running = _Running(job, since=asked_at, leased_at=asked_at)
                self._running[job.job_id, job.lease] = running
                task = asyncio.create_task(self._do(running))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            if not jobs:
                await _wait(self._something, self._times.poll_s)

    async def _keep_leases(self) -> None:
        """Renew the leases of what runs, and stop what is to be held or cancelled, and what is lost."""
        while True:
            await _wait(self._pulse, self._times.heartbeat_s)
            self._pulse.clear()
            running = list(self._running.values())
            if not running:
                continue
            asked_at = self._clock.monotonic()
            asking = self._leases.renew([each.job for each in running], self._times.lease_s)
            wanted = await self._ask("leases cannot be renewed", asking)
            for each in running:
                if wanted is None:
                    if self._clock.monotonic() - each.leased_at > self._times.lease_s:
                        each.interrupt(None)
                    continue
                each.leased_at = asked_at
                state = wanted.get((each.job.job_id, each.job.lease))
                if state is not JobState.RUNNING:
                    each.interrupt(state)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self._times.sweep_s * random.uniform(0.5, 1.5))
            count = await self._ask("the queue cannot be swept", self._leases.sweep())
            if count:
                _log.warning("jobs of a lost worker taken over", worker=self.name, count=count)
                self._something.set()

    async def _ask(self, trouble: str, asking: Awaitable[_T]) -> _T | None:
        """Return the queue's answer, or None when it has none; the first of several failures is logged."""
        try:
            answer = await asking
        except Exception as error:  # noqa: BLE001 - the worker loop: whatever fails, it goes on
            if not self._is_cut_off:
                _log.warning(trouble, worker=self.name, exc=error)
            self._is_cut_off = True
            return None
        self._is_cut_off = False
        return answer

    async def _do(self, running: _Running) -> None:
        """Have the job's handler work, and tell the queue and the observer what became of it."""
        job = running.job
        running.work = asyncio.create_task(_handle(self._catalogue[job.kind].handler, job))
        try:
            await asyncio.wait([running.work])
            result, reporting = self._judge(running, running.work)
            for attempt in range(_REPORT_ATTEMPTS):
                if reporting is None:
                    break
                try:
                    if not await reporting():
                        result = "lost"
                    break
                except HilumError as error:
                    _log.warning("a job's end cannot be told", worker=self.name, job=job.job_id, exc=error)
                    await asyncio.sleep(_REPORT_DELAY_S * (attempt + 1))
        finally:
            del self._running[job.job_id, job.lease]
            self._something.set()
        if self._observer is not None:
            self._observer.ended(job, result, self._clock.monotonic() - running.since)

    def _judge(self, running: _Running, work: asyncio.Task[Again | None]) -> tuple[str, _Reporting | None]:
        """Return what became of a try in one word, and how the queue is told of it."""
        job = running.job
        if work.cancelled():
            return self._judge_interrupted(running)
        error = work.exception()
        if error is None:
            again = work.result()
            if again is None:
                return "done", lambda: self._leases.finish(job, JobState.DONE)
            return "again", lambda: self._leases.put_back(job, again.delay_s, attempt=0)
        return self._judge_failed(job, error)

    def _judge_interrupted(self, running: _Running) -> tuple[str, _Reporting | None]:
        job, wanted = running.job, running.wanted
        if not running.is_interrupted:
            return self._judge_failed(job, asyncio.CancelledError())
        if wanted is None:
            _log.warning("a job's lease was lost", worker=self.name, job=job.job_id, kind=job.kind)
            return "lost", None
        if wanted is JobState.QUEUED:
            return "returned", lambda: self._leases.put_back(
                job, 0.0, attempt=job.attempt - 1, error_code=job.error_code, error=job.error
            )
        return wanted.value, lambda: self._leases.finish(job, wanted, job.error_code, job.error)

    def _judge_failed(self, job: Job, error: BaseException) -> tuple[str, _Reporting]:
        rule = self._catalogue[job.kind].retry
        if isinstance(error, HilumError):
            code, words, may_retry = error.reason_code, error.message, error.retryable
        else:
            code, words = "internal", "An unexpected error occurred; it has been logged."
            may_retry = job.attempt < _DEFECT_ATTEMPTS
        delay_s = rule.delay_s(job.attempt, random.random()) if may_retry else None
        is_known = isinstance(error, HilumError) and delay_s is not None
        (_log.info if is_known else _log.warning)(
            "a job's try failed", worker=self.name, job=job.job_id, kind=job.kind, lane=job.lane, attempt=job.attempt,
            delay_s=delay_s, exc=error,
        )  # fmt: skip
        if delay_s is None:
            return "failed", lambda: self._leases.finish(job, JobState.FAILED, code, words)
        if isinstance(error, LaneUnavailable):
            # The job is as good as any other of its lane to find out whether there is an answer again.
            rest_s = rule.delay_s(1, random.random()) or 0.0
            return "retried", lambda: self._leases.put_back(
                job,
                0.0,
                attempt=job.attempt,
                error_code=code,
                error=words,
                lane_rest_s=rest_s,
                longest_lane_rest_s=rule.longest_delay_s,
            )
        return "retried", lambda: self._leases.put_back(job, delay_s, attempt=job.attempt, error_code=code, error=words)


async def _handle(handler: JobHandler, job: Job) -> Again | None:
    return await handler(job)


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    """Return when the event is set or the time is over."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
