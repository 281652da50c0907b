"""The ports `Worklist` and `ProcedureSteps` on PostgreSQL."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest

from hilum.archive.jobs import JobSelection, NewJob
from hilum.archive.procedure_steps import PerformedStatus, PerformedStep
from hilum.archive.query import Match
from hilum.archive.worklist import OPEN_STATUSES, StepStatus, WorklistItem, WorklistQuery, with_status
from hilum.dicom.conditions import Single
from hilum.dicom.dictionary import path_of, tag_of
from hilum.index.embedded import EmbeddedPostgres
from hilum.index.postgres import PostgresIndex
from hilum.kernel.errors import Conflict
from hilum.queue.jobs import PostgresJobs
from support.database import attributes_of, new_tenant
from support.worklist import NOW, worklist_item

ALL = WorklistQuery(statuses=None)
TABLES = ("worklist_item", "performed_procedure_step", "performed_step_reference")


@pytest.fixture
async def other_tenant_id(database: EmbeddedPostgres) -> int:
    return await new_tenant(database.app_address())


def performed(uid: str, *items: WorklistItem, status: PerformedStatus = PerformedStatus.IN_PROGRESS) -> PerformedStep:
    references = [
        {
            "StudyInstanceUID": item.text("study_instance_uid"),
            "ScheduledProcedureStepID": item.text("scheduled_procedure_step_id"),
        }
        for item in items
    ]
    attributes = attributes_of({"ScheduledStepAttributesSequence": references, "Modality": "CT"})
    return PerformedStep(0, uid, status, attributes, "CT1", NOW, NOW)


async def found(index: PostgresIndex, tenant_id: int, query: WorklistQuery = ALL) -> list[WorklistItem]:
    return [item async for item in index.worklist.search(tenant_id, query)]


class TestWorklist:
    """Items come back as they were kept."""

    async def test_an_item_is_kept_as_it_is(self, index: PostgresIndex, tenant_id: int) -> None:
        item = worklist_item(PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう", PatientWeight=70.5)
        kept = await index.worklist.add(tenant_id, item)
        assert kept == replace(item, item_key=kept.item_key)
        assert await index.worklist.find(tenant_id, kept.item_key) == kept
        assert await found(index, tenant_id) == [kept]

    async def test_items_that_ended_are_forgotten_and_what_was_performed_of_them_stays(
        self, index: PostgresIndex, tenant_id: int, other_tenant_id: int
    ) -> None:
        kept = {status: await index.worklist.add(tenant_id, worklist_item(status)) for status in StepStatus}
        done = kept[StepStatus.COMPLETED]
        await index.procedure_steps.add(tenant_id, performed("1.1", done, status=PerformedStatus.COMPLETED))
        fresh = replace(worklist_item(StepStatus.COMPLETED), changed_at=NOW + timedelta(days=2))
        fresh = await index.worklist.add(tenant_id, fresh)
        before = NOW + timedelta(days=1)
        assert await index.worklist.forget_ended(other_tenant_id, before, 100) == 0
        assert await index.worklist.forget_ended(tenant_id, before, 3) == 3
        assert await index.worklist.forget_ended(tenant_id, before, 100) == 1
        left = {item.item_key for item in await found(index, tenant_id)}
        assert left == {fresh.item_key, *(item.item_key for status, item in kept.items() if status in OPEN_STATUSES)}
        step = await index.procedure_steps.find(tenant_id, "1.1")
        assert step is not None
        assert step.item_keys == ()
        (reference,) = step.references
        assert reference.study_instance_uid == done.text("study_instance_uid")

    async def test_a_step_id_names_one_step_of_a_study(self, index: PostgresIndex, tenant_id: int) -> None:
        item = worklist_item()
        await index.worklist.add(tenant_id, item)
        with pytest.raises(Conflict):
            await index.worklist.add(tenant_id, item)
        other = await index.worklist.add(tenant_id, worklist_item())
        with pytest.raises(Conflict):
            await index.worklist.change(
                tenant_id, other.item_key, lambda present: replace(present, attributes=item.attributes)
            )
        assert await index.worklist.find(tenant_id, other.item_key) == other

    async def test_a_change_is_found_by_its_new_values(self, index: PostgresIndex, tenant_id: int) -> None:
        kept = await index.worklist.add(tenant_id, worklist_item())
        later = NOW + timedelta(hours=1)

        def work(item: WorklistItem) -> WorklistItem:
            changed = item.attributes | attributes_of({"PatientID": "P9"})
            return with_status(replace(item, attributes=changed), StepStatus.ARRIVED, later)

        changed = await index.worklist.change(tenant_id, kept.item_key, work)
        assert changed is not None
        assert (changed.status, changed.changed_at, changed.created_at) == (StepStatus.ARRIVED, later, NOW)
        assert await found(index, tenant_id, WorklistQuery((Match(path_of("PatientID"), Single("P9")),))) == [changed]
        assert await found(index, tenant_id, WorklistQuery((Match(path_of("PatientID"), Single("P1")),))) == []

    async def test_what_raises_changes_nothing(self, index: PostgresIndex, tenant_id: int) -> None:
        kept = await index.worklist.add(tenant_id, worklist_item())

        def work(_item: WorklistItem) -> WorklistItem:
            raise Conflict("no")

        with pytest.raises(Conflict):
            await index.worklist.change(tenant_id, kept.item_key, work)
        assert await index.worklist.find(tenant_id, kept.item_key) == kept

    async def test_changes_at_the_same_time_take_turns(self, index: PostgresIndex, tenant_id: int) -> None:
        kept = await index.worklist.add(tenant_id, worklist_item(AccessionNumber="0"))

        def count(item: WorklistItem) -> WorklistItem:
            number = int(item.text("accession_number")) + 1
            return replace(item, attributes=item.attributes | attributes_of({"AccessionNumber": str(number)}))

        await asyncio.gather(*(index.worklist.change(tenant_id, kept.item_key, count) for _ in range(12)))
        changed = await index.worklist.find(tenant_id, kept.item_key)
        assert changed is not None
        assert changed.text("accession_number") == "12"

    async def test_a_removed_item_is_gone(self, index: PostgresIndex, tenant_id: int) -> None:
        kept = await index.worklist.add(tenant_id, worklist_item())
        assert await index.worklist.remove(tenant_id, kept.item_key) is True
        assert await index.worklist.remove(tenant_id, kept.item_key) is False
        assert await index.worklist.find(tenant_id, kept.item_key) is None
        assert await index.worklist.change(tenant_id, kept.item_key, lambda item: item) is None

    async def test_pages_are_in_the_order_of_the_start(self, index: PostgresIndex, tenant_id: int) -> None:
        starts = [("20260107", "08"), ("20260105", "1200"), ("20260105", "081500"), ("20260106", "0900")]
        for date, time in starts:
            step = {"ScheduledProcedureStepStartDate": date, "ScheduledProcedureStepStartTime": time}
            await index.worklist.add(tenant_id, worklist_item(step=step))
        items = await found(index, tenant_id)
        order = [
            (item.text("scheduled_procedure_step_start_date"), item.text("scheduled_procedure_step_start_time"))
            for item in items
        ]
        assert order == sorted(starts)
        assert await found(index, tenant_id, replace(ALL, limit=2, offset=1)) == items[1:3]
        assert await index.worklist.count(tenant_id, replace(ALL, limit=2, offset=1)) == 4

    async def test_more_items_than_one_fetch_brings_come_all_and_once(
        self, index: PostgresIndex, tenant_id: int
    ) -> None:
        for _ in range(10):
            await asyncio.gather(*(index.worklist.add(tenant_id, worklist_item()) for _ in range(101)))
        items = await found(index, tenant_id, replace(ALL, limit=None))
        assert len({item.item_key for item in items}) == len(items) == 1010
        search = index.worklist.search(tenant_id, replace(ALL, limit=None))
        assert (await anext(search)).item_key == items[0].item_key
        await search.aclose()


class TestProcedureSteps:
    """Steps come back as they were kept, and items follow them."""

    async def test_a_step_is_kept_with_the_items_it_was_performed_for(
        self, index: PostgresIndex, tenant_id: int
    ) -> None:
        first, second, other = [await index.worklist.add(tenant_id, worklist_item()) for _ in range(3)]
        step = await index.procedure_steps.add(tenant_id, performed("1.1", first, second))
        assert step.item_keys == (first.item_key, second.item_key)
        assert await index.procedure_steps.find(tenant_id, "1.1") == step
        assert await index.procedure_steps.of_items(tenant_id, [second.item_key]) == [step]
        assert await index.procedure_steps.of_items(tenant_id, [other.item_key]) == []
        assert await index.procedure_steps.of_study(tenant_id, first.text("study_instance_uid")) == [step]
        statuses = {item.item_key: item.status for item in await found(index, tenant_id)}
        assert statuses == {
            first.item_key: StepStatus.STARTED,
            second.item_key: StepStatus.STARTED,
            other.item_key: StepStatus.SCHEDULED,
        }

    async def test_the_status_in_the_items_data_set_follows_too(self, index: PostgresIndex, tenant_id: int) -> None:
        item = await index.worklist.add(tenant_id, worklist_item())
        await index.procedure_steps.add(tenant_id, performed("1.1", item))
        key = Match(path_of("ScheduledProcedureStepSequence.ScheduledProcedureStepStatus"), Single("STARTED"))
        (started,) = await found(index, tenant_id, WorklistQuery((key,), None))
        assert started.item_key == item.item_key

    async def test_the_jobs_of_a_new_step_are_there_with_it_or_not_at_all(
        self, index: PostgresIndex, tenant_id: int
    ) -> None:
        queue = PostgresJobs(index.connections)

        def jobs(step: PerformedStep) -> list[NewJob]:
            return [NewJob("test.step", {"step_key": step.step_key})]

        async def kept() -> list[object]:
            found = await queue.select(tenant_id, JobSelection(kind="test.step"), limit=10)
            return [job.payload["step_key"] for job in found]

        step = await index.procedure_steps.add(tenant_id, performed("1.1"), jobs)
        assert await kept() == [step.step_key]
        with pytest.raises(Conflict):
            await index.procedure_steps.add(tenant_id, performed("1.1"), jobs)

        def fails(_step: PerformedStep) -> list[NewJob]:
            raise Conflict("no")

        with pytest.raises(Conflict):
            await index.procedure_steps.add(tenant_id, performed("1.2"), fails)
        assert await index.procedure_steps.find(tenant_id, "1.2") is None
        assert await kept() == [step.step_key]

    async def test_a_uid_is_there_once(self, index: PostgresIndex, tenant_id: int) -> None:
        await index.procedure_steps.add(tenant_id, performed("1.1"))
        with pytest.raises(Conflict):
            await index.procedure_steps.add(tenant_id, performed("1.1"))

    async def test_what_raises_changes_neither_step_nor_item(self, index: PostgresIndex, tenant_id: int) -> None:
        item = await index.worklist.add(tenant_id, worklist_item())
        step = await index.procedure_steps.add(tenant_id, performed("1.1", item))

        def work(_step: PerformedStep) -> PerformedStep:
            raise Conflict("no")

        with pytest.raises(Conflict):
            await index.procedure_steps.change(tenant_id, "1.1", work)
        assert await index.procedure_steps.find(tenant_id, "1.1") == step
        assert await index.procedure_steps.change(tenant_id, "1.2", work) is None

    async def test_steps_of_one_item_that_end_at_the_same_time_complete_it(
        self, index: PostgresIndex, tenant_id: int
    ) -> None:
        item = await index.worklist.add(tenant_id, worklist_item())
        for number in range(6):
            await index.procedure_steps.add(tenant_id, performed(f"1.{number}", item))

        def end(step: PerformedStep) -> PerformedStep:
            return replace(step, status=PerformedStatus.COMPLETED)

        await asyncio.gather(*(index.procedure_steps.change(tenant_id, f"1.{number}", end) for number in range(6)))
        completed = await index.worklist.find(tenant_id, item.item_key)
        assert completed is not None
        assert completed.status is StepStatus.COMPLETED

    async def test_reports_of_the_same_items_in_any_order_do_not_lock_each_other_out(
        self, index: PostgresIndex, tenant_id: int
    ) -> None:
        items = [await index.worklist.add(tenant_id, worklist_item()) for _ in range(4)]
        await asyncio.gather(
            *(
                index.procedure_steps.add(tenant_id, performed(f"2.{number}", *items[:: 1 if number % 2 else -1]))
                for number in range(12)
            )
        )
        assert len(await index.procedure_steps.of_items(tenant_id, [items[0].item_key])) == 12

    async def test_a_removed_item_leaves_what_was_performed(self, index: PostgresIndex, tenant_id: int) -> None:
        item = await index.worklist.add(tenant_id, worklist_item())
        await index.procedure_steps.add(tenant_id, performed("1.1", item))
        assert await index.worklist.remove(tenant_id, item.item_key)
        (step,) = await index.procedure_steps.of_study(tenant_id, item.text("study_instance_uid"))
        assert step.item_keys == ()

    async def test_text_the_database_cannot_hold_is_kept_without_it(self, index: PostgresIndex, tenant_id: int) -> None:
        step = performed("1.1")
        odd = replace(step, attributes=step.attributes | {tag_of("PatientID"): {"vr": "LO", "Value": ["a\0b\ud800"]}})
        await index.procedure_steps.add(tenant_id, odd)
        kept = await index.procedure_steps.find(tenant_id, "1.1")
        assert kept is not None
        assert kept.attributes[tag_of("PatientID")]["Value"] == ["ab?"]
        assert await index.procedure_steps.find(tenant_id, "1.1\0") is not None


class TestTenants:
    """Nothing of one tenant is seen or changed by another."""

    async def test_items_and_steps_belong_to_one_tenant(
        self, index: PostgresIndex, tenant_id: int, other_tenant_id: int
    ) -> None:
        item = await index.worklist.add(tenant_id, worklist_item())
        await index.procedure_steps.add(tenant_id, performed("1.1", item))
        assert await index.worklist.find(other_tenant_id, item.item_key) is None
        assert await index.worklist.change(other_tenant_id, item.item_key, lambda present: present) is None
        assert await index.worklist.remove(other_tenant_id, item.item_key) is False
        assert await found(index, other_tenant_id) == []
        assert await index.worklist.count(other_tenant_id, ALL) == 0
        assert await index.procedure_steps.find(other_tenant_id, "1.1") is None
        assert await index.procedure_steps.change(other_tenant_id, "1.1", lambda step: step) is None
        assert await index.procedure_steps.of_study(other_tenant_id, item.text("study_instance_uid")) == []

    async def test_a_step_does_not_reach_another_tenants_item(
        self, index: PostgresIndex, tenant_id: int, other_tenant_id: int
    ) -> None:
        item = worklist_item()
        mine = await index.worklist.add(tenant_id, item)
        theirs = await index.worklist.add(other_tenant_id, item)
        step = await index.procedure_steps.add(tenant_id, performed("1.1", mine))
        assert step.item_keys == (mine.item_key,)
        untouched = await index.worklist.find(other_tenant_id, theirs.item_key)
        assert untouched is not None
        assert untouched.status is StepStatus.SCHEDULED
        # The same UIDs may be there for both.
        assert (await index.procedure_steps.add(other_tenant_id, performed("1.1", theirs))).item_keys == (
            theirs.item_key,
        )

    @pytest.mark.parametrize("table", TABLES)
    async def test_the_database_itself_keeps_tenants_apart(
        self, index: PostgresIndex, tenant_id: int, other_tenant_id: int, database: EmbeddedPostgres, table: str
    ) -> None:
        await index.procedure_steps.add(
            tenant_id, performed("1.1", await index.worklist.add(tenant_id, worklist_item()))
        )
        session = await asyncpg.connect(**database.app_address().connect_arguments())
        try:
            counts = []
            for tenant in (None, other_tenant_id, tenant_id):
                await session.execute(
                    "SELECT set_config('hilum.tenant', $1, false)", "" if tenant is None else str(tenant)
                )
                counts.append(await session.fetchval(f"SELECT count(*) FROM {table}"))
            assert counts == [0, 0, 1]
        finally:
            await session.close()
