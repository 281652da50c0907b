"""Performed procedure steps: what modalities report of the examinations they make, and how items follow them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Final, Protocol, TypeAlias

from hilum.archive.jobs import NewJob
from hilum.archive.model import DicomJson
from hilum.archive.worklist import StepStatus, WorklistItem, values_at
from hilum.dicom.dictionary import tag_of


class PerformedStatus(StrEnum):
    """Performed Procedure Step Status (PS3.3 Table C.4-14); the last two are final (PS3.4 §F.1.3)."""

    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"


class StepEvent(IntEnum):
    """What happens to a performed step; the numbers are the Event Type IDs of PS3.4 Table F.9.2-1."""

    BEGUN = 1
    COMPLETED = 2
    DISCONTINUED = 3
    UPDATED = 4


def event_of_change(step: PerformedStep) -> StepEvent:
    """Return what a change of a step that was in progress has come to."""
    match step.status:
        case PerformedStatus.COMPLETED:
            return StepEvent.COMPLETED
        case PerformedStatus.DISCONTINUED:
            return StepEvent.DISCONTINUED
    return StepEvent.UPDATED


_REFERENCES: Final = tag_of("ScheduledStepAttributesSequence")
_STUDY: Final = tag_of("StudyInstanceUID")
_STEP_ID: Final = tag_of("ScheduledProcedureStepID")
_ACCESSION_NUMBER: Final = tag_of("AccessionNumber")


@dataclass(frozen=True, slots=True)
class StepReference:
    """One item of Scheduled Step Attributes Sequence: which scheduled step was performed; "" for what is unknown."""

    study_instance_uid: str
    scheduled_procedure_step_id: str
    accession_number: str


@dataclass(frozen=True, slots=True)
class PerformedStep:
    """One performed procedure step as its modality reported it so far.

    `item_keys` are the worklist items it was made for, `step_key` is 0 before it is kept.
    """

    step_key: int
    sop_instance_uid: str
    status: PerformedStatus
    attributes: DicomJson
    calling_ae_title: str | None
    created_at: datetime
    changed_at: datetime
    item_keys: tuple[int, ...] = ()

    @property
    def references(self) -> tuple[StepReference, ...]:
        """The scheduled steps it names."""
        return tuple(
            StepReference(_text(item, _STUDY), _text(item, _STEP_ID), _text(item, _ACCESSION_NUMBER))
            for item in values_at(self.attributes, (_REFERENCES,))
        )


def _text(attributes: DicomJson, tag: str) -> str:
    return str(next(iter(values_at(attributes, (tag,))), "")).strip()


def referenced_item(reference: StepReference, candidates: Sequence[WorklistItem]) -> WorklistItem | None:
    """Return the item a reference means, out of those of the same study or accession number.

    The study and the step's id name it. A modality that made a study UID of its own still names it by accession
    number and step id; one that gives no step id means the one step of the study, if it has but one.
    """
    of_study = [item for item in candidates if item.text("study_instance_uid") == reference.study_instance_uid]
    if reference.scheduled_procedure_step_id:
        of_order = [
            item
            for item in candidates
            if reference.accession_number and item.text("accession_number") == reference.accession_number
        ]
        for items in (of_study, of_order):
            found = [
                item
                for item in items
                if item.text("scheduled_procedure_step_id") == reference.scheduled_procedure_step_id
            ]
            if len(found) == 1:
                return found[0]
        return None
    return of_study[0] if len(of_study) == 1 else None


def status_of_item(performed: Collection[PerformedStatus], present: StepStatus) -> StepStatus:
    """Return the status of an item for which these steps were performed.

    It is under way while one of them is; it is completed when one of them was, since what a further one adds or
    breaks off does not undo that.
    """
    if PerformedStatus.IN_PROGRESS in performed:
        return StepStatus.STARTED
    if PerformedStatus.COMPLETED in performed:
        return StepStatus.COMPLETED
    return StepStatus.DISCONTINUED if performed else present


JobsOfStep: TypeAlias = Callable[[PerformedStep], Sequence[NewJob]]
"""What is to be done about a step that is new or has changed."""


class ProcedureSteps(Protocol):
    """Where performed steps are kept, with their links. Every call is about one tenant.

    All raise Unavailable when the database does not answer.
    """

    async def add(self, tenant_id: int, step: PerformedStep, jobs: JobsOfStep | None = None) -> PerformedStep:
        """Keep a new step, link it to the items it names and let them follow; durable once it returns.

        The jobs that `jobs` makes of it are enqueued with it.

        Raises:
            Conflict: there is a step of this SOP Instance UID.
        """
        ...

    async def find(self, tenant_id: int, sop_instance_uid: str) -> PerformedStep | None:
        """Return a step, or None."""
        ...

    async def change(
        self,
        tenant_id: int,
        sop_instance_uid: str,
        work: Callable[[PerformedStep], PerformedStep],
        jobs: JobsOfStep | None = None,
    ) -> PerformedStep | None:
        """Keep what `work` makes of the step and let its items follow; None: there is no such step.

        Nobody else changes it meanwhile; what `work` raises leaves all as it was. The jobs that `jobs` makes of the
        step as it has become are enqueued with it: all is there afterwards, or nothing.
        """
        ...

    async def of_items(self, tenant_id: int, item_keys: Collection[int]) -> list[PerformedStep]:
        """Return the steps performed for these items, oldest first."""
        ...

    async def of_study(self, tenant_id: int, study_instance_uid: str) -> list[PerformedStep]:
        """Return the steps performed for a study, oldest first."""
        ...
