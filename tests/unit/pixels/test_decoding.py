"""Frames decode to the samples that pydicom's decoders give."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_files
from pydicom.encaps import generate_frames

from hilum.dicom.native_frames import pixel_word_bytes
from hilum.dicom.raw_elements import swapped_words
from hilum.dicom.uids import (
    DEFLATED_IMAGE_FRAME,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_LS_LOSSLESS,
    JPEG_XL,
    RLE_LOSSLESS,
    transfer_syntax,
)
from hilum.kernel.errors import CorruptData, HilumError, InvalidInput, LimitExceeded, Unsupported
from hilum.pixels.codecs import can_decode, decode_frame
from hilum.pixels.colour import ybr_to_rgb
from hilum.pixels.description import PixelDescription, SampleKind

CORPUS = Path(os.environ.get("HILUM_CORPUS", Path(__file__).parents[4] / "shared" / "corpus"))
FRAMES_COMPARED = 3
# What libjpeg and the oracles' own inverse transforms round differently.
LOSSY_TOLERANCE = 1


def has_pixels(path: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, force=True, specific_tags=["Rows", "FloatPixelData", "PixelData"])
        return "Rows" in dataset and ("PixelData" in dataset or "FloatPixelData" in dataset)


def sample_files() -> list[str]:
    found = [path for path in get_testdata_files() if path.endswith(".dcm") and has_pixels(path)]
    expectations = CORPUS / "decode_pydicom.tsv"
    if expectations.exists():
        rows = [line.split("\t") for line in expectations.read_text(errors="replace").splitlines()]
        # Native little endian files of the corpus are many and alike; pydicom's own are enough.
        found += [
            str(CORPUS / row[0])
            for row in rows
            if row[1] not in ("", "1.2.840.10008.1.2", "1.2.840.10008.1.2.1") and not row[0].startswith("pydicom/")
        ]
    return found


def describe(ds: pydicom.Dataset) -> PixelDescription:
    kind = SampleKind.INTEGER
    if "FloatPixelData" in ds:
        kind = SampleKind.FLOAT
    elif "DoubleFloatPixelData" in ds:
        kind = SampleKind.DOUBLE
    bits_stored = ds.get("BitsStored", ds.BitsAllocated)
    return PixelDescription(
        ds.Rows,
        ds.Columns,
        ds.get("SamplesPerPixel", 1),
        ds.BitsAllocated,
        bits_stored,
        ds.get("HighBit", bits_stored - 1),
        bool(ds.get("PixelRepresentation", 0)),
        ds.PhotometricInterpretation,
        int(ds.get("NumberOfFrames", 1) or 1),
        bool(ds.get("PlanarConfiguration", 0)),
        kind,
    )


def frames_of(ds: pydicom.Dataset, description: PixelDescription, uid: str) -> list[tuple[bytes, int]]:
    data = ds.get("PixelData") or ds.get("FloatPixelData") or ds.get("DoubleFloatPixelData")
    if transfer_syntax(uid).is_encapsulated:
        return [(f, 0) for f in generate_frames(data, number_of_frames=description.frame_count)]
    if uid == EXPLICIT_VR_BIG_ENDIAN:
        vr = ds["PixelData"].VR if "PixelData" in ds else "OF"
        data = swapped_words(data, pixel_word_bytes(vr, description.bits_allocated))
    bits = description.native_frame_bits
    return [
        (data[index * bits // 8 : ((index + 1) * bits + 7) // 8], index * bits % 8)
        for index in range(description.frame_count)
    ]


def decoded(ds: pydicom.Dataset, uid: str) -> np.ndarray[Any, Any]:
    description = describe(ds)
    frames = []
    for data, first_bit in frames_of(ds, description, uid)[:FRAMES_COMPARED]:
        frame = decode_frame(uid, description, data, first_bit=first_bit)
        samples = frame.samples
        if description.samples_per_pixel == 3:
            samples = ybr_to_rgb(samples, frame.photometric_interpretation, description.bits_stored)
        frames.append(samples)
    return np.stack(frames)


@pytest.mark.parametrize("path", sample_files(), ids=lambda path: path[-50:])
def test_frames_equal_what_pydicom_decodes(path: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = pydicom.dcmread(path, force=True)
        uid = str(ds.file_meta.get("TransferSyntaxUID", "")) if hasattr(ds, "file_meta") else ""
        try:
            expected = ds.pixel_array
        except Exception:  # noqa: BLE001  pydicom has no decoder, or the file is broken by design
            expected = None
        if expected is None:
            try:
                samples = decoded(ds, uid)
            except (HilumError, ValueError, AttributeError, TypeError):
                return  # refused, by a documented error or by pydicom's reading of the file
            assert samples.size
            return
        samples = decoded(ds, uid)
        description = describe(ds)
    shape = (-1, description.rows, description.columns, description.samples_per_pixel)
    wanted = expected.reshape(shape)[:FRAMES_COMPARED]
    difference = np.abs(samples.astype(np.float64) - wanted.astype(np.float64)).max()
    assert difference <= (LOSSY_TOLERANCE if transfer_syntax(uid).is_lossy else 0)


def grey(rows: int = 8, columns: int = 8, **changes: Any) -> PixelDescription:
    values: dict[str, Any] = {
        "rows": rows,
        "columns": columns,
        "samples_per_pixel": 1,
        "bits_allocated": 16,
        "bits_stored": 16,
        "high_bit": 15,
        "is_signed": False,
        "photometric_interpretation": "MONOCHROME2",
    }
    return PixelDescription(**{**values, **changes})


class TestNative:
    """PS3.5 §8.1, Annex D."""

    def test_bits_outside_bits_stored_are_cleared_and_signs_extended(self) -> None:
        stored = np.array([0xF800, 0x0FFF, 0x07FF, 0xA001], "<u2").tobytes()
        signed = grey(2, 2, bits_stored=12, high_bit=11, is_signed=True)
        assert decode_frame(EXPLICIT_VR_LITTLE_ENDIAN, signed, stored).samples.ravel().tolist() == [-2048, -1, 2047, 1]
        unsigned = grey(2, 2, bits_stored=12, high_bit=11)
        assert decode_frame(EXPLICIT_VR_LITTLE_ENDIAN, unsigned, stored).samples.ravel().tolist() == [
            0x800,
            0xFFF,
            0x7FF,
            1,
        ]

    def test_high_bit_above_bits_stored_shifts_values_down(self) -> None:
        shifted = grey(1, 2, bits_stored=12, high_bit=15)
        stored = np.array([0x1230, 0xFFF7], "<u2").tobytes()
        assert decode_frame(EXPLICIT_VR_LITTLE_ENDIAN, shifted, stored).samples.ravel().tolist() == [0x123, 0xFFF]

    def test_frames_of_single_bits_begin_inside_a_byte(self) -> None:
        description = grey(3, 3, bits_allocated=1, bits_stored=1, high_bit=0)
        pattern = np.array([1, 0, 1, 1, 0, 0, 0, 1, 1, 0, 1, 0, 0, 1, 1, 1, 0, 1], np.uint8)
        packed = np.packbits(pattern, bitorder="little").tobytes()
        second = decode_frame(EXPLICIT_VR_LITTLE_ENDIAN, description, packed[1:], first_bit=1)
        assert second.samples.ravel().tolist() == pattern[9:].tolist()

    def test_planes_become_samples_of_a_pixel(self) -> None:
        description = grey(
            1, 2, samples_per_pixel=3, bits_allocated=8, bits_stored=8, high_bit=7, is_planar=True,
            photometric_interpretation="RGB",
        )  # fmt: skip
        frame = decode_frame(EXPLICIT_VR_LITTLE_ENDIAN, description, bytes([1, 2, 3, 4, 5, 6]))
        assert frame.samples.tolist() == [[[1, 3, 5], [2, 4, 6]]]

    def test_too_few_bytes_are_corrupt_data_and_nothing_is_allocated(self) -> None:
        with pytest.raises(CorruptData):
            decode_frame(EXPLICIT_VR_LITTLE_ENDIAN, grey(16_000, 16_000), b"abc")


class TestBounds:
    """What a frame claims is compared with what is there before anything is allocated."""

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"rows": 65_535, "columns": 65_535}, LimitExceeded),
            ({"rows": 0}, InvalidInput),
            ({"columns": 70_000}, InvalidInput),
            ({"bits_allocated": 12, "bits_stored": 12, "high_bit": 11}, Unsupported),
            ({"bits_stored": 17}, InvalidInput),
            ({"high_bit": 16}, InvalidInput),
            ({"high_bit": 3, "bits_stored": 8}, InvalidInput),
            ({"samples_per_pixel": 2}, InvalidInput),
            ({"frame_count": 0}, InvalidInput),
        ],
    )
    def test_impossible_descriptions_are_refused(self, changes: dict[str, Any], error: type[Exception]) -> None:
        with pytest.raises(error):
            grey(**changes)

    @pytest.mark.parametrize(
        "uid", [JPEG_BASELINE, JPEG_LS_LOSSLESS, JPEG_2000_LOSSLESS, JPEG_XL, RLE_LOSSLESS, DEFLATED_IMAGE_FRAME]
    )
    @pytest.mark.parametrize(
        "data", [b"", b"garbage" * 100, b"\xff\xd8\xff\xc0\x00\x04", b"\xff\x4f\xff\x51" + b"\xff" * 60]
    )
    def test_garbage_is_corrupt_data_for_every_decoder(self, uid: str, data: bytes) -> None:
        with pytest.raises(CorruptData):
            decode_frame(uid, grey(), data)

    def test_a_codestream_larger_than_the_data_set_says_is_refused_before_decoding(self) -> None:
        header = bytes.fromhex("ffd8ffc0000b08ffffffff01011100ffda")
        with pytest.raises(CorruptData, match="another size"):
            decode_frame(JPEG_BASELINE, grey(bits_allocated=8, bits_stored=8, high_bit=7), header + b"\0" * 100)

    def test_an_rle_segment_cannot_grow_beyond_its_plane(self) -> None:
        header = np.array([1, 64] + [0] * 14, "<u4").tobytes()
        bomb = header + b"\x81\x00" * 10_000
        with pytest.raises(CorruptData):
            decode_frame(RLE_LOSSLESS, grey(bits_allocated=8, bits_stored=8, high_bit=7), bomb)

    def test_video_and_private_syntaxes_are_unsupported(self) -> None:
        for uid in ("1.2.840.10008.1.2.4.102", "1.2.3.4"):
            assert not can_decode(uid)
            with pytest.raises(Unsupported):
                decode_frame(uid, grey(), b"")
