"""Data sets without what is large in them.

Reference: PS3.4 §Z.1.3
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hilum.dicom.dictionary import tag_of
from hilum.dicom.encapsulation import ENCAPSULATION_ATTRIBUTES
from hilum.dicom.encodings import Encoding
from hilum.dicom.raw_elements import RawElement, items_of, sequence_element

_LEFT_OUT: Final = frozenset(
    tag_of(keyword)
    for keyword in (
        *("PixelData", "FloatPixelData", "DoubleFloatPixelData", "PixelDataProviderURL", "SpectroscopyData"),
        "EncapsulatedDocument",
    )
) | frozenset(ENCAPSULATION_ATTRIBUTES)
"""Attributes of Table Z.1-1; and with the pixel data go the tables that say where in them the frames begin."""

_LEFT_OUT_OF_GROUPS: Final = frozenset({("60", "3000"), ("50", "3000"), ("50", "200C")})
"""Overlay Data, Curve Data and Audio Sample Data: the beginning of the group, and the element."""

_WAVEFORMS: Final = tag_of("WaveformSequence")
_WAVEFORM_DATA: Final = tag_of("WaveformData")


def without_bulk_data(elements: Sequence[RawElement], encoding: Encoding) -> list[RawElement]:
    """Return the top-level elements of a data set without those that are left out; private ones stay.

    Args:
        elements: of the data set, but for its pixel data.
        encoding: of a sequence that has to be written anew.

    Raises:
        CorruptData: the waveforms cannot be read.

    Reference: PS3.4 Table Z.1-1
    """
    kept: list[RawElement] = []
    for element in elements:
        key = element.key
        if key in _LEFT_OUT or (key[:2], key[4:]) in _LEFT_OUT_OF_GROUPS:
            continue
        if key == _WAVEFORMS:
            items = [[each for each in item if each.key != _WAVEFORM_DATA] for item in items_of(element)]
            element = sequence_element(key, items, encoding)
        kept.append(element)
    return kept
