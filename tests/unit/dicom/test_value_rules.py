"""PS3.5 Table 6.2-1: values that people enter."""

from __future__ import annotations

from typing import Any

import pytest

from hilum.dicom.data_sets import write_data_set
from hilum.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from hilum.dicom.value_rules import check_data_set, value_fault
from hilum.kernel.errors import InvalidInput

SOUND = [
    ("AE", "CT 1"),
    ("AS", "032Y"),
    ("AT", "00100010"),
    ("CS", "IN PROGRESS"),
    ("DA", "20240229"),
    ("DS", 1.5),
    ("DS", "1.5e3"),
    ("FL", 3.4028234663852886e38),
    ("FD", 1e300),
    ("DT", "20240229101530.5+0100"),
    ("IS", "-12"),
    ("IS", 12),
    ("LO", "größe <*>"),
    ("LT", "one\r\ntwo\\three"),
    ("PN", {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}),
    ("SH", "x" * 16),
    ("TM", "101530.123456"),
    ("TM", "10"),
    ("UI", "1.2.840.0"),
    ("US", 65535),
    ("UT", "x" * 20_000),
]
UNSOUND = [
    ("AE", "seventeen letters"),
    ("AE", "   "),
    ("AE", "CT\\1"),
    ("AS", "5 years"),
    ("CS", "lower"),
    ("DA", "20230229"),
    ("DA", "2023.02.28"),
    ("DA", "2023-02-28"),
    ("DS", "1,5"),
    ("DS", float("nan")),
    ("DS", True),
    ("FL", 1e39),
    ("IS", 1.5),
    ("IS", "1.0"),
    ("IS", 2**31),
    ("IS", float("inf")),
    ("LO", "a\\b"),
    ("LO", "a\nb"),
    ("LO", "x" * 65),
    ("LO", 5),
    ("LT", "a\x00b"),
    ("PN", "Doe^Jane"),
    ("PN", {"Roman": "Doe"}),
    ("PN", {"Alphabetic": "x" * 65}),
    ("PN", {"Alphabetic": "a^b^c^d^e^f"}),
    ("PN", {"Alphabetic": 5}),
    ("SH", "x" * 17),
    ("TM", "10:15"),
    ("TM", "2515"),
    ("UI", "1.02"),
    ("UI", "1." + "2" * 63),
    ("US", -1),
    ("US", "5"),
    ("OB", "AAAA"),
]


@pytest.mark.parametrize(("vr", "value"), SOUND)
def test_a_sound_value_has_no_fault(vr: str, value: Any) -> None:
    assert value_fault(vr, value) is None


@pytest.mark.parametrize(("vr", "value"), UNSOUND)
def test_an_unsound_value_has_a_fault_that_does_not_repeat_it(vr: str, value: Any) -> None:
    fault = value_fault(vr, value)
    assert fault
    assert str(value) not in fault


@pytest.mark.parametrize(("vr", "value"), SOUND)
def test_a_sound_value_can_be_written(vr: str, value: Any) -> None:
    assert write_data_set({"00991001": {"vr": vr, "Value": [value]}}, EXPLICIT_VR_LITTLE_ENDIAN)


def test_a_data_set_comes_back_in_the_order_of_its_tags_and_without_empty_lists() -> None:
    given = {"00400100": {"vr": "SQ", "Value": [{}]}, "00100010": {"vr": "PN", "Value": []}}
    checked = check_data_set(given)
    assert list(checked.items()) == [("00100010", {"vr": "PN"}), ("00400100", {"vr": "SQ", "Value": [{}]})]


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ([], "the data set is no data set"),
        ({"PatientName": {"vr": "PN"}}, "whose tag is not eight"),
        ({"00100010": {}}, "PatientName has no vr"),
        ({"00100010": {"vr": "LO"}}, "PatientName has the VR PN"),
        ({"00100010": {"vr": "PN", "Value": "Doe"}}, "PatientName has a Value that is no list"),
        ({"00020010": {"vr": "UI"}}, "TransferSyntaxUID does not belong"),
        ({"00420011": {"vr": "OB", "InlineBinary": "AAAA"}}, "EncapsulatedDocument holds binary data"),
        (
            {"00400100": {"vr": "SQ", "Value": [{"00080060": {"vr": "CS", "Value": ["ct"]}}]}},
            "ScheduledProcedureStepSequence.Modality has other characters",
        ),
        ({"00400100": {"vr": "SQ", "Value": ["x"]}}, "ScheduledProcedureStepSequence is no data set"),
    ],
)
def test_what_is_no_data_set_is_refused_by_the_path_of_its_fault(attributes: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        check_data_set(attributes)


def test_data_sets_are_not_nested_without_end() -> None:
    nested: dict[str, Any] = {}
    for _ in range(100):
        nested = {"00400100": {"vr": "SQ", "Value": [nested]}}
    with pytest.raises(InvalidInput, match="nested too deeply"):
        check_data_set(nested)
