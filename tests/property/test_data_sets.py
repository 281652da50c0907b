"""Data sets of messages, written and read, with pydicom as the judge of both directions."""

from __future__ import annotations

import re
import struct
import warnings
from base64 import b64encode
from io import BytesIO
from typing import Any

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.filereader import read_dataset

from hilum.dicom.data_set_template import DataSetTemplate
from hilum.dicom.data_sets import read_data_set, write_data_set
from hilum.dicom.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)
from hilum.kernel.errors import CorruptData, HilumError, LimitExceeded
from support.header_oracle import normalise

Json = dict[str, Any]

SYNTAXES = (
    IMPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
)
# An attribute of each VR, as the dictionary has them, so that implicit VR says the same.
TAGS = {
    "AE": "00080054",
    "AS": "00101010",
    "AT": "00280009",
    "CS": "00080061",
    "DA": "00080020",
    "DS": "00181316",
    "DT": "0040A13A",
    "FD": "00189087",
    "FL": "00109431",
    "IS": "00200013",
    "LO": "00081030",
    "LT": "00104000",
    "OB": "00282000",
    "OD": "00660022",
    "OF": "00640009",
    "OL": "00660129",
    "OV": "7FE00001",
    "OW": "00281201",
    "PN": "00100010",
    "SH": "00080050",
    "SL": "00186020",
    "SS": "00189219",
    "ST": "00080081",
    "SV": "00720082",
    "TM": "00080030",
    "UC": "00189908",
    "UI": "0020000D",
    "UL": "00186016",
    "UR": "0008010E",
    "US": "00280010",
    "UT": "0040A160",
    "UV": "00720083",
}


# Written and read alike by each character set, ASCII first.
REPERTOIRES = {
    "ISO_IR 100": "aÄéñß",
    "ISO_IR 101": "aŁČő",
    "ISO_IR 109": "aĦĝ",
    "ISO_IR 110": "aĀŋ",
    "ISO_IR 126": "aΔιον",
    "ISO_IR 127": "aقبا",
    "ISO_IR 138": "aשרה",
    "ISO_IR 144": "aЛюк",
    "ISO_IR 148": "aÇğşİ",
    "ISO_IR 166": "aนามส",
    "ISO_IR 203": "a€Šœ",
    "ISO_IR 13": "aﾔﾏﾀﾞ",
    "ISO_IR 192": "aÄ山홍Λ𝄞",
    "GB18030": "a王小东𠀀",
    "GBK": "a王小东",
    "\\ISO 2022 IR 87": "a山田太郎やまだ",
    "\\ISO 2022 IR 87\\ISO 2022 IR 159": "a山田丂丄",
    "ISO 2022 IR 13\\ISO 2022 IR 87": "aﾔﾏﾀﾞ山田",
    "\\ISO 2022 IR 149": "a홍길동洪吉",
    "\\ISO 2022 IR 58": "a王小东张",
    "ISO 2022 IR 100\\ISO 2022 IR 144\\ISO 2022 IR 126": "aÄЛюкΔ",
    "\\ISO 2022 IR 101\\ISO 2022 IR 203": "aŁ€",
}
UNKNOWN_TO_PYDICOM = re.compile("GBK|IR 203|IR 58")  # of the last it leaves the escape sequence in the text
UNICODE = st.characters(min_codepoint=0x20, max_codepoint=0x2FFFF, exclude_categories=["Cs", "Cc", "Cn", "Co"])


def words(alphabet: str | st.SearchStrategy[str], max_size: int) -> st.SearchStrategy[str]:
    """Text without the backslash that parts values, and without padding, which is no part of a value."""
    return st.text(alphabet, min_size=1, max_size=max_size).map(lambda t: t.replace("\\", "/").strip() or "x")


def values_of(vr: str, letters: str | st.SearchStrategy[str]) -> st.SearchStrategy[list[Any]]:
    bits = {"SS": 16, "SL": 32, "SV": 64, "US": 16, "UL": 32, "UV": 64}
    if vr in bits:
        low = -(2 ** (bits[vr] - 1)) if vr[0] == "S" else 0
        return st.lists(st.integers(low, low + 2 ** bits[vr] - 1), min_size=1, max_size=4)
    several: dict[str, st.SearchStrategy[Any]] = {
        "AE": st.sampled_from(["HILUM", "A B"]),
        "AS": st.sampled_from(["030Y", "001D"]),
        "AT": st.integers(0x00080000, 0x7FFFFFFF).map(lambda n: f"{n:08X}"),
        "CS": st.sampled_from(["CT", "PRIMARY"]),
        "DA": st.dates().map(lambda d: d.strftime("%Y%m%d").rjust(8, "0")),
        "DS": st.integers(-(10**9), 10**9).map(lambda n: n / 100),
        "DT": st.sampled_from(["20200131103000.5+0100", "2020"]),
        "FD": st.floats(allow_nan=False, allow_infinity=False),
        "FL": st.floats(width=32, allow_nan=False, allow_infinity=False),
        "IS": st.integers(-(2**31), 2**31 - 1),
        "LO": words(letters, 20),
        "SH": words(letters, 5),
        "TM": st.sampled_from(["10", "103000.123456", "235959"]),
        "UC": words(letters, 20),
        "UI": st.sampled_from(["1.2.3", "1.2.34"]),
    }
    if vr == "PN":
        group = words(letters, 10).map(lambda t: t.replace("=", "^"))
        return st.lists(
            st.builds(
                lambda a, i, p: dict(zip(("Alphabetic", "Ideographic", "Phonetic"), (a, i, p), strict=True)),
                group,
                group,
                group,
            ),
            min_size=1,
            max_size=2,
        )
    if vr in several:
        return st.lists(several[vr], min_size=1, max_size=3)
    if vr == "UR":
        return st.just(["http://example.org/a"])
    return st.lists(words(letters, 60), min_size=1, max_size=1)


