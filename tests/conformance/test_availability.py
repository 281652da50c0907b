"""PS3.4 Annex R: remotes are told which instances can be had."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread, dcmwrite
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, evt
from pynetdicom.sop_class import InstanceAvailabilityNotification  # type: ignore[attr-defined]

from hilum.archive.changes import InstanceChange
from hilum.archive.jobs import Job, JobSelection, JobState
from hilum.archive.remotes import ALL_USES, DimseUse
from hilum.index.embedded import EmbeddedPostgres
from hilum.kernel.clock import SystemClock
from hilum.kernel.errors import Unavailable, Unsupported
from hilum.scu.availability import RemoteAvailability
from hilum.scu.remote import dialer
from hilum.services.availability import NOTIFY, STUDY, AvailabilityService
from support.database import attributes_of
from support.in_process import InProcessArchive, in_process_archive

CT = "1.2.840.10008.5.1.4.1.1.2"


@dataclass
class Told:
    """What a remote was told."""

    notices: list[Dataset] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    def take(self, event: evt.Event) -> tuple[int, None]:
        self.notices.append(event.attribute_list)
        return (self.answers.pop(0) if self.answers else 0x0000), None


@contextmanager
def listener(*sop_classes: str) -> Iterator[tuple[int, Told]]:
    ae, told = AE(ae_title="RIS"), Told()
    for sop_class in sop_classes or (InstanceAvailabilityNotification,):
        ae.add_supported_context(sop_class)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_CREATE, told.take)])
    assert server is not None
    try:
        yield server.socket.getsockname()[1], told
    finally:
        server.shutdown()


@pytest.fixture
async def archive(database: EmbeddedPostgres, tmp_path: Path) -> AsyncIterator[InProcessArchive]:
    async with in_process_archive(database, tmp_path) as opened:
        yield opened


def ct(study: str, series: str, instance: str) -> bytes:
    dataset = dcmread(get_testdata_file("CT_small.dcm"))
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = instance
    buffer = BytesIO()
    dcmwrite(buffer, dataset)
    return buffer.getvalue()


def service(archive: InProcessArchive) -> AvailabilityService:
    """The service as the archive has it, but it waits for nothing."""
    opened = archive.archive
    return AvailabilityService(
        index=opened.index,
        steps=opened.procedure_steps,
        remotes=opened.remotes,
        queue=opened.jobs,
        notifier=RemoteAvailability(dialer(), "HILUM"),
        quiet_s=0.0,
        retrieve_ae_title="HILUM",
    )


async def waiting(archive: InProcessArchive, kind: str) -> list[Job]:
    selection = JobSelection(kind=kind, states=[JobState.QUEUED])
    return await archive.archive.jobs.select(archive.tenant_id, selection, limit=100)


def created(archive: InProcessArchive, study: str) -> InstanceChange:
    now = SystemClock().now()
    return InstanceChange(archive.tenant_id, "created", 1, 1, study, "1.2", "1.2.3", now)


def references(notice: Dataset) -> dict[str, list[tuple[str, str, str, str]]]:
    return {
        series.SeriesInstanceUID: [
            (each.ReferencedSOPClassUID, each.ReferencedSOPInstanceUID, each.InstanceAvailability, each.RetrieveAETitle)
            for each in series.ReferencedSOPSequence
        ]
        for series in notice.ReferencedSeriesSequence
    }


async def test_a_remote_that_wants_to_know_is_told_of_a_study_that_is_there(
    archive: InProcessArchive, tmp_path: Path
) -> None:
    for series, instance in (("1.5.1", "1.5.1.1"), ("1.5.1", "1.5.1.2"), ("1.5.2", "1.5.2.1")):
        await archive.store(ct("1.5", series, instance))
    with listener() as (port, told):
        await archive.register("RIS", port, may_be_asked=ALL_USES)
        await archive.register("OTHER", port)
        availability = service(archive)
        await availability.note(archive.tenant_id, [created(archive, "1.5"), created(archive, "1.5")])
        (job,) = await waiting(archive, STUDY)
        await availability.study_is_there(job)
        (job,) = await waiting(archive, NOTIFY)
        assert (job.lane, job.payload["remote"]) == ("availability:RIS", "RIS")
        await availability.tell(job)
    (notice,) = told.notices
    assert notice.StudyInstanceUID == "1.5"
    assert not notice.ReferencedPerformedProcedureStepSequence
    assert references(notice) == {
        "1.5.1": [(CT, "1.5.1.1", "ONLINE", "HILUM"), (CT, "1.5.1.2", "ONLINE", "HILUM")],
        "1.5.2": [(CT, "1.5.2.1", "ONLINE", "HILUM")],
    }
    assert _complaints_of_dcmdump(notice, tmp_path / "notice.dcm") == []


def _complaints_of_dcmdump(content: Dataset, path: Path) -> list[str]:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = InstanceAvailabilityNotification, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    content.file_meta = meta
    dcmwrite(path, content, enforce_file_format=True)
    result = subprocess.run(["/usr/bin/dcmdump", "-v", path], capture_output=True, text=True, timeout=30, check=True)
    return [line for line in result.stderr.splitlines() if line.startswith(("W:", "E:"))]


async def test_what_a_procedure_step_made_is_told_with_it_once_all_of_it_is_there(archive: InProcessArchive) -> None:
    step = "1.6.9"
    steps = archive.archive.procedure_steps
    await steps.begin(
        archive.tenant_id,
        step,
        attributes_of(
            {
                "ScheduledStepAttributesSequence": {"StudyInstanceUID": "1.6", "AccessionNumber": "A"},
                "PerformedProcedureStepID": "PPS1",
                "PerformedStationAETitle": "CT1",
                "PerformedProcedureStepStartDate": "20260102",
                "PerformedProcedureStepStartTime": "1010",
                "PerformedProcedureStepStatus": "IN PROGRESS",
                "Modality": "CT",
            }
        ),
    )
    made = [{"ReferencedSOPClassUID": CT, "ReferencedSOPInstanceUID": uid} for uid in ("1.6.1.1", "1.6.1.2")]
    await archive.store(ct("1.6", "1.6.1", "1.6.1.1"))
    await archive.store(ct("1.6", "1.6.2", "1.6.2.1"))
    with listener() as (port, told):
        await archive.register("RIS", port, may_be_asked=ALL_USES)
        availability = service(archive)
        await steps.change(
            archive.tenant_id,
            step,
            attributes_of(
                {
                    "PerformedProcedureStepStatus": "COMPLETED",
                    "PerformedProcedureStepEndDate": "20260102",
                    "PerformedProcedureStepEndTime": "1020",
                    "PerformedSeriesSequence": {
                        "SeriesInstanceUID": "1.6.1",
                        "ProtocolName": "Head",
                        "ReferencedImageSequence": made,
                        "ReferencedNonImageCompositeSOPInstanceSequence": [],
                    },
                }
            ),
        )
        # The archive's own service has heard of the end of the step.
        (job,) = await waiting(archive, STUDY)
        assert job.payload["study_instance_uid"] == "1.6"
        await availability.study_is_there(job)
        (job,) = await waiting(archive, NOTIFY)
        await availability.tell(job)
        (notice,) = told.notices
        assert not notice.ReferencedPerformedProcedureStepSequence
        await archive.store(ct("1.6", "1.6.1", "1.6.1.2"))
        await availability.tell(job)
    first, second = told.notices[1:]
    assert first.ReferencedPerformedProcedureStepSequence[0].ReferencedSOPInstanceUID == step
    assert list(references(first)) == ["1.6.1"]
    assert [uid for _, uid, *_ in references(first)["1.6.1"]] == ["1.6.1.1", "1.6.1.2"]
    assert not second.ReferencedPerformedProcedureStepSequence
    assert list(references(second)) == ["1.6.2"]


async def test_nothing_is_left_for_later_when_nobody_wants_to_know(archive: InProcessArchive) -> None:
    await archive.register("RIS", 104)
    await archive.register("NOWHERE", None, host=None, may_be_asked=ALL_USES)
    await service(archive).note(archive.tenant_id, [created(archive, "1.5")])
    assert await waiting(archive, STUDY) == []


async def test_a_remote_that_wants_to_know_no_more_is_left_alone(archive: InProcessArchive) -> None:
    await archive.store(ct("1.5", "1.5.1", "1.5.1.1"))
    with listener() as (port, told):
        remote = await archive.register("RIS", port, may_be_asked=frozenset({DimseUse.AVAILABILITY}))
        availability = service(archive)
        await availability.note(archive.tenant_id, [created(archive, "1.5")])
        (job,) = await waiting(archive, STUDY)
        await availability.study_is_there(job)
        (job,) = await waiting(archive, NOTIFY)
        assert await archive.archive.remotes.remove(archive.tenant_id, remote.ae_title)
        await availability.tell(job)
    assert told.notices == []


async def test_a_failure_that_may_pass_is_tried_again_and_another_is_not(archive: InProcessArchive) -> None:
    notice = attributes_of({"StudyInstanceUID": "1.5", "ReferencedSeriesSequence": []})
    notifier = RemoteAvailability(dialer(), "HILUM")
    with listener() as (port, told):
        remote = await archive.register("RIS", port, may_be_asked=ALL_USES)
        told.answers = [0x0110, 0x0106, 0x0107]
        with pytest.raises(Unavailable):
            await notifier.notify(remote, notice)
        with pytest.raises(Unsupported):
            await notifier.notify(remote, notice)
        await notifier.notify(remote, notice)
    with pytest.raises(Unavailable):
        await notifier.notify(remote, notice)


async def test_a_remote_without_the_service_is_not_tried_again(archive: InProcessArchive) -> None:
    with listener("1.2.840.10008.1.1") as (port, _):
        remote = await archive.register("RIS", port, may_be_asked=ALL_USES)
        with pytest.raises(Unsupported, match="takes no"):
            await RemoteAvailability(dialer(), "HILUM").notify(remote, attributes_of({"StudyInstanceUID": "1.5"}))
