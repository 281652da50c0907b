"""PS3.4 §F.7.2: what a report of a performed procedure step has to hold, and what it may change."""

from __future__ import annotations

import pytest

from hilum.archive.model import DicomJson
from hilum.archive.procedure_steps import PerformedStatus, StepReference, referenced_item, status_of_item
from hilum.archive.worklist import StepStatus
from hilum.dicom.dictionary import tag_of
from hilum.kernel.errors import Conflict, InvalidInput
from hilum.policies.procedure_steps import FIXED, ON_COMPLETION, ON_CREATION, accept_change, accept_creation
from support.database import attributes_of
from support.worklist import worklist_item

IN_PROGRESS, COMPLETED, DISCONTINUED = PerformedStatus


def beginning() -> DicomJson:
    return attributes_of(
        {
            "SpecificCharacterSet": "ISO_IR 100",
            "ScheduledStepAttributesSequence": [{"StudyInstanceUID": "1.2.3"}],
            "PerformedProcedureStepID": "PPS1",
            "PerformedStationAETitle": "CT1",
            "PerformedProcedureStepStartDate": "20260105",
            "PerformedProcedureStepStartTime": "102000",
            "PerformedProcedureStepStatus": "IN PROGRESS",
            "Modality": "CT",
            "PatientName": "Doe^Jane",
        }
    )


class TestCreation:
    """PS3.4 §F.7.2.1."""

    def test_attributes_of_type_2_that_are_missing_are_there_empty(self) -> None:
        accepted = accept_creation(beginning())
        assert accepted.status is IN_PROGRESS
        assert ON_CREATION.keys() <= accepted.attributes.keys()
        assert accepted.attributes[tag_of("StudyID")] == {"vr": "SH"}
        assert tag_of("StudyID") in accepted.added
        assert tag_of("Modality") not in accepted.added

    def test_in_the_items_of_a_sequence_too(self) -> None:
        accepted = accept_creation(beginning())
        (item,) = accepted.attributes[tag_of("ScheduledStepAttributesSequence")]["Value"]
        assert item[tag_of("AccessionNumber")] == {"vr": "SH"}
        assert item[tag_of("StudyInstanceUID")]["Value"] == ["1.2.3"]

    def test_the_character_set_of_the_message_is_not_kept(self) -> None:
        assert tag_of("SpecificCharacterSet") not in accept_creation(beginning()).attributes

    @pytest.mark.parametrize(
        ("keyword", "element"),
        [
            ("ScheduledStepAttributesSequence", {"vr": "LO", "Value": ["x"]}),
            ("ScheduledStepAttributesSequence", {"vr": "UN", "InlineBinary": "AAAA"}),
            ("PerformedSeriesSequence", {"vr": "SH", "Value": ["x"]}),
            ("Modality", {"vr": "SQ", "Value": [{}]}),
        ],
    )
    def test_what_is_no_sequence_where_one_belongs_is_refused(self, keyword: str, element: DicomJson) -> None:
        with pytest.raises(InvalidInput) as caught:
            accept_creation(beginning() | {tag_of(keyword): element})
        assert caught.value.facts["attribute"] == keyword
        present = accept_creation(beginning()).attributes
        with pytest.raises(InvalidInput):
            accept_change(present, IN_PROGRESS, {tag_of(keyword): element})

    def test_all_missing_attributes_are_named(self) -> None:
        attributes = beginning()
        del attributes[tag_of("Modality")], attributes[tag_of("PerformedProcedureStepID")]
        with pytest.raises(InvalidInput) as caught:
            accept_creation(attributes)
        assert caught.value.reason_code == "missing-attribute"
        assert set(str(caught.value.facts["attributes"]).split()) == {"Modality", "PerformedProcedureStepID"}


