"""Instance availability: whoever wants to know is told that a study, or what a procedure step made, can be had.

The outbox tells of each instance that comes. Once a study has been quiet for a while, a job finds out what is there
and leaves one job for each remote that is to be told, which is tried again until the remote has taken it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

from hilum.archive.changes import InstanceChange
from hilum.archive.jobs import Job, JobQueue, NewJob
from hilum.archive.model import DicomJson, StoredInstance
from hilum.archive.ports import InstanceIndex
from hilum.archive.procedure_steps import PerformedStatus, PerformedStep
from hilum.archive.remotes import DimseUse, RemoteAe
from hilum.dicom.availability import availability_notice
from hilum.dicom.dictionary import tag_of

STUDY: Final = "availability.study"
"""The kind of job that runs when a study has been quiet, or a procedure step of it has ended."""
NOTIFY: Final = "availability.notify"
"""The kind of job that tells one remote."""

_PERFORMED_SERIES: Final = tag_of("PerformedSeriesSequence")
_REFERENCED: Final = (
    tag_of("ReferencedImageSequence"),
    tag_of("ReferencedNonImageCompositeSOPInstanceSequence"),
)
_SOP_INSTANCE_UID: Final = tag_of("ReferencedSOPInstanceUID")


class RemoteRegistry(Protocol):
    """Who is registered."""

    async def find(self, tenant_id: int, ae_title: str) -> RemoteAe | None:
        """Return the application entity of that title, or None."""
        ...

    async def list(self, tenant_id: int) -> Sequence[RemoteAe]:
        """Return all."""
        ...


class StepFinder(Protocol):
    """The performed procedure steps."""

    async def of_study(self, tenant_id: int, study_instance_uid: str) -> Sequence[PerformedStep]:
        """Return the steps performed for a study, oldest first."""
        ...


class AvailabilityNotifier(Protocol):
    """Tells a remote."""

    async def notify(self, remote: RemoteAe, notice: DicomJson) -> None:
        """Return once the remote has taken the notice. Raises a HilumError, a retryable one if that may help."""
        ...


class AvailabilityService:
    """Decides who is told what.

    Args:
        quiet_s: how long nothing of a study has to come before it counts as there.
        retrieve_ae_title: whom remotes are to ask for the instances.
    """

    def __init__(
        self,
        *,
        index: InstanceIndex,
        steps: StepFinder,
        remotes: RemoteRegistry,
        queue: JobQueue,
        notifier: AvailabilityNotifier,
        quiet_s: float,
        retrieve_ae_title: str,
    ) -> None:
        self._index = index
        self._steps = steps
        self._remotes = remotes
        self._queue = queue
        self._notifier = notifier
        self._quiet_s = quiet_s
        self._retrieve_ae_title = retrieve_ae_title

    async def note(self, tenant_id: int, changes: Sequence[InstanceChange]) -> None:
        """Look at the studies of what has come once they are quiet; hears of changes as `ChangeConsumer`."""
        studies = dict.fromkeys(change.study_instance_uid for change in changes if change.action == "created")
        if studies and await self._interested(tenant_id):
            await self._queue.enqueue(tenant_id, self._looks(studies))

    def when_step_ended(self, step: PerformedStep) -> list[NewJob]:
        """Return the jobs that look at the studies of a performed step that has ended: all may be there already.

        Who is interested is asked when they run: they stand in the transaction of the step's end, which waits for
        nothing else.
        """
        return self._looks({each.study_instance_uid: None for each in step.references if each.study_instance_uid})

    def _looks(self, studies: Iterable[str]) -> list[NewJob]:
        return [
            NewJob(
                STUDY,
                {"study_instance_uid": study_instance_uid},
                dedupe_key=f"{STUDY}:{study_instance_uid}",
                delay_s=self._quiet_s,
                is_postponed=True,
            )
            for study_instance_uid in studies
        ]

    async def study_is_there(self, job: Job) -> None:
        """Leave a job for each remote that is to be told; the handler of the kind `availability.study`."""
        study_instance_uid = str(job.payload["study_instance_uid"])
        remotes = await self._interested(job.tenant_id)
        await self._queue.enqueue(
            job.tenant_id,
            [
                NewJob(
                    NOTIFY,
                    {"study_instance_uid": study_instance_uid, "remote": remote.ae_title},
                    lane=f"availability:{remote.ae_title}",
                    dedupe_key=f"{NOTIFY}:{remote.ae_title}:{study_instance_uid}",
                )
                for remote in remotes
            ],
        )

    async def tell(self, job: Job) -> None:
        """Tell one remote what is there of a study; the handler of the kind `availability.notify`.

        One notice tells of each performed procedure step that has ended and whose instances are all there, one of
        what no such step made.
        """
        remote = await self._remotes.find(job.tenant_id, str(job.payload["remote"]))
        if remote is None or not _is_interested(remote):
            return  # it has been unregistered, or wants to know no more
        for notice in await self._notices(job.tenant_id, str(job.payload["study_instance_uid"])):
            await self._notifier.notify(remote, notice)

    async def _notices(self, tenant_id: int, study_instance_uid: str) -> list[DicomJson]:
        left = {
            instance.sop_instance_uid: instance
            for instance in await self._index.find_instances(tenant_id, study_instance_uid)
        }
        notices = []
        for step in await self._steps.of_study(tenant_id, study_instance_uid):
            made = _instances_of(step)
            if step.status is PerformedStatus.IN_PROGRESS or not made or not made <= left.keys():
                continue
            instances = [left.pop(uid) for uid in list(left) if uid in made]
            notices.append(self._notice(study_instance_uid, instances, step.sop_instance_uid))
        if left:
            notices.append(self._notice(study_instance_uid, list(left.values()), None))
        return notices

    def _notice(self, study_instance_uid: str, instances: Sequence[StoredInstance], step_uid: str | None) -> DicomJson:
        series: dict[str, list[tuple[str, str]]] = {}
        for instance in instances:
            references = series.setdefault(instance.series_instance_uid, [])
            references.append((instance.sop_class_uid, instance.sop_instance_uid))
        return availability_notice(
            study_instance_uid, series, retrieve_ae_title=self._retrieve_ae_title, performed_step_uid=step_uid
        )

    async def _interested(self, tenant_id: int) -> list[RemoteAe]:
        return [remote for remote in await self._remotes.list(tenant_id) if _is_interested(remote)]


def _is_interested(remote: RemoteAe) -> bool:
    return remote.host is not None and DimseUse.AVAILABILITY in remote.may_be_asked


def _instances_of(step: PerformedStep) -> set[str]:
    """Return the SOP Instance UIDs a step says it made."""
    made: set[str] = set()
    for series in _items(step.attributes, _PERFORMED_SERIES):
        for tag in _REFERENCED:
            for reference in _items(series, tag):
                made.update(str(uid) for uid in reference.get(_SOP_INSTANCE_UID, {}).get("Value", ()))
    return made


def _items(attributes: Mapping[str, DicomJson], tag: str) -> list[DicomJson]:
    return [item for item in attributes.get(tag, {}).get("Value", ()) if isinstance(item, dict)]
