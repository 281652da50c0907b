"""Pictures are cut, scaled and encoded; palettes become colours."""

from __future__ import annotations

import base64
import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hilum.dicom.dictionary import tag_of
from hilum.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from hilum.kernel.errors import CorruptData, InvalidInput, LimitExceeded
from hilum.kernel.limits import MAX_RENDERED_SIDE
from hilum.pixels.colour import make_palette, to_8_bit, ybr_to_rgb
from hilum.pixels.picture import Viewport, encode_gif, encode_jpeg, encode_png, fit
from hilum.pixels.render import render_frame

RAMP = np.arange(64, dtype=np.uint8).reshape(4, 16)


class TestFit:
    """PS3.18 §8.3.5.1.3."""

    def test_aspect_ratio_is_kept_in_either_direction(self) -> None:
        assert fit(RAMP, Viewport(8, 8)).shape == (2, 8)
        assert fit(RAMP, Viewport(64, 64)).shape == (16, 64)
        assert fit(RAMP, None) is RAMP

    def test_region_is_cut_out_and_mirrored(self) -> None:
        assert fit(RAMP, Viewport(2, 2, 1, 1, 2, 2)).tolist() == [[17, 18], [33, 34]]
        assert fit(RAMP, Viewport(2, 2, 1, 1, -2, -2)).tolist() == [[34, 33], [18, 17]]
        assert fit(RAMP, Viewport(2, 2, 14, 2)).tolist() == [[46, 47], [62, 63]]

    def test_impossible_viewports_are_refused(self) -> None:
        for viewport in (Viewport(0, 5), Viewport(5, 5, 16, 0), Viewport(5, 5, 0, -1)):
            with pytest.raises(InvalidInput):
                fit(RAMP, viewport)
        for viewport in (
            Viewport(MAX_RENDERED_SIDE + 1, 5),
            Viewport(MAX_RENDERED_SIDE, MAX_RENDERED_SIDE, 0, 0, 1, 1),
        ):
            with pytest.raises(LimitExceeded):
                fit(RAMP, viewport)


class TestEncoding:
    """PS3.18 §8.7.4."""

    def test_png_is_lossless_and_jpeg_close(self) -> None:
        colour = np.stack([RAMP, RAMP[::-1], RAMP], axis=-1)
        for picture in (RAMP, colour):
            assert np.array_equal(np.asarray(Image.open(io.BytesIO(encode_png(picture)))), picture)
            jpeg = Image.open(io.BytesIO(encode_jpeg(picture, 95)))
            assert jpeg.format == "JPEG"
            assert jpeg.size == (16, 4)
        grey = np.asarray(Image.open(io.BytesIO(encode_jpeg(RAMP, 95))))
        assert np.abs(grey.astype(int) - RAMP).max() <= 4

    def test_lower_quality_takes_fewer_bytes(self) -> None:
        noise = np.random.default_rng(1).integers(0, 255, (128, 128), np.uint8)
        assert len(encode_jpeg(noise, 30)) < len(encode_jpeg(noise, 90))

    def test_gif_moves(self) -> None:
        gif: Any = Image.open(io.BytesIO(encode_gif([RAMP, RAMP[::-1]], 40)))
        assert gif.n_frames == 2
        assert gif.info["duration"] == 40


class TestColour:
    """PS3.3 §C.7.6.3.1.2."""

    def test_ybr_full_of_grey_is_grey_and_of_red_is_red(self) -> None:
        ybr = np.array([[[77, 128, 128], [76, 85, 255]]], np.uint8)
        assert ybr_to_rgb(ybr, "YBR_FULL", 8).tolist() == [[[77, 77, 77], [254, 0, 0]]]

    def test_sixteen_bits_are_scaled_to_eight(self) -> None:
        assert to_8_bit(np.array([0, 0x8000, 0xFFFF], np.uint16), 16).tolist() == [0, 128, 255]
        assert to_8_bit(np.array([0, 1], np.uint8), 1).tolist() == [0, 255]


class TestPalette:
    """PS3.3 §C.7.6.3.1.5, §C.7.9.2."""

    def test_discrete_linear_and_indirect_segments_expand(self) -> None:
        # Discrete 0 10; linear to 50 in 4 steps; indirect: both again.
        segments = struct.pack("<14H", 0, 2, 0, 10, 1, 4, 50, 2, 2, 0, 0, 0, 1, 9)
        palette = make_palette(((13, 0, 16),) * 3, (segments,) * 3, is_segmented=True, is_signed=False)
        assert palette.table[:, 0].tolist() == [0, 10, 20, 30, 40, 50, 0, 10, 20, 30, 40, 50, 9]

    @pytest.mark.parametrize(
        "words", [[5, 1], [0, 9, 1], [1, 1, 7], [2, 1, 6, 0], [0, 2, 1, 2, 2, 1, 3, 0], [2, 1, 0, 0], [0]]
    )
    def test_damaged_segments_are_corrupt_data(self, words: list[int]) -> None:
        data = struct.pack(f"<{len(words)}H", *words)
        with pytest.raises(CorruptData):
            make_palette(((10, 0, 16),) * 3, (data,) * 3, is_segmented=True, is_signed=False)

    def test_eight_bit_values_in_sixteen_bit_entries_keep_their_colours(self) -> None:
        low = np.array([0, 100, 255], "<u2").tobytes()
        palette = make_palette(((3, 0, 16),) * 3, (low,) * 3, is_segmented=False, is_signed=False)
        assert palette.table[:, 1].tolist() == [0, 100, 255]

    def test_image_is_rendered_through_its_palette(self) -> None:
        attributes: dict[str, Any] = {}
        for keyword, value in {
            "Rows": 1, "Columns": 3, "SamplesPerPixel": 1, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7,
            "PixelRepresentation": 0, "PhotometricInterpretation": "PALETTE COLOR",
        }.items():  # fmt: skip
            attributes[tag_of(keyword)] = {"vr": "US", "Value": [value]}
        for index, colour in enumerate(("Red", "Green", "Blue")):
            descriptor = tag_of(f"{colour}PaletteColorLookupTableDescriptor")
            attributes[descriptor] = {"vr": "US", "Value": [2, 10, 16]}
            table = np.array([0, 0x1111 * (index + 1)], "<u2").tobytes()
            attributes[tag_of(f"{colour}PaletteColorLookupTableData")] = {
                "vr": "OW",
                "InlineBinary": base64.b64encode(table).decode(),
            }
        picture = render_frame(
            attributes, EXPLICIT_VR_LITTLE_ENDIAN, bytes([0, 11, 200]), frame_number=1, read_bulk=lambda _: b""
        )
        assert picture.tolist() == [[[0, 0, 0], [0x11, 0x22, 0x33], [0x11, 0x22, 0x33]]]
