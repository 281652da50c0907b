"""Performed procedure steps: modalities report what they do, and the worklist follows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from hilum.archive.jobs import NewJob
from hilum.archive.model import DicomJson
from hilum.archive.procedure_steps import (
    JobsOfStep,
    PerformedStatus,
    PerformedStep,
    ProcedureSteps,
    StepEvent,
    event_of_change,
)
from hilum.kernel.clock import Clock
from hilum.kernel.errors import NotFound
from hilum.kernel.ids import new_uid
from hilum.policies.procedure_steps import Accepted, accept_change, accept_creation

JobsOfEvent: TypeAlias = Callable[[PerformedStep, StepEvent], Sequence[NewJob]]
"""What is to be done about something that has happened to a step."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """The step after a report, and in what it differs from the report; see `policies.procedure_steps.Accepted`."""

    step: PerformedStep
    added: tuple[str, ...]
    unchanged: tuple[str, ...]


class ProcedureStepService:
    """Keeps the performed procedure steps of every tenant.

    Args:
        steps: where they are kept.
        when_ended: the jobs to be done once a step has come to its end; durable with that end.
        when_heard: is asked before a report of a tenant is kept for the jobs of what it makes happen; durable with it.
    """

    def __init__(
        self,
        steps: ProcedureSteps,
        clock: Clock,
        when_ended: JobsOfStep | None = None,
        when_heard: Callable[[int], Awaitable[JobsOfEvent]] | None = None,
    ) -> None:
        self._steps = steps
        self._clock = clock
        self._when_ended = when_ended
        self._when_heard = when_heard

    async def begin(
        self,
        tenant_id: int,
        sop_instance_uid: str | None,
        attributes: DicomJson,
        *,
        calling_ae_title: str | None = None,
    ) -> StepReport:
        """Keep a step that begins, under a UID of our own if the modality gave none; durable once it returns.

        The items of the worklist that it names become STARTED.

        Raises:
            InvalidInput: see `accept_creation`.
            Conflict: there is a step of this UID.
        """
        accepted = accept_creation(attributes)
        now = self._clock.now()
        step = await self._steps.add(
            tenant_id,
            PerformedStep(
                step_key=0,
                sop_instance_uid=sop_instance_uid or new_uid(),
                status=accepted.status,
                attributes=accepted.attributes,
                calling_ae_title=calling_ae_title,
                created_at=now,
                changed_at=now,
            ),
            await self._jobs(tenant_id, lambda step: StepEvent.BEGUN),
        )
        return StepReport(step, accepted.added, accepted.unchanged)

    async def change(self, tenant_id: int, sop_instance_uid: str, changes: DicomJson) -> StepReport:
        """Change a step that is under way, or end it; durable once it returns. Its items of the worklist follow.

        Raises:
            NotFound: there is no step of this UID.
            Conflict, InvalidInput: see `accept_change`.
        """
        now = self._clock.now()
        results: list[Accepted] = []

        def work(step: PerformedStep) -> PerformedStep:
            accepted = accept_change(step.attributes, step.status, changes)
            results.append(accepted)
            return replace(step, status=accepted.status, attributes=accepted.attributes, changed_at=now)

        step = await self._steps.change(tenant_id, sop_instance_uid, work, await self._jobs(tenant_id, event_of_change))
        if step is None:
            raise _no_step()
        return StepReport(step, results[-1].added, results[-1].unchanged)

    async def find(self, tenant_id: int, sop_instance_uid: str) -> PerformedStep:
        """Return a step.

        Raises:
            NotFound: there is no step of this UID.
        """
        step = await self._steps.find(tenant_id, sop_instance_uid)
        if step is None:
            raise _no_step()
        return step

    async def of_items(self, tenant_id: int, item_keys: Collection[int]) -> list[PerformedStep]:
        """Return the steps performed for items of the worklist, oldest first."""
        return await self._steps.of_items(tenant_id, item_keys)

    async def of_study(self, tenant_id: int, study_instance_uid: str) -> list[PerformedStep]:
        """Return the steps performed for a study, oldest first."""
        return await self._steps.of_study(tenant_id, study_instance_uid)

    async def _jobs(self, tenant_id: int, event_of: Callable[[PerformedStep], StepEvent]) -> JobsOfStep:
        of_event = None if self._when_heard is None else await self._when_heard(tenant_id)

        def jobs(step: PerformedStep) -> Sequence[NewJob]:
            has_ended = step.status is not PerformedStatus.IN_PROGRESS
            of_end = self._when_ended(step) if self._when_ended is not None and has_ended else ()
            return [*of_end, *(of_event(step, event_of(step)) if of_event is not None else ())]

        return jobs


def _no_step() -> NotFound:
    return NotFound("there is no performed procedure step of this UID", code="performed-step")
