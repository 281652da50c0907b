"""Values of every VR as DICOM JSON has them, and what becomes of those that are none (PS3.18 §F.2)."""

from __future__ import annotations

from struct import pack
from typing import Any

import orjson
import pytest

from hilum.dicom.damage import DamageKind
from hilum.dicom.header import Header, read_header
from hilum.dicom.uids import EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from support.elements import SEQUENCE_END, UNDEFINED, explicit, implicit, item


def read(*elements: bytes) -> Header:
    """Read explicit little endian elements."""
    return read_header(b"".join(elements), EXPLICIT_VR_LITTLE_ENDIAN)


@pytest.mark.parametrize(
    ("vr", "value", "json"),
    [
        ("AE", b" HILUM  ", ["HILUM"]),
        ("AS", b"042Y", ["042Y"]),
        ("AT", b"\x10\x00\x20\x00\x28\x00\x08\x00", ["00100020", "00280008"]),
        ("CS", b"ORIGINAL\\PRIMARY ", ["ORIGINAL", "PRIMARY"]),
        ("CS", b"A\\\\C ", ["A", None, "C"]),
        ("DA", b"20260131", ["20260131"]),
        ("DS", b"1.5\\-2\\1e3", [1.5, -2.0, 1000.0]),
        ("DS", b"1\\\\2 ", [1.0, None, 2.0]),
        ("DT", b"20260131101500.5+0100 ", ["20260131101500.5+0100"]),
        ("FD", pack("<2d", 1.5, -2.5), [1.5, -2.5]),
        ("FD", pack("<3d", float("nan"), float("inf"), float("-inf")), ["NaN", "inf", "-inf"]),
        ("FL", pack("<f", 0.5), [0.5]),
        ("IS", b"12\\-3 ", [12, -3]),
        ("IS", b"7.0 ", [7]),
        ("LO", b"a\\b  ", ["a", "b"]),
        ("LT", b" two\r\nlines\\one value ", [" two\r\nlines\\one value"]),
        ("PN", b"Doe^Jane", [{"Alphabetic": "Doe^Jane"}]),
        ("PN", b"A^B=C^D=E", [{"Alphabetic": "A^B", "Ideographic": "C^D", "Phonetic": "E"}]),
        ("PN", b"A\\\\B^C ", [{"Alphabetic": "A"}, None, {"Alphabetic": "B^C"}]),
        ("SH", b"x ", ["x"]),
        ("SL", pack("<i", -5), [-5]),
        ("SS", pack("<2h", -5, 5), [-5, 5]),
        ("ST", b"text\0", ["text"]),
        ("SV", pack("<q", -(2**63)), [-(2**63)]),
        ("TM", b"101500.123", ["101500.123"]),
        ("UC", b"long\\text", ["long", "text"]),
        ("UI", b"1.2.3\0", ["1.2.3"]),
        ("UL", pack("<I", 2**32 - 1), [2**32 - 1]),
        ("UR", b"https://example.org/a\\b ", ["https://example.org/a\\b"]),
        ("US", pack("<H", 65535), [65535]),
        ("UT", b"a\\b ", ["a\\b"]),
        ("UV", pack("<Q", 2**64 - 1), [2**64 - 1]),
    ],
)
def test_value_becomes_dicom_json(vr: str, value: bytes, json: list[Any]) -> None:
    header = read(explicit(0x00091001, vr, value))
    assert orjson.loads(header.json()) == {"00091001": {"vr": vr, "Value": json}}
    assert {damage.kind for damage in header.damage} <= {DamageKind.ODD_LENGTH}


@pytest.mark.parametrize(
    "vr", ["AE", "AT", "CS", "DA", "DS", "FD", "IS", "LO", "OB", "OW", "PN", "SQ", "UI", "US", "UT"]
)
def test_empty_value_has_no_value_in_json(vr: str) -> None:
    assert read(explicit(0x00091001, vr)).attributes == {"00091001": {"vr": vr}}


