"""Damaged data sets: kept and flagged, or refused cheaply (docs/guide/damage.md)."""

from __future__ import annotations

import zlib
from struct import pack

import pytest

from hilum.dicom import elements as elements_module
from hilum.dicom import header as header_module
from hilum.dicom.damage import DamageKind
from hilum.dicom.header import read_header, require_identity
from hilum.dicom.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)
from hilum.kernel.errors import CorruptData, InvalidInput, LimitExceeded
from hilum.kernel.limits import MAX_DAMAGE_ENTRIES, MAX_SEQUENCE_DEPTH
from support.elements import SEQUENCE_END, UNDEFINED, explicit, identity, implicit, item

PATIENT_ID = explicit(0x00100020, "LO", b"P1")


def kinds(data_set: bytes, syntax: str = EXPLICIT_VR_LITTLE_ENDIAN) -> list[tuple[str, str]]:
    """Return what was flagged."""
    return [(damage.kind.name, damage.path) for damage in read_header(data_set, syntax).damage]


class TestKeptAndFlagged:
    """The attributes around the damage are all there."""

    def test_explicit_data_set_in_an_implicit_syntax(self) -> None:
        header = read_header(PATIENT_ID, IMPLICIT_VR_LITTLE_ENDIAN)
        assert header.patient_id == "P1" and not header.is_implicit
        assert header.damage == ((DamageKind.ENCODING_MISMATCH, ""),)

    def test_implicit_data_set_in_an_explicit_syntax(self) -> None:
        header = read_header(implicit(0x00100020, b"P1"), EXPLICIT_VR_LITTLE_ENDIAN)
        assert header.patient_id == "P1" and header.is_implicit
        assert header.damage == ((DamageKind.ENCODING_MISMATCH, ""),)

    def test_implicit_items_in_an_explicit_sequence(self) -> None:
        data_set = explicit(0x00081140, "SQ", item(implicit(0x00081155, b"1.2"))) + PATIENT_ID
        header = read_header(data_set, EXPLICIT_VR_LITTLE_ENDIAN)
        assert header.attributes["00081140"]["Value"][0]["00081155"]["Value"] == ["1.2"]
        assert header.damage[0] == (DamageKind.ENCODING_MISMATCH, "00081140/0")

    def test_unordered_and_duplicate_elements(self) -> None:
        data_set = PATIENT_ID + explicit(0x00080060, "CS", b"CT") + explicit(0x00100020, "LO", b"P2")
        header = read_header(data_set, EXPLICIT_VR_LITTLE_ENDIAN)
        assert list(header.attributes) == ["00080060", "00100020"] and header.patient_id == "P2"
        assert kinds(data_set) == [("UNORDERED", "00080060")]
        assert kinds(PATIENT_ID + PATIENT_ID) == [("DUPLICATE", "00100020")]

    def test_group_lengths_are_left_out_and_command_and_meta_groups_flagged(self) -> None:
        data_set = (
            explicit(0x00020010, "UI", b"1.2.840.10008.1.2\0") + explicit(0x00100000, "UL", b"\x0a\0\0\0") + PATIENT_ID
        )
        header = read_header(data_set, EXPLICIT_VR_LITTLE_ENDIAN)
        assert list(header.attributes) == ["00100020"]
        assert header.damage == ((DamageKind.STRAY_GROUP, "00020010"),)

    def test_vr_of_the_future_has_a_length_of_32_bits(self) -> None:
        future = pack("<HH2sHI", 0x0009, 0x1001, b"ZZ", 0, 4) + b"data"
        header = read_header(future + PATIENT_ID, EXPLICIT_VR_LITTLE_ENDIAN)
        assert header.attributes["00091001"] == {"vr": "UN", "InlineBinary": "ZGF0YQ=="}
        assert header.patient_id == "P1"

    @pytest.mark.parametrize(
        ("data_set", "damage"),
        [
            (explicit(0x00100010, "PN", b"A^B"), ("ODD_LENGTH", "00100010")),
            (PATIENT_ID + b"\0\0\0", ("TRUNCATED", "")),
            (PATIENT_ID + explicit(0x00200010, "SH", b"X", length=60), ("LENGTH_BEYOND_END", "00200010")),
            (explicit(0x00081140, "SQ", item(PATIENT_ID), length=UNDEFINED), ("MISSING_DELIMITER", "00081140")),
            (explicit(0x00081140, "SQ", item(PATIENT_ID), length=900), ("LENGTH_BEYOND_END", "00081140")),
            (explicit(0x00081140, "SQ", b"\0" * 8) + PATIENT_ID, ("MISSING_DELIMITER", "00081140")),
            (implicit(0xFFFEE00D) + PATIENT_ID, ("STRAY_DELIMITER", "")),
            (explicit(0x00091001, "OB", b"abcd", length=UNDEFINED), ("MISSING_DELIMITER", "00091001")),
        ],
    )
    def test_length_or_delimiter_that_lies(self, data_set: bytes, damage: tuple[str, str]) -> None:
        # A longer first element makes sure that the data set is taken for explicit.
        assert damage in kinds(explicit(0x00080060, "CS", b"CT") + data_set)

    def test_item_whose_delimiter_was_forgotten_ends_where_the_next_begins(self) -> None:
        open_item = implicit(0xFFFEE000, PATIENT_ID, length=UNDEFINED)
        content = open_item + item(PATIENT_ID, is_delimited=True) + SEQUENCE_END
        header = read_header(
            explicit(0x00081140, "SQ", content, length=UNDEFINED) + PATIENT_ID, EXPLICIT_VR_LITTLE_ENDIAN
        )
        assert len(header.attributes["00081140"]["Value"]) == 2 and header.patient_id == "P1"
        assert header.damage == ((DamageKind.MISSING_DELIMITER, "00081140/0/"),)

    def test_damage_everywhere_is_described_up_to_a_bound(self) -> None:
        data_set = b"".join(explicit(0x00090000 | i, "LO", b"odd") for i in range(1, 1000))
        assert len(read_header(data_set, EXPLICIT_VR_LITTLE_ENDIAN).damage) == MAX_DAMAGE_ENTRIES

    def test_deflate_stream_that_breaks_off_gives_what_came_before(self) -> None:
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        stream = deflater.compress(identity()) + deflater.flush(zlib.Z_FULL_FLUSH)
        header = read_header(stream + b"\xff\xff\xff", DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN)
        require_identity(header)
        assert (DamageKind.CORRUPT_STREAM, "") in header.damage


