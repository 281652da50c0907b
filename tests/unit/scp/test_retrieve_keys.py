"""Which instances an identifier of C-MOVE or C-GET names: PS3.4 §C.4.2.2, §C.6, §Y.3."""

from __future__ import annotations

import pytest

from hilum.archive.query import InstanceSelection, Level
from hilum.dicom.data_sets import read_data_set
from hilum.dicom.uids import (
    PATIENT_ROOT_MOVE,
    PATIENT_STUDY_ONLY_MOVE,
    STUDY_ROOT_MOVE,
)
from hilum.kernel.errors import InvalidInput
from hilum.scp.retrieve import GET_MODELS, MOVE_MODELS, answer_relational, selection_of
from hilum.ul.primitives import ExtendedNegotiation
from support.dimse import EXPLICIT
from support.retrieving import identifier

PATIENT_ROOT = MOVE_MODELS[PATIENT_ROOT_MOVE]
STUDY_ROOT = MOVE_MODELS[STUDY_ROOT_MOVE]
PATIENT_STUDY_ONLY = MOVE_MODELS[PATIENT_STUDY_ONLY_MOVE]
COMPOSITE = (Level.INSTANCE,)


def selected(levels: tuple[Level, ...], *, relational: bool = False, **keys: str | list[str]) -> InstanceSelection:
    return selection_of(read_data_set(identifier(**keys), EXPLICIT), levels, is_relational=relational)


@pytest.mark.parametrize(
    ("levels", "keys", "expected"),
    [
        (PATIENT_ROOT, {"LEVEL": "PATIENT", "PatientID": "P 1 "}, InstanceSelection(patient_id="P 1")),
        (
            PATIENT_ROOT,
            {"LEVEL": "PATIENT", "PatientID": "P1", "IssuerOfPatientID": "North"},
            InstanceSelection(patient_id="P1", issuer_of_patient_id="North"),
        ),
        (
            PATIENT_ROOT,
            {"LEVEL": "STUDY", "PatientID": "P1", "StudyInstanceUID": ["1.2", "1.3"]},
            InstanceSelection(patient_id="P1", study_instance_uids=("1.2", "1.3")),
        ),
        (STUDY_ROOT, {"LEVEL": "STUDY", "StudyInstanceUID": "1.2"}, InstanceSelection(study_instance_uids=("1.2",))),
        # The patient has no level in the study root: its attributes are the study's, and no unique keys.
        (
            STUDY_ROOT,
            {"LEVEL": "STUDY", "StudyInstanceUID": "1.2", "PatientID": "P1", "PatientName": "*"},
            InstanceSelection(study_instance_uids=("1.2",)),
        ),
        # Keys without value, left over from a query, say nothing.
        (
            STUDY_ROOT,
            {"LEVEL": "STUDY", "StudyInstanceUID": "1.2", "SeriesInstanceUID": "", "StudyDate": ""},
            InstanceSelection(study_instance_uids=("1.2",)),
        ),
        (
            STUDY_ROOT,
            {"LEVEL": "IMAGE", "StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.3", "SOPInstanceUID": ["1.4", "1.5"]},
            InstanceSelection(
                study_instance_uids=("1.2",), series_instance_uids=("1.3",), sop_instance_uids=("1.4", "1.5")
            ),
        ),
        (PATIENT_STUDY_ONLY, {"LEVEL": "PATIENT", "PatientID": "P1"}, InstanceSelection(patient_id="P1")),
        (COMPOSITE, {"LEVEL": "IMAGE", "SOPInstanceUID": "1.4"}, InstanceSelection(sop_instance_uids=("1.4",))),
    ],
)
def test_unique_keys_name_instances(
    levels: tuple[Level, ...], keys: dict[str, str | list[str]], expected: InstanceSelection
) -> None:
    assert selected(levels, **keys) == expected