@pytest.mark.parametrize(
    ("vr", "value", "kept"),
    [
        ("IS", b"12.5", ["12.5"]),
        ("IS", b"1_0 ", ["1_0"]),
        ("IS", b"9" * 30, ["9" * 30]),
        ("IS", b"9" * 6000, ["9" * 6000]),
        ("DS", b"1.5\\abc ", [1.5, "abc"]),
        ("DS", b"1e999 ", ["1e999"]),
        ("DS", b"nan ", ["nan"]),
        ("DA", b"20261301", ["20261301"]),
        ("DA", b"20260230", ["20260230"]),
        ("TM", b"256199", ["256199"]),
        ("DT", b"yesterday ", ["yesterday"]),
        ("AS", b"42 years", ["42 years"]),
    ],
)
def test_value_that_does_not_parse_is_kept_as_text_and_flagged(vr: str, value: bytes, kept: list[Any]) -> None:
    header = read(explicit(0x00091001, vr, value))
    assert orjson.loads(header.json())["00091001"] == {"vr": vr, "Value": kept}
    assert (DamageKind.UNPARSABLE_VALUE, "00091001") in header.damage


def test_number_of_wrong_length_is_kept_as_binary_and_flagged() -> None:
    header = read(explicit(0x00091001, "US", b"\1\2\3\4\5\6\7"))
    assert header.attributes["00091001"] == {"vr": "UN", "InlineBinary": "AQIDBAUGBw=="}
    assert (DamageKind.WRONG_LENGTH, "00091001") in header.damage


def test_words_of_a_big_endian_data_set_are_little_endian_in_json() -> None:
    element = explicit(0x00281201, "OW", b"\x01\x02\x03\x04", order=">")
    assert read_header(element, EXPLICIT_VR_BIG_ENDIAN).attributes["00281201"]["InlineBinary"] == "AgEEAw=="


@pytest.mark.parametrize(
    ("terms", "value", "text"),
    [
        (b"ISO_IR 100", "Müller".encode("latin-1"), "Müller"),
        (b"ISO_IR 192", "Müller 山田".encode(), "Müller 山田"),
        (b"ISO_IR 203", "œuvre €".encode("iso8859_15"), "œuvre €"),
        (b"GB18030 ", "王^小东".encode("gb18030"), "王^小东"),
        (b"GBK ", "王".encode("gbk"), "王"),
        (b"ISO_IR 13 ", "ﾔﾏﾀﾞ".encode("shift_jis"), "ﾔﾏﾀﾞ"),
        (b"ISO_IR 166", "นาย".encode("tis_620"), "นาย"),
        (b"\\ISO 2022 IR 87", b"\x1b$B;3ED\x1b(B^x", "山田^x"),
        (b"\\ISO 2022 IR 149 ", b"\x1b$)C\xb1\xe8", "김"),
        (b"\\ISO 2022 IR 58 ", b"\x1b$)A\xcd\xf5", "王"),
        (b"ISO 2022 IR 100\\ISO 2022 IR 144", b"\xe4 \x1b-L\xd8", "ä и"),
        (b"ISO-IR 100", b"\xe4", "ä"),
        (b"utf-8 ", "ä".encode(), "ä"),
    ],
)
def test_text_is_decoded_by_its_character_set(terms: bytes, value: bytes, text: str) -> None:
    header = read(explicit(0x00080005, "CS", terms), explicit(0x00081030, "LO", value))
    assert header.text("StudyDescription") == text
    assert DamageKind.WRONG_CHARACTERS not in {damage.kind for damage in header.damage}


def test_text_that_does_not_fit_its_character_set_is_kept_and_flagged() -> None:
    header = read(explicit(0x00080005, "CS", b"ISO_IR 192"), explicit(0x00081030, "LO", b"M\xfcller"))
    assert header.text("StudyDescription") == "M\ufffdller"
    assert header.damage == ((DamageKind.WRONG_CHARACTERS, "00081030"),)


@pytest.mark.parametrize("terms", [b"KLINGON ", b"zlib", b"unicode_escape"])
def test_unknown_character_set_counts_as_the_default_and_is_flagged(terms: bytes) -> None:
    header = read(explicit(0x00080005, "CS", terms), explicit(0x00081030, "LO", b"M\xfcller\\u0041"))
    assert header.attributes["00081030"]["Value"] == ["Müller", "u0041"]
    assert header.damage[0] == (DamageKind.UNKNOWN_CHARACTER_SET, "00080005")


def test_items_have_a_character_set_of_their_own_and_inherit_it_otherwise() -> None:
    name = "Müller".encode()
    own = item(explicit(0x00080005, "CS", b"ISO_IR 100"), explicit(0x00081155, "LO", "Müller".encode("latin-1")))
    inherited = item(explicit(0x00081155, "LO", name))
    header = read(explicit(0x00080005, "CS", b"ISO_IR 192"), explicit(0x00081140, "SQ", own + inherited))
    texts = [it["00081155"]["Value"] for it in header.attributes["00081140"]["Value"]]
    assert texts == [["Müller"], ["Müller"]]