class TestChange:
    """PS3.4 §F.7.2.2."""

    present = accept_creation(beginning()).attributes

    def test_what_is_given_stands_in_place_of_what_was_there(self) -> None:
        changes = attributes_of({"PerformedProcedureStepDescription": "CT", "PerformedSeriesSequence": []})
        accepted = accept_change(self.present, IN_PROGRESS, changes)
        assert accepted.attributes == self.present | changes
        assert accepted.status is IN_PROGRESS
        assert accepted.unchanged == ()

    def test_repeating_what_may_not_change_is_no_offence(self) -> None:
        accepted = accept_change(self.present, IN_PROGRESS, beginning())
        assert accepted.attributes == self.present
        assert accepted.unchanged == ()

    @pytest.mark.parametrize("keyword", ["PatientID", "Modality", "PerformedStationAETitle"])
    def test_what_may_not_change_does_not(self, keyword: str) -> None:
        accepted = accept_change(self.present, IN_PROGRESS, attributes_of({keyword: "OTHER"}))
        assert accepted.attributes == self.present
        assert accepted.unchanged == (tag_of(keyword),)
        assert tag_of(keyword) in FIXED

    @pytest.mark.parametrize("status", [COMPLETED, DISCONTINUED])
    def test_a_step_that_has_ended_does_not_change(self, status: PerformedStatus) -> None:
        with pytest.raises(Conflict) as caught:
            accept_change(self.present, status, {})
        assert caught.value.reason_code == "step-ended"

    def test_a_discontinued_step_may_have_made_nothing_and_a_completed_one_not(self) -> None:
        end = {"PerformedProcedureStepEndDate": "20260105", "PerformedProcedureStepEndTime": "1030"}
        broken_off = attributes_of(end | {"PerformedProcedureStepStatus": "DISCONTINUED"})
        assert accept_change(self.present, IN_PROGRESS, broken_off).status is DISCONTINUED
        with pytest.raises(InvalidInput) as caught:
            accept_change(self.present, IN_PROGRESS, attributes_of(end | {"PerformedProcedureStepStatus": "COMPLETED"}))
        assert caught.value.facts["attribute"] == "PerformedSeriesSequence"

    def test_a_completed_step_has_every_attribute_of_its_series(self) -> None:
        end = attributes_of(
            {
                "PerformedProcedureStepStatus": "COMPLETED",
                "PerformedProcedureStepEndDate": "20260105",
                "PerformedProcedureStepEndTime": "1030",
                "PerformedSeriesSequence": [{"SeriesInstanceUID": "1.2.3.4"}],
            }
        )
        accepted = accept_change(self.present, IN_PROGRESS, end)
        sequence = tag_of("PerformedSeriesSequence")
        rules = ON_COMPLETION[sequence]
        assert not isinstance(rules, str)
        (series,) = accepted.attributes[sequence]["Value"]
        assert series.keys() == rules.keys() - {""}
        assert sequence in accepted.added


class TestItems:
    """How worklist items follow (PS3.3 §C.4.10)."""

    @pytest.mark.parametrize(
        ("performed", "status"),
        [
            ([], StepStatus.READY),
            ([IN_PROGRESS], StepStatus.STARTED),
            ([COMPLETED], StepStatus.COMPLETED),
            ([DISCONTINUED], StepStatus.DISCONTINUED),
            ([DISCONTINUED, IN_PROGRESS], StepStatus.STARTED),
            ([COMPLETED, IN_PROGRESS], StepStatus.STARTED),
            ([COMPLETED, DISCONTINUED], StepStatus.COMPLETED),
        ],
    )
    def test_an_item_follows_all_steps_performed_for_it(
        self, performed: list[PerformedStatus], status: StepStatus
    ) -> None:
        assert status_of_item(performed, StepStatus.READY) is status

    def test_a_reference_means_the_step_of_that_id_in_the_study(self) -> None:
        items = [
            worklist_item(step={"ScheduledProcedureStepID": step}, StudyInstanceUID=study, AccessionNumber="A")
            for study, step in (("1.1", "S1"), ("1.1", "S2"), ("1.2", "S1"))
        ]
        assert referenced_item(StepReference("1.1", "S2", ""), items) is items[1]
        assert referenced_item(StepReference("1.2", "S1", ""), items) is items[2]
        # A study UID of the modality's own: by accession number, if that is not ambiguous.
        assert referenced_item(StepReference("9.9", "S2", "A"), items) is items[1]
        assert referenced_item(StepReference("9.9", "S1", "A"), items) is None
        assert referenced_item(StepReference("9.9", "S2", ""), items) is None
        # Without a step id: the study's one step.
        assert referenced_item(StepReference("1.2", "", ""), items) is items[2]
        assert referenced_item(StepReference("1.1", "", "A"), items) is None
