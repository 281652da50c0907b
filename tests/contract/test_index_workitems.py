"""The contract of `Workitems`, on PostgreSQL."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from hilum.archive.identifiers import matching_keys
from hilum.archive.model import DicomJson
from hilum.archive.workitems import (
    GlobalSubscription,
    Workitem,
    WorkitemEventType,
    WorkitemQuery,
    WorkitemReport,
    Workitems,
    WorkitemState,
)
from hilum.index.embedded import EmbeddedPostgres
from hilum.index.postgres import PostgresIndex, open_index
from hilum.policies.workitems import created, first_value, state_report
from support.database import attributes_of, new_tenant
from support.workitems import workitem_attributes

NOW = datetime(2026, 1, 2, 10, tzinfo=UTC)


@pytest.fixture
def workitems(index: PostgresIndex) -> Workitems:
    return index.workitems


def workitem(uid: str = "1.2.3", **values: object) -> Workitem:
    return created(uid, workitem_attributes(**values), NOW).workitem


def reports(item: Workitem) -> list[WorkitemReport]:
    return [state_report(item.attributes)]


async def put(workitems: Workitems, tenant_id: int, *items: Workitem) -> None:
    for item in items:
        assert await workitems.create(tenant_id, item, reports(item))


async def found(workitems: Workitems, tenant_id: int, limit: int = 100, offset: int = 0, **keys: object) -> list[str]:
    query = WorkitemQuery(matching_keys(attributes_of(keys)), limit, offset)
    return [first_value(each, "SOPInstanceUID") async for each in workitems.search(tenant_id, query)]


async def events(workitems: Workitems, tenant_id: int, subscriber: str) -> list[tuple[str, str | None]]:
    """Return the UID and state of a subscriber's events, oldest first, and give them free again."""
    leased = await workitems.lease_events(tenant_id, subscriber, 60, 100)
    await workitems.end_lease(tenant_id, subscriber, failed=False)
    return [(event.sop_instance_uid, _state(event.report.information)) for event in leased]


def _state(information: DicomJson) -> str | None:
    return first_value(information, "ProcedureStepState")


async def test_a_workitem_is_found_as_it_was_created(workitems: Workitems, tenant_id: int) -> None:
    item = workitem(PatientName="Dörfler^Käthe=山田^花子=やまだ^はなこ")
    await put(workitems, tenant_id, item)
    assert await workitems.find(tenant_id, "1.2.3") == item


async def test_a_uid_is_taken_once(workitems: Workitems, tenant_id: int) -> None:
    await put(workitems, tenant_id, workitem())
    assert not await workitems.create(tenant_id, workitem(PatientID="P2"), [])
    kept = await workitems.find(tenant_id, "1.2.3")
    assert kept is not None
    assert first_value(kept.attributes, "PatientID") == "P1"


async def test_of_two_changes_to_one_version_one_is_kept(workitems: Workitems, tenant_id: int) -> None:
    item = workitem()
    await put(workitems, tenant_id, item)
    changes = [replace(item, transaction_uid=uid, state=WorkitemState.IN_PROGRESS) for uid in ("1.1", "1.2")]
    outcomes = await asyncio.gather(*(workitems.replace(tenant_id, change, []) for change in changes))
    assert sorted(outcomes) == [False, True]
    kept = await workitems.find(tenant_id, "1.2.3")
    assert kept is not None
    assert kept.version == 2
    assert kept.transaction_uid == ("1.1" if outcomes[0] else "1.2")


async def test_searches_match_top_level_and_nested_keys(workitems: Workitems, tenant_id: int) -> None:
    station = {"CodeValue": "WS7", "CodingSchemeDesignator": "99HIL", "CodeMeaning": "Workstation 7"}
    await put(
        workitems,
        tenant_id,
        workitem("1.1", ScheduledProcedureStepStartDateTime="20260103"),
        workitem("1.2", WorklistLabel="3D", ScheduledStationNameCodeSequence=station),
        workitem("1.3", PatientName="Müller^Heinz", PatientID="P9", ReferencedRequestSequence=[]),
        replace(workitem("1.4"), state=WorkitemState.COMPLETED, attributes=_completed("1.4")),
    )
    assert await found(workitems, tenant_id) == ["1.2", "1.3", "1.4", "1.1"]
    assert await found(workitems, tenant_id, ProcedureStepState="SCHEDULED") == ["1.2", "1.3", "1.1"]
    assert await found(workitems, tenant_id, ProcedureStepState=["SCHEDULED", "COMPLETED"], PatientID="P9") == ["1.3"]
    assert await found(workitems, tenant_id, WorklistLabel="3D") == ["1.2"]
    assert await found(workitems, tenant_id, WorklistLabel="C*") == ["1.3", "1.4", "1.1"]
    assert await found(workitems, tenant_id, PatientName="muller*") == ["1.3"]
    assert await found(workitems, tenant_id, ScheduledStationNameCodeSequence={"CodeValue": "WS7"}) == ["1.2"]
    assert await found(workitems, tenant_id, ReferencedRequestSequence={"AccessionNumber": "A1"}) == [
        "1.2",
        "1.4",
        "1.1",
    ]
    assert await found(workitems, tenant_id, ScheduledProcedureStepStartDateTime="20260103-20260104") == ["1.1"]
    assert await found(workitems, tenant_id, ScheduledProcedureStepStartDateTime="-2026010210") == ["1.2", "1.3", "1.4"]
    assert await found(workitems, tenant_id, ScheduledProcedureStepStartDateTime="20260102") == ["1.2", "1.3", "1.4"]
    assert await found(workitems, tenant_id, SOPInstanceUID=["1.1", "1.4", "9.9"]) == ["1.4", "1.1"]
    assert await found(workitems, tenant_id, limit=2, offset=1) == ["1.3", "1.4"]


