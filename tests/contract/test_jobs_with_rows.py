"""What rows call for is enqueued with them, or neither is there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hilum.archive.jobs import Job, JobSelection, NewJob
from hilum.archive.procedure_steps import PerformedStatus, PerformedStep
from hilum.archive.worklist import WorklistQuery
from hilum.index.postgres import PostgresIndex
from hilum.kernel.errors import HilumError
from hilum.queue.jobs import PostgresJobs
from support.database import attributes_of
from support.worklist import NOW, worklist_item

KIND = "test.rows"
BROKEN = NewJob(KIND, {}, lane="")  # which the database refuses


async def enqueued(index: PostgresIndex, tenant_id: int) -> list[Job]:
    return await PostgresJobs(index.connections).select(tenant_id, JobSelection(kind=KIND), limit=10)


def ended(step: PerformedStep) -> PerformedStep:
    return replace(step, status=PerformedStatus.COMPLETED)


async def begun(index: PostgresIndex, tenant_id: int, uid: str) -> PerformedStep:
    attributes = attributes_of({"Modality": "CT"})
    step = PerformedStep(0, uid, PerformedStatus.IN_PROGRESS, attributes, "CT1", NOW, NOW)
    return await index.procedure_steps.add(tenant_id, step)


async def test_the_jobs_of_a_changed_step_are_there_with_the_change(index: PostgresIndex, tenant_id: int) -> None:
    await begun(index, tenant_id, "1.1")

    def jobs(step: PerformedStep) -> list[NewJob]:
        assert step.status is PerformedStatus.COMPLETED
        return [NewJob(KIND, {"n": n}, lane="a lane", priority=n, dedupe_key=f"key {n}", delay_s=60) for n in (1, 2)]

    await index.procedure_steps.change(tenant_id, "1.1", ended, jobs)
    second, first = await enqueued(index, tenant_id)
    assert (first.payload, first.lane, first.priority, first.dedupe_key) == ({"n": 1}, "a lane", 1, "key 1")
    assert second.payload == {"n": 2}
    assert (first.run_at - first.created_at).total_seconds() >= 59


async def test_a_step_whose_jobs_cannot_be_kept_is_not_changed(index: PostgresIndex, tenant_id: int) -> None:
    before = await begun(index, tenant_id, "1.1")
    with pytest.raises(HilumError):
        await index.procedure_steps.change(tenant_id, "1.1", ended, lambda _step: [NewJob(KIND, {}), BROKEN])
    assert await index.procedure_steps.find(tenant_id, "1.1") == before
    assert await enqueued(index, tenant_id) == []


async def test_the_jobs_of_a_new_worklist_item_are_there_with_it(index: PostgresIndex, tenant_id: int) -> None:
    item = await index.worklist.add(tenant_id, worklist_item(), lambda kept: [NewJob(KIND, {"key": kept.item_key})])
    (job,) = await enqueued(index, tenant_id)
    assert job.payload == {"key": item.item_key}


async def test_an_item_whose_jobs_cannot_be_kept_is_not_there(index: PostgresIndex, tenant_id: int) -> None:
    with pytest.raises(HilumError):
        await index.worklist.add(tenant_id, worklist_item(), lambda _item: [NewJob(KIND, {}), BROKEN])
    assert await index.worklist.count(tenant_id, WorklistQuery(statuses=None)) == 0
    assert await enqueued(index, tenant_id) == []
