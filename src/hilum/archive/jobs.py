"""Jobs: work that outlives the request which caused it, and the process that began it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeAlias

from hilum.kernel.errors import Unavailable
from hilum.kernel.limits import MAX_LANE_REST_S

JobValue: TypeAlias = str | int | float | bool | list["JobValue"] | dict[str, "JobValue"] | None
"""What a payload is made of: JSON. Identifiers, never values of patient attributes."""


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    """Waits for its time, its lane and a worker."""
    RUNNING = "running"
    """A worker has it on lease."""
    HELD = "held"
    """Waits until someone resumes it."""
    DONE = "done"
    FAILED = "failed"
    """Is not tried again by itself; someone may retry it."""
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be enqueued.

    `lane` names what its jobs share (a destination, for example): a lane runs only so many at a time in all workers
    together, and is held and resumed as a whole; None stands for the kind's own. Of the jobs that wait, those of higher
    `priority` begin first. While a job with the same `dedupe_key` waits, no second one is made: the waiting one takes
    the higher priority, and with `is_postponed` the later time (so that it runs once all is quiet). One that runs
    already does not count: what was enqueued after it began is not in its eyes.
    """

    kind: str
    payload: Mapping[str, JobValue]
    lane: str | None = None
    priority: int = 0
    dedupe_key: str | None = None
    delay_s: float = 0.0
    is_postponed: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the queue knows it.

    `attempt` counts the tries that were begun, this one included; `lease` every time a worker took it. `error` tells
    why the last try failed, without patient data. `worker` is the name of the worker that has it, or had it last.
    """

    job_id: int
    tenant_id: int
    kind: str
    payload: Mapping[str, JobValue] = field(repr=False)
    lane: str
    priority: int
    state: JobState
    attempt: int
    lease: int
    dedupe_key: str | None
    created_at: datetime
    run_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    worker: str | None = None
    error_code: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Again:
    """A handler's answer: all is well, and the job is to run again after this time; its attempts count anew."""

    delay_s: float


class LaneUnavailable(Unavailable):
    """What all jobs of the lane need does not answer: the whole lane rests a while, longer each time."""


JobHandler: TypeAlias = Callable[[Job], Awaitable[Again | None]]
"""Does a job's work. It may run more than once for one job (a worker that is killed has its jobs taken over), so it
must find out what is done already.

Returning means done. A HilumError that is retryable is tried again after a while, another one fails the job; its
message and code are kept with it. Being cancelled (the worker stops, or someone holds or cancels the job) is no
failure: it must leave things so that the job can begin anew.
"""


@dataclass(frozen=True, slots=True)
class JobSelection:
    """Which jobs of a tenant: those that fit all that is given."""

    job_ids: Sequence[int] | None = None
    kind: str | None = None
    lane: str | None = None
    states: Sequence[JobState] = ()


@dataclass(frozen=True, slots=True)
class LaneStatus:
    """How a lane stands. Until `rests_until` nothing of it begins: what its jobs need did not answer."""

    lane: str
    concurrency: int
    is_held: bool
    rests_until: datetime | None
    counts: Mapping[JobState, int]
    oldest_queued_at: datetime | None
    error: str | None


class JobQueue(Protocol):
    """The durable queue as services use it; every call is about one tenant. All raise Unavailable.

    Rooms that write to the database enqueue in the transaction of their own rows by the SQL function `enqueue_job`
    (schema step 0005), whose parameters are the fields of `NewJob`.
    """

    async def enqueue(self, tenant_id: int, jobs: Sequence[NewJob]) -> list[int]:
        """Keep the jobs, all or none, and wake idle workers; returns their ids (a duplicate's is the waiting one's)."""
        ...

    async def find(self, tenant_id: int, job_id: int) -> Job | None:
        """Return the job, or None when there is none (any more: what ended is forgotten after a while)."""
        ...

    async def select(self, tenant_id: int, selection: JobSelection, *, limit: int, offset: int = 0) -> list[Job]:
        """Return the selected jobs, newest first."""
        ...

    async def hold(self, tenant_id: int, selection: JobSelection) -> int:
        """Hold what waits or runs of the selected jobs; returns how many."""
        ...

    async def resume(self, tenant_id: int, selection: JobSelection) -> int:
        """Let held jobs run; returns how many."""
        ...

    async def cancel(self, tenant_id: int, selection: JobSelection) -> int:
        """End what has not ended of the selected jobs; returns how many."""
        ...

    async def retry(self, tenant_id: int, selection: JobSelection) -> int:
        """Let failed and cancelled jobs run again, and waiting ones at once, without rest; returns how many."""
        ...

    async def set_lane(
        self, tenant_id: int, lane: str, *, concurrency: int | None = None, is_held: bool | None = None
    ) -> None:
        """Make the lane if need be and set what is given; takes effect in all workers with the next job."""
        ...

    async def lanes(self, tenant_id: int, prefix: str = "") -> list[LaneStatus]:
        """Return the lanes whose names begin so, by name."""
        ...


class JobLeases(Protocol):
    """The durable queue as workers use it, for all tenants. All raise Unavailable.

    A lease that ran out belongs to nobody: what its holder says of the job afterwards is not heard.
    """

    async def take(self, worker: str, kinds: Sequence[str], count: int, lease_s: float) -> list[Job]:
        """Lease up to `count` jobs of these kinds whose time has come and whose lanes have room."""
        ...

    async def renew(self, jobs: Sequence[Job], lease_s: float) -> dict[tuple[int, int], JobState]:
        """Renew the leases; lost ones stay so.

        Returns by job id and lease what is wanted: RUNNING, HELD or CANCELLED. Lost ones are absent.
        """
        ...

    async def finish(self, job: Job, state: JobState, error_code: str | None = None, error: str | None = None) -> bool:
        """End the job as DONE, FAILED or CANCELLED, or put it aside as HELD; False when the lease was lost."""
        ...

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
        """Let the job wait for its next try, its attempts counted as said; False when the lease was lost.

        With `lane_rest_s` nothing of its lane begins for so long, twice as long each time in a row up to the longest.
        """
        ...

    async def sweep(self) -> int:
        """Let others have what lost workers held, and forget what ended long ago; returns how many were lost."""
        ...