def _completed(uid: str) -> DicomJson:
    return workitem(uid).attributes | attributes_of({"ProcedureStepState": "COMPLETED"})


async def test_a_subscriber_is_told_how_things_stand_and_of_each_change(workitems: Workitems, tenant_id: int) -> None:
    item = workitem()
    await put(workitems, tenant_id, item)
    assert await events(workitems, tenant_id, "WATCH") == []
    assert await workitems.subscribe(tenant_id, "1.2.3", "WATCH", has_deletion_lock=False, report=reports(item)[0])
    assert await workitems.is_subscribed(tenant_id, "1.2.3", "WATCH")
    assert not await workitems.is_subscribed(tenant_id, "1.2.3", "OTHER")
    done = replace(item, state=WorkitemState.COMPLETED, attributes=_completed("1.2.3"))
    assert await workitems.replace(tenant_id, done, reports(done))
    assert await events(workitems, tenant_id, "WATCH") == [("1.2.3", "SCHEDULED"), ("1.2.3", "COMPLETED")]


async def test_nothing_can_be_subscribed_to_that_is_not_there(workitems: Workitems, tenant_id: int) -> None:
    report = reports(workitem())[0]
    assert not await workitems.subscribe(tenant_id, "1.9", "WATCH", has_deletion_lock=True, report=report)
    assert not await workitems.unsubscribe(tenant_id, "1.9", "WATCH")
    assert await events(workitems, tenant_id, "WATCH") == []


async def test_after_unsubscribing_nothing_is_told_any_more(workitems: Workitems, tenant_id: int) -> None:
    item = workitem()
    await put(workitems, tenant_id, item)
    await workitems.subscribe(tenant_id, "1.2.3", "WATCH", has_deletion_lock=True, report=reports(item)[0])
    assert await workitems.unsubscribe(tenant_id, "1.2.3", "WATCH")
    assert await workitems.replace(tenant_id, item, reports(item))
    assert await events(workitems, tenant_id, "WATCH") == []


async def test_a_global_subscription_covers_what_is_there_and_what_comes(workitems: Workitems, tenant_id: int) -> None:
    await put(workitems, tenant_id, workitem("1.1"))
    await workitems.subscribe_globally(tenant_id, GlobalSubscription("WATCH", has_deletion_lock=False))
    assert await workitems.is_subscribed(tenant_id, "1.1", "WATCH")
    await put(workitems, tenant_id, workitem("1.2"))
    assert await events(workitems, tenant_id, "WATCH") == [("1.2", "SCHEDULED")]
    await workitems.suspend(tenant_id, "WATCH")
    await put(workitems, tenant_id, workitem("1.3"))
    assert [await workitems.is_subscribed(tenant_id, uid, "WATCH") for uid in ("1.1", "1.2", "1.3")] == [
        True,
        True,
        False,
    ]
    await workitems.unsubscribe_globally(tenant_id, "WATCH")
    assert not await workitems.is_subscribed(tenant_id, "1.1", "WATCH")
    assert await events(workitems, tenant_id, "WATCH") == []


async def test_a_global_subscription_with_a_lock_tells_how_everything_stands(
    workitems: Workitems, tenant_id: int
) -> None:
    uids = [f"1.{number}" for number in range(1, 451)]
    for uid in uids:
        await put(workitems, tenant_id, workitem(uid))
    await workitems.subscribe_globally(tenant_id, GlobalSubscription("WATCH", has_deletion_lock=True))
    leased = await workitems.lease_events(tenant_id, "WATCH", 60, 1000)
    assert [event.sop_instance_uid for event in leased] == uids


