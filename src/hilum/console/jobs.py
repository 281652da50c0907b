"""The durable jobs under /api/jobs: what waits, runs and has ended, which worker has it, and why it failed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel

from hilum.archive.jobs import Job, JobQueue, JobSelection, JobState
from hilum.archive.model import Permission
from hilum.console.access import allowed
from hilum.console.problems import problems
from hilum.kernel.errors import Conflict, NotFound

_MAX_LISTED = 1000

JobId = Annotated[int, Path(ge=1, lt=2**63)]


class JobEntry(BaseModel):
    """A job. Its payload names studies and other entries of the archive, never a patient."""

    job_id: int
    kind: str
    lane: str
    state: JobState
    priority: int
    attempt: int
    payload: dict[str, Any]
    worker: str | None
    created_at: datetime
    run_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error_code: str | None
    error: str | None


class JobList(BaseModel):
    """Jobs, newest first."""

    jobs: list[JobEntry]


def job_routes(queue: JobQueue) -> APIRouter:
    """Return the routes, to be included in the console API."""
    routes = APIRouter(prefix="/jobs", tags=["jobs"])

    @routes.get("", responses=problems(400, 401, 403))
    async def list_jobs(
        request: Request,
        state: Annotated[list[JobState], Query()] = [],  # noqa: B006 - FastAPI copies it
        kind: str | None = None,
        lane: str | None = None,
        limit: Annotated[int, Query(ge=1, le=_MAX_LISTED)] = 100,
        offset: Annotated[int, Query(ge=0)] = 0,
    ) -> JobList:
        """List durable jobs. What ended well is forgotten after a day, what did not after thirty."""
        principal = allowed(request, Permission.ADMINISTER)
        selection = JobSelection(kind=kind, lane=lane, states=state)
        found = await queue.select(principal.tenant.tenant_id, selection, limit=limit, offset=offset)
        return JobList(jobs=[_entry(job) for job in found])

    async def changed(tenant_id: int, job_id: int, count: int) -> JobEntry:
        job = await queue.find(tenant_id, job_id)
        if job is None:
            raise NotFound("there is no such job (any more)", code="no-such-job")
        if not count:
            raise Conflict(f"the job is {job.state.value}", code="job-state")
        return _entry(job)

    @routes.post("/{job_id}/cancel", responses=problems(400, 401, 403, 404, 409))
    async def cancel_job(job_id: JobId, request: Request) -> JobEntry:
        """End a job that has not ended; what it has done stays."""
        tenant_id = allowed(request, Permission.ADMINISTER).tenant.tenant_id
        return await changed(tenant_id, job_id, await queue.cancel(tenant_id, JobSelection(job_ids=[job_id])))

    @routes.post("/{job_id}/retry", responses=problems(400, 401, 403, 404, 409))
    async def retry_job(job_id: JobId, request: Request) -> JobEntry:
        """Let a job that failed or was cancelled run again, and one that waits run at once."""
        tenant_id = allowed(request, Permission.ADMINISTER).tenant.tenant_id
        return await changed(tenant_id, job_id, await queue.retry(tenant_id, JobSelection(job_ids=[job_id])))

    return routes


def _entry(job: Job) -> JobEntry:
    return JobEntry(**{name: getattr(job, name) for name in JobEntry.model_fields})
