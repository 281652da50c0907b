"""The worklist as a person keeps it, with pynetdicom as the modality that performs a step."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from playwright.sync_api import expect
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE
from pynetdicom.sop_class import ModalityPerformedProcedureStep

from support.browsing import Visit
from support.running import RunningHilum

TODAY = date.today()  # noqa: DTZ011 - the day on this machine, as in its browser
EMPTY = (
    *("PatientBirthDate", "PatientSex", "PerformedStationName", "PerformedLocation", "StudyID"),
    *("PerformedProcedureStepDescription", "PerformedProcedureTypeDescription"),
    *("PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime"),
)
EMPTY_SEQUENCES = (
    *("ReferencedPatientSequence", "ProcedureCodeSequence"),
    *("PerformedProtocolCodeSequence", "PerformedSeriesSequence"),
)


@pytest.fixture
def worklist(signed_in: Visit) -> Visit:
    """The page, come to by the navigation, with an empty worklist."""
    with signed_in.hilum.client() as client:
        for item in client.get("/api/worklist?all=true").json()["items"]:
            client.delete(f"/api/worklist/{item['item_id']}")
    signed_in.page.get_by_role("navigation", name="Main").get_by_role("link", name="Worklist").click()
    signed_in.page.get_by_role("heading", name="Worklist").wait_for()
    return signed_in


def schedule(hilum: RunningHilum, name: str, *, day: date = TODAY, **fields: Any) -> dict[str, Any]:
    step = {
        "patient_name": name, "patient_id": "P1", "modality": "CT", "scheduled_station_ae_title": ["CT1"],
        "scheduled_procedure_step_start_date": day.isoformat(), "scheduled_procedure_step_start_time": "10:15",
        "scheduled_procedure_step_description": "CT Thorax",
    }  # fmt: skip
    with hilum.client() as client:
        answer = client.post("/api/worklist", json=step | fields)
    assert answer.status_code == 201, answer.text
    item: dict[str, Any] = answer.json()
    return item


class Modality:
    """Performs one step: N-CREATE when it begins, N-SET when it ends."""

    def __init__(self, hilum: RunningHilum) -> None:
        entity = AE("CT1")
        entity.add_requested_context(ModalityPerformedProcedureStep)
        self._association = entity.associate("127.0.0.1", hilum.dicom_port, ae_title=hilum.ae_title)
        assert self._association.is_established
        self._uid = generate_uid()

    def begin(self, item: dict[str, Any]) -> None:
        """Report that the step is being performed."""
        reference, report = Dataset(), Dataset()
        reference.StudyInstanceUID = item["study_instance_uid"]
        reference.ScheduledProcedureStepID = item["scheduled_procedure_step_id"]
        for keyword in ("AccessionNumber", "RequestedProcedureID", "RequestedProcedureDescription"):
            setattr(reference, keyword, "")
        reference.ScheduledProcedureStepDescription = ""
        reference.ReferencedStudySequence = reference.ScheduledProtocolCodeSequence = []
        report.ScheduledStepAttributesSequence = [reference]
        report.PatientName, report.PatientID, report.Modality = item["patient_name"], item["patient_id"], "CT"
        report.PerformedProcedureStepID, report.PerformedStationAETitle = "PPS1", "CT1"
        report.PerformedProcedureStepStartDate, report.PerformedProcedureStepStartTime = "20260105", "102000"
        report.PerformedProcedureStepStatus = "IN PROGRESS"
        for keyword in EMPTY:
            setattr(report, keyword, "")
        for keyword in EMPTY_SEQUENCES:
            setattr(report, keyword, [])
        status, _ = self._association.send_n_create(report, ModalityPerformedProcedureStep, self._uid)
        assert status.Status == 0x0000, status

    def end(self) -> None:
        """Report that it is done, and hang up."""
        series, report = Dataset(), Dataset()
        series.PerformingPhysicianName = series.OperatorsName = series.SeriesDescription = series.RetrieveAETitle = ""
        series.ProtocolName, series.SeriesInstanceUID = "Thorax", generate_uid()
        series.ReferencedImageSequence = series.ReferencedNonImageCompositeSOPInstanceSequence = []
        report.PerformedProcedureStepStatus = "COMPLETED"
        report.PerformedProcedureStepEndDate, report.PerformedProcedureStepEndTime = "20260105", "103000"
        report.PerformedSeriesSequence = [series]
        status, _ = self._association.send_n_set(report, ModalityPerformedProcedureStep, self._uid)
        assert status.Status == 0x0000, status
        self._association.release()


def test_a_step_is_scheduled_by_form_and_changed(worklist: Visit) -> None:
    page = worklist.page
    page.get_by_role("heading", name="Nothing is to be done on").wait_for()
    assert worklist.barriers() == []
    page.keyboard.press("n")
    dialog = page.get_by_role("dialog", name="Schedule a step")
    page.keyboard.type("Yamada^Tarou=山田^太郎")
    dialog.get_by_label("Patient ID").fill("4711")
    dialog.get_by_label("Modality", exact=True).fill("CT")
    dialog.get_by_label("Time").fill("10:15")
    dialog.get_by_label("Stations (AE titles)").fill("CT1")
    page.keyboard.press("Enter")
    dialog.get_by_label("Description", exact=True).fill("CT Thorax")
    dialog.get_by_role("button", name="More to fill in").click()
    dialog.get_by_label("Weight (kg)").fill("62.5")
    assert worklist.barriers() == []
    dialog.get_by_role("button", name="Schedule").click()
    row = page.get_by_role("row", name="Yamada, Tarou")
    expect(row).to_contain_text("山田, 太郎")
    expect(row).to_contain_text(f"{TODAY.isoformat()} 10:15")
    expect(row).to_contain_text("scheduled")
    assert worklist.barriers() == []
    with worklist.hilum.client() as client:
        (kept,) = client.get("/api/worklist").json()["items"]
    assert (kept["patient_weight"], kept["scheduled_station_ae_title"]) == (62.5, ["CT1"])

    page.keyboard.press("Enter")
    edit = page.get_by_role("dialog", name="Yamada, Tarou: CT Thorax")
    edit.get_by_label("Status").select_option("ARRIVED")
    edit.get_by_label("Accession").fill("A-17")
    edit.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("arrived")
    expect(row).to_contain_text("A-17")
    with worklist.hilum.client() as client:
        (changed,) = client.get("/api/worklist").json()["items"]
    assert changed["study_instance_uid"] == kept["study_instance_uid"]
    assert changed["patient_weight"] == 62.5


def test_what_a_step_lacks_is_told_by_its_field(worklist: Visit) -> None:
    page = worklist.page
    page.keyboard.press("n")
    dialog = page.get_by_role("dialog", name="Schedule a step")
    dialog.get_by_label("Patient name").fill("Doe, Jane")
    dialog.get_by_label("Patient ID").fill("4711")
    dialog.get_by_label("Modality", exact=True).fill("not a code")
    dialog.get_by_label("Description", exact=True).fill("CT Thorax")
    dialog.get_by_label("Stations (AE titles)").fill("CT1")
    dialog.get_by_role("button", name="Schedule").click()
    expect(dialog.get_by_role("alert")).to_contain_text("modality", ignore_case=True)
    dialog.get_by_label("Modality", exact=True).fill("CT")
    dialog.get_by_role("button", name="Schedule").click()
    expect(page.get_by_role("row", name="Doe, Jane")).to_contain_text("CT1")


def test_days_names_modalities_and_stations_narrow_the_list(worklist: Visit) -> None:
    page = worklist.page
    hilum = worklist.hilum
    schedule(hilum, "Today^Tom")
    schedule(hilum, "Today^Mara", modality="MR", scheduled_station_ae_title=["MR1"])
    schedule(hilum, "Tomorrow^Till", day=TODAY + timedelta(days=1))
    rows = page.locator('[role=row][id^="row-"]')
    expect(rows).to_have_count(2)
    page.get_by_label("Modality").select_option("MR")
    expect(rows).to_have_count(1)
    page.get_by_label("Modality").select_option("")
    page.get_by_label("Station").fill("CT1")
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("Today, Tom")
    page.get_by_label("Station").fill("CT9")
    page.get_by_role("heading", name="No step matches").wait_for()
    page.get_by_role("button", name="Clear all filters").click()
    expect(rows).to_have_count(2)
    page.get_by_role("grid", name="Worklist").focus()
    page.keyboard.press("]")
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("Tomorrow, Till")
    assert f"day={(TODAY + timedelta(days=1)).isoformat()}" in page.url
    page.keyboard.press("t")
    expect(rows).to_have_count(2)
    page.get_by_role("button", name="Any day").click()
    expect(rows).to_have_count(3)
    page.keyboard.press("/")
    page.keyboard.type("til")
    expect(rows).to_have_count(1)
    page.reload()
    expect(rows).to_have_count(1)


def test_the_status_follows_what_the_modality_performs(worklist: Visit) -> None:
    page = worklist.page
    item = schedule(worklist.hilum, "Doe^Jane")
    page.get_by_label("Status").select_option("all")
    row = page.get_by_role("row", name="Doe, Jane")
    expect(row).to_contain_text("scheduled", timeout=10_000)
    modality = Modality(worklist.hilum)
    modality.begin(item)
    expect(row).to_contain_text("started", timeout=10_000)
    modality.end()
    expect(row).to_contain_text("completed", timeout=10_000)
    row.dblclick()
    performed = page.get_by_role("dialog").get_by_role("region", name="Performed")
    expect(performed).to_contain_text("completed")
    expect(performed).to_contain_text("at CT1")
    assert worklist.barriers() == []
    # What is done cannot be undone, and the server says so.
    page.get_by_role("dialog").get_by_label("Status").select_option("SCHEDULED")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).not_to_be_empty()


def test_a_step_is_canceled_and_removed(worklist: Visit) -> None:
    page = worklist.page
    schedule(worklist.hilum, "Doe^Jane")
    row = page.get_by_role("row", name="Doe, Jane")
    row.click()
    page.keyboard.press("c")
    page.get_by_text("The step is canceled").wait_for()
    expect(row).to_have_count(0)
    page.get_by_label("Status").select_option("CANCELED")
    row.click()
    page.get_by_role("button", name="Remove").click()
    question = page.get_by_role("dialog", name="Remove this step?")
    expect(question).to_contain_text("Doe, Jane, CT Thorax")
    question.get_by_role("button", name="Remove").click()
    page.get_by_role("heading", name="No step matches").wait_for()


def test_who_only_reads_sees_the_worklist_and_changes_nothing(worklist: Visit, reader: Visit) -> None:
    schedule(worklist.hilum, "Doe^Jane")
    page = reader.page
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Worklist").click()
    page.get_by_role("row", name="Doe, Jane").dblclick()
    page.keyboard.press("n")
    assert page.get_by_role("dialog").count() == 0
    assert page.get_by_role("button", name="Schedule").count() == 0
