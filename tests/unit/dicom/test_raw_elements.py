"""PS3.5 §7: data sets change their encoding and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.data import get_testdata_files
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from hilum.dicom import uids
from hilum.dicom.data_sets import read_data_set
from hilum.dicom.header import read_header
from hilum.dicom.part10 import read_file_meta
from hilum.dicom.raw_elements import element_head, encoding_of, read_raw, swapped_words, write_raw
from hilum.kernel.errors import CorruptData, HilumError, LimitExceeded
from hilum.kernel.limits import MAX_SEQUENCE_DEPTH

ENCODINGS = [uids.IMPLICIT_VR_LITTLE_ENDIAN, uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.EXPLICIT_VR_BIG_ENDIAN]
EXPLICIT = encoding_of(uids.EXPLICIT_VR_LITTLE_ENDIAN)
FILES = [path for path in get_testdata_files() if path.endswith(".dcm")]


def as_bytes(dataset: Dataset, uid: str) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = uid == uids.IMPLICIT_VR_LITTLE_ENDIAN
    buffer.is_little_endian = uid != uids.EXPLICIT_VR_BIG_ENDIAN
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def converted(data: bytes, source: str, target: str) -> bytes:
    return write_raw(read_raw(data, encoding_of(source)).elements, encoding_of(target))


def without_private(attributes: Any) -> Any:
    """Leave out what has no VR of its own in implicit encoding."""
    if isinstance(attributes, dict) and "vr" not in attributes:
        return {key: without_private(value) for key, value in attributes.items() if key[3] not in "13579BDF"}
    if isinstance(attributes, dict) and attributes["vr"] == "SQ":
        return {"vr": "SQ", "Value": [without_private(item) for item in attributes.get("Value", [])]}
    return attributes


def test_there_are_files_to_try() -> None:
    assert len(FILES) > 80


@pytest.mark.parametrize("path", FILES, ids=lambda path: path[-40:])
def test_attributes_of_pydicoms_files_survive_every_encoding(path: str) -> None:
    with open(path, "rb") as opened:  # noqa: PTH123
        file = opened.read()
    try:
        meta = read_file_meta(file)
        data = file[meta.data_set_offset :]
        syntax = uids.transfer_syntax(meta.transfer_syntax_uid)
        header = read_header(data, meta.transfer_syntax_uid)
        raw = read_raw(data, encoding_of(meta.transfer_syntax_uid))
    except HilumError:
        return  # damaged by design; other tests tell how
    if syntax.is_deflated or header.damage:
        return
    wanted = {key: value for key, value in header.attributes.items() if key < "7FE00010"}
    for uid in ENCODINGS:
        found = read_header(write_raw(raw.elements, encoding_of(uid)), uid).attributes
        if uid == uids.IMPLICIT_VR_LITTLE_ENDIAN:
            assert without_private(strip_bulk(found)) == without_private(strip_bulk(wanted))
        else:
            assert strip_bulk(found).keys() == strip_bulk(wanted).keys()


def strip_bulk(attributes: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is too large, and look-up tables: their data are US or OW as the writer likes."""
    tables = ("00283000", "00283010")
    return {key: value for key, value in attributes.items() if "BulkData" not in str(value) and key not in tables}


def every_vr() -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPInstanceUID = "1.2.3"
    dataset.PatientName = "Größe^Jörg"
    dataset.FrameIncrementPointer = 0x00181063
    dataset.Rows, dataset.PixelRepresentation = 7, 1
    dataset.add_new("SmallestImagePixelValue", "SS", -5)
    dataset.add_new("RedPaletteColorLookupTableData", "OW", bytes(range(8)))
    dataset.add_new("VectorGridData", "OF", bytes(range(16)))
    dataset.add_new("DoubleFloatRealWorldValueFirstValueMapped", "FD", 1.5)
    dataset.add_new("ReferencedSamplePositions", "UL", [1, 70_000])
    dataset.add_new("ExtendedOffsetTable", "OV", bytes(range(16)))
    dataset.add_new("LongPrimitivePointIndexList", "OL", bytes(range(8)))
    dataset.add_new("DisplayedAreaTopLeftHandCorner", "SL", [-1, -70_000])
    dataset.add_new("RecommendedDisplayFrameRateInFloat", "FL", 0.5)
    item = Dataset()
    item.CodeValue = "1"
    inner = Dataset()
    inner.add_new("SmallestImagePixelValue", "SS", -9)
    item.ContentSequence = Sequence([inner, Dataset()])
    dataset.ProcedureCodeSequence = Sequence([item])
    dataset.ReferencedStudySequence = Sequence([])
    return dataset


@pytest.mark.parametrize("is_undefined", [False, True])
@pytest.mark.parametrize("source", ENCODINGS)
@pytest.mark.parametrize("target", ENCODINGS)
def test_numbers_of_every_vr_and_nested_items_equal_what_pydicom_writes(
    source: str, target: str, is_undefined: bool
) -> None:
    dataset = every_vr()
    if is_undefined:
        dataset["ProcedureCodeSequence"].is_undefined_length = True
        dataset.ProcedureCodeSequence[0].is_undefined_length_sequence_item = True
    # pydicom leaves the words of OW and its kin as they are, so they are compared in one byte order.
    data = converted(as_bytes(every_vr_in(source, dataset), source), source, target)
    assert data == as_bytes(every_vr_in(target, dataset), target)


