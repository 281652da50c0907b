"""Notices of performed procedure steps: whoever wants to know is told what happens to each, in order, at least once.

Who is to be told is asked when a report comes in; the jobs that tell are kept in the transaction of the report.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from hilum.archive.jobs import Again, Job, JobQueue, JobSelection, JobState, LaneUnavailable, NewJob
from hilum.archive.procedure_steps import PerformedStep, StepEvent
from hilum.archive.remotes import DimseUse, RemoteAe
from hilum.kernel.errors import Unavailable
from hilum.kernel.limits import MAX_STEP_NOTICES_COMPARED, STEP_NOTICE_TURN_S
from hilum.services.procedure_steps import JobsOfEvent

NOTIFY: Final = "procedure-step.notify"
"""The kind of job that tells one remote of one event."""


class RemoteRegistry(Protocol):
    """Who is registered."""

    async def find(self, tenant_id: int, ae_title: str) -> RemoteAe | None:
        """Return the application entity of that title, or None."""
        ...

    async def list(self, tenant_id: int) -> Sequence[RemoteAe]:
        """Return all."""
        ...


class StepNotifier(Protocol):
    """Tells a remote."""

    async def notify(self, remote: RemoteAe, sop_instance_uid: str, event: StepEvent) -> None:
        """Return once the remote has taken the event. Raises a HilumError, a retryable one if that may help."""
        ...


class StepNoticeService:
    """Decides who is told of what happens to performed steps, and lets them be told."""

    def __init__(self, remotes: RemoteRegistry, queue: JobQueue, notifier: StepNotifier) -> None:
        self._remotes = remotes
        self._queue = queue
        self._notifier = notifier

    async def when_heard(self, tenant_id: int) -> JobsOfEvent:
        """Return what makes the jobs of an event: one for each remote that wants to know.

        Raises:
            Unavailable: the registry does not answer.
        """
        interested = [remote for remote in await self._remotes.list(tenant_id) if _is_interested(remote)]

        def jobs(step: PerformedStep, event: StepEvent) -> list[NewJob]:
            return [
                NewJob(
                    NOTIFY,
                    {"sop_instance_uid": step.sop_instance_uid, "event": int(event), "remote": remote.ae_title},
                    lane=f"procedure-step:{remote.ae_title}",
                )
                for remote in interested
            ]

        return jobs

    async def tell(self, job: Job) -> Again | None:
        """Tell one remote of one event; the handler of the kind `procedure-step.notify`.

        Raises:
            LaneUnavailable: the remote does not answer, or cannot take it now.
            Unsupported: it takes no such notices, or not this one.
        """
        remote = await self._remotes.find(job.tenant_id, str(job.payload["remote"]))
        if remote is None or not _is_interested(remote):
            return None  # it has been unregistered, or wants to know no more
        if await self._has_earlier(job):
            return Again(STEP_NOTICE_TURN_S)
        event = StepEvent(int(str(job.payload["event"])))
        try:
            await self._notifier.notify(remote, str(job.payload["sop_instance_uid"]), event)
        except Unavailable as error:
            raise LaneUnavailable(error.message, code=error.reason_code) from error
        return None

    async def _has_earlier(self, job: Job) -> bool:
        """Return whether the remote has still to be told of something that happened to the step before.

        What failed for good, or is held, keeps nothing back.
        """
        selection = JobSelection(kind=NOTIFY, lane=job.lane, states=(JobState.QUEUED, JobState.RUNNING))
        uid = job.payload["sop_instance_uid"]
        waiting = await self._queue.select(job.tenant_id, selection, limit=MAX_STEP_NOTICES_COMPARED)
        return any(each.job_id < job.job_id and each.payload["sop_instance_uid"] == uid for each in waiting)


def _is_interested(remote: RemoteAe) -> bool:
    return remote.host is not None and DimseUse.STEP_NOTICE in remote.may_be_asked