class TestRefused:
    """Bounds hold before memory or time is spent."""

    @pytest.mark.parametrize("is_delimited", [True, False])
    def test_sequences_nested_too_deeply(self, is_delimited: bool) -> None:
        data_set = PATIENT_ID
        for _ in range(MAX_SEQUENCE_DEPTH):
            content = item(data_set, is_delimited=is_delimited)
            length = UNDEFINED if is_delimited else None
            data_set = explicit(0x00081140, "SQ", content + SEQUENCE_END * is_delimited, length=length)
        assert kinds(data_set) == []
        deeper = explicit(0x00081140, "SQ", item(data_set))
        with pytest.raises(LimitExceeded) as refusal:
            read_header(deeper, EXPLICIT_VR_LITTLE_ENDIAN)
        assert refusal.value.reason_code == "sequence-depth"

    def test_ten_thousand_open_sequences(self) -> None:
        data_set = (
            PATIENT_ID
            + (explicit(0x0040A730, "SQ", length=UNDEFINED) + implicit(0xFFFEE000, length=UNDEFINED)) * 10_000
        )
        with pytest.raises(LimitExceeded):
            read_header(data_set, EXPLICIT_VR_LITTLE_ENDIAN)

    def test_too_many_elements(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(elements_module, "MAX_ELEMENTS", 20)
        sequence = explicit(0x00081140, "SQ", item(PATIENT_ID) * 25)
        for data_set in (sequence, b"".join(explicit(0x00090000 | i, "LO") for i in range(1, 30))):
            with pytest.raises(LimitExceeded) as refusal:
                read_header(data_set, EXPLICIT_VR_LITTLE_ENDIAN)
            assert refusal.value.reason_code == "element-count"

    def test_too_many_elements_in_windows_each_of_which_holds_few(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(elements_module, "MAX_ELEMENTS", 20)
        monkeypatch.setattr(header_module, "_WINDOW_BYTES", 64)
        data_set = b"".join(explicit(0x00090000 | i, "LO", b"text") for i in range(1, 30))
        with pytest.raises(LimitExceeded) as refusal:
            read_header(memoryview(data_set), EXPLICIT_VR_LITTLE_ENDIAN)
        assert refusal.value.reason_code == "element-count"

    def test_deflate_bomb_stops_at_the_bound(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(header_module, "MAX_INFLATED_BYTES", 1_000_000)
        deflater = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
        pixels = explicit(0x7FE00010, "OB", b"", length=4_000_000)
        stream = deflater.compress(identity() + pixels + bytes(4_000_000)) + deflater.flush()
        with pytest.raises(LimitExceeded) as refusal:
            read_header(stream, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN)
        assert refusal.value.reason_code == "inflated-size"

    def test_header_longer_than_its_bound(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(header_module, "MAX_HEADER_BYTES", 100_000)
        data_set = b"".join(explicit(0x00090000 | i, "LO", b"x" * 60_000) for i in range(1, 40))
        with pytest.raises(LimitExceeded) as refusal:
            read_header(memoryview(data_set), EXPLICIT_VR_LITTLE_ENDIAN)
        assert refusal.value.reason_code == "header-size"

    def test_data_set_that_is_no_deflate_stream(self) -> None:
        with pytest.raises(CorruptData) as refusal:
            read_header(b"\xff" * 100, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN)
        assert refusal.value.reason_code == "corrupt-deflate-stream"


class TestIdentity:
    """PS3.5 §9.1: what names an instance has to be a UID."""

    def test_four_uids_are_enough(self) -> None:
        require_identity(read_header(identity(), EXPLICIT_VR_LITTLE_ENDIAN))

    @pytest.mark.parametrize("uid", [b"1.2.3\0", b"1.2.3 ", b"1.2.3\0\0", b"1." + b"9" * 62])
    def test_padded_and_longest_uids_pass(self, uid: bytes) -> None:
        require_identity(read_header(identity(instance=uid), EXPLICIT_VR_LITTLE_ENDIAN))

    def test_leading_zero_passes_and_is_flagged(self) -> None:
        header = read_header(identity(study=b"1.02.3"), EXPLICIT_VR_LITTLE_ENDIAN)
        require_identity(header)
        assert header.damage == ((DamageKind.UID_LEADING_ZERO, "0020000D"),)

    @pytest.mark.parametrize(
        "uid",
        [
            b"1.2/../etc",
            b"1.2\x001.3",
            b"1." + b"9" * 63 + b"\0",
            b"1..2",
            b".1.2",
            b"1.2.",
            b"abc ",
            b"1.2\\1.3",
            "1.٣".encode(),
        ],
    )
    def test_what_is_no_uid_is_refused_by_keyword(self, uid: bytes) -> None:
        with pytest.raises(InvalidInput) as refusal:
            require_identity(read_header(identity(series=uid), EXPLICIT_VR_LITTLE_ENDIAN))
        assert refusal.value.reason_code == "invalid-uid"
        assert refusal.value.facts == {"attribute": "SeriesInstanceUID"}

    @pytest.mark.parametrize("uid", [b"", b"  ", b"\0"])
    def test_empty_uid_is_refused_by_keyword(self, uid: bytes) -> None:
        with pytest.raises(InvalidInput) as refusal:
            require_identity(read_header(identity(study=uid), EXPLICIT_VR_LITTLE_ENDIAN))
        assert refusal.value.reason_code == "missing-attribute"
        assert refusal.value.facts == {"attribute": "StudyInstanceUID"}

    def test_uid_of_another_vr_is_judged_by_its_text(self) -> None:
        data_set = identity().replace(b"UI\x04\x001.4", b"LO\x04\x001.4")
        assert b"LO" in data_set
        require_identity(read_header(data_set, EXPLICIT_VR_LITTLE_ENDIAN))

    def test_data_set_cut_off_before_a_uid_is_corrupt_rather_than_invalid(self) -> None:
        with pytest.raises(CorruptData) as refusal:
            require_identity(read_header(identity()[:-4], EXPLICIT_VR_LITTLE_ENDIAN))
        assert refusal.value.facts == {"attribute": "SeriesInstanceUID"}
