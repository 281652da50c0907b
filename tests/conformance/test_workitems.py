"""PS3.4 Annex CC: unified procedure steps by peers that know nothing of each other."""

from __future__ import annotations

import asyncio
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    UnifiedProcedureStepEvent,
    UnifiedProcedureStepPull,
    UnifiedProcedureStepPush,
    UnifiedProcedureStepQuery,
    UnifiedProcedureStepWatch,
)

from hilum.index.embedded import EmbeddedPostgres
from support.database import attributes_of, new_tenant
from support.in_process import InProcessArchive
from support.workitem_peer import EVENT, PULL, PUSH, QUERY, WATCH, telling_archive, workitem_peer
from support.workitems import CODE, STATION, discontinued, performed, workitem_attributes

GLOBAL, FILTERED = "1.2.840.10008.5.1.4.34.5", "1.2.840.10008.5.1.4.34.5.1"
TRANSACTION = "1.2.840.77"


@pytest.fixture
async def archive(database: EmbeddedPostgres, tmp_path: Path) -> AsyncIterator[InProcessArchive]:
    async with telling_archive(database, tmp_path) as opened:
        yield opened


# --- pynetdicom --------------------------------------------------------------------------------------------------


@dataclass
class Heard:
    """What an application of pynetdicom was told."""

    events: list[tuple[int, str, Dataset]] = field(default_factory=list)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    answers: Iterator[int] | None = None

    def take(self, event: evt.Event) -> tuple[int, None]:
        code = next(self.answers, 0) if self.answers else 0
        information = event.event_information
        self.events.append((event.event_type, str(event.request.AffectedSOPInstanceUID), information))
        self.arrived.release()
        return code, None

    async def next(self) -> tuple[int, str, Dataset]:
        assert await asyncio.to_thread(self.arrived.acquire, timeout=20), "no event came"
        return self.events.pop(0)


def data_set(**values: Any) -> Dataset:
    """Return a data set from DICOM JSON made of keywords."""
    return Dataset.from_json(attributes_of(values))


@asynccontextmanager
async def pynetdicom_scu(
    archive: InProcessArchive, title: str = "WORKSTATION"
) -> AsyncIterator[tuple[Association, Heard]]:
    ae, heard = AE(ae_title=title), Heard()
    for sop_class in (
        UnifiedProcedureStepPush,
        UnifiedProcedureStepPull,
        UnifiedProcedureStepWatch,
        UnifiedProcedureStepEvent,
        UnifiedProcedureStepQuery,
    ):
        ae.add_requested_context(sop_class)
    association = await asyncio.to_thread(
        ae.associate,
        "127.0.0.1",
        archive.port,
        ae_title=archive.ae_title,
        evt_handlers=[(evt.EVT_N_EVENT_REPORT, heard.take)],
    )
    assert association.is_established
    try:
        yield association, heard
    finally:
        await asyncio.to_thread(association.release)


@contextmanager
def pynetdicom_listener(title: str = "WATCHER", answers: Iterator[int] | None = None) -> Iterator[tuple[int, Heard]]:
    """An application that takes events on associations others open."""
    ae, heard = AE(ae_title=title), Heard(answers=answers)
    ae.add_supported_context(UnifiedProcedureStepEvent, scu_role=False, scp_role=True)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, heard.take)])
    assert server is not None
    try:
        yield server.socket.getsockname()[1], heard
    finally:
        server.shutdown()


