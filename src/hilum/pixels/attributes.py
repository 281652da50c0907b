"""From DICOM JSON attributes to what the decoders and transformations need."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from hilum.dicom.dictionary import tag_of
from hilum.kernel.errors import CorruptData, InvalidInput
from hilum.pixels.colour import Palette, make_palette
from hilum.pixels.description import PixelDescription, SampleKind
from hilum.pixels.grayscale import GrayscaleTransform, LookUpTable, Window, WindowFunction

Attributes: TypeAlias = Mapping[str, Any]
"""One data set in the DICOM JSON model (PS3.18 §F.2)."""
BulkReader: TypeAlias = Callable[[str], bytes]
"""Gives the little endian bytes of a BulkDataURI of the data set."""

_INVERSE_PHOTOMETRIC = "MONOCHROME1"
_PALETTE_CHANNELS = ("Red", "Green", "Blue")
_BIG_LUT_ENTRIES = 65_536
_DEFAULT_FRAME_TIME_MS = 100.0


def describe_pixels(attributes: Attributes) -> PixelDescription:
    """Return the checked pixel description of a data set whose pixel data themselves stand elsewhere.

    Raises:
        InvalidInput, LimitExceeded, Unsupported: as `PixelDescription` has them.

    Reference: PS3.3 §C.7.6.3, §C.7.6.24, §C.7.6.25
    """
    bits_allocated = _integer(attributes, "BitsAllocated")
    kind = SampleKind.INTEGER
    # Floating point images have neither of these attributes, integer images must have both.
    if not _values(attributes, "BitsStored") and not _values(attributes, "PixelRepresentation"):
        kind = {32: SampleKind.FLOAT, 64: SampleKind.DOUBLE}.get(bits_allocated, SampleKind.INTEGER)
    bits_stored = _integer(attributes, "BitsStored", bits_allocated) if kind is SampleKind.INTEGER else bits_allocated
    high_bit = _integer(attributes, "HighBit", bits_stored - 1) if kind is SampleKind.INTEGER else bits_allocated - 1
    samples_per_pixel = _integer(attributes, "SamplesPerPixel", 1)
    return PixelDescription(
        rows=_integer(attributes, "Rows"),
        columns=_integer(attributes, "Columns"),
        samples_per_pixel=samples_per_pixel,
        bits_allocated=bits_allocated,
        bits_stored=bits_stored,
        high_bit=high_bit,
        is_signed=_integer(attributes, "PixelRepresentation", 0) == 1,
        photometric_interpretation=_text(attributes, "PhotometricInterpretation")
        or ("RGB" if samples_per_pixel == 3 else "MONOCHROME2"),
        # Zero frames is written by devices that mean one.
        frame_count=_integer(attributes, "NumberOfFrames", 1) or 1,
        is_planar=_integer(attributes, "PlanarConfiguration", 0) == 1,
        kind=kind,
    )


def grayscale_transform(
    attributes: Attributes, frame_number: int, read_bulk: BulkReader, window: Window | None = None
) -> GrayscaleTransform:
    """Return the transformation of one frame, from the data set or its functional groups.

    Args:
        attributes: the instance's attributes.
        frame_number: 1-based.
        read_bulk: gives values that stand outside of the attributes.
        window: takes the place of the data set's own window.

    Reference: PS3.3 §C.11.1, §C.11.2, §C.7.6.16.2.9, §C.7.6.16.2.10
    """
    modality = functional_group(attributes, "PixelValueTransformationSequence", frame_number) or attributes
    frame_voi = functional_group(attributes, "FrameVOILUTSequence", frame_number) or attributes
    is_signed = _integer(attributes, "PixelRepresentation", 0) == 1
    modality_lut = _first_item(attributes, "ModalityLUTSequence")
    voi: Window | LookUpTable | None = window or _window_of(frame_voi)
    if voi is None:
        voi_lut = _first_item(frame_voi, "VOILUTSequence")
        voi = _look_up_table(voi_lut, read_bulk, is_signed=is_signed) if voi_lut is not None else None
    is_inverted = (
        _text(attributes, "PhotometricInterpretation") == _INVERSE_PHOTOMETRIC
        or _text(attributes, "PresentationLUTShape") == "INVERSE"
    )
    return GrayscaleTransform(
        slope=_number(modality, "RescaleSlope", 1.0) or 1.0,
        intercept=_number(modality, "RescaleIntercept", 0.0),
        modality=_look_up_table(modality_lut, read_bulk, is_signed=is_signed) if modality_lut is not None else None,
        voi=voi,
        is_inverted=is_inverted,
        padding=_padding(attributes),
    )


def palette_of(attributes: Attributes, read_bulk: BulkReader) -> Palette:
    """Return the palette of a PALETTE COLOR image.

    Raises:
        CorruptData: the palette is missing or damaged.

    Reference: PS3.3 §C.7.6.3.1.5
    """
    is_segmented = tag_of("SegmentedRedPaletteColorLookupTableData") in attributes
    descriptors: list[tuple[int, int, int]] = []
    channels: list[bytes] = []
    for colour in _PALETTE_CHANNELS:
        descriptor = _descriptor(attributes, f"{colour}PaletteColorLookupTableDescriptor")
        prefix = "Segmented" if is_segmented else ""
        data = attributes.get(tag_of(f"{prefix}{colour}PaletteColorLookupTableData"))
        if descriptor is None or data is None:
            raise CorruptData("The image has no complete palette.", code="corrupt-palette")
        descriptors.append(descriptor)
        channels.append(element_bytes(data, read_bulk))
    is_signed = _integer(attributes, "PixelRepresentation", 0) == 1
    return make_palette(tuple(descriptors), tuple(channels), is_segmented=is_segmented, is_signed=is_signed)


def functional_group(attributes: Attributes, keyword: str, frame_number: int) -> Attributes | None:
    """Return the item of a functional group macro that holds for a frame, its own before the shared one.

    Reference: PS3.3 §C.7.6.16
    """
    groups = _values(attributes, "PerFrameFunctionalGroupsSequence")
    if 0 < frame_number <= len(groups) and isinstance(groups[frame_number - 1], Mapping):
        own = _first_item(groups[frame_number - 1], keyword)
        if own is not None:
            return own
    shared = _first_item(attributes, "SharedFunctionalGroupsSequence")
    return _first_item(shared, keyword) if shared is not None else None


def frame_time_ms(attributes: Attributes) -> float:
    """Return how long a frame of a cine is shown; 100 ms where the data set does not say.

    Reference: PS3.3 §C.7.6.5
    """
    time_ms = float(_number(attributes, "FrameTime", 0.0))
    if time_ms <= 0:
        rate = float(_number(attributes, "RecommendedDisplayFrameRate", 0.0) or _number(attributes, "CineRate", 0.0))
        time_ms = 1000.0 / rate if rate > 0 else _DEFAULT_FRAME_TIME_MS
    return time_ms


def bulk_references(attributes: Attributes, frame_number: int) -> list[str]:
    """Return the BulkDataURIs that rendering a frame needs beside its pixels: palettes and LUTs."""
    elements = [
        attributes.get(tag_of(f"{prefix}{colour}PaletteColorLookupTableData"))
        for prefix in ("", "Segmented")
        for colour in _PALETTE_CHANNELS
    ]
    frame_voi = functional_group(attributes, "FrameVOILUTSequence", frame_number) or attributes
    for parent, keyword in ((attributes, "ModalityLUTSequence"), (frame_voi, "VOILUTSequence")):
        item = _first_item(parent, keyword)
        elements.append(item.get(tag_of("LUTData")) if item is not None else None)
    return [element["BulkDataURI"] for element in elements if element is not None and "BulkDataURI" in element]


def element_bytes(element: Mapping[str, Any], read_bulk: BulkReader) -> bytes:
    """Return the value of a table element as little endian bytes, wherever the metadata keep it.

    Raises:
        CorruptData: the value is of no kind that tables have.
    """
    if "BulkDataURI" in element:
        return read_bulk(element["BulkDataURI"])
    try:
        if "InlineBinary" in element:
            return base64.b64decode(element["InlineBinary"])
        values = element.get("Value", ())
        return np.array(values, np.int64).astype("<u2").tobytes()
    except (binascii.Error, ValueError, TypeError, OverflowError) as error:
        raise CorruptData("A look-up table cannot be read.", code="corrupt-lut") from error


def _look_up_table(item: Attributes, read_bulk: BulkReader, *, is_signed: bool) -> LookUpTable | None:
    descriptor = _descriptor(item, "LUTDescriptor")
    data = item.get(tag_of("LUTData"))
    if descriptor is None or data is None:
        return None
    count, first_value, bits = descriptor
    count = count or _BIG_LUT_ENTRIES
    if is_signed and first_value > 0x7FFF:
        first_value -= 0x10000
    raw = element_bytes(data, read_bulk)
    if len(raw) >= 2 * count:
        entries = np.frombuffer(raw, "<u2", count)
    elif len(raw) >= count > 0:
        entries = np.frombuffer(raw, np.uint8, count).astype(np.uint16)
    else:
        raise CorruptData("A look-up table is shorter than its descriptor says.", code="corrupt-lut")
    return LookUpTable(first_value, bits, entries.astype(np.uint16))


def _window_of(attributes: Attributes) -> Window | None:
    """Return the first window: the standard lets several stand, in the order of the device's preference."""
    center, width = _number(attributes, "WindowCenter", None), _number(attributes, "WindowWidth", None)
    if center is None or width is None:
        return None
    try:
        function = WindowFunction(_text(attributes, "VOILUTFunction") or WindowFunction.LINEAR)
    except ValueError:
        function = WindowFunction.LINEAR
    if width <= 0 or (width < 1 and function is WindowFunction.LINEAR):
        return None
    return Window(center, width, function)


