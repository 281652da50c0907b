"""Grey values become display values as PS3.3 §C.11 says."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest

from hilum.dicom.dictionary import tag_of
from hilum.kernel.errors import CorruptData
from hilum.pixels.attributes import describe_pixels, functional_group, grayscale_transform
from hilum.pixels.description import SampleKind
from hilum.pixels.grayscale import (
    GrayscaleTransform,
    LookUpTable,
    Window,
    WindowFunction,
    display_values,
)


def column(values: list[float], dtype: Any = np.int16) -> np.ndarray[Any, Any]:
    return np.array(values, dtype).reshape(1, -1, 1)


def shown(values: list[float], transform: GrayscaleTransform, dtype: Any = np.int16, bits: int = 16) -> list[int]:
    return [int(value) for value in display_values(column(values, dtype), transform, bits).ravel()]


def json(**elements: tuple[str, list[Any]]) -> dict[str, Any]:
    return {tag_of(keyword): {"vr": vr, "Value": value} for keyword, (vr, value) in elements.items()}


def no_bulk(reference: str) -> bytes:
    raise AssertionError(reference)


class TestWindow:
    """PS3.3 §C.11.2.1.2, §C.11.2.1.3."""

    def test_linear_window_follows_the_standards_formula(self) -> None:
        # The standard's own example values for c=2048, w=4096: y = ((x - 2047.5) / 4095 + 0.5) * 255.
        transform = GrayscaleTransform(voi=Window(2048, 4096))
        assert shown([0, 1, 2048, 4095, 5000, -7], transform) == [0, 0, 128, 255, 255, 0]

    def test_linear_window_of_width_one_is_a_threshold(self) -> None:
        assert shown([9, 10, 11], GrayscaleTransform(voi=Window(10.5, 1))) == [0, 0, 255]

    def test_linear_exact_and_sigmoid(self) -> None:
        exact = GrayscaleTransform(voi=Window(100, 200, WindowFunction.LINEAR_EXACT))
        assert shown([0, 100, 200], exact) == [0, 128, 255]
        sigmoid = GrayscaleTransform(voi=Window(100, 100, WindowFunction.SIGMOID))
        assert shown([100, 150], sigmoid) == [128, round(255 / (1 + np.exp(-2)))]
        assert shown([-30_000, 30_000], GrayscaleTransform(voi=Window(0, 0.001, WindowFunction.SIGMOID))) == [0, 255]

    def test_rescale_comes_before_the_window_and_inversion_after(self) -> None:
        transform = GrayscaleTransform(slope=2, intercept=-1000, voi=Window(0.5, 101), is_inverted=True)
        assert shown([475, 500, 525], transform) == [255, 128, 0]

    def test_floating_point_and_wide_integers_are_windowed_too(self) -> None:
        window = GrayscaleTransform(voi=Window(0.5, 1.0, WindowFunction.LINEAR_EXACT))
        assert shown([0.0, 0.5, 1.0, np.nan], window, np.float32) == [0, 128, 255, 0]
        wide = GrayscaleTransform(voi=Window(2**30, 2**31, WindowFunction.LINEAR_EXACT))
        assert shown([0, 2**30, 2**31 - 1], wide, np.uint32, 32) == [0, 128, 255]


class TestDefaultWindow:
    """Without any window the picture's own values decide."""

    def test_eight_bits_are_shown_as_they_are(self) -> None:
        assert shown([0, 17, 200, 255], GrayscaleTransform(), np.uint8, 8) == [0, 17, 200, 255]

    def test_span_of_the_values_is_used_and_padding_ignored(self) -> None:
        values = [-2000, *range(100, 201)]
        spread = shown(values, GrayscaleTransform(padding=(-2000, -2000)))
        assert spread[1] == 0 and spread[-1] == 255 and spread[0] == 0
        assert spread[51] in (127, 128)

    def test_a_flat_or_wholly_padded_frame_can_be_shown(self) -> None:
        assert len(set(shown([5, 5, 5], GrayscaleTransform()))) == 1
        assert len(set(shown([5, 5], GrayscaleTransform(padding=(5, 5))))) == 1


