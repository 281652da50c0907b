"""The Native DICOM Model (PS3.19 Annex A), read back by an XML parser."""

from __future__ import annotations

import math
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.dicom.native_xml import native_xml, native_xml_parts
from hilum.kernel.errors import LimitExceeded

NAMESPACE = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"


def parsed(attributes: dict[str, Any]) -> ElementTree.Element:
    root = ElementTree.fromstring(native_xml(attributes))
    assert root.tag == NAMESPACE + "NativeDicomModel"
    return root


def only(attributes: dict[str, Any]) -> ElementTree.Element:
    (attribute,) = parsed(attributes)
    return attribute


def values(attribute: ElementTree.Element) -> list[tuple[str | None, str | None]]:
    return [(value.get("number"), value.text) for value in attribute.findall(NAMESPACE + "Value")]


def test_an_attribute_carries_tag_vr_and_keyword() -> None:
    attribute = only({"00080060": {"vr": "CS", "Value": ["CT"]}})
    assert attribute.attrib == {"tag": "00080060", "vr": "CS", "keyword": "Modality"}
    assert values(attribute) == [("1", "CT")]


def test_attributes_stand_in_the_order_of_their_tags() -> None:
    root = parsed({"00100020": {"vr": "LO"}, "00080060": {"vr": "CS"}})
    assert [child.get("tag") for child in root] == ["00080060", "00100020"]


def test_an_empty_attribute_has_no_values() -> None:
    assert list(only({"00100020": {"vr": "LO"}})) == []


def test_an_empty_value_keeps_its_place_by_a_gap_in_the_numbers() -> None:
    assert values(only({"00080008": {"vr": "CS", "Value": ["A", None, "C"]}})) == [("1", "A"), ("3", "C")]


@pytest.mark.parametrize(
    ("value", "text"),
    [(7, "7"), (1.5, "1.5"), (1e300, "1e+300"), (math.nan, "NaN"), (math.inf, "INF"), (-math.inf, "-INF")],
)
def test_numbers_are_written_as_xml_schema_has_them(value: float, text: str) -> None:
    assert values(only({"00189999": {"vr": "FD", "Value": [value]}})) == [("1", text)]


def test_a_name_is_divided_into_groups_and_components() -> None:
    name = {"Alphabetic": "Yamada^Tarou^^Dr.", "Ideographic": "山田^太郎", "Phonetic": ""}
    (person,) = only({"00100010": {"vr": "PN", "Value": [name]}})
    assert person.tag == NAMESPACE + "PersonName" and person.get("number") == "1"
    found = {
        group.tag.removeprefix(NAMESPACE): [(part.tag.removeprefix(NAMESPACE), part.text) for part in group]
        for group in person
    }
    assert found == {
        "Alphabetic": [("FamilyName", "Yamada"), ("GivenName", "Tarou"), ("NamePrefix", "Dr.")],
        "Ideographic": [("FamilyName", "山田"), ("GivenName", "太郎")],
    }


def test_items_of_a_sequence_are_numbered_and_nested() -> None:
    inner = {"00400009": {"vr": "SH", "Value": ["STEP"]}}
    sequence = only({"00400275": {"vr": "SQ", "Value": [inner, {}]}})
    items = sequence.findall(NAMESPACE + "Item")
    assert [item.get("number") for item in items] == ["1", "2"]
    assert values(items[0][0]) == [("1", "STEP")]
    assert list(items[1]) == []


def test_bulk_data_is_referred_to_and_short_binary_stands_inline() -> None:
    (bulk,) = only({"7FE00010": {"vr": "OW", "BulkDataURI": 'http://host/a?b=1&c="2"'}})
    assert bulk.tag == NAMESPACE + "BulkData" and bulk.get("uri") == 'http://host/a?b=1&c="2"'
    (inline,) = only({"00020001": {"vr": "OB", "InlineBinary": "AAE="}})
    assert inline.tag == NAMESPACE + "InlineBinary" and inline.text == "AAE="


def test_a_private_attribute_names_its_creator() -> None:
    root = parsed({"00090010": {"vr": "LO", "Value": ["ACME <1>"]}, "00091001": {"vr": "LO", "Value": ["x"]}})
    assert root[0].get("privateCreator") is None
    assert root[1].attrib == {"tag": "00091001", "vr": "LO", "privateCreator": "ACME <1>"}
    assert only({"00091101": {"vr": "UN"}}).get("privateCreator") is None


def test_markup_in_values_stays_text() -> None:
    text = "<a href=\"x\">&amp;</a> ]]> 'q'"
    assert values(only({"00104000": {"vr": "LT", "Value": [text]}})) == [("1", text)]


def test_line_ends_and_spaces_survive() -> None:
    text = "  one\r\ntwo\rthree\t "
    assert values(only({"00104000": {"vr": "LT", "Value": [text]}})) == [("1", text)]


def test_characters_that_xml_cannot_carry_become_the_replacement_character() -> None:
    text = "a\x00b\x1bc\ufffed\ud800e"
    assert values(only({"00104000": {"vr": "LT", "Value": [text]}})) == [("1", "a\ufffdb\ufffdc\ufffdd\ufffde")]


@given(st.text(alphabet=st.characters(), max_size=40), st.sampled_from(["LO", "PN", "UR", "XX"]))
def test_the_document_is_well_formed_whatever_the_value(text: str, vr: str) -> None:
    value = {"Alphabetic": text} if vr == "PN" else text
    parsed({"00104000": {"vr": vr, "Value": [value]}, "00081190": {"vr": "UR", "BulkDataURI": text}})


def test_the_document_comes_in_one_piece_for_each_attribute() -> None:
    attributes = {"00080060": {"vr": "CS", "Value": ["CT"]}, "00100020": {"vr": "LO"}}
    pieces = list(native_xml_parts(attributes))
    assert len(pieces) == 4
    assert b"".join(pieces) == native_xml(attributes)


def test_nesting_beyond_the_limit_is_refused() -> None:
    attributes: dict[str, Any] = {"00100020": {"vr": "LO"}}
    for _ in range(64):
        attributes = {"00400275": {"vr": "SQ", "Value": [attributes]}}
    native_xml(attributes)
    with pytest.raises(LimitExceeded):
        native_xml({"00400275": {"vr": "SQ", "Value": [attributes]}})
