"""`InstanceIndex.ingest` on PostgreSQL."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from hilum.archive.model import DuplicatePolicy, IngestOutcome, IngestStatus
from hilum.archive.query import Level, Query
from hilum.index.address import DatabaseAddress
from hilum.index.embedded import EmbeddedPostgres
from hilum.index.postgres import PostgresIndex, open_index
from hilum.kernel.errors import Unavailable
from support.database import draft

REPLACE, KEEP = DuplicatePolicy.REPLACE, DuplicatePolicy.KEEP


def statuses(outcomes: list[IngestOutcome]) -> list[IngestStatus]:
    return [outcome.status for outcome in outcomes]


async def rows(address: DatabaseAddress, tenant_id: int, sql: str) -> list[tuple[Any, ...]]:
    connection = await asyncpg.connect(**address.connect_arguments())
    try:
        await connection.execute("SELECT set_config('hilum.tenant', $1, false)", str(tenant_id))
        return [tuple(record) for record in await connection.fetch(sql)]
    finally:
        await connection.close()


async def test_a_batch_is_stored_and_found_in_order(index: PostgresIndex, tenant_id: int) -> None:
    drafts = [draft(instance=f"1.2.1.1.{n}", InstanceNumber=n) for n in (3, 1, 2)]
    assert statuses(await index.ingest(tenant_id, drafts, REPLACE)) == [IngestStatus.STORED] * 3
    found = await index.find_instances(tenant_id, "1.2.1")
    assert [i.sop_instance_uid for i in found] == ["1.2.1.1.1", "1.2.1.1.2", "1.2.1.1.3"]
    assert found[0].blob == drafts[1].blob


async def test_an_empty_batch_is_no_error(index: PostgresIndex, tenant_id: int) -> None:
    assert await index.ingest(tenant_id, [], REPLACE) == []


async def test_the_same_bytes_again_change_nothing(
    index: PostgresIndex, tenant_id: int, database: EmbeddedPostgres
) -> None:
    first, second = draft(), draft()
    await index.ingest(tenant_id, [first], REPLACE)
    stamp = await index.series_stamp(tenant_id, "1.2.1", "1.2.1.1")
    assert statuses(await index.ingest(tenant_id, [second], REPLACE)) == [IngestStatus.IDENTICAL]
    assert await index.series_stamp(tenant_id, "1.2.1", "1.2.1.1") == stamp
    assert (await index.find_instances(tenant_id, "1.2.1"))[0].blob == first.blob
    assert len(await rows(database.app_address(), tenant_id, "SELECT FROM change_feed")) == 1


async def test_other_content_replaces_and_the_earlier_version_is_kept(
    index: PostgresIndex, tenant_id: int, database: EmbeddedPostgres
) -> None:
    old, new, beside = draft(), draft(content="new", InstanceNumber=7), draft(instance="1.2.1.1.2")
    await index.ingest(tenant_id, [old], REPLACE)
    stamp = await index.series_stamp(tenant_id, "1.2.1", "1.2.1.1")
    outcomes = await index.ingest(tenant_id, [beside, new], REPLACE)
    assert statuses(outcomes) == [IngestStatus.STORED, IngestStatus.REPLACED]
    found = await index.find_instances(tenant_id, "1.2.1")
    assert {i.blob.key for i in found} == {new.blob.key, beside.blob.key}
    assert await index.series_stamp(tenant_id, "1.2.1", "1.2.1.1") != stamp
    kept = await rows(database.app_address(), tenant_id, "SELECT blob_key, version, digest FROM instance_version")
    assert kept == [(old.blob.key, 1, old.digest)]
    feed = await rows(
        database.app_address(), tenant_id, "SELECT action, sop_instance_uid FROM change_feed ORDER BY sequence"
    )
    assert feed == [("created", "1.2.1.1.1"), ("created", "1.2.1.1.2"), ("replaced", "1.2.1.1.1")]
    outbox = await rows(database.app_address(), tenant_id, "SELECT topic FROM outbox ORDER BY outbox_id")
    assert outbox == [("instance.created",), ("instance.created",), ("instance.replaced",)]
    assert await index.known_blob_keys([old.blob.key, new.blob.key, "other"]) == {old.blob.key, new.blob.key}


async def test_other_content_is_refused_when_the_policy_keeps(index: PostgresIndex, tenant_id: int) -> None:
    old, new = draft(), draft(content="new")
    await index.ingest(tenant_id, [old], KEEP)
    outcomes = await index.ingest(tenant_id, [new, draft(instance="1.2.1.1.2"), draft()], KEEP)
    assert statuses(outcomes) == [IngestStatus.REFUSED, IngestStatus.STORED, IngestStatus.IDENTICAL]
    assert (await index.find_instances(tenant_id, "1.2.1", None, "1.2.1.1.1"))[0].blob == old.blob


@pytest.mark.parametrize(("policy", "last"), [(REPLACE, IngestStatus.REPLACED), (KEEP, IngestStatus.REFUSED)])
async def test_one_batch_may_carry_an_instance_several_times(
    index: PostgresIndex, tenant_id: int, policy: DuplicatePolicy, last: IngestStatus
) -> None:
    outcomes = await index.ingest(tenant_id, [draft(), draft(), draft(content="new")], policy)
    assert statuses(outcomes) == [IngestStatus.STORED, IngestStatus.IDENTICAL, last]
    assert len(await index.find_instances(tenant_id, "1.2.1")) == 1


async def test_a_study_stays_with_its_patient_and_the_stranger_is_flagged(
    index: PostgresIndex, tenant_id: int, database: EmbeddedPostgres
) -> None:
    await index.ingest(tenant_id, [draft()], REPLACE)
    outcomes = await index.ingest(
        tenant_id, [draft(instance="1.2.1.1.2", PatientID="P2", PatientName="Roe^Rita")], REPLACE
    )
    assert outcomes == [IngestOutcome(IngestStatus.STORED, patient_differs=True)]
    studies = [s async for s in index.search(tenant_id, Query(Level.STUDY))]
    assert [s["00100020"]["Value"] for s in studies] == [["P1"]]
    assert await rows(database.app_address(), tenant_id, "SELECT identity FROM patient") == [("P1\\",)]


async def test_what_the_first_instance_left_out_is_taken_from_a_later_one(index: PostgresIndex, tenant_id: int) -> None:
    await index.ingest(tenant_id, [draft(PatientName="", AccessionNumber="", StudyDescription="Thorax")], REPLACE)
    later = draft(
        series="1.2.1.2", instance="1.2.1.2.1", AccessionNumber="A-1", PatientName="Doe^Jane", StudyDescription="Other"
    )
    await index.ingest(tenant_id, [later], REPLACE)
    (study,) = [s async for s in index.search(tenant_id, Query(Level.STUDY, include=None))]
    assert study["00080050"]["Value"] == ["A-1"]
    assert study["00100010"]["Value"] == [{"Alphabetic": "Doe^Jane"}]
    assert study["00081030"]["Value"] == ["Thorax"]


async def test_patients_without_an_id_are_not_taken_for_one(index: PostgresIndex, tenant_id: int) -> None:
    await index.ingest(tenant_id, [draft(PatientID=""), draft("1.2.2", "1.2.2.1", "1.2.2.1.1", PatientID="")], REPLACE)
    assert await index.count(tenant_id, Query(Level.PATIENT)) == 2


async def test_one_series_uid_in_two_studies_makes_two_series(index: PostgresIndex, tenant_id: int) -> None:
    await index.ingest(tenant_id, [draft(), draft("1.2.2", "1.2.1.1", "1.2.2.1.1")], REPLACE)
    assert await index.count(tenant_id, Query(Level.SERIES)) == 2
    assert len(await index.find_instances(tenant_id, "1.2.2", "1.2.1.1")) == 1


async def test_an_instance_replaced_from_another_study_moves_and_leaves_nothing_empty(
    index: PostgresIndex, tenant_id: int
) -> None:
    await index.ingest(tenant_id, [draft()], REPLACE)
    moved = draft("1.2.2", "1.2.2.1", "1.2.1.1.1", PatientID="P2")
    assert statuses(await index.ingest(tenant_id, [moved], REPLACE)) == [IngestStatus.REPLACED]
    assert await index.find_instances(tenant_id, "1.2.1") == []
    assert [await index.count(tenant_id, Query(level)) for level in Level] == [1, 1, 1, 1]
    # The series that vanished is still in this worker's memory; its foreign key tells.
    again = draft(instance="1.2.1.1.9")
    assert statuses(await index.ingest(tenant_id, [again], REPLACE)) == [IngestStatus.STORED]
    assert len(await index.find_instances(tenant_id, "1.2.1")) == 1


async def test_workers_racing_for_the_same_study_and_instances_all_succeed(
    database: EmbeddedPostgres, tenant_id: int
) -> None:
    address = database.app_address()
    async with open_index(address) as one, open_index(address) as two, open_index(address) as three:
        for attempt in range(5):
            study = f"1.2.{attempt}"
            batches = [
                [draft(study, f"{study}.{n % 3}", f"{study}.{n}") for n in order]
                for order in (range(12), range(11, -1, -1), range(4, 16))
            ]
            outcomes = await asyncio.gather(
                *(w.ingest(tenant_id, b, REPLACE) for w, b in zip((one, two, three), batches, strict=True))
            )
            stored = sum(status is IngestStatus.STORED for batch in outcomes for status in statuses(batch))
            assert stored == 16
            assert {status for batch in outcomes for status in statuses(batch)} <= {
                IngestStatus.STORED,
                IngestStatus.IDENTICAL,
            }
            assert len(await one.find_instances(tenant_id, study)) == 16


async def test_workers_racing_with_other_content_keep_every_version(database: EmbeddedPostgres, tenant_id: int) -> None:
    address = database.app_address()
    async with open_index(address) as one, open_index(address) as two:
        for n in range(5):
            uid = f"1.2.1.1.{n}"
            a, b = await asyncio.gather(
                one.ingest(tenant_id, [draft(instance=uid, content="a")], REPLACE),
                two.ingest(tenant_id, [draft(instance=uid, content="b")], REPLACE),
            )
            assert sorted(statuses(a + b)) == [IngestStatus.REPLACED, IngestStatus.STORED]
    assert len(await rows(address, tenant_id, "SELECT FROM instance_version")) == 5


async def test_an_instance_stored_beside_one_that_another_worker_brings_in_is_not_taken_for_a_copy_of_itself(
    database: EmbeddedPostgres, tenant_id: int
) -> None:
    address = database.app_address()
    async with open_index(address) as one, open_index(address) as two:
        await one.ingest(tenant_id, [draft(instance="1.2.1.1.9")], REPLACE)
        await two.ingest(tenant_id, [draft(instance="1.2.1.1.8")], REPLACE)
        blocker = await asyncpg.connect(**address.connect_arguments())
        try:
            # The rival's row is written but not yet committed when our statement looks for what is there.
            await blocker.execute("SELECT set_config('hilum.tenant', $1, false)", str(tenant_id))
            rival = blocker.transaction()
            await rival.start()
            await blocker.execute(
                "INSERT INTO instance OVERRIDING SYSTEM VALUE SELECT (jsonb_populate_record(i, "
                '\'{"instance_key": 1000000, "sop_instance_uid": "1.2.1.1.2", "blob_key": "rival"}\')).* '
                "FROM instance i LIMIT 1"
            )
            ours = [draft(instance="1.2.1.1.1", blob_key="ours-1"), draft(instance="1.2.1.1.2", blob_key="ours-2")]
            storing = asyncio.create_task(one.ingest(tenant_id, ours, REPLACE))
            while not await rows(address, tenant_id, "SELECT FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110 - only the database knows
                await asyncio.sleep(0.01)
            await rival.commit()
        finally:
            await blocker.close()
        first, _ = statuses(await storing)
    # IDENTICAL would have the blob removed that the row names.
    assert first is IngestStatus.STORED
    (named,) = await rows(address, tenant_id, "SELECT blob_key FROM instance WHERE sop_instance_uid = '1.2.1.1.1'")
    assert named == ("ours-1",)


async def test_text_the_database_cannot_hold_is_taken_in_all_the_same(index: PostgresIndex, tenant_id: int) -> None:
    odd = draft(StudyDescription="a\0b", PatientID="P\0X", PatientName="D\0oe^Jane")
    assert statuses(await index.ingest(tenant_id, [odd], REPLACE)) == [IngestStatus.STORED]
    (study,) = [s async for s in index.search(tenant_id, Query(Level.STUDY, include=None))]
    assert study["00081030"]["Value"] == ["ab"]


async def test_values_of_any_size_are_taken_in(index: PostgresIndex, tenant_id: int) -> None:
    long = "x" * 50_000
    huge = draft(StudyDescription=long, PatientID=long, PatientName=long, AccessionNumber=long)
    assert statuses(await index.ingest(tenant_id, [huge], REPLACE)) == [IngestStatus.STORED]


async def test_nothing_of_a_batch_remains_when_one_row_cannot_be_written(index: PostgresIndex, tenant_id: int) -> None:
    broken = draft(instance="1.2.1.1.2", blob_key="broken\0key")
    with pytest.raises(Unavailable):
        await index.ingest(tenant_id, [draft(), broken], REPLACE)
    assert await index.count(tenant_id, Query(Level.STUDY)) == 0