@pytest.mark.parametrize(
    ("levels", "keys", "attribute", "message"),
    [
        (STUDY_ROOT, {"StudyInstanceUID": "1.2"}, "QueryRetrieveLevel", "is missing"),
        (STUDY_ROOT, {"LEVEL": "PATIENT", "PatientID": "P1"}, "QueryRetrieveLevel", "is none of this"),
        (PATIENT_STUDY_ONLY, {"LEVEL": "SERIES"}, "QueryRetrieveLevel", "is none of this"),
        (STUDY_ROOT, {"LEVEL": ["STUDY", "SERIES"]}, "QueryRetrieveLevel", "is none of this"),
        (STUDY_ROOT, {"LEVEL": "WORKLIST"}, "QueryRetrieveLevel", "is none of this"),
        (COMPOSITE, {"LEVEL": "FRAME", "SOPInstanceUID": "1.4"}, "QueryRetrieveLevel", "is none of this"),
        (STUDY_ROOT, {"LEVEL": "STUDY"}, "StudyInstanceUID", "is missing"),
        (STUDY_ROOT, {"LEVEL": "STUDY", "StudyInstanceUID": ""}, "StudyInstanceUID", "is missing"),
        (STUDY_ROOT, {"LEVEL": "STUDY", "StudyInstanceUID": "*"}, "StudyInstanceUID", "is no UID"),
        (STUDY_ROOT, {"LEVEL": "STUDY", "StudyInstanceUID": "1" * 65}, "StudyInstanceUID", "is no UID"),
        (STUDY_ROOT, {"LEVEL": "SERIES", "SeriesInstanceUID": "1.3"}, "StudyInstanceUID", "is missing"),
        (PATIENT_ROOT, {"LEVEL": "STUDY", "StudyInstanceUID": "1.2"}, "PatientID", "is missing"),
        (PATIENT_ROOT, {"LEVEL": "PATIENT", "PatientID": ["P1", "P2"]}, "PatientID", "has several values"),
        (
            STUDY_ROOT,
            {"LEVEL": "SERIES", "StudyInstanceUID": ["1.2", "1.3"], "SeriesInstanceUID": "1.3"},
            "StudyInstanceUID",
            "has several values",
        ),
        (
            STUDY_ROOT,
            {"LEVEL": "STUDY", "StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.3"},
            "SeriesInstanceUID",
            "is below the level",
        ),
    ],
)
def test_the_first_key_that_is_wrong_is_named(
    levels: tuple[Level, ...], keys: dict[str, str | list[str]], attribute: str, message: str
) -> None:
    with pytest.raises(InvalidInput, match=f"{attribute} {message}") as caught:
        selected(levels, **keys)
    assert caught.value.facts["attribute"] == attribute


class TestRelational:
    """PS3.4 §C.4.2.2.2, §C.5.3.1."""

    def test_keys_above_the_level_may_be_left_out(self) -> None:
        expected = InstanceSelection(sop_instance_uids=("1.4",))
        assert selected(PATIENT_ROOT, relational=True, LEVEL="IMAGE", SOPInstanceUID="1.4") == expected

    def test_keys_above_the_level_count_where_they_are_given(self) -> None:
        found = selected(
            PATIENT_ROOT, relational=True, LEVEL="SERIES", PatientID="P1", SeriesInstanceUID=["1.3", "1.4"]
        )
        assert found == InstanceSelection(patient_id="P1", series_instance_uids=("1.3", "1.4"))

    def test_the_key_of_the_level_itself_may_not(self) -> None:
        with pytest.raises(InvalidInput, match="SeriesInstanceUID is missing"):
            selected(PATIENT_ROOT, relational=True, LEVEL="SERIES", StudyInstanceUID="1.2")

    @pytest.mark.parametrize(
        ("proposed", "answer"), [(b"\1", b"\1"), (b"\1\1", b"\1\0"), (b"\0", b"\0"), (b"\0\1", b"\0\0"), (b"", b"\0")]
    )
    def test_it_is_agreed_to_as_proposed_and_conversion_is_not(self, proposed: bytes, answer: bytes) -> None:
        for models in (GET_MODELS, MOVE_MODELS):
            uid = next(iter(models))
            assert answer_relational(models, ExtendedNegotiation(uid, proposed)) == ExtendedNegotiation(uid, answer)

    def test_other_sop_classes_are_not_answered_for(self) -> None:
        assert answer_relational(GET_MODELS, ExtendedNegotiation("1.2.3", b"\1")) is None
