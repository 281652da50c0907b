"""Attributes of another type than the standard gives them harm nobody."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hilum.dicom.dictionary import tag_of
from hilum.kernel.errors import CorruptData
from hilum.pixels.attributes import functional_group, grayscale_transform, palette_of
from hilum.pixels.picture import encode_gif


def _element(vr: str, *values: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)}


def _no_bulk(_reference: str) -> bytes:
    raise AssertionError("nothing stands outside")


IMPOSSIBLE = [
    ("a", "b", "c"),
    (4, 0),
    (-1, 0, 16),
    (4, 0, -3),
    (4, 10**20, 16),
    (float("inf"), 0, 16),
    (None, None, None),
]


class TestTables:
    """PS3.3 §C.11.1.1, §C.7.6.3.1.5."""

    @pytest.mark.parametrize("descriptor", IMPOSSIBLE)
    def test_table_with_an_impossible_descriptor_is_passed_over(self, descriptor: tuple[Any, ...]) -> None:
        table = {
            tag_of("LUTDescriptor"): _element("LO", *descriptor),
            tag_of("LUTData"): _element("US", 1, 2, 3, 4),
        }
        transform = grayscale_transform({tag_of("ModalityLUTSequence"): _element("SQ", table)}, 1, _no_bulk)
        assert transform.modality is None

    @pytest.mark.parametrize("descriptor", IMPOSSIBLE)
    def test_palette_with_an_impossible_descriptor_is_corrupt(self, descriptor: tuple[Any, ...]) -> None:
        attributes = {}
        for colour in ("Red", "Green", "Blue"):
            attributes[tag_of(f"{colour}PaletteColorLookupTableDescriptor")] = _element("LO", *descriptor)
            attributes[tag_of(f"{colour}PaletteColorLookupTableData")] = _element("US", 1, 2, 3, 4)
        with pytest.raises(CorruptData):
            palette_of(attributes, _no_bulk)


class TestFunctionalGroups:
    """PS3.3 §C.7.6.16."""

    @pytest.mark.parametrize("item", ["abc", 1, None])
    def test_frame_without_an_item_takes_the_shared_group(self, item: Any) -> None:
        macro = {tag_of("RescaleSlope"): _element("DS", 2)}
        shared = {tag_of("PixelValueTransformationSequence"): _element("SQ", macro)}
        attributes = {
            tag_of("PerFrameFunctionalGroupsSequence"): _element("LO", item),
            tag_of("SharedFunctionalGroupsSequence"): _element("SQ", shared),
        }
        assert functional_group(attributes, "PixelValueTransformationSequence", 1) == macro


@pytest.mark.parametrize("difference", [0, 9])
@pytest.mark.parametrize("frame_time_ms", [1e300, float("inf"), 1e7, 6e5])
def test_animation_of_frames_that_last_for_ever_is_made(frame_time_ms: float, difference: int) -> None:
    picture = np.zeros((2, 2), np.uint8)
    assert encode_gif([picture, picture + difference], frame_time_ms).startswith(b"GIF89a")
