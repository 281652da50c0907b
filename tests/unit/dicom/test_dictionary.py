"""Attribute names and paths (PS3.18 §8.3.4.1, PS3.6 §6)."""

from __future__ import annotations

import pytest
from pydicom.datadict import DicomDictionary

from hilum.dicom.dictionary import (
    is_private,
    is_private_creator,
    keyword_of,
    name_of,
    path_keywords,
    path_of,
    tag_of,
    vr_of,
)
from hilum.kernel.errors import InvalidInput


def test_every_keyword_of_the_dictionary_leads_to_its_tag_and_back() -> None:
    for number, (_, _, name, _, keyword) in DicomDictionary.items():
        if keyword:
            tag = tag_of(keyword)
            assert tag == f"{number:08X}"
            assert keyword_of(tag) == keyword
            assert name_of(tag) == name


def test_every_attribute_has_one_of_the_standard_value_representations() -> None:
    vrs = {vr_of(f"{number:08X}") for number in DicomDictionary}
    assert all(len(vr) == 2 for vr in vrs - {"NONE"})


@pytest.mark.parametrize(
    ("tag", "vr"),
    [
        ("00100010", "PN"),
        ("7FE00010", "OW"),
        ("00280106", "US"),
        ("60020010", "US"),
        ("00090010", "LO"),
        ("00091001", "UN"),
        ("00080000", "UL"),
        ("00090000", "UL"),
        ("00080003", "UN"),
    ],
)
def test_value_representation_of_a_tag(tag: str, vr: str) -> None:
    assert vr_of(tag) == vr


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("PatientName", ("00100010",)),
        ("00100010", ("00100010",)),
        ("0040a730", ("0040A730",)),
        ("00400275.00400009", ("00400275", "00400009")),
        ("RequestAttributesSequence.ScheduledProcedureStepID", ("00400275", "00400009")),
        ("RequestAttributesSequence.00400009", ("00400275", "00400009")),
        ("00091001", ("00091001",)),
        ("00091002.00100020", ("00091002", "00100020")),
    ],
)
def test_an_attribute_path_is_read_from_keywords_and_tags(text: str, path: tuple[str, ...]) -> None:
    assert path_of(text) == path


@pytest.mark.parametrize(
    "text",
    [
        "",
        "patientname",
        "Patient Name",
        "0010001",
        "001000100",
        "0010,0010",
        "0010001G",
        "PatientName.PatientID",
        "RequestAttributesSequence.",
        ".PatientID",
        "００１０００１０",
        ".".join(["RequestAttributesSequence"] * 65),
    ],
)
def test_what_names_no_attribute_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        path_of(text)
    assert refused.value.reason_code == "unknown-attribute"


def test_private_attributes_and_their_creators_are_told_apart() -> None:
    assert is_private("00091001") and not is_private("00101001")
    assert is_private_creator("00090010") and not is_private_creator("00091001")
    assert not is_private_creator("00100010")
    assert keyword_of("00091001") is None and name_of("00091001") is None


def test_a_path_is_shown_in_keywords_where_there_are_some() -> None:
    assert path_keywords(("00400275", "00091001")) == "RequestAttributesSequence.00091001"
