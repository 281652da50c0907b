"""Other implementations answer our queries: DCMTK's archive and worklist, Orthanc, pynetdicom, over loopback.

PS3.4 Annexes C and K.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from pynetdicom.sop_class import ModalityWorklistInformationFind, StudyRootQueryRetrieveInformationModelFind

from hilum.archive.query import Level
from hilum.dicom.query_keys import identifier_of
from hilum.kernel.errors import Forbidden, InvalidInput, Unavailable, Unsupported
from hilum.scu.instances import read_outgoing
from hilum.scu.models import InformationModel
from hilum.scu.query import find
from hilum.scu.remote import Remote
from hilum.scu.storage import send_instances
from support.instances import ct_slice, part10
from support.peers import dcmqrscp, orthanc, wlmscpfs

NAMES = {"P1": "Doe^Jane", "P2": "Doe^John", "P3": "Müller^Änne", "P4": "Yamada^Tarou=山田^太郎=やまだ^たろう"}


def archive_files(folder: Path) -> tuple[list[Path], dict[str, str]]:
    """Write a study of two slices for each patient; return the files, and the study UIDs by patient."""
    files, studies = [], {}
    for patient_id, name in NAMES.items():
        studies[patient_id] = study = generate_uid()
        series = generate_uid()
        for number in (1, 2):
            path = folder / f"{patient_id}-{number}.dcm"
            slice_ = ct_slice(
                study=study, series=series, number=number, patient_id=patient_id, patient_name=name, side=16
            )
            path.write_bytes(part10(slice_))
            files.append(path)
    return files, studies


async def ask(remote: Remote, keys: dict[str, str], *returns: str, **options: Any) -> list[dict[str, Any]]:
    found = find(remote, identifier_of(keys, returns), calling_ae_title="HILUM", **options)
    return [match async for match in found]


def values(matches: list[dict[str, Any]], tag: str) -> list[Any]:
    return sorted(match[tag]["Value"][0] for match in matches)


PATIENT_ID, PATIENT_NAME, STUDY_UID, SERIES_UID, SOP_UID = "00100020", "00100010", "0020000D", "0020000E", "00080018"


async def check_archive(remote: Remote, studies: dict[str, str]) -> None:
    """What any archive answers at each level."""
    assert values(await ask(remote, {"PatientID": ""}, "StudyInstanceUID"), STUDY_UID) == sorted(studies.values())
    matches = await ask(remote, {"PatientName": "Doe*"}, "PatientID", "StudyInstanceUID")
    assert values(matches, PATIENT_ID) == ["P1", "P2"]
    assert values(await ask(remote, {"StudyDate": "20260101-20260131"}, "PatientID"), PATIENT_ID) == sorted(studies)
    assert await ask(remote, {"StudyDate": "19990101"}, "PatientID") == []
    (yamada,) = await ask(remote, {"PatientID": "P4"}, "PatientName")
    assert yamada[PATIENT_NAME]["Value"] == [
        {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}
    ]
    (mueller,) = await ask(remote, {"PatientID": "P3"}, "PatientName")
    assert mueller[PATIENT_NAME]["Value"] == [{"Alphabetic": "Müller^Änne"}]
    (series,) = await ask(
        remote, {"StudyInstanceUID": studies["P1"], "Modality": "CT"}, "SeriesInstanceUID", level=Level.SERIES
    )
    keys = {"StudyInstanceUID": studies["P1"], "SeriesInstanceUID": series[SERIES_UID]["Value"][0]}
    instances = await ask(remote, keys, "SOPInstanceUID", "InstanceNumber", level=Level.INSTANCE)
    assert len(set(values(instances, SOP_UID))) == 2
    patients = await ask(
        remote, {"PatientName": "Doe^J*"}, "PatientID", level=Level.PATIENT, model=InformationModel.PATIENT
    )
    assert values(patients, PATIENT_ID) == ["P1", "P2"]


class TestDcmtk:
    """dcmqrscp and wlmscpfs."""

    async def test_every_level_is_answered(self, tmp_path: Path) -> None:
        files, studies = archive_files(tmp_path)
        async with dcmqrscp(tmp_path, files) as remote:
            await check_archive(remote, studies)

    async def test_the_worklist_is_matched_through_its_sequence(self, tmp_path: Path) -> None:
        async with wlmscpfs(
            tmp_path, [scheduled("A1", "CT", "Doe^Jane"), scheduled("A2", "MR", "Müller^Änne")]
        ) as remote:
            keys = {"ScheduledProcedureStepSequence.Modality": "MR", "PatientName": ""}
            returns = ("AccessionNumber", "ScheduledProcedureStepSequence.ScheduledStationAETitle")
            (match,) = await ask(remote, keys, *returns, model=InformationModel.WORKLIST)
            assert match["00080050"]["Value"] == ["A2"]
            assert match[PATIENT_NAME]["Value"] == [{"Alphabetic": "Müller^Änne"}]
            (step,) = match["00400100"]["Value"]
            assert step["00400001"]["Value"] == ["STATION"]

    async def test_an_archive_does_not_answer_worklist_queries(self, tmp_path: Path) -> None:
        async with dcmqrscp(tmp_path, []) as remote:
            with pytest.raises(Unsupported, match="worklist"):
                await ask(remote, {"PatientName": ""}, model=InformationModel.WORKLIST)
            with pytest.raises(Forbidden):
                await ask(Remote("NOBODY", remote.host, remote.port), {"PatientName": ""})


def scheduled(accession_number: str, modality: str, name: str) -> Dataset:
    item, step = Dataset(), Dataset()
    item.SpecificCharacterSet = "ISO_IR 100"
    item.AccessionNumber, item.PatientName, item.PatientID = accession_number, name, f"ID-{accession_number}"
    item.PatientBirthDate, item.PatientSex = "19700101", "F"
    item.StudyInstanceUID, item.RequestedProcedureID = generate_uid(), "RP1"
    item.RequestedProcedureDescription = "Head"
    step.Modality, step.ScheduledStationAETitle = modality, "STATION"
    step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime = "20260102", "0800"
    step.ScheduledProcedureStepID, step.ScheduledPerformingPhysicianName = "S1", "Who^Doctor"
    step.ScheduledProcedureStepDescription = "Head"
    item.ScheduledProcedureStepSequence = [step]
    return item


class TestOrthanc:
    """Debian's Orthanc."""

    async def test_every_level_is_answered(self, tmp_path: Path) -> None:
        files, studies = archive_files(tmp_path)
        async with orthanc(tmp_path) as (remote, _):
            outgoing = [read_outgoing(OnDisk(path)) for path in files]
            async for result in send_instances(outgoing, remote, calling_ae_title="HILUM"):
                assert result.status == 0
            await check_archive(remote, studies)


