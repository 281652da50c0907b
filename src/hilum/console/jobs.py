"""The durable jobs under /api/jobs: what waits, runs and has ended, which worker has it, and why it failed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from hilum.archive.jobs import JobQueue, JobSelection, JobState
from hilum.archive.model import Permission
from hilum.console.access import allowed
from hilum.console.problems import problems

_MAX_LISTED = 1000


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
        return JobList(jobs=[JobEntry(**{name: getattr(job, name) for name in JobEntry.model_fields}) for job in found])

    return routes