async def test_a_filtered_subscription_covers_what_matches(workitems: Workitems, tenant_id: int) -> None:
    keys = attributes_of({"WorklistLabel": "3D", "ReferencedRequestSequence": {"AccessionNumber": "A*"}})
    await put(workitems, tenant_id, workitem("1.1"), workitem("1.2", WorklistLabel="3D"))
    await workitems.subscribe_globally(tenant_id, GlobalSubscription("WATCH", has_deletion_lock=False, keys=keys))
    await put(
        workitems,
        tenant_id,
        workitem("1.3"),
        workitem("1.4", WorklistLabel="3D"),
        workitem(
            "1.5", WorklistLabel="3D", ReferencedRequestSequence={"StudyInstanceUID": "1", "AccessionNumber": "B"}
        ),
    )
    subscribed = [
        uid for uid in await found(workitems, tenant_id) if await workitems.is_subscribed(tenant_id, uid, "WATCH")
    ]
    assert subscribed == ["1.2", "1.4"]


async def test_whoever_subscribes_while_workitems_are_made_misses_none(workitems: Workitems, tenant_id: int) -> None:
    uids = [f"1.{number}" for number in range(20)]
    await asyncio.gather(
        *(put(workitems, tenant_id, workitem(uid)) for uid in uids),
        workitems.subscribe_globally(tenant_id, GlobalSubscription("WATCH", has_deletion_lock=False)),
    )
    assert all([await workitems.is_subscribed(tenant_id, uid, "WATCH") for uid in uids])


async def test_an_announcement_reaches_every_subscriber_once(workitems: Workitems, tenant_id: int) -> None:
    item = workitem()
    await put(workitems, tenant_id, item)
    await workitems.subscribe(tenant_id, "1.2.3", "ONE", has_deletion_lock=False, report=reports(item)[0])
    await workitems.subscribe_globally(tenant_id, GlobalSubscription("TWO", has_deletion_lock=False))
    await workitems.announce(WorkitemReport(WorkitemEventType.SCP_STATUS_CHANGE, {}))
    assert [uid for uid, _ in await events(workitems, tenant_id, "ONE")] == ["1.2.3", "1.2.840.10008.5.1.4.34.5"]
    assert [uid for uid, _ in await events(workitems, tenant_id, "TWO")] == ["1.2.840.10008.5.1.4.34.5"]


async def test_events_are_one_workers_at_a_time(
    database: EmbeddedPostgres, workitems: Workitems, tenant_id: int
) -> None:
    await workitems.subscribe_globally(tenant_id, GlobalSubscription("WATCH", has_deletion_lock=False))
    await put(workitems, tenant_id, workitem("1.1"), workitem("1.2"))
    async with open_index(database.app_address()) as other_index:
        other = other_index.workitems
        assert (tenant_id, "WATCH", False) in await other.waiting_subscribers()
        leased = await workitems.lease_events(tenant_id, "WATCH", 60, 100)
        assert await other.lease_events(tenant_id, "WATCH", 60, 100) == []
        assert (tenant_id, "WATCH", False) not in await other.waiting_subscribers()
        await workitems.delivered(tenant_id, "WATCH", [leased[0].event_id])
        assert await other.lease_events(tenant_id, "WATCH", 60, 100) == []
        await workitems.end_lease(tenant_id, "WATCH", failed=False)
        left = await other.lease_events(tenant_id, "WATCH", 60, 100)
        assert [event.sop_instance_uid for event in left] == ["1.2"]
        await other.delivered(tenant_id, "WATCH", [left[0].event_id])
        await other.end_lease(tenant_id, "WATCH", failed=False)
    assert (tenant_id, "WATCH", False) not in await workitems.waiting_subscribers()


async def test_the_lease_of_a_lost_worker_runs_out(
    database: EmbeddedPostgres, workitems: Workitems, tenant_id: int
) -> None:
    await workitems.subscribe_globally(tenant_id, GlobalSubscription("WATCH", has_deletion_lock=False))
    await put(workitems, tenant_id, workitem())
    async with open_index(database.app_address()) as lost:
        assert len(await lost.workitems.lease_events(tenant_id, "WATCH", 0.0, 100)) == 1
    assert len(await workitems.lease_events(tenant_id, "WATCH", 60, 100)) == 1


async def test_after_a_failure_events_wait(workitems: Workitems, tenant_id: int) -> None:
    await workitems.subscribe_globally(tenant_id, GlobalSubscription("WATCH", has_deletion_lock=False))
    await put(workitems, tenant_id, workitem())
    await workitems.lease_events(tenant_id, "WATCH", 60, 100)
    await workitems.end_lease(tenant_id, "WATCH", failed=True)
    assert (tenant_id, "WATCH", True) in await workitems.waiting_subscribers()
    # Whoever has a way to it all the same need not wait.
    assert len(await workitems.lease_events(tenant_id, "WATCH", 60, 100)) == 1
    await workitems.end_lease(tenant_id, "WATCH", failed=False)
    assert (tenant_id, "WATCH", False) in await workitems.waiting_subscribers()