def every_vr_in(uid: str, dataset: Dataset) -> Dataset:
    if uid != uids.EXPLICIT_VR_BIG_ENDIAN:
        return dataset
    swapped = every_vr()
    swapped["ProcedureCodeSequence"].is_undefined_length = dataset["ProcedureCodeSequence"].is_undefined_length
    swapped.ProcedureCodeSequence[0].is_undefined_length_sequence_item = dataset.ProcedureCodeSequence[
        0
    ].is_undefined_length_sequence_item
    for element in swapped:
        size_bytes = {"OW": 2, "OF": 4, "OL": 4, "OV": 8}.get(element.VR)
        if size_bytes:
            element.value = swapped_words(element.value, size_bytes)
    return swapped


class TestUnknown:
    """PS3.5 §6.2.2."""

    def test_unknown_elements_take_the_vr_that_the_dictionary_knows(self) -> None:
        data = element_head("00280010", "UN", 2, EXPLICIT) + b"\x07\x00"
        big = converted(data, uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.EXPLICIT_VR_BIG_ENDIAN)
        assert read_data_set(big, uids.EXPLICIT_VR_BIG_ENDIAN) == {"00280010": {"vr": "US", "Value": [7]}}

    def test_a_sequence_written_as_unknown_becomes_one(self) -> None:
        content = bytes.fromhex("feff00e0ffffffff") + b"\x08\x00\x00\x01\x02\x00\x00\x00AB"
        content += bytes.fromhex("feff0de000000000") + bytes.fromhex("feffdde000000000")
        data = element_head("00081032", "UN", 0xFFFFFFFF, EXPLICIT) + content
        big = converted(data, uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.EXPLICIT_VR_BIG_ENDIAN)
        found = read_data_set(big, uids.EXPLICIT_VR_BIG_ENDIAN)
        assert found["00081032"]["Value"] == [{"00080100": {"vr": "SH", "Value": ["AB"]}}]

    def test_private_elements_of_implicit_data_sets_are_unknown_unless_their_creator_is(self) -> None:
        dataset = Dataset()
        dataset.add_new(0x00190010, "LO", "SIEMENS MR HEADER")
        dataset.add_new(0x0019100B, "DS", "1.5")
        dataset.add_new(0x00210010, "LO", "NOBODY")
        dataset.add_new(0x00211001, "US", 7)
        data = converted(
            as_bytes(dataset, uids.IMPLICIT_VR_LITTLE_ENDIAN),
            uids.IMPLICIT_VR_LITTLE_ENDIAN,
            uids.EXPLICIT_VR_LITTLE_ENDIAN,
        )
        found = read_data_set(data, uids.EXPLICIT_VR_LITTLE_ENDIAN)
        assert found["0019100B"]["vr"] == "DS"
        assert found["00211001"]["vr"] == "UN"

    def test_a_value_too_long_for_its_vr_becomes_unknown(self) -> None:
        head = element_head("00104000", "LT", 70_000, encoding_of(uids.IMPLICIT_VR_LITTLE_ENDIAN))
        data = converted(head + b"x" * 70_000, uids.IMPLICIT_VR_LITTLE_ENDIAN, uids.EXPLICIT_VR_LITTLE_ENDIAN)
        assert data == element_head("00104000", "UN", 70_000, EXPLICIT) + b"x" * 70_000

    def test_group_lengths_are_left_out(self) -> None:
        data = element_head("00080000", "UL", 4, EXPLICIT) + bytes(4) + element_head("00080060", "CS", 2, EXPLICIT)
        assert write_raw(read_raw(data + b"CT", EXPLICIT).elements, EXPLICIT) == data[12:] + b"CT"


class TestDamage:
    """What cannot be read is not rewritten."""

    @pytest.mark.parametrize(
        "data",
        [
            b"\x08\x00",
            b"\x08\x00\x60\x00CS\x10\x00CT",
            b"\x08\x00\x60\x00CS\x02\x00CT" + b"\x10\x00\x10\x00\x01\x02\x04\x00abcd",
            element_head("00081032", "SQ", 0xFFFFFFFF, EXPLICIT) + bytes.fromhex("feff00e0ffffffff"),
            element_head("00081032", "SQ", 8, EXPLICIT) + b"\x10\x00\x10\x00\0\0\0\0",
            bytes.fromhex("feff0de000000000"),
        ],
    )
    def test_cut_off_or_impossible_elements_are_corrupt_data(self, data: bytes) -> None:
        with pytest.raises(CorruptData):
            converted(data, uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.IMPLICIT_VR_LITTLE_ENDIAN)

    def test_depth_is_bounded(self) -> None:
        level = element_head("00081032", "SQ", 0xFFFFFFFF, EXPLICIT) + bytes.fromhex("feff00e0ffffffff")
        with pytest.raises(LimitExceeded):
            read_raw(level * (MAX_SEQUENCE_DEPTH + 2) + bytes(64), EXPLICIT)


def test_words_are_swapped_and_a_cut_off_one_stays() -> None:
    assert swapped_words(bytes(range(7)), 2) == bytes([1, 0, 3, 2, 5, 4, 6])
    assert swapped_words(bytes(range(8)), 4) == bytes([3, 2, 1, 0, 7, 6, 5, 4])
