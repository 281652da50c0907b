"""Studies brought in from remote archives, by jobs that outlive the request and the worker."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Sequence
from typing import Final, Protocol

from hilum.archive.jobs import Job, JobQueue, JobSelection, JobValue, NewJob
from hilum.archive.pulling import Pull, RemoteArchive, RetrieveProgress, Wanted, Way
from hilum.archive.query import Level, Match, Query
from hilum.archive.remotes import RemoteAe
from hilum.dicom.conditions import parse_condition
from hilum.dicom.dictionary import tag_of, vr_of
from hilum.dicom.uids import is_valid_uid
from hilum.kernel.errors import Conflict, InvalidInput, NotFound, Unavailable

PULL: Final = "pull"
"""The kind of job that brings in one study, series or instance from one remote."""


class RemoteFinder(Protocol):
    """What pulling needs of the registry."""

    async def find(self, tenant_id: int, ae_title: str) -> RemoteAe | None:
        """Return the application entity of that title, or None."""
        ...


class InstanceCounter(Protocol):
    """What pulling needs of the index."""

    async def count(self, tenant_id: int, query: Query) -> int:
        """Return how many entities match."""
        ...


class PullService:
    """Orders pulls, tells how they stand, and does them.

    Args:
        queue: where the jobs wait.
        index: counts what is here.
        remotes: the registry.
        archive: reaches remote archives.
    """

    def __init__(
        self, *, queue: JobQueue, index: InstanceCounter, remotes: RemoteFinder, archive: RemoteArchive
    ) -> None:
        self._queue = queue
        self._index = index
        self._remotes = remotes
        self._archive = archive

    async def order(
        self, tenant_id: int, ae_title: str, wanted: Wanted, *, way: Way = Way.AUTO, priority: int = 0
    ) -> Pull:
        """Return the pull that will bring in what is wanted; one that waits already is taken for it.

        The remote is asked how much there is, so that what it does not have is told at once.

        Raises:
            NotFound: the AE title is not registered, or the remote has nothing of it.
            InvalidInput: a UID is none, or the registry has no address.
            Forbidden: the registry does not let the remote be asked.
            Unavailable, Unsupported: the remote cannot be asked.
        """
        if wanted.sop_instance_uid is not None and wanted.series_instance_uid is None:
            raise InvalidInput("an instance is named within its series", code="bad-query-value")
        if not all(is_valid_uid(uid) for uid in wanted.keys.values()):
            raise InvalidInput("what is wanted is named by UIDs", code="invalid-uid")
        remote = await self._remote(tenant_id, ae_title)
        expected = await self._archive.count_instances(remote, wanted)
        payload: dict[str, JobValue] = {
            "remote": ae_title,
            "study_instance_uid": wanted.study_instance_uid,
            "series_instance_uid": wanted.series_instance_uid,
            "sop_instance_uid": wanted.sop_instance_uid,
            "way": way.value,
            "expected_count": expected,
        }
        job = NewJob(
            PULL,
            payload,
            lane=f"{PULL}:{ae_title}",
            priority=priority,
            dedupe_key=":".join((PULL, ae_title, *wanted.keys.values())),
        )
        (job_id,) = await self._queue.enqueue(tenant_id, [job])
        return await self.find(tenant_id, job_id)

    async def find(self, tenant_id: int, pull_id: int) -> Pull:
        """Return how a pull stands.

        Raises:
            NotFound: there is no such pull (any more).
        """
        job = await self._queue.find(tenant_id, pull_id)
        if job is None or job.kind != PULL:
            raise NotFound("there is no such pull", code="no-such-pull")
        return await self._pull(job)

    async def list(self, tenant_id: int, *, limit: int) -> Sequence[Pull]:
        """Return how the latest pulls stand, newest first."""
        jobs = await self._queue.select(tenant_id, JobSelection(kind=PULL), limit=limit)
        return [await self._pull(job) for job in jobs]

    async def cancel(self, tenant_id: int, pull_id: int) -> Pull:
        """End a pull, cancelling it at the remote; what has come stays.

        Raises:
            NotFound: there is no such pull (any more).
            Conflict: it has ended.
        """
        return await self._change(tenant_id, pull_id, self._queue.cancel(tenant_id, _one(pull_id)))

    async def retry(self, tenant_id: int, pull_id: int) -> Pull:
        """Try a pull that failed or was cancelled again; what is here already is taken for what it is.

        Raises:
            NotFound: there is no such pull (any more).
            Conflict: it has neither failed nor been cancelled.
        """
        return await self._change(tenant_id, pull_id, self._queue.retry(tenant_id, _one(pull_id)))

    async def _change(self, tenant_id: int, pull_id: int, change: Awaitable[int]) -> Pull:
        changed = await change
        pull = await self.find(tenant_id, pull_id)
        if not changed:
            raise Conflict(f"the pull is {pull.state.value}", code="pull-state")
        return pull

    async def run(self, job: Job) -> None:
        """Bring in what a job names; the handler of the kind `pull`.

        Raises:
            NotFound: the AE title is not registered any more.
            Unavailable: the remote does not answer, or something did not come: the job may be tried again.
            HilumError: the remote does not give it.
        """
        remote = await self._remote(job.tenant_id, str(job.payload["remote"]))
        last = RetrieveProgress()
        progress = self._archive.pull(remote, _wanted(job), Way(str(job.payload["way"])))
        async with contextlib.aclosing(progress):
            async for each in progress:
                last = each
        if last.failed:
            raise Unavailable(f"{last.failed} instances did not come", code="pull-incomplete", failed=last.failed)

    async def _remote(self, tenant_id: int, ae_title: str) -> RemoteAe:
        remote = await self._remotes.find(tenant_id, ae_title)
        if remote is None:
            raise NotFound("this AE title is not registered", code="no-such-remote")
        return remote

    async def _pull(self, job: Job) -> Pull:
        wanted = _wanted(job)
        expected = job.payload["expected_count"]
        keys = ((tag_of(keyword), uid) for keyword, uid in wanted.keys.items())
        matches = tuple(Match((tag,), parse_condition(vr_of(tag), uid)) for tag, uid in keys)
        return Pull(
            pull_id=job.job_id,
            remote=str(job.payload["remote"]),
            wanted=wanted,
            way=Way(str(job.payload["way"])),
            state=job.state,
            attempt=job.attempt,
            expected_count=expected if isinstance(expected, int) else None,
            received_count=await self._index.count(job.tenant_id, Query(Level.INSTANCE, matches)),
            created_at=job.created_at,
            finished_at=job.finished_at,
            error_code=job.error_code,
            error=job.error,
        )


def _one(pull_id: int) -> JobSelection:
    return JobSelection(job_ids=[pull_id], kind=PULL)


def _wanted(job: Job) -> Wanted:
    def uid(name: str) -> str | None:
        value = job.payload[name]
        return value if isinstance(value, str) else None

    return Wanted(str(job.payload["study_instance_uid"]), uid("series_instance_uid"), uid("sop_instance_uid"))
