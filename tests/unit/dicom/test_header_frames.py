"""Pixel data located and frames indexed, native and encapsulated, whatever the tables say (PS3.5 §8, §A.4)."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from struct import pack

import pydicom
import pytest
from pydicom.encaps import generate_frames
from pydicom.filereader import _read_file_meta_info, read_preamble

from hilum.dicom.damage import DamageKind
from hilum.dicom.frames import FrameIndex
from hilum.dicom.header import Header, read_header
from hilum.dicom.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    JPEG_BASELINE,
    RLE_LOSSLESS,
)
from hilum.kernel.errors import CorruptData, NotFound
from support.elements import SEQUENCE_END, UNDEFINED, explicit, image, implicit, item

MPEG2 = "1.2.840.10008.1.2.4.100"
_DATA = Path(pydicom.__file__).parent / "data" / "test_files"
BUNDLED = sorted(path for path in _DATA.glob("*.dcm") if path.stat().st_size < 4_000_000)


def frames_of(header: Header, data_set: bytes) -> list[bytes]:
    """Return the bytes of every frame, as the index says."""
    assert header.pixel_data is not None
    index = header.pixel_data.frames
    return [
        b"".join(data_set[offset : offset + length] for offset, length in index.frame_ranges(frame_index))
        for frame_index in range(index.frame_count)
    ]


def encapsulated(*items: bytes, table: bytes = b"") -> bytes:
    """Return encapsulated Pixel Data of these fragments."""
    content = item(table) + b"".join(items)
    return explicit(0x7FE00010, "OB", content + SEQUENCE_END, length=UNDEFINED)


def kinds(header: Header) -> set[DamageKind]:
    return {damage.kind for damage in header.damage}


class TestNative:
    def test_frames_follow_each_other(self) -> None:
        pixels = bytes(range(48))
        data_set = image(rows=2, columns=4, frames=3, bits=16) + explicit(0x7FE00010, "OW", pixels)
        header = read_header(data_set, EXPLICIT_VR_LITTLE_ENDIAN)
        assert header.pixel_data is not None and header.pixel_data.keyword == "PixelData"
        assert data_set[header.pixel_data.offset :][: header.pixel_data.length] == pixels
        assert frames_of(header, data_set) == [pixels[:16], pixels[16:32], pixels[32:]]
        assert "7FE00010" not in header.attributes and header.damage == ()

    def test_single_bit_frames_may_begin_inside_a_byte(self) -> None:
        data_set = image(rows=3, columns=5, frames=3, bits=1) + explicit(0x7FE00010, "OB", bytes(6))
        header = read_header(data_set, EXPLICIT_VR_LITTLE_ENDIAN)
        assert header.pixel_data is not None
        index, start = header.pixel_data.frames, header.pixel_data.offset
        assert [index.frame_ranges(i) for i in range(3)] == [[(start, 2)], [(start + 1, 3)], [(start + 3, 3)]]
        assert [index.frame_bit_offset(i) for i in range(3)] == [0, 7, 6]
        assert not index.is_byte_aligned

    def test_subsampled_colour_has_two_samples_a_pixel(self) -> None:
        attributes = image(rows=2, columns=2, frames=2, samples=3, photometric="YBR_FULL_422")
        header = read_header(attributes + explicit(0x7FE00010, "OB", bytes(16)), EXPLICIT_VR_LITTLE_ENDIAN)
        assert header.pixel_data is not None and header.pixel_data.frames.frame_bits == 64
        assert header.pixel_data.frames.frame_count == 2 and header.damage == ()

    @pytest.mark.parametrize(
        ("tag", "keyword", "size"), [(0x7FE00008, "FloatPixelData", 4), (0x7FE00009, "DoubleFloatPixelData", 8)]
    )
    def test_float_pixel_data(self, tag: int, keyword: str, size: int) -> None:
        attributes = image(rows=2, columns=2, bits=8 * size)
        header = read_header(attributes + explicit(tag, "OF", bytes(4 * size)), EXPLICIT_VR_LITTLE_ENDIAN)
        assert header.pixel_data is not None and header.pixel_data.keyword == keyword
        assert header.pixel_data.frames.frame_count == 1

    def test_frames_that_are_not_there_are_not_counted(self) -> None:
        attributes = image(rows=4, columns=4, frames=3)
        for pixels in (explicit(0x7FE00010, "OB", bytes(40)), explicit(0x7FE00010, "OB", bytes(40), length=48)):
            header = read_header(attributes + pixels, EXPLICIT_VR_LITTLE_ENDIAN)
            assert header.pixel_data is not None and header.pixel_data.frames.frame_count == 2
            assert kinds(header) == {DamageKind.TRUNCATED_PIXEL_DATA}

    def test_pixel_data_without_image_attributes_have_no_frames(self) -> None:
        header = read_header(explicit(0x7FE00010, "OW", bytes(8)), EXPLICIT_VR_LITTLE_ENDIAN)
        assert header.pixel_data is not None and header.pixel_data.frames.frame_count == 0
        assert kinds(header) == {DamageKind.MISSING_IMAGE_ATTRIBUTES}

    def test_elements_after_pixel_data_are_read(self) -> None:
        data_set = image(rows=2, columns=2) + explicit(0x7FE00010, "OB", bytes(4)) + explicit(0xFFFCFFFC, "OB", b"pad!")
        assert "FFFCFFFC" in read_header(data_set, EXPLICIT_VR_LITTLE_ENDIAN).attributes

    def test_pixel_data_of_an_icon_are_no_pixel_data_of_the_instance(self) -> None:
        data_set = implicit(0x00880200, item(implicit(0x7FE00010, bytes(4))))
        header = read_header(data_set, IMPLICIT_VR_LITTLE_ENDIAN)
        assert header.pixel_data is None
        assert header.attributes["00880200"]["Value"] == [{"7FE00010": {"vr": "OW", "InlineBinary": "AAAAAA=="}}]


class TestEncapsulated:
    TWO = (b"aa", b"bbbb"), (b"cc",)

    def test_basic_offset_table_groups_fragments(self) -> None:
        fragments = item(b"aa") + item(b"bbbb") + item(b"cc")
        data_set = image(rows=1, columns=1, frames=2) + encapsulated(fragments, table=pack("<2I", 0, 22))
        header = read_header(data_set, JPEG_BASELINE)
        assert frames_of(header, data_set) == [b"aabbbb", b"cc"] and header.damage == ()

    def test_extended_offset_table_groups_fragments(self) -> None:
        extended = explicit(0x7FE00001, "OV", pack("<2Q", 0, 10)) + explicit(0x7FE00002, "OV", pack("<2Q", 2, 4))
        data_set = image(rows=1, columns=1, frames=2) + extended + encapsulated(item(b"aa"), item(b"bbbb"))
        header = read_header(data_set, JPEG_BASELINE)
        assert frames_of(header, data_set) == [b"aa", b"bbbb"] and header.damage == ()

    def test_extended_offset_table_may_be_bulk_data(self) -> None:
        count = 300
        extended = explicit(0x7FE00001, "OV", b"".join(pack("<Q", 10 * i) for i in range(count)))
        fragments = b"".join(item(pack("<H", i)) for i in range(count))
        data_set = image(rows=1, columns=1, frames=count) + extended + encapsulated(fragments)
        header = read_header(data_set, JPEG_BASELINE)
        assert "7FE00001" in header.bulk
        assert frames_of(header, data_set) == [pack("<H", i) for i in range(count)] and header.damage == ()

    def test_without_tables_each_fragment_is_a_frame_if_their_numbers_agree(self) -> None:
        data_set = image(rows=1, columns=1, frames=2) + encapsulated(item(b"aa"), item(b"bbbb"))
        assert frames_of(read_header(data_set, RLE_LOSSLESS), data_set) == [b"aa", b"bbbb"]

    def test_all_fragments_of_a_single_frame_belong_to_it(self) -> None:
        data_set = image(rows=1, columns=1) + encapsulated(item(b"aa"), item(b"bbbb"))
        assert frames_of(read_header(data_set, JPEG_BASELINE), data_set) == [b"aabbbb"]

    def test_without_tables_end_markers_part_the_frames(self) -> None:
        fragments = item(b"a1"), item(b"a2\xff\xd9"), item(b"b1\xff\xd9\0\0")
        data_set = image(rows=1, columns=1, frames=2) + encapsulated(*fragments)
        header = read_header(data_set, JPEG_BASELINE)
        assert frames_of(header, data_set) == [b"a1a2\xff\xd9", b"b1\xff\xd9\0\0"] and header.damage == ()

    @pytest.mark.parametrize(
        "table", [pack("<2I", 0, 9), pack("<2I", 4, 10), pack("<2I", 10, 0), pack("<I", 0), b"\1\2"]
    )
    def test_wrong_offset_table_is_flagged_and_not_followed(self, table: bytes) -> None:
        data_set = image(rows=1, columns=1, frames=2) + encapsulated(item(b"aa"), item(b"bbbb"), table=table)
        header = read_header(data_set, JPEG_BASELINE)
        assert frames_of(header, data_set) == [b"aa", b"bbbb"]
        assert len(table) < 4 or kinds(header) == {DamageKind.WRONG_OFFSET_TABLE}

    def test_too_few_fragments_are_flagged(self) -> None:
        data_set = image(rows=1, columns=1, frames=5) + encapsulated(item(b"aa"), item(b"bb"))
        header = read_header(data_set, JPEG_BASELINE)
        assert frames_of(header, data_set) == [b"aa", b"bb"]
        assert kinds(header) == {DamageKind.FRAME_COUNT_MISMATCH}

    def test_video_is_one_stream_whatever_the_number_of_frames(self) -> None:
        data_set = image(rows=1, columns=1, frames=120) + encapsulated(item(b"aa"), item(b"bb"))
        header = read_header(data_set, MPEG2)
        assert frames_of(header, data_set) == [b"aabb"] and header.damage == ()

    def test_pixel_data_cut_off_keep_the_fragments_that_are_there(self) -> None:
        data_set = image(rows=1, columns=1, frames=2) + encapsulated(item(b"aaaa"), item(b"bbbb"))
        header = read_header(data_set[:-10], JPEG_BASELINE)
        assert frames_of(header, data_set) == [b"aaaa", b"bb"]
        assert kinds(header) == {DamageKind.TRUNCATED_PIXEL_DATA}

    def test_pixel_data_without_their_delimiter_are_flagged_though_all_frames_are_there(self) -> None:
        data_set = image(rows=1, columns=1, frames=2) + encapsulated(item(b"aaaa"), item(b"bbbb"))
        header = read_header(data_set[:-8], JPEG_BASELINE)
        assert frames_of(header, data_set) == [b"aaaa", b"bbbb"]
        assert kinds(header) == {DamageKind.TRUNCATED_PIXEL_DATA}

    def test_native_pixel_data_in_a_compressed_syntax_are_read_as_native(self) -> None:
        data_set = image(rows=2, columns=2) + explicit(0x7FE00010, "OB", b"abcd")
        header = read_header(data_set, JPEG_BASELINE)
        assert frames_of(header, data_set) == [b"abcd"]
        assert kinds(header) == {DamageKind.PIXEL_ENCODING_MISMATCH}

    def test_encapsulated_pixel_data_in_a_native_syntax_are_read_as_encapsulated(self) -> None:
        data_set = image(rows=2, columns=2) + encapsulated(item(b"abcd")) + explicit(0xFFFCFFFC, "OB", b"pad!")
        header = read_header(data_set, EXPLICIT_VR_LITTLE_ENDIAN)
        assert frames_of(header, data_set) == [b"abcd"] and "FFFCFFFC" in header.attributes
        assert kinds(header) == {DamageKind.PIXEL_ENCODING_MISMATCH}

    @pytest.mark.parametrize("path", BUNDLED, ids=lambda path: path.name)
    def test_frames_equal_pydicom_s(self, path: Path) -> None:
        raw = path.read_bytes()
        file = BytesIO(raw)
        read_preamble(file, True)
        syntax = str(_read_file_meta_info(file).get("TransferSyntaxUID", ""))
        data_set = raw[file.tell() :]
        header = read_header(data_set, syntax)
        if header.pixel_data is None or not header.pixel_data.is_encapsulated:
            return
        location, index = header.pixel_data, header.pixel_data.frames
        value = data_set[location.offset : location.offset + location.length]
        count = header.text("NumberOfFrames")
        assert frames_of(header, data_set) == list(generate_frames(value, number_of_frames=int(count or 1)))
        assert FrameIndex.from_bytes(index.to_bytes()) == index


class TestStoredIndex:
    @pytest.mark.parametrize(
        "index",
        [
            FrameIndex(0),
            FrameIndex(7, 1234, 12 * 512 * 512),
            FrameIndex(3, 99, 0, True, [5, 7, 9]),
            FrameIndex(2, 99, 0, True, [5, 7, 9], [0, 2]),
        ],
    )
    def test_index_survives_storing(self, index: FrameIndex) -> None:
        again = FrameIndex.from_bytes(index.to_bytes())
        assert again.frame_count == index.frame_count
        for frame_index in range(index.frame_count):
            assert again.frame_ranges(frame_index) == index.frame_ranges(frame_index)

    def test_a_hundred_thousand_frames_are_small_and_reachable(self) -> None:
        count = 100_000
        lengths = [1000 + i % 97 for i in range(count)]
        stored = FrameIndex(count, 50, 0, True, lengths).to_bytes()
        assert len(stored) < 20_000
        index = FrameIndex.from_bytes(stored)
        assert index.frame_ranges(count - 1) == [(50 + sum(lengths[:-1]) + 8 * (count - 1), lengths[-1])]

    @pytest.mark.parametrize("frame_index", [-1, 3])
    def test_frame_that_is_not_there_is_not_found(self, frame_index: int) -> None:
        with pytest.raises(NotFound):
            FrameIndex(3, 0, 80).frame_ranges(frame_index)

    def test_bytes_that_are_no_index_are_corrupt(self) -> None:
        good = FrameIndex(3, 99, 0, True, [5, 7, 9]).to_bytes()
        for bad in (b"", good[:10], good[:-3], b"\7" + good[1:], good.replace(b"\3\0\0\0", b"\5\0\0\0", 1)):
            with pytest.raises(CorruptData):
                FrameIndex.from_bytes(bad)