class TestLookUpTables:
    """PS3.3 §C.11.1.1, §C.11.2.1.1."""

    def test_voi_lut_maps_values_and_clamps_outside(self) -> None:
        table = LookUpTable(10, 8, np.array([0, 128, 255], np.uint16))
        assert shown([0, 10, 11, 12, 99], GrayscaleTransform(voi=table)) == [0, 0, 128, 255, 255]

    def test_modality_lut_feeds_the_window(self) -> None:
        table = LookUpTable(0, 16, np.array([0, 100, 200], np.uint16))
        transform = GrayscaleTransform(modality=table, voi=Window(100, 200, WindowFunction.LINEAR_EXACT))
        assert shown([0, 1, 2], transform) == [0, 128, 255]

    def test_lut_sequence_of_the_data_set_is_read_inline_or_from_bulk(self) -> None:
        entries = np.array([0, 2048, 4095], "<u2").tobytes()
        item = json(LUTDescriptor=("US", [3, 65_526, 12]))
        inline = {**item, tag_of("LUTData"): {"vr": "OW", "InlineBinary": base64.b64encode(entries).decode()}}
        bulk = {**item, tag_of("LUTData"): {"vr": "OW", "BulkDataURI": "@@/x"}}
        for lut in (inline, bulk):
            attributes = json(VOILUTSequence=("SQ", [lut]), PixelRepresentation=("US", [1]))
            transform = grayscale_transform(attributes, 1, {"@@/x": entries}.__getitem__)
            assert shown([-10, -9, -8], transform) == [0, 128, 255]

    def test_a_table_shorter_than_it_says_is_corrupt_data(self) -> None:
        lut = {
            **json(LUTDescriptor=("US", [300, 0, 16])),
            tag_of("LUTData"): {"vr": "OW", "InlineBinary": "AAAA"},
        }
        with pytest.raises(CorruptData):
            grayscale_transform(json(VOILUTSequence=("SQ", [lut])), 1, no_bulk)


class TestAttributes:
    """PS3.3 §C.7.6.3, §C.7.6.16."""

    def test_frames_own_functional_group_goes_before_the_shared_one(self) -> None:
        def voi(center: float) -> dict[str, Any]:
            item = json(WindowCenter=("DS", [center]), WindowWidth=("DS", [10]))
            return json(FrameVOILUTSequence=("SQ", [item]))

        attributes = json(
            SharedFunctionalGroupsSequence=("SQ", [voi(1)]), PerFrameFunctionalGroupsSequence=("SQ", [{}, voi(2)])
        )
        centers = [grayscale_transform(attributes, number, no_bulk).voi for number in (1, 2, 3)]
        assert [voi.center for voi in centers if isinstance(voi, Window)] == [1, 2, 1]
        assert functional_group(attributes, "PixelValueTransformationSequence", 1) is None

    def test_first_of_several_windows_is_taken_and_a_useless_one_is_not(self) -> None:
        several = json(WindowCenter=("DS", [40, 400]), WindowWidth=("DS", [80, 2000]))
        assert grayscale_transform(several, 1, no_bulk).voi == Window(40, 80)
        useless = json(WindowCenter=("DS", [40]), WindowWidth=("DS", [0]))
        assert grayscale_transform(useless, 1, no_bulk).voi is None

    @pytest.mark.parametrize(
        ("photometric", "shape", "is_inverted"),
        [("MONOCHROME1", "INVERSE", True), ("MONOCHROME1", None, True), ("MONOCHROME2", "IDENTITY", False),
         ("MONOCHROME2", "INVERSE", True)],
    )  # fmt: skip
    def test_inversion(self, photometric: str, shape: str | None, is_inverted: bool) -> None:
        attributes = json(PhotometricInterpretation=("CS", [photometric]))
        if shape:
            attributes |= json(PresentationLUTShape=("CS", [shape]))
        assert grayscale_transform(attributes, 1, no_bulk).is_inverted is is_inverted

    def test_floating_point_images_are_known_by_what_they_lack(self) -> None:
        common = json(Rows=("US", [2]), Columns=("US", [2]), BitsAllocated=("US", [32]))
        assert describe_pixels(common).kind is SampleKind.FLOAT
        integer = {**common, **json(BitsStored=("US", [32]), HighBit=("US", [31]), PixelRepresentation=("US", [0]))}
        assert describe_pixels(integer).kind is SampleKind.INTEGER