def _padding(attributes: Attributes) -> tuple[int, int] | None:
    value = _number(attributes, "PixelPaddingValue", None)
    if value is None:
        return None
    limit = _number(attributes, "PixelPaddingRangeLimit", value)
    return int(min(value, limit)), int(max(value, limit))


def _descriptor(attributes: Attributes, keyword: str) -> tuple[int, int, int] | None:
    """Return entries, first value and bits of a table; None when they are not three numbers that can be true."""
    try:
        count, first_value, bits = (int(value) for value in _values(attributes, keyword))
    except (TypeError, ValueError, OverflowError):
        return None
    is_possible = 0 <= count <= _BIG_LUT_ENTRIES and abs(first_value) <= _BIG_LUT_ENTRIES and 0 <= bits <= 0xFFFF
    return (count, first_value, bits) if is_possible else None


def _values(attributes: Attributes, keyword: str) -> list[Any]:
    element = attributes.get(tag_of(keyword))
    values = element.get("Value") if element is not None else None
    return values if isinstance(values, list) else []


def _first_item(attributes: Attributes, keyword: str) -> Attributes | None:
    items = _values(attributes, keyword)
    return items[0] if items and isinstance(items[0], Mapping) else None


def _text(attributes: Attributes, keyword: str) -> str:
    values = _values(attributes, keyword)
    return values[0].strip() if values and isinstance(values[0], str) else ""


def _number(attributes: Attributes, keyword: str, default: Any) -> Any:
    values = _values(attributes, keyword)
    try:
        number = float(values[0])
    except (IndexError, TypeError, ValueError):
        return default
    return number if np.isfinite(number) else default


def _integer(attributes: Attributes, keyword: str, default: int | None = None) -> int:
    values = _values(attributes, keyword)
    try:
        return int(values[0])
    except (IndexError, TypeError, ValueError, OverflowError):
        if default is None:
            raise InvalidInput(f"{keyword} is missing or no number.", code="invalid-image") from None
        return default