async def said(call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Run a call of pynetdicom, which blocks, beside the archive."""
    return await asyncio.to_thread(call, *arguments, **options)


async def test_pynetdicom_brings_a_workitem_from_its_creation_to_its_end(archive: InProcessArchive) -> None:
    uid = generate_uid()
    step = Dataset.from_json(workitem_attributes(PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう"))
    step.SpecificCharacterSet = "ISO_IR 192"
    async with pynetdicom_scu(archive) as (association, _):
        status, _answer = await said(association.send_n_create, step, UnifiedProcedureStepPush, uid)
        assert status.Status == 0x0000
        status, _answer = await said(association.send_n_create, step, UnifiedProcedureStepPush, uid)
        assert status.Status == 0x0111

        query = data_set(ProcedureStepState="SCHEDULED", PatientName="yamada*", WorklistLabel="", SOPInstanceUID="")
        found = await said(lambda: list(association.send_c_find(query, UnifiedProcedureStepPull)))
        assert [each.Status for each, _ in found] == [0xFF00, 0x0000]
        match = found[0][1]
        assert (match.SOPInstanceUID, match.WorklistLabel) == (uid, "CAD")
        assert match.PatientName.ideographic == "山田^太郎"

        take = data_set(ProcedureStepState="IN PROGRESS", TransactionUID=TRANSACTION)
        act = {"class_uid": UnifiedProcedureStepPush, "instance_uid": uid, "meta_uid": UnifiedProcedureStepPull}
        status, _answer = await said(association.send_n_action, take, 1, **act)
        assert status.Status == 0x0000

        change = Dataset.from_json(performed())
        change.TransactionUID = TRANSACTION
        status, _answer = await said(association.send_n_set, change, **act)
        assert status.Status == 0x0000

        take.ProcedureStepState = "COMPLETED"
        status, _answer = await said(association.send_n_action, take, 1, **act)
        assert status.Status == 0x0000
        status, _answer = await said(association.send_n_action, take, 1, **act)
        assert status.Status == 0xB306

        status, whole = await said(association.send_n_get, [], **act)
        assert status.Status == 0x0000
        assert whole.ProcedureStepState == "COMPLETED"
        assert whole.UnifiedProcedureStepPerformedProcedureSequence[0].PerformedStationNameCodeSequence[0].CodeValue
        assert "TransactionUID" not in whole
        assert "SOPInstanceUID" not in whole


async def test_pynetdicom_is_told_of_events_on_its_own_association(archive: InProcessArchive) -> None:
    uid = generate_uid()
    step = Dataset.from_json(workitem_attributes())
    async with pynetdicom_scu(archive) as (association, heard):
        await said(association.send_n_create, step, UnifiedProcedureStepPush, uid)
        subscribe = data_set(ReceivingAE="WORKSTATION", DeletionLock="FALSE")
        watch = {"class_uid": UnifiedProcedureStepPush, "instance_uid": uid, "meta_uid": UnifiedProcedureStepWatch}
        status, _answer = await said(association.send_n_action, subscribe, 3, **watch)
        assert status.Status == 0x0000
        event_type, instance, information = await heard.next()
        assert (event_type, instance, information.ProcedureStepState) == (1, uid, "SCHEDULED")
        status, _answer = await said(association.send_n_action, data_set(ReasonForCancellation="moved"), 2, **watch)
        assert status.Status == 0x0000
        states = [(await heard.next())[2] for _ in range(2)]
        assert [each.ProcedureStepState for each in states] == ["IN PROGRESS", "CANCELED"]
        assert states[1].ReasonForCancellation == "moved"


async def test_pynetdicom_that_listens_is_called_and_told(archive: InProcessArchive, tmp_path: Path) -> None:
    uid = generate_uid()
    watch = {"class_uid": UnifiedProcedureStepPush, "meta_uid": UnifiedProcedureStepWatch}
    with pynetdicom_listener() as (port, heard):
        await archive.register("WATCHER", port)
        async with pynetdicom_scu(archive) as (association, _):
            subscribe = data_set(ReceivingAE="WATCHER", DeletionLock="FALSE")
            status, _answer = await said(association.send_n_action, subscribe, 3, instance_uid=GLOBAL, **watch)
            assert status.Status == 0x0000
            step = Dataset.from_json(
                workitem_attributes(ScheduledStationNameCodeSequence=STATION, PatientName="Ümit^A")
            )
            step.SpecificCharacterSet = "ISO_IR 100"
            status, _answer = await said(association.send_n_create, step, UnifiedProcedureStepPush, uid)
            assert status.Status == 0x0000
        told = [await heard.next() for _ in range(2)]
    assert [(event_type, instance) for event_type, instance, _ in told] == [(1, uid), (5, uid)]
    assert told[1][2].ScheduledStationNameCodeSequence[0].CodeValue == "CADSRV1"
    for number, (_, _, information) in enumerate(told):
        _assert_dcmdump_has_no_complaint(information, tmp_path / f"{number}.dcm")


def _assert_dcmdump_has_no_complaint(content: Dataset, path: Path) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UnifiedProcedureStepPush
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    content.file_meta = meta
    dcmwrite(path, content, enforce_file_format=True)
    result = subprocess.run(["/usr/bin/dcmdump", "-v", path], capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 0
    assert not [line for line in result.stderr.splitlines() if line.startswith(("W:", "E:"))]


async def test_what_a_workitem_is_returned_as_is_valid_to_dcmtk(archive: InProcessArchive, tmp_path: Path) -> None:
    async with pynetdicom_scu(archive) as (association, _):
        step = Dataset.from_json(workitem_attributes(ScheduledStationNameCodeSequence=STATION))
        await said(association.send_n_create, step, UnifiedProcedureStepPush, "1.2.3")
        get = {"class_uid": UnifiedProcedureStepPush, "instance_uid": "1.2.3", "meta_uid": UnifiedProcedureStepPull}
        status, whole = await said(association.send_n_get, [], **get)
        assert status.Status == 0x0000
        found = await said(lambda: list(association.send_c_find(data_set(PatientID="P1"), UnifiedProcedureStepQuery)))
    _assert_dcmdump_has_no_complaint(whole, tmp_path / "get.dcm")
    _assert_dcmdump_has_no_complaint(found[0][1], tmp_path / "find.dcm")


async def test_a_subscriber_that_answers_with_a_failure_has_been_told(archive: InProcessArchive) -> None:
    with pynetdicom_listener(answers=iter([0x0110])) as (port, heard):
        await archive.register("WATCHER", port)
        async with workitem_peer(archive) as peer:
            assert await peer.act(3, GLOBAL, ReceivingAE="WATCHER", DeletionLock="FALSE") == 0
            await peer.create(workitem_attributes(), "1.2.1")
            await peer.create(workitem_attributes(), "1.2.2")
            assert [(await heard.next())[1] for _ in range(2)] == ["1.2.1", "1.2.2"]


async def test_a_subscriber_that_is_away_is_told_in_order_when_it_is_back(archive: InProcessArchive) -> None:
    with pynetdicom_listener() as (port, _):
        pass
    await archive.register("WATCHER", port)
    async with workitem_peer(archive) as peer:
        await peer.act(3, GLOBAL, ReceivingAE="WATCHER", DeletionLock="FALSE")
        for number in range(3):
            await peer.create(workitem_attributes(), f"1.2.{number}")
    # It comes by itself, sooner than we would try again.
    await asyncio.sleep(0.5)
    async with workitem_peer(archive, "WATCHER", takes_events=True) as watcher:
        assert [(await watcher.event())[0].affected_sop_instance_uid for _ in range(3)] == ["1.2.0", "1.2.1", "1.2.2"]


# --- a peer of our own -------------------------------------------------------------------------------------------


async def test_each_sop_class_serves_what_it_is_for(archive: InProcessArchive) -> None:
    async with workitem_peer(archive, takes_events=True) as peer:
        assert await peer.create(workitem_attributes()) == 0
        for sop_class, may in ((PUSH, "g"), (PULL, "sgf"), (WATCH, "gf"), (QUERY, "f"), (EVENT, "")):
            refused = 0x0211
            assert await peer.create(workitem_attributes(), "1.2.9", sop_class) == (0 if sop_class == PUSH else refused)
            assert await peer.set({}, sop_class=sop_class) == (0 if "s" in may else refused)
            assert (await peer.get(0x00741000, sop_class=sop_class))[0] == (0 if "g" in may else refused)
            assert (await peer.find(sop_class, PatientID="nobody"))[0] == (0 if "f" in may else refused)
        for sop_class, actions in ((PUSH, {2}), (PULL, {1}), (WATCH, {2, 3, 4, 5})):
            for action in range(7):
                answer = await peer.act(action, "1.2.8", sop_class, ProcedureStepState="COMPLETED", ReceivingAE="A")
                assert (answer != 0x0123) == (action in actions)


async def test_what_is_missing_or_wrong_at_creation_is_said(archive: InProcessArchive) -> None:
    async with workitem_peer(archive) as peer:
        assert await peer.create(workitem_attributes(ProcedureStepLabel=None)) == 0x0120
        assert await peer.create(workitem_attributes(ProcedureStepLabel="")) == 0x0121
        assert await peer.create(workitem_attributes(ScheduledProcedureStepPriority="STAT")) == 0x0106
        assert await peer.create(workitem_attributes(ProcedureStepState="IN PROGRESS")) == 0xC309
        assert await peer.create(workitem_attributes(TransactionUID=TRANSACTION)) == 0x0106
        assert await peer.create(workitem_attributes(), "1.2.x") == 0x0117
        assert await peer.create(workitem_attributes(), GLOBAL) == 0x0117
        assert await peer.create(workitem_attributes() | performed(), "1.2.1") == 0xB300
        assert await peer.create(workitem_attributes(), None) == 0
        assert (await peer.get(uid="1.2.3"))[0] == 0xC307
        _, matches = await peer.find(SOPInstanceUID="")
        assert len(matches) == 2
        _, attributes = await peer.get(uid="1.2.1")
        assert "Value" not in attributes["00741216"]


async def test_a_worklist_label_nobody_gave_is_filled_in(archive: InProcessArchive) -> None:
    async with workitem_peer(archive) as peer:
        assert await peer.create(workitem_attributes(WorklistLabel=None)) == 0
        _, attributes = await peer.get(0x00741202)
        assert attributes["00741202"]["Value"] == ["DEFAULT"]


async def test_only_its_performer_changes_a_workitem_in_progress(archive: InProcessArchive) -> None:
    label = attributes_of({"ProcedureStepLabel": "Other"})
    ours = attributes_of({"TransactionUID": TRANSACTION})
    async with workitem_peer(archive) as peer:
        assert await peer.set(label) == 0xC307
        await peer.create(workitem_attributes())
        assert await peer.set(label) == 0
        assert await peer.set(label | ours) == 0xC310
        await peer.change_state("IN PROGRESS", TRANSACTION)
        assert await peer.set(label) == 0xC301
        assert await peer.set(label | attributes_of({"TransactionUID": "1.2.9"})) == 0xC301
        assert await peer.set(label | ours) == 0
        assert await peer.set(attributes_of({"ProcedureStepState": "COMPLETED"}) | ours) == 0x0106
        assert await peer.set(attributes_of({"PatientID": "P2"}) | ours) == 0x0106
        assert await peer.set(attributes_of({"PatientID": "P1"}) | ours) == 0
        assert await peer.set(attributes_of({"ProcedureStepLabel": ""}) | ours) == 0x0121
        assert await peer.change_state("COMPLETED", TRANSACTION) == 0xC304
        assert await peer.change_state("CANCELED", TRANSACTION) == 0xC304
        assert await peer.set(performed() | ours) == 0
        assert await peer.change_state("COMPLETED", TRANSACTION) == 0
        assert await peer.set(label | ours) == 0xC300


async def test_of_many_that_want_a_workitem_one_gets_it(archive: InProcessArchive) -> None:
    async with workitem_peer(archive) as peer:
        await peer.create(workitem_attributes())

    async def take(number: int) -> int:
        async with workitem_peer(archive, f"WS{number}") as peer:
            return await peer.change_state("IN PROGRESS", f"1.2.840.{number}")

    answers = await asyncio.gather(*(take(number) for number in range(6)))
    assert sorted(answers) == [0] + [0xC301] * 5


async def test_a_performer_who_listens_is_asked_to_cancel(archive: InProcessArchive) -> None:
    async with (
        workitem_peer(archive, "PERFORMER", takes_events=True) as performer,
        workitem_peer(archive, "SCHEDULER") as scheduler,
    ):
        await scheduler.create(workitem_attributes())
        await performer.change_state("IN PROGRESS", TRANSACTION)
        assert await scheduler.act(2) == 0xC312
        assert await performer.act(3, ReceivingAE="PERFORMER", DeletionLock="TRUE") == 0
        await performer.event()
        contact = {"ContactDisplayName": "Ward 7", "ContactURI": "tel:7"}
        assert await scheduler.act(2, ReasonForCancellation="moved", **contact) == 0
        request, information = await performer.event()
        assert (request.event_type_id, request.affected_sop_class_uid) == (2, PUSH)
        assert information == attributes_of({"RequestingAE": "SCHEDULER", "ReasonForCancellation": "moved", **contact})
        progress = discontinued() | attributes_of({"TransactionUID": TRANSACTION})
        assert await performer.set(progress) == 0
        assert (await performer.event())[0].event_type_id == 3
        assert await performer.change_state("CANCELED", TRANSACTION) == 0
        _, information = await performer.event()
        assert information["00741000"]["Value"] == ["CANCELED"]
        assert information["0074100E"]["Value"][0]["00080100"]["Value"] == ["110514"]


async def test_subscriptions_are_refused_for_what_is_not_there(archive: InProcessArchive) -> None:
    async with workitem_peer(archive) as peer:
        await peer.create(workitem_attributes())
        here = {"ReceivingAE": "WORKSTATION", "DeletionLock": "FALSE"}
        assert await peer.act(3, **here) == 0xC308
        await archive.register("WORKSTATION", 104)
        assert await peer.act(3, **here) == 0
        assert await peer.act(3, "1.2.99", **here) == 0xC307
        assert await peer.act(4, "1.2.99", **here) == 0xC307
        assert await peer.act(5, **here) == 0xC314
        assert await peer.act(3, FILTERED, **here) == 0x0115
        assert await peer.act(3, FILTERED, **here, ScheduledProcedureStepStartDateTime="soon") == 0x0115
        assert await peer.act(3, ReceivingAE="WORKSTATION") == 0x0115
        assert await peer.act(3, DeletionLock="TRUE") == 0x0115
        assert await peer.act(1, ProcedureStepState="DONE") == 0x0115
        assert await peer.act(4, **here) == 0


async def test_a_filtered_subscriber_hears_of_what_matches_until_it_suspends(archive: InProcessArchive) -> None:
    async with workitem_peer(archive, takes_events=True) as peer:
        here = {"ReceivingAE": "WORKSTATION", "DeletionLock": "FALSE"}
        station = {"ScheduledStationNameCodeSequence": {"CodeValue": "CADSRV1"}}
        assert await peer.act(3, FILTERED, **here, **station) == 0
        await peer.create(workitem_attributes(), "1.2.1")
        await peer.create(workitem_attributes(ScheduledStationNameCodeSequence=STATION), "1.2.2")
        told = [(await peer.event())[0] for _ in range(2)]
        assert [(each.affected_sop_instance_uid, each.event_type_id) for each in told] == [("1.2.2", 1), ("1.2.2", 5)]
        assert await peer.act(5, FILTERED, **here) == 0
        await peer.create(workitem_attributes(ScheduledStationNameCodeSequence=STATION), "1.2.3")
        assert await peer.set(attributes_of({"InputReadinessState": "UNAVAILABLE"}), "1.2.2") == 0
        request, information = await peer.event()
        assert request.affected_sop_instance_uid == "1.2.2"
        assert information["00404041"]["Value"] == ["UNAVAILABLE"]


async def test_all_subscribers_are_told_of_a_restart(archive: InProcessArchive) -> None:
    async with workitem_peer(archive, takes_events=True) as peer:
        await peer.act(3, GLOBAL, ReceivingAE="WORKSTATION", DeletionLock="FALSE")
        await archive.archive.workitems.announce_restart()
        request, information = await peer.event()
        assert (request.event_type_id, request.affected_sop_instance_uid) == (4, GLOBAL)
        assert information == attributes_of(
            {
                "SCPStatus": "RESTARTED",
                "SubscriptionListStatus": "WARM START",
                "UnifiedProcedureStepListStatus": "WARM START",
            }
        )


async def test_queries_return_what_they_ask_for(archive: InProcessArchive) -> None:
    async with workitem_peer(archive) as peer:
        await peer.create(workitem_attributes(), "1.2.1")
        await peer.create(
            workitem_attributes(PatientName="Müller^Ö", ScheduledStationNameCodeSequence=STATION), "1.2.2"
        )
        code, matches = await peer.find(
            PatientName="M*", ScheduledWorkitemCodeSequence={"CodeValue": ""}, ScheduledStationNameCodeSequence=[]
        )
        assert code == 0
        (match,) = matches
        assert match["00080018"]["Value"] == ["1.2.2"]
        assert match["00100010"]["Value"] == [{"Alphabetic": "Müller^Ö"}]
        assert match["00404018"]["Value"] == [{"00080100": {"vr": "SH", "Value": [CODE["CodeValue"]]}}]
        assert match["00404025"]["Value"] == [attributes_of(STATION)]
        assert "00100020" not in match
        assert (await peer.find(ScheduledProcedureStepStartDateTime="soon"))[0] == 0xA900
        code, matches = await peer.find(ReferencedRequestSequence={"StudyInstanceUID": "1.2.3.4"}, TransactionUID="1.2")
        assert [match["00080018"]["Value"] for match in matches] == [["1.2.1"], ["1.2.2"]]


async def test_an_attribute_nobody_may_see_or_has_is_not_returned(archive: InProcessArchive) -> None:
    async with workitem_peer(archive) as peer:
        await peer.create(workitem_attributes())
        await peer.change_state("IN PROGRESS", TRANSACTION)
        code, attributes = await peer.get(0x00081195, 0x00100020)
        assert (code, list(attributes)) == (0x0001, ["00100020"])


async def test_a_tenant_knows_nothing_of_anothers_workitems(
    database: EmbeddedPostgres, archive: InProcessArchive
) -> None:
    other = await new_tenant(database.app_address())
    await archive.archive.accounts.assign_ae_title("OTHERTENANT", other)
    elsewhere = InProcessArchive(archive.archive, archive.acceptor, other, "OTHERTENANT")
    async with workitem_peer(archive) as ours, workitem_peer(elsewhere, takes_events=True) as theirs:
        assert await theirs.act(3, GLOBAL, ReceivingAE="WORKSTATION", DeletionLock="FALSE") == 0
        await ours.create(workitem_attributes())
        assert (await theirs.get())[0] == 0xC307
        assert (await theirs.find(PatientID="P1"))[1] == []
        assert await theirs.change_state("IN PROGRESS", TRANSACTION) == 0xC307
        assert await theirs.create(workitem_attributes(PatientID="P9"), "1.2.3") == 0
        request, _ = await theirs.event()
        assert request.affected_sop_instance_uid == "1.2.3"
        assert theirs.events == []


async def test_events_too_old_for_anybody_are_dropped(archive: InProcessArchive) -> None:
    async with workitem_peer(archive) as peer:
        await archive.register("WATCHER", None, host=None)
        await peer.act(3, GLOBAL, ReceivingAE="WATCHER", DeletionLock="FALSE")
        await peer.create(workitem_attributes())
    store = archive.archive.workitem_store
    waiting = [each[:2] for each in await store.waiting_subscribers()]
    assert (archive.tenant_id, "WATCHER") in waiting
    await store.give_up_events(archive.tenant_id, "WATCHER", datetime.now(UTC))
    waiting = [each[:2] for each in await store.waiting_subscribers()]
    assert (archive.tenant_id, "WATCHER") not in waiting
