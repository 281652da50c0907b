"""Performed procedure steps with pynetdicom as modality, from the order to the stored study (PS3.4 Annex F)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import (
    CTImageStorage,
    ModalityPerformedProcedureStep,
    ModalityPerformedProcedureStepRetrieve,
    ModalityWorklistInformationFind,
)

from support.instances import ct_slice
from support.running import RunningHilum

NO_SUCH_UID = "1.2.826.0.1.404"


@contextmanager
def modality(hilum: RunningHilum, *more: str) -> Iterator[Association]:
    ae = AE("CT1")
    for abstract_syntax in (
        *(ModalityPerformedProcedureStep, ModalityPerformedProcedureStepRetrieve),
        *(ModalityWorklistInformationFind, *more),
    ):
        ae.add_requested_context(abstract_syntax)
    association = ae.associate("127.0.0.1", hilum.dicom_port, ae_title=hilum.ae_title)
    assert association.is_established
    assert not association.rejected_contexts
    try:
        yield association
        assert association.is_established
    finally:
        association.release()


def data_set(**values: Any) -> Dataset:
    result = Dataset()
    for keyword, value in values.items():
        setattr(result, keyword, value)
    return result


def beginning(*references: Dataset, **values: Any) -> Dataset:
    """What a modality sends when it begins: all that the standard asks for."""
    empty = (
        *("PatientBirthDate", "PatientSex", "ReferencedPatientSequence", "PerformedStationName", "PerformedLocation"),
        *("PerformedProcedureStepDescription", "PerformedProcedureTypeDescription", "ProcedureCodeSequence"),
        *("PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime", "StudyID"),
        *("PerformedProtocolCodeSequence", "PerformedSeriesSequence"),
    )
    return data_set(
        ScheduledStepAttributesSequence=list(references) or [reference(generate_uid())],
        PatientName="Doe^Jane",
        PatientID="P1",
        PerformedProcedureStepID="PPS1",
        PerformedStationAETitle="CT1",
        PerformedProcedureStepStartDate="20260105",
        PerformedProcedureStepStartTime="102000",
        PerformedProcedureStepStatus="IN PROGRESS",
        Modality="CT",
        **{name: [] if name.endswith("Sequence") else "" for name in empty if name not in values},
        **values,
    )


def reference(study_instance_uid: str, step_id: str = "", accession_number: str = "") -> Dataset:
    return data_set(
        StudyInstanceUID=study_instance_uid,
        ReferencedStudySequence=[],
        AccessionNumber=accession_number,
        RequestedProcedureID="",
        RequestedProcedureDescription="",
        ScheduledProcedureStepID=step_id,
        ScheduledProcedureStepDescription="",
        ScheduledProtocolCodeSequence=[],
    )


def ending(status: str = "COMPLETED", *series: Dataset, **values: Any) -> Dataset:
    return data_set(
        PerformedProcedureStepStatus=status,
        PerformedProcedureStepEndDate="20260105",
        PerformedProcedureStepEndTime="103000",
        PerformedSeriesSequence=list(series),
        **values,
    )


def performed_series(uid: str = "1.2.3.4", *images: Dataset) -> Dataset:
    return data_set(
        PerformingPhysicianName="",
        ProtocolName="Thorax",
        OperatorsName="",
        SeriesInstanceUID=uid,
        SeriesDescription="",
        RetrieveAETitle="",
        ReferencedImageSequence=list(images),
        ReferencedNonImageCompositeSOPInstanceSequence=[],
    )


def create(
    association: Association, attributes: Dataset, uid: str | None = None
) -> tuple[Dataset, Dataset | None, str]:
    uid = uid or generate_uid()
    status, answer = association.send_n_create(attributes, ModalityPerformedProcedureStep, uid)
    return status, answer, uid


def change(association: Association, uid: str, changes: Dataset) -> tuple[Dataset, Dataset | None]:
    status, answer = association.send_n_set(changes, ModalityPerformedProcedureStep, uid)
    return status, answer


def get(association: Association, uid: str, *tags: int) -> tuple[Dataset, Dataset | None]:
    status, answer = association.send_n_get(list(tags), ModalityPerformedProcedureStepRetrieve, uid)
    return status, answer


def offending(status: Dataset) -> set[str]:
    value = status.get("AttributeIdentifierList") or []
    return {f"{tag:08X}" for tag in (value if not isinstance(value, int) else [value])}


def schedule(hilum: RunningHilum, **fields: Any) -> dict[str, Any]:
    """Put an order into the worklist, and return the item."""
    step = {
        "patient_name": "Flow^Jane",
        "patient_id": "FLOW",
        "accession_number": "A100",
        "modality": "CT",
        "scheduled_station_ae_title": ["CT1"],
        "scheduled_procedure_step_start_date": "2030-01-05",
        "scheduled_procedure_step_start_time": "10:15",
        "scheduled_procedure_step_description": "CT Thorax",
    }
    with hilum.client() as client:
        answer = client.post("/api/worklist", json=step | fields)
        assert answer.status_code == 201, answer.text
        item: dict[str, Any] = answer.json()
        return item


def item_of(hilum: RunningHilum, item: dict[str, Any]) -> dict[str, Any]:
    with hilum.client() as client:
        found: dict[str, Any] = client.get(f"/api/worklist/{item['item_id']}").json()
        return found


class TestFlow:
    """From the order to the study, as IHE Scheduled Workflow has it."""

    def test_an_order_is_found_performed_stored_and_completed(self, hilum: RunningHilum) -> None:
        item = schedule(hilum)
        with modality(hilum, CTImageStorage) as ct:
            # The modality asks for its worklist and takes everything from there.
            asked = data_set(PatientName="", PatientID="FLOW", StudyInstanceUID="", AccessionNumber="")
            asked.ScheduledProcedureStepSequence = [
                data_set(
                    ScheduledStationAETitle="CT1",
                    ScheduledProcedureStepStartDate="20300105",
                    ScheduledProcedureStepStartTime="",
                    Modality="CT",
                    ScheduledProcedureStepID="",
                )
            ]
            found = [answer for _, answer in ct.send_c_find(asked, ModalityWorklistInformationFind)]
            (order,) = [answer for answer in found if answer is not None]
            study = order.StudyInstanceUID
            step_id = order.ScheduledProcedureStepSequence[0].ScheduledProcedureStepID
            assert study == item["study_instance_uid"]

            # It begins.
            status, _, uid = create(ct, beginning(reference(study, step_id, order.AccessionNumber)))
            assert status.Status == 0x0000
            begun = item_of(hilum, item)
            assert begun["status"] == "STARTED"
            assert begun["study_is_stored"] is False
            assert [step["status"] for step in begun["performed_steps"]] == ["IN PROGRESS"]

            # It sends its images.
            slices = [ct_slice(number=number, side=16) for number in range(3)]
            for dataset in slices:
                dataset.StudyInstanceUID, dataset.PatientID = study, order.PatientID
                assert ct.send_c_store(dataset).Status == 0x0000

            # It ends, and says what it has made.
            images = [
                data_set(ReferencedSOPClassUID=CTImageStorage, ReferencedSOPInstanceUID=each.SOPInstanceUID)
                for each in slices
            ]
            status, _ = change(ct, uid, ending("COMPLETED", performed_series(slices[0].SeriesInstanceUID, *images)))
            assert status.Status == 0x0000

            finished = [answer for _, answer in ct.send_c_find(asked, ModalityWorklistInformationFind)]
            assert finished == [None]
        ended = item_of(hilum, item)
        assert ended["status"] == "COMPLETED"
        assert ended["study_is_stored"] is True
        (performed,) = ended["performed_steps"]
        assert performed["sop_instance_uid"] == uid
        assert performed["status"] == "COMPLETED"
        assert performed["series_instance_uids"] == [slices[0].SeriesInstanceUID]
        assert performed["instance_count"] == 3
        assert performed["performed_procedure_step_end_time"] == "10:30:00"
        with hilum.client() as client:
            of_study = client.get("/api/procedure-steps", params={"study_instance_uid": study}).json()
            assert [step["sop_instance_uid"] for step in of_study["procedure_steps"]] == [uid]
            details = client.get(f"/api/procedure-steps/{uid}").json()
            assert details["item_ids"] == [item["item_id"]]
            assert details["attributes"]["00400252"]["Value"] == ["COMPLETED"]

    def test_a_discontinued_step_takes_the_item_from_the_list_until_it_is_scheduled_again(
        self, hilum: RunningHilum
    ) -> None:
        item = schedule(hilum, patient_id="BROKEN")
        refers = reference(item["study_instance_uid"], item["scheduled_procedure_step_id"])
        with modality(hilum) as ct:
            _, _, uid = create(ct, beginning(refers))
            status, _ = change(ct, uid, ending("DISCONTINUED"))
            assert status.Status == 0x0000
            assert item_of(hilum, item)["status"] == "DISCONTINUED"
            with hilum.client() as client:
                answer = client.patch(f"/api/worklist/{item['item_id']}", json={"status": "SCHEDULED"})
                assert answer.json()["status"] == "SCHEDULED"
            _, _, uid = create(ct, beginning(refers))
            assert item_of(hilum, item)["status"] == "STARTED"
            change(ct, uid, ending("COMPLETED", performed_series()))
        assert item_of(hilum, item)["status"] == "COMPLETED"

    def test_one_examination_performs_several_steps(self, hilum: RunningHilum) -> None:
        items = [schedule(hilum, patient_id="GROUP", accession_number=f"G{number}") for number in range(2)]
        refers = [reference(item["study_instance_uid"], item["scheduled_procedure_step_id"]) for item in items]
        with modality(hilum) as ct:
            _, _, uid = create(ct, beginning(*refers))
            assert [item_of(hilum, item)["status"] for item in items] == ["STARTED", "STARTED"]
            change(ct, uid, ending("COMPLETED", performed_series()))
        assert [item_of(hilum, item)["status"] for item in items] == ["COMPLETED", "COMPLETED"]

    def test_several_examinations_perform_one_step(self, hilum: RunningHilum) -> None:
        item = schedule(hilum, patient_id="APPEND")
        refers = reference(item["study_instance_uid"], item["scheduled_procedure_step_id"])
        with modality(hilum) as ct:
            _, _, first = create(ct, beginning(refers))
            _, _, second = create(ct, beginning(refers))
            change(ct, first, ending("COMPLETED", performed_series()))
            assert item_of(hilum, item)["status"] == "STARTED"
            change(ct, second, ending("DISCONTINUED"))
        assert item_of(hilum, item)["status"] == "COMPLETED"
        assert len(item_of(hilum, item)["performed_steps"]) == 2

    def test_a_step_nobody_scheduled_is_kept(self, hilum: RunningHilum) -> None:
        study = generate_uid()
        with modality(hilum) as ct:
            status, _, uid = create(ct, beginning(reference(study)))
            assert status.Status == 0x0000
        with hilum.client() as client:
            (step,) = client.get("/api/procedure-steps", params={"study_instance_uid": study}).json()["procedure_steps"]
        assert step["sop_instance_uid"] == uid
        assert step["item_ids"] == []

    def test_a_study_uid_of_the_modalitys_own_is_linked_by_accession_number_and_step(self, hilum: RunningHilum) -> None:
        item = schedule(hilum, patient_id="OWNUID", accession_number="OWN1")
        with modality(hilum) as ct:
            create(ct, beginning(reference(generate_uid(), item["scheduled_procedure_step_id"], "OWN1")))
        assert item_of(hilum, item)["status"] == "STARTED"

    def test_what_was_answered_survives_a_restart(self, hilum: RunningHilum) -> None:
        with modality(hilum) as ct:
            _, _, uid = create(ct, beginning())
        hilum.stop()
        hilum.start()
        with modality(hilum) as ct:
            status, answer = get(ct, uid)
        assert status.Status == 0x0000
        assert answer is not None
        assert answer.PerformedProcedureStepStatus == "IN PROGRESS"


class TestStatuses:
    """PS3.4 §F.7.2, §F.8.2; PS3.7 Annex C."""

    def test_what_was_sent_is_returned(self, hilum: RunningHilum) -> None:
        sent = beginning(SpecificCharacterSet="ISO_IR 192")
        sent.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"
        with modality(hilum) as ct:
            _, _, uid = create(ct, sent)
            status, answer = get(ct, uid)
        assert status.Status == 0x0000
        assert answer == sent

    def test_private_attributes_are_kept(self, hilum: RunningHilum) -> None:
        sent = beginning()
        sent.private_block(0x0099, "SOME MODALITY", create=True).add_new(1, "OB", b"\x00\x01")
        with modality(hilum) as ct:
            _, _, uid = create(ct, sent)
            _, answer = get(ct, uid)
        assert answer is not None
        assert answer[0x0099, 0x0010].value == b"SOME MODALITY" or answer[0x0099, 0x0010].value == "SOME MODALITY"
        assert answer[0x0099, 0x1001].value == b"\x00\x01"

    def test_some_attributes_are_returned_on_demand(self, hilum: RunningHilum) -> None:
        with modality(hilum) as ct:
            _, _, uid = create(ct, beginning())
            status, answer = get(ct, uid, 0x00080060, 0x00400252)
            assert status.Status == 0x0000
            assert answer == data_set(Modality="CT", PerformedProcedureStepStatus="IN PROGRESS")
            status, answer = get(ct, uid, 0x00080060, 0x00101010)
            assert status.Status == 0x0001
            assert answer == data_set(Modality="CT")

    def test_a_uid_is_made_when_the_modality_gives_none(self, hilum: RunningHilum) -> None:
        study = generate_uid()
        with modality(hilum) as ct:
            status, _ = ct.send_n_create(beginning(reference(study)), ModalityPerformedProcedureStep, None)
            assert status.Status == 0x0000
            with hilum.client() as client:
                found = client.get("/api/procedure-steps", params={"study_instance_uid": study}).json()
            assert get(ct, found["procedure_steps"][0]["sop_instance_uid"])[0].Status == 0x0000

    def test_a_second_step_of_the_same_uid_is_a_duplicate(self, hilum: RunningHilum) -> None:
        with modality(hilum) as ct:
            _, _, uid = create(ct, beginning())
            assert create(ct, beginning(), uid)[0].Status == 0x0111

    def test_an_unknown_uid_is_no_such_instance(self, hilum: RunningHilum) -> None:
        with modality(hilum) as ct:
            assert change(ct, NO_SUCH_UID, ending())[0].Status == 0x0112
            assert get(ct, NO_SUCH_UID)[0].Status == 0x0112

    @pytest.mark.parametrize("status", ["COMPLETED", "DISCONTINUED", "PAUSED"])
    def test_a_step_begins_in_progress(self, hilum: RunningHilum, status: str) -> None:
        with modality(hilum) as ct:
            attributes = beginning()
            attributes.PerformedProcedureStepStatus = status
            answer, _, uid = create(ct, attributes)
            assert answer.Status == 0x0106
            assert get(ct, uid)[0].Status == 0x0112

    @pytest.mark.parametrize(
        "keyword",
        [
            *("PerformedProcedureStepID", "PerformedStationAETitle", "PerformedProcedureStepStartDate"),
            *("PerformedProcedureStepStartTime", "PerformedProcedureStepStatus", "Modality"),
            "ScheduledStepAttributesSequence",
        ],
    )
    def test_what_the_standard_demands_is_demanded(self, hilum: RunningHilum, keyword: str) -> None:
        with modality(hilum) as ct:
            attributes = beginning()
            setattr(attributes, keyword, [] if keyword.endswith("Sequence") else "")
            status, _, _ = create(ct, attributes)
            assert status.Status == 0x0121
            assert keyword in status.ErrorComment
            delattr(attributes, keyword)
            status, _, _ = create(ct, attributes)
            assert status.Status == 0x0120
            assert keyword in status.ErrorComment

    def test_a_reference_names_its_study(self, hilum: RunningHilum) -> None:
        with modality(hilum) as ct:
            status, _, _ = create(ct, beginning(reference("")))
        assert status.Status == 0x0121
        assert "StudyInstanceUID" in status.ErrorComment

    def test_missing_attributes_that_may_be_empty_count_as_empty_and_are_told(self, hilum: RunningHilum) -> None:
        sloppy = beginning()
        for keyword in ("PatientBirthDate", "PerformedSeriesSequence", "StudyID", "ProcedureCodeSequence"):
            delattr(sloppy, keyword)
        with modality(hilum) as ct:
            status, answer, _ = create(ct, sloppy)
        assert status.Status == 0x0000
        assert answer == data_set(PatientBirthDate="", StudyID="", ProcedureCodeSequence=[], PerformedSeriesSequence=[])

    @pytest.mark.parametrize("status", ["COMPLETED", "DISCONTINUED"])
    def test_nothing_changes_after_the_end(self, hilum: RunningHilum, status: str) -> None:
        with modality(hilum) as ct:
            _, _, uid = create(ct, beginning())
            assert change(ct, uid, ending(status, performed_series()))[0].Status == 0x0000
            before = get(ct, uid)
            for changes in (ending(), data_set(PerformedProcedureStepDescription="late")):
                answer, _ = change(ct, uid, changes)
                assert answer.Status == 0x0110
                assert answer.ErrorID == 0xA710
                assert "no longer" in answer.ErrorComment
            assert get(ct, uid) == before

    def test_an_end_needs_its_date_and_time_and_what_was_made(self, hilum: RunningHilum) -> None:
        with modality(hilum) as ct:
            _, _, uid = create(ct, beginning())
            status, _ = change(ct, uid, data_set(PerformedProcedureStepStatus="COMPLETED"))
            assert status.Status == 0x0121
            assert offending(status) == {"00400250", "00400251", "00400340"}
            status, _ = change(ct, uid, ending("COMPLETED", data_set(ProtocolName="x")))
            assert status.Status == 0x0120
            assert offending(status) == {"0020000E"}
            _, answer = get(ct, uid)
            assert answer is not None
            assert answer.PerformedProcedureStepStatus == "IN PROGRESS"

    def test_a_step_goes_on_through_several_changes(self, hilum: RunningHilum) -> None:
        with modality(hilum) as ct:
            _, _, uid = create(ct, beginning())
            for series in (["1.2.3"], ["1.2.3", "1.2.4"]):
                changes = data_set(PerformedSeriesSequence=[performed_series(each) for each in series])
                assert change(ct, uid, changes)[0].Status == 0x0000
                _, answer = get(ct, uid)
                assert answer is not None
                assert [each.SeriesInstanceUID for each in answer.PerformedSeriesSequence] == series
                assert answer.PerformedProcedureStepStatus == "IN PROGRESS"

    def test_what_may_not_change_stays_and_is_named(self, hilum: RunningHilum) -> None:
        with modality(hilum) as ct:
            _, _, uid = create(ct, beginning())
            changes = data_set(PatientName="Doe^Jane", PatientID="OTHER", PerformedProcedureStepDescription="new")
            status, _ = change(ct, uid, changes)
            assert status.Status == 0x0107
            assert offending(status) == {"00100020"}
            _, answer = get(ct, uid, 0x00100020, 0x00400254)
            assert answer == data_set(PatientID="P1", PerformedProcedureStepDescription="new")

    def test_an_unknown_status_is_an_invalid_value(self, hilum: RunningHilum) -> None:
        with modality(hilum) as ct:
            _, _, uid = create(ct, beginning())
            status, _ = change(ct, uid, data_set(PerformedProcedureStepStatus="PAUSED"))
            assert status.Status == 0x0106
            assert offending(status) == {"00400252"}

    def test_operations_of_other_services_are_not_recognized(self, hilum: RunningHilum) -> None:
        with modality(hilum) as ct:
            status, _ = ct.send_n_action(None, 1, ModalityPerformedProcedureStep, NO_SUCH_UID)
            assert status.Status == 0x0211
            status = ct.send_n_delete(ModalityPerformedProcedureStep, NO_SUCH_UID)
            assert status.Status == 0x0211