class TestUnknownAndImplicitVr:
    """PS3.5 §6.2.2, §7.8.1, §A.1."""

    def test_un_sequence_of_undefined_length_is_read_as_implicit(self) -> None:
        content = item(implicit(0x00080100, b"T-D3000 "), is_delimited=True) + SEQUENCE_END
        header = read(explicit(0x00091010, "UN", content, length=UNDEFINED), explicit(0x00100020, "LO", b"P1"))
        assert header.attributes["00091010"] == {
            "vr": "SQ",
            "Value": [{"00080100": {"vr": "SH", "Value": ["T-D3000"]}}],
        }
        assert header.patient_id == "P1" and header.damage == ()

    def test_un_of_a_standard_attribute_gets_its_vr_from_the_dictionary(self) -> None:
        assert read(explicit(0x00100020, "UN", b"P1")).attributes["00100020"] == {"vr": "LO", "Value": ["P1"]}

    def test_private_attribute_gets_its_vr_from_the_creator_s_dictionary(self) -> None:
        data_set = implicit(0x00190010, b"SIEMENS MR HEADER ") + implicit(0x0019100C, b"1000")
        header = read_header(data_set, IMPLICIT_VR_LITTLE_ENDIAN)
        assert header.attributes["0019100C"] == {"vr": "IS", "Value": [1000]}

    def test_us_or_ss_follows_pixel_representation_even_if_it_comes_later(self) -> None:
        nested = item(implicit(0x00280106, b"\xfe\xff"))
        data_set = implicit(0x00081140, nested) + implicit(0x00280103, b"\1\0") + implicit(0x00280106, b"\xfe\xff")
        attributes = read_header(data_set, IMPLICIT_VR_LITTLE_ENDIAN).attributes
        assert attributes["00280106"] == {"vr": "SS", "Value": [-2]}
        assert attributes["00081140"]["Value"][0]["00280106"] == {"vr": "SS", "Value": [-2]}

    def test_us_or_ss_is_us_without_pixel_representation(self) -> None:
        data_set = implicit(0x00280106, b"\xfe\xff")
        assert read_header(data_set, IMPLICIT_VR_LITTLE_ENDIAN).attributes["00280106"] == {"vr": "US", "Value": [65534]}


class TestBulkData:
    """PS3.18 §F.2.6."""

    def test_long_binary_value_becomes_bulk_data_at_its_offset(self) -> None:
        before = explicit(0x00100020, "LO", b"P1")
        header = read(before, explicit(0x00420011, "OB", b"%PDF" * 300))
        assert header.attributes["00420011"] == {"vr": "OB", "BulkDataURI": "@@/00420011"}
        assert header.bulk == {"00420011": ("OB", len(before) + 12, 1200)}

    def test_nested_bulk_data_are_named_by_item(self) -> None:
        waveform = explicit(0x54001010, "OW", bytes(2000))
        header = read(explicit(0x54000100, "SQ", item(waveform)))
        assert header.bulk == {"54000100/0/54001010": ("OW", 12 + 8 + 12, 2000)}
        nested = header.attributes["54000100"]["Value"][0]["54001010"]
        assert nested == {"vr": "OW", "BulkDataURI": "@@/54000100/0/54001010"}

    def test_limits_can_be_set(self) -> None:
        element = explicit(0x00420011, "OB", bytes(40)) + explicit(0x00420012, "UT", b"x" * 40)
        assert set(read_header(element, EXPLICIT_VR_LITTLE_ENDIAN, inline_binary_bytes=39).bulk) == {"00420011"}
        assert set(read_header(element, EXPLICIT_VR_LITTLE_ENDIAN, inline_text_bytes=39).bulk) == {"00420012"}
        assert read_header(element, EXPLICIT_VR_LITTLE_ENDIAN).bulk == {}


def test_text_gives_the_first_value_of_any_attribute() -> None:
    header = read(
        explicit(0x00080060, "CS", b"CT\\MR "),
        explicit(0x00100010, "PN", b"Yamada^Tarou=X"),
        explicit(0x00200013, "IS", b"7 "),
    )
    assert header.text("Modality") == header.text("00080060") == "CT"
    assert header.text("PatientName") == "Yamada^Tarou=X"
    assert header.text("InstanceNumber") == "7"
    assert header.text("StudyDescription") is None and header.text("NoSuchKeyword") is None
