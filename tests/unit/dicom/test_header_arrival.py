"""The same header however the bytes come: in one piece, as a view or map, prefix by prefix, deflated or not."""

from __future__ import annotations

import mmap
import tracemalloc
import zlib
from pathlib import Path

import pytest

from hilum.dicom import header as header_module
from hilum.dicom.header import HeaderReader, read_header
from hilum.dicom.uids import DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN
from support.elements import SEQUENCE_END, UNDEFINED, explicit, identity, image, item

PIXELS = bytes(range(256)) * 16
REFERENCES = item(explicit(0x00081155, "UI", b"1.2\0"), is_delimited=True) + SEQUENCE_END
HEADER = (
    explicit(0x00080005, "CS", b"ISO_IR 192")
    + explicit(0x00081140, "SQ", REFERENCES, length=UNDEFINED)
    + explicit(0x00100010, "PN", "Müller^X".encode() + b" ")
    + explicit(0x0020000D, "UI", b"1.5\0")
    + explicit(0x00204000, "LT", b"long text " * 200)
    + image(rows=64, columns=64)
    + explicit(0x00420011, "OB", b"%PDF" * 400)
)
TRAILER = explicit(0xFFFCFFFC, "OB", b"pad!")
DATA_SET = HEADER + explicit(0x7FE00010, "OW", PIXELS) + TRAILER
EXPECTED = read_header(DATA_SET, EXPLICIT_VR_LITTLE_ENDIAN)


def deflated(data_set: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(data_set) + deflater.flush()


@pytest.mark.parametrize("make", [bytearray, memoryview, bytes])
def test_view_is_read_like_bytes(make: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header_module, "_WINDOW_BYTES", 64)
    assert read_header(make(DATA_SET), EXPLICIT_VR_LITTLE_ENDIAN) == EXPECTED


def test_prefix_is_enough_as_soon_as_it_holds_the_head_of_pixel_data() -> None:
    head = len(HEADER) + 12
    for end in range(head):
        assert not HeaderReader(EXPLICIT_VR_LITTLE_ENDIAN).read_prefix(DATA_SET[:end])
    assert HeaderReader(EXPLICIT_VR_LITTLE_ENDIAN).read_prefix(DATA_SET[:head])


@pytest.mark.parametrize("step", [1, 7, 100, 3000])
def test_prefixes_that_grow_give_the_header_of_the_whole(step: int) -> None:
    reader = HeaderReader(EXPLICIT_VR_LITTLE_ENDIAN)
    for end in range(0, len(DATA_SET), step):
        if reader.read_prefix(memoryview(DATA_SET)[:end]):
            break
    assert reader.finish(DATA_SET) == EXPECTED


def test_pixel_data_of_a_mapped_file_are_not_touched(tmp_path: Path) -> None:
    # A sparse file: were its pixel data copied, memory would show it.
    size = 512 * 1024 * 1024
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.write(HEADER + explicit(0x7FE00010, "OW", length=size))
        file.seek(size - 1, 1)
        file.write(b"\0" + TRAILER)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        tracemalloc.start()
        header = read_header(mapped, EXPLICIT_VR_LITTLE_ENDIAN)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert header.pixel_data is not None and header.pixel_data.length == size
    assert "FFFCFFFC" in header.attributes
    assert peak < 4 * 1024 * 1024


@pytest.mark.parametrize("step", [1, 50, 10_000])
def test_deflated_data_set_has_the_same_header_by_inflated_offsets(step: int) -> None:
    stream = deflated(DATA_SET)
    reader = HeaderReader(DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN)
    for end in range(0, len(stream), step):
        if reader.read_prefix(stream[:end]):
            break
    header = reader.finish(stream)
    assert header.is_deflated
    assert header.attributes == EXPECTED.attributes and header.bulk == EXPECTED.bulk
    assert header.pixel_data == EXPECTED.pixel_data and header.damage == ()


def test_inflated_pixel_data_do_not_stay_in_memory() -> None:
    size = 64 * 1024 * 1024
    stream = deflated(HEADER + explicit(0x7FE00010, "OW", length=size) + bytes(size) + TRAILER)
    tracemalloc.start()
    header = read_header(stream, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "FFFCFFFC" in header.attributes and header.damage == ()
    assert peak < 8 * 1024 * 1024


def test_encapsulated_pixel_data_inside_a_deflated_data_set_are_found() -> None:
    pixels = explicit(0x7FE00010, "OB", item() + item(b"abcd") + SEQUENCE_END, length=UNDEFINED)
    data_set = HEADER + pixels + TRAILER
    header = read_header(deflated(data_set), DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN)
    assert header.pixel_data is not None and "FFFCFFFC" in header.attributes
    [(offset, length)] = header.pixel_data.frames.frame_ranges(0)
    assert data_set[offset : offset + length] == b"abcd"


def test_data_set_without_pixel_data_is_read_to_its_end() -> None:
    reader = HeaderReader(EXPLICIT_VR_LITTLE_ENDIAN)
    data_set = identity() + explicit(0x00420011, "OB", bytes(200_000)) + explicit(0x00420012, "LO", b"application/pdf ")
    assert not reader.read_prefix(data_set[:5000])
    header = reader.finish(data_set)
    assert header.pixel_data is None and header.text("MIMETypeOfEncapsulatedDocument") == "application/pdf"
    assert header == read_header(memoryview(data_set), EXPLICIT_VR_LITTLE_ENDIAN)


def test_empty_data_set_has_an_empty_header() -> None:
    header = read_header(b"", EXPLICIT_VR_LITTLE_ENDIAN)
    assert header.attributes == {} and header.damage == () and header.json() == b"{}"
    assert header.pixel_data is None
