"""What people type to query: PS3.4 §C.2.2, §K.2.2.2."""

from __future__ import annotations

import pytest

from hilum.dicom.data_sets import read_data_set, write_data_set
from hilum.dicom.modalities import sop_classes_of_modalities
from hilum.dicom.query_keys import identifier_of
from hilum.kernel.errors import InvalidInput

EXPLICIT = "1.2.840.10008.1.2.1"


def test_values_stand_as_their_vr_has_them() -> None:
    keys = {
        "PatientName": "Yamada^*=山田^*",
        "00100020": "17",
        "StudyInstanceUID": "1.2\\1.3",
        "StudyDate": "20260101-20260131",
        "Rows": "512",
        "StudyComments": "a\\b",
        "PatientSex": "",
    }
    identifier = identifier_of(keys)
    assert identifier["00100010"]["Value"] == [{"Alphabetic": "Yamada^*", "Ideographic": "山田^*"}]
    assert identifier["0020000D"]["Value"] == ["1.2", "1.3"]
    assert identifier["00280010"]["Value"] == [512]
    assert identifier["00324000"]["Value"] == ["a\\b"]
    assert identifier["00100040"] == {"vr": "CS"}
    written = write_data_set(identifier, EXPLICIT)
    read = read_data_set(written, EXPLICIT)
    assert {tag: element for tag, element in read.items() if tag != "00080005"} == identifier


def test_keys_lead_through_sequences_and_return_keys_join_them() -> None:
    identifier = identifier_of(
        {"ScheduledProcedureStepSequence.Modality": "MR"},
        ("ScheduledProcedureStepSequence.ScheduledStationAETitle", "ScheduledProcedureStepSequence.Modality"),
    )
    assert identifier == {
        "00400100": {
            "vr": "SQ",
            "Value": [{"00080060": {"vr": "CS", "Value": ["MR"]}, "00400001": {"vr": "AE"}}],
        }
    }
    assert identifier_of({"RequestAttributesSequence": ""}) == {"00400275": {"vr": "SQ"}}


@pytest.mark.parametrize(
    "keys",
    [
        {"PatientNam": "X"},
        {"PatientName.Modality": "X"},
        {"Rows": "many"},
        {"RequestAttributesSequence": "X"},
        {"PatientName": "a=b=c=d"},
    ],
)
def test_what_cannot_be_asked_is_refused(keys: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        identifier_of(keys)


def test_modalities_tell_sop_classes_only_when_all_are_known() -> None:
    ct = sop_classes_of_modalities(["CT"])
    assert ct[0] == "1.2.840.10008.5.1.4.1.1.2"
    assert set(ct) < set(sop_classes_of_modalities(["CT", "MR"]))
    assert sop_classes_of_modalities(["CT", "UNHEARD"]) == ()
    assert sop_classes_of_modalities([""]) == ()
