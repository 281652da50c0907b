"""`hilum worklist ...` beside a running server."""

from __future__ import annotations

from pathlib import Path

from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from support.running import RunningHilum

ADD = (
    *("worklist", "add", "--patient-name", "Müller^Jörg", "--patient-id", "CLI1", "--modality", "MR"),
    *("--station", "MR1", "--station", "MR2", "--start", "2030-01-31T10:15", "--description", "MR Knee"),
)


def worklist_file(path: Path, **step: str) -> Path:
    item = Dataset()
    item.PatientName, item.PatientID, item.AccessionNumber = "Doe^Jane", "CLI2", "A1"
    item.StudyInstanceUID, item.RequestedProcedureDescription = "1.2.3.4.5", "CT"
    item.ScheduledProcedureStepSequence = [Dataset()]
    values = {
        "ScheduledStationAETitle": "CT1",
        "ScheduledProcedureStepStartDate": "20300201",
        "ScheduledProcedureStepStartTime": "0900",
        "Modality": "CT",
        "ScheduledProcedureStepID": "S1",
    }
    for keyword, value in (values | step).items():
        setattr(item.ScheduledProcedureStepSequence[0], keyword, value)
    item.file_meta = FileMetaDataset()
    item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dcmwrite(path, item)
    return path


def test_a_step_is_added_listed_and_removed(hilum: RunningHilum) -> None:
    added = hilum.hilum(*ADD)
    assert added.returncode == 0, added.stderr
    item_id = added.stdout.strip()
    with hilum.client() as client:
        item = client.get(f"/api/worklist/{item_id}").json()
    assert item["scheduled_station_ae_title"] == ["MR1", "MR2"]
    assert item["scheduled_procedure_step_start_time"] == "10:15:00"
    listed = hilum.hilum("worklist", "list", "--day", "2030-01-31", "--modality", "MR").stdout
    assert "CLI1" in listed
    assert "2030-01-31 10:15" in listed
    assert "CLI1" not in hilum.hilum("worklist", "list", "--station", "CT1").stdout
    assert hilum.hilum("worklist", "remove", item_id).returncode == 0
    again = hilum.hilum("worklist", "remove", item_id)
    assert again.returncode == 1
    assert "no such worklist item" in again.stderr


def test_a_value_that_is_none_is_refused_by_its_name(hilum: RunningHilum) -> None:
    refused = hilum.hilum(*ADD[:-6], "--start", "tomorrow", "--description", "MR Knee")
    assert refused.returncode == 1
    assert "scheduled_procedure_step_start_date" in refused.stderr


def test_worklist_files_are_taken_over(hilum: RunningHilum, tmp_path: Path) -> None:
    good = worklist_file(tmp_path / "good.wl")
    bad = worklist_file(tmp_path / "bad.wl", ScheduledProcedureStepID="S2", Modality="")
    (tmp_path / "other.wl").write_text("no item")
    done = hilum.hilum("worklist", "import", str(good), str(bad), str(tmp_path / "other.wl"), str(tmp_path / "none.wl"))
    assert done.returncode == 1
    assert done.stdout.split()[1] == str(good)
    assert f"{bad}: modality is missing" in done.stderr
    assert done.stderr.count(str(tmp_path)) == 3
    with hilum.client() as client:
        (item,) = client.get("/api/worklist", params={"patient_id": "CLI2"}).json()["items"]
    assert (item["study_instance_uid"], item["accession_number"]) == ("1.2.3.4.5", "A1")
    # The same file again is the same step.
    assert "the study has a step of this id" in hilum.hilum("worklist", "import", str(good)).stderr