@st.composite
def data_sets(draw: st.DrawFn, letters: str | st.SearchStrategy[str] = UNICODE, depth: int = 2) -> Json:
    """Return a data set in the DICOM JSON model, sorted."""
    result: Json = {}
    for vr in draw(st.lists(st.sampled_from(sorted(TAGS)), unique=True, max_size=12)):
        tag = TAGS[vr]
        if draw(st.integers(0, 9)) == 0:
            result[tag] = {"vr": vr}
        elif vr[0] == "O":
            size = {"OB": 2, "OW": 2, "OL": 4, "OF": 4, "OD": 8, "OV": 8}[vr]
            raw = draw(st.binary(min_size=size, max_size=6 * size))
            raw = raw[: len(raw) // size * size]
            result[tag] = {"vr": vr, "InlineBinary": b64encode(raw).decode()}
        else:
            result[tag] = {"vr": vr, "Value": draw(values_of(vr, letters))}
    if depth:
        items = draw(st.lists(data_sets(letters, depth - 1), max_size=2))
        if items:
            result["00400275"] = {"vr": "SQ", "Value": items}
        elif draw(st.booleans()):
            result["00400275"] = {"vr": "SQ"}
    return dict(sorted(result.items()))


def without_character_set(attributes: Json) -> Json:
    return {tag: element for tag, element in attributes.items() if tag != "00080005"}


def read_by_pydicom(data: bytes, syntax: str) -> Json:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of lengths and values that are odd
        dataset = read_dataset(BytesIO(data), syntax == IMPLICIT_VR_LITTLE_ENDIAN, syntax != EXPLICIT_VR_BIG_ENDIAN)
        json: Json = dataset.to_json_dict(1_000_000)
        normal: Json = normalise(json, syntax)
    return normal


@settings(deadline=None, max_examples=150)
@given(data_sets(), st.sampled_from(SYNTAXES))
def test_what_is_written_is_read_again(attributes: Json, syntax: str) -> None:
    data = write_data_set(attributes, syntax)
    assert len(data) % 2 == 0
    assert without_character_set(read_data_set(data, syntax)) == attributes


@settings(deadline=None, max_examples=150)
@given(data_sets(), st.sampled_from(SYNTAXES[:3]))
def test_pydicom_reads_what_is_written(attributes: Json, syntax: str) -> None:
    assert without_character_set(read_by_pydicom(write_data_set(attributes, syntax), syntax)) == attributes


@settings(deadline=None, max_examples=100)
@given(data_sets(), st.booleans())
def test_what_pydicom_writes_is_read(attributes: Json, is_implicit: bool) -> None:
    attributes = {"00080005": {"vr": "CS", "Value": ["ISO_IR 192"]}, **attributes}
    buffer = pydicom.filebase.DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = is_implicit, True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pydicom.filewriter.write_dataset(buffer, pydicom.Dataset.from_json(attributes))
    syntax = IMPLICIT_VR_LITTLE_ENDIAN if is_implicit else EXPLICIT_VR_LITTLE_ENDIAN
    assert read_data_set(buffer.getvalue(), syntax) == attributes


@pytest.mark.parametrize("character_set", REPERTOIRES)
@settings(deadline=None, max_examples=60)
@given(st.data())
def test_each_character_set_is_used_where_it_suffices(character_set: str, data: st.DataObject) -> None:
    attributes = data.draw(data_sets(REPERTOIRES[character_set] + "^ ", 1))
    written = write_data_set(attributes, EXPLICIT_VR_LITTLE_ENDIAN, character_set=character_set)
    found = read_data_set(written, EXPLICIT_VR_LITTLE_ENDIAN)
    used = found.pop("00080005", {}).get("Value")
    # No more than what a text of ASCII needs, and never the way out, UTF-8, when the favourite has all letters.
    is_ascii = str(attributes).isascii()
    assert used == (None if is_ascii else [term or None for term in character_set.split("\\")])
    assert found == attributes
    if not UNKNOWN_TO_PYDICOM.search(character_set):
        assert without_character_set(read_by_pydicom(written, EXPLICIT_VR_LITTLE_ENDIAN)) == attributes


@pytest.mark.parametrize("character_set", [None, *REPERTOIRES, "nonsense", "ISO_IR 192\\ISO 2022 IR 87", "\\\\"])
@settings(deadline=None, max_examples=30)
@given(st.data())
def test_nothing_is_lost_whatever_character_set_is_wanted(character_set: str | None, data: st.DataObject) -> None:
    attributes = data.draw(data_sets(depth=1))
    written = write_data_set(attributes, EXPLICIT_VR_LITTLE_ENDIAN, character_set=character_set)
    assert without_character_set(read_data_set(written, EXPLICIT_VR_LITTLE_ENDIAN)) == attributes


@settings(deadline=None, max_examples=200)
@given(
    st.lists(data_sets(depth=1), min_size=1, max_size=3),
    st.sampled_from(SYNTAXES),
    st.sampled_from([None, "ISO_IR 100", "\\ISO 2022 IR 87", "GB18030", "nonsense"]),
    st.sets(st.sampled_from([*TAGS.values(), "00400275"]), min_size=1),
)
def test_a_template_writes_what_each_data_set_alone_would_be(
    found: list[Json], syntax: str, character_set: str | None, tags: set[str]
) -> None:
    vrs = {tag: next((vr for vr, own in TAGS.items() if own == tag), "SQ") for tag in tags}
    constants = {"00080052": {"vr": "CS", "Value": ["STUDY"]}, "00080056": {"vr": "CS", "Value": ["ONLINE"]}}
    template = DataSetTemplate(vrs, constants, syntax, character_set=character_set)
    for attributes in found:
        whole = {tag: attributes.get(tag, {"vr": vr}) for tag, vr in vrs.items()} | constants
        assert template.write(attributes) == write_data_set(whole, syntax, character_set=character_set)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=300), st.sampled_from(SYNTAXES))