async def test_events_nobody_took_are_given_up_after_a_time(workitems: Workitems, tenant_id: int) -> None:
    await workitems.subscribe_globally(tenant_id, GlobalSubscription("WATCH", has_deletion_lock=False))
    await put(workitems, tenant_id, workitem())
    now = datetime.now(UTC)
    await workitems.give_up_events(tenant_id, "WATCH", now - timedelta(hours=1))
    assert len(await events(workitems, tenant_id, "WATCH")) == 1
    await workitems.give_up_events(tenant_id, "WATCH", now + timedelta(hours=1))
    assert await events(workitems, tenant_id, "WATCH") == []


async def test_another_tenant_sees_and_is_told_nothing(
    database: EmbeddedPostgres, workitems: Workitems, tenant_id: int
) -> None:
    other = await new_tenant(database.app_address())
    await workitems.subscribe_globally(other, GlobalSubscription("WATCH", has_deletion_lock=False))
    item = workitem()
    await put(workitems, tenant_id, item)
    assert await workitems.find(other, "1.2.3") is None
    assert await found(workitems, other) == []
    assert not await workitems.replace(other, item, [])
    assert await events(workitems, other, "WATCH") == []
    await put(workitems, other, workitem(PatientID="P2"))
    await workitems.unsubscribe_globally(other, "WATCH")
    kept = await workitems.find(tenant_id, "1.2.3")
    assert kept is not None
    assert first_value(kept.attributes, "PatientID") == "P1"


async def test_what_ended_is_forgotten_but_for_what_somebody_locks(workitems: Workitems, tenant_id: int) -> None:
    """PS3.4 §CC.2.3."""
    states = [WorkitemState.SCHEDULED, WorkitemState.IN_PROGRESS, WorkitemState.COMPLETED, WorkitemState.CANCELED]
    items = [replace(workitem(f"1.1.{number}"), state=state) for number, state in enumerate(states)]
    locked, watched = (replace(workitem(uid), state=WorkitemState.COMPLETED) for uid in ("1.2.1", "1.2.2"))
    await put(workitems, tenant_id, *items, locked, watched)
    await workitems.subscribe(tenant_id, "1.2.1", "LOCKS", has_deletion_lock=True, report=reports(locked)[0])
    await workitems.subscribe(tenant_id, "1.2.2", "WATCHES", has_deletion_lock=False, report=reports(watched)[0])
    now = datetime.now(UTC)
    assert await workitems.forget_ended(tenant_id, now - timedelta(days=1), 100) == 0
    later = now + timedelta(days=1)
    assert await workitems.forget_ended(tenant_id, later, 2) == 2
    assert await workitems.forget_ended(tenant_id, later, 100) == 1
    left = [uid for uid in [*(item.sop_instance_uid for item in items), "1.2.1", "1.2.2"]
            if await workitems.find(tenant_id, uid) is not None]  # fmt: skip
    assert left == ["1.1.0", "1.1.1", "1.2.1"]
    assert await workitems.unsubscribe(tenant_id, "1.2.1", "LOCKS")
    assert await workitems.forget_ended(tenant_id, later, 100) == 1
    assert not await workitems.is_subscribed(tenant_id, "1.2.1", "LOCKS")


async def test_a_global_lock_holds_every_workitem_until_it_is_given_up(workitems: Workitems, tenant_id: int) -> None:
    await workitems.subscribe_globally(tenant_id, GlobalSubscription("LOCKS", has_deletion_lock=True))
    await put(workitems, tenant_id, replace(workitem("1.3.1"), state=WorkitemState.CANCELED))
    later = datetime.now(UTC) + timedelta(days=1)
    assert await workitems.forget_ended(tenant_id, later, 100) == 0
    await workitems.unsubscribe_globally(tenant_id, "LOCKS")
    assert await workitems.forget_ended(tenant_id, later, 100) == 1


async def test_another_tenants_workitems_are_not_forgotten(
    workitems: Workitems, tenant_id: int, database: EmbeddedPostgres
) -> None:
    await put(workitems, tenant_id, replace(workitem("1.4.1"), state=WorkitemState.COMPLETED))
    later = datetime.now(UTC) + timedelta(days=1)
    assert await workitems.forget_ended(await new_tenant(database.app_address()), later, 100) == 0
    assert await workitems.find(tenant_id, "1.4.1") is not None