class OnDisk:
    """A file on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.label = str(path)

    def open(self) -> Any:
        return self.path.open("rb")


class TestPynetdicom:
    """pynetdicom 3, which does what the test says."""

    @contextmanager
    def scp(self, answer: Callable[[evt.Event], Iterator[tuple[int, Any]]]) -> Iterator[Remote]:
        ae = AE("PYNETDICOM")
        ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
        ae.add_supported_context(ModalityWorklistInformationFind)
        server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, answer)])
        try:
            yield Remote("PYNETDICOM", "127.0.0.1", server.socket.getsockname()[1])
        finally:
            server.shutdown()

    async def test_what_is_asked_arrives_as_it_was_meant(self) -> None:
        asked: list[Dataset] = []

        def answer(event: evt.Event) -> Iterator[tuple[int, Any]]:
            asked.append(event.identifier)
            yield 0x0000, None

        with self.scp(answer) as remote:
            keys = {
                "PatientName": "山田*",
                "StudyInstanceUID": "1.2\\1.3",
                "StudyDate": "20260101-",
                "SeriesNumber": "3",
            }
            assert await ask(remote, keys, "NumberOfStudyRelatedInstances", "PatientName") == []
        (identifier,) = asked
        assert identifier.QueryRetrieveLevel == "STUDY"
        assert identifier.PatientName == "山田*"
        assert list(identifier.StudyInstanceUID) == ["1.2", "1.3"]
        assert (identifier.StudyDate, identifier.SeriesNumber) == ("20260101-", 3)
        assert "NumberOfStudyRelatedInstances" in identifier
        assert not identifier.NumberOfStudyRelatedInstances

    async def test_closed_early_the_query_is_cancelled(self) -> None:
        cancelled = threading.Event()

        def answer(event: evt.Event) -> Iterator[tuple[int, Any]]:
            for number in range(100_000):
                if event.is_cancelled:
                    cancelled.set()
                    yield 0xFE00, None
                    return
                match = Dataset()
                match.QueryRetrieveLevel, match.PatientID = "STUDY", str(number)
                yield 0xFF00, match

        with self.scp(answer) as remote:
            found = find(remote, identifier_of({"PatientID": ""}), calling_ae_title="HILUM")
            async with aclosing(found):
                assert (await anext(found))[PATIENT_ID]["Value"] == ["0"]
            assert cancelled.wait(10)

    @pytest.mark.parametrize(
        ("status", "family"),
        [
            (0xA700, Unavailable),
            (0xA900, InvalidInput),
            (0xC001, Unavailable),
            (0x0122, Unsupported),
            (0x0124, Forbidden),
        ],
    )
    async def test_a_failure_is_told_after_the_matches(self, status: int, family: type[Exception]) -> None:
        def answer(event: evt.Event) -> Iterator[tuple[int, Any]]:
            match = Dataset()
            match.QueryRetrieveLevel, match.PatientID = "STUDY", "P1"
            yield 0xFF01, match
            yield status, None

        with self.scp(answer) as remote:
            found = find(remote, identifier_of({"PatientID": ""}), calling_ae_title="HILUM")
            assert (await anext(found))[PATIENT_ID]["Value"] == ["P1"]
            with pytest.raises(family, match=f"{status:04X}"):
                await anext(found)

    async def test_a_limit_of_the_remote_is_a_warning(self) -> None:
        def answer(event: evt.Event) -> Iterator[tuple[int, Any]]:
            yield 0xB001, None

        warnings: list[str] = []
        with self.scp(answer) as remote:
            assert await ask(remote, {"PatientID": ""}, on_warning=warnings.append) == []
        assert len(warnings) == 1

    async def test_a_remote_that_falls_silent_is_given_up(self) -> None:
        over = threading.Event()

        def answer(event: evt.Event) -> Iterator[tuple[int, Any]]:
            over.wait(10)
            yield 0x0000, None

        with self.scp(answer) as remote:
            with pytest.raises(Unavailable, match="does not answer"):
                await ask(remote, {"PatientID": ""}, silence_s=0.2)
            over.set()

    async def test_an_answer_that_comes_late_is_taken(self) -> None:
        def answer(event: evt.Event) -> Iterator[tuple[int, Any]]:
            time.sleep(0.5)
            match = Dataset()
            match.QueryRetrieveLevel, match.PatientID = "STUDY", "P1"
            yield 0xFF00, match
            time.sleep(0.5)
            yield 0x0000, None

        with self.scp(answer) as remote:
            assert values(await ask(remote, {"PatientID": ""}, silence_s=5), PATIENT_ID) == ["P1"]