def test_junk_is_read_or_refused(junk: bytes, syntax: str) -> None:
    try:
        attributes = read_data_set(junk, syntax)
    except (CorruptData, LimitExceeded):
        return
    assert isinstance(attributes, dict)


@settings(deadline=None, max_examples=200)
@given(data_sets(depth=1), st.sampled_from(SYNTAXES[:3]), st.data())
def test_a_data_set_cut_off_is_refused_or_shorter(attributes: Json, syntax: str, data: st.DataObject) -> None:
    written = write_data_set(attributes, syntax)
    cut = written[: data.draw(st.integers(0, len(written)))]
    try:
        found = read_data_set(cut, syntax)
    except CorruptData:
        return
    # Cut between two elements there is nothing to notice.
    assert set(found) <= {*attributes, "00080005"}


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from([*TAGS, "SQ", "ZZ"]), st.lists(JSON_VALUES, max_size=3), st.sampled_from(SYNTAXES))
def test_values_of_a_wrong_kind_are_refused_by_the_family_of_errors(vr: str, values: list[Any], syntax: str) -> None:
    try:
        data = write_data_set({TAGS.get(vr, "00400275"): {"vr": vr, "Value": values}}, syntax)
    except HilumError:
        return
    assert len(data) % 2 == 0


def test_lengths_beyond_sixteen_bits_go_as_unknown() -> None:
    values = [1.5] * 20_000
    data = write_data_set({"00181316": {"vr": "DS", "Value": values}}, EXPLICIT_VR_LITTLE_ENDIAN)
    assert data[4:8] == b"UN\0\0"
    raw = "\\".join(["1.5"] * 20_000) + " "
    unknown = {"vr": "UN", "InlineBinary": b64encode(raw.encode()).decode()}
    assert read_data_set(data, EXPLICIT_VR_LITTLE_ENDIAN) == {"00181316": unknown}


def test_a_deflated_bomb_is_refused() -> None:
    attributes = {"0040A160": {"vr": "UT", "Value": ["a" * 17_000_000]}}
    bomb = write_data_set(attributes, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN)
    assert len(bomb) < 100_000
    with pytest.raises(LimitExceeded):
        read_data_set(bomb, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN)


def test_sequences_nested_too_deep_are_refused_both_ways() -> None:
    data = b""
    attributes: Json = {}
    for _ in range(70):
        data = struct.pack("<HHIHHI", 0x0040, 0x0275, len(data) + 8, 0xFFFE, 0xE000, len(data)) + data
        attributes = {"00400275": {"vr": "SQ", "Value": [attributes]}}
    with pytest.raises(LimitExceeded):
        read_data_set(data, IMPLICIT_VR_LITTLE_ENDIAN)
    with pytest.raises(LimitExceeded):
        write_data_set(attributes, IMPLICIT_VR_LITTLE_ENDIAN)
