"""The header of an instance that holds some frames of another: what has to change so that it is valid by itself.

Reference: PS3.4 §Y.3.3, PS3.3 §C.12.3
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any, Final

from hilum.dicom.data_sets import write_data_set
from hilum.dicom.dictionary import is_private, tag_of
from hilum.dicom.elements import Attributes
from hilum.dicom.encapsulation import ENCAPSULATION_ATTRIBUTES
from hilum.dicom.frame_lists import ChosenFrames
from hilum.dicom.raw_elements import (
    RawDataSet,
    RawElement,
    encoding_of,
    items_of,
    raw_element,
    read_raw,
    sequence_element,
    word_bytes_of,
)
from hilum.dicom.temporal import combined_interval, temporal_interval
from hilum.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from hilum.kernel.errors import CorruptData, Unsupported


def _tags(text: str) -> frozenset[str]:
    return frozenset(map(tag_of, text.split()))


_REMOVED: Final = _tags(
    """
    PixelDataProviderURL ConcatenationUID SOPInstanceUIDOfConcatenationSource InConcatenationNumber
    InConcatenationTotalNumber ConcatenationFrameOffsetNumber StartTrim StopTrim EffectiveDuration
    RepresentativeFrameNumber FrameNumbersOfInterest FrameOfInterestDescription FrameOfInterestType IconImageSequence
    InstanceCreationDate InstanceCreationTime InstanceCreatorUID DigitalSignaturesSequence MACParametersSequence
    DataSetTrailingPadding
    """
) | frozenset(ENCAPSULATION_ATTRIBUTES)
"""What is true of the source alone: its concatenation, its picture, its signatures, numbers of its frames."""

_OF_EACH_FRAME: Final = _tags(
    """
    EnergyWindowVector DetectorVector PhaseVector RotationVector RRIntervalVector TimeSlotVector SliceVector
    AngularViewVector TimeSliceVector FrameLabelVector FramePrimaryAngleVector FrameSecondaryAngleVector
    PositionerPrimaryAngleIncrement PositionerSecondaryAngleIncrement TableVerticalIncrement
    TableLateralIncrement TableLongitudinalIncrement
    """
)
"""Attributes with one value for each frame, where they have as many values as there are frames."""

_NUMBER_OF_FRAMES: Final = tag_of("NumberOfFrames")
_FRAME_TIME: Final = tag_of("FrameTime")
_FRAME_TIME_VECTOR: Final = tag_of("FrameTimeVector")
_FRAME_DELAY: Final = tag_of("FrameDelay")
_FRAME_INCREMENT_POINTER: Final = tag_of("FrameIncrementPointer")
_PER_FRAME_GROUPS: Final = tag_of("PerFrameFunctionalGroupsSequence")
_FRAME_CONTENT: Final = tag_of("FrameContentSequence")
_FRAME_REFERENCE: Final = tag_of("FrameReferenceDateTime")
_CONTENT_DATE: Final = tag_of("ContentDate")
_CONTENT_TIME: Final = tag_of("ContentTime")
_SOP_INSTANCE_UID: Final = tag_of("SOPInstanceUID")
_EXTRACTIONS: Final = tag_of("FrameExtractionSequence")
_SOURCE_UID: Final = tag_of("MultiFrameSourceSOPInstanceUID")
_EQUIPMENT: Final = tag_of("ContributingEquipmentSequence")
_ORGANIZATION: Final = tag_of("DimensionOrganizationType")
_GRID_OFFSETS: Final = tag_of("GridFrameOffsetVector")
_OVERLAY_FRAMES: Final = "0015"
_ZONE: Final = re.compile(r"[+-]\d{4}$", re.ASCII)


def frame_times_s(raw: RawDataSet, frame_count: int) -> list[float] | None:
    """Return when each frame begins, in seconds since Content Time, or None where nothing tells.

    Raises:
        CorruptData: the functional groups cannot be read.

    Reference: PS3.4 §Y.3.2.1.3, PS3.3 §C.7.6.5, §C.7.6.16.2.2
    """
    found = raw.attributes({_FRAME_TIME, _FRAME_TIME_VECTOR, _FRAME_DELAY, _CONTENT_DATE, _CONTENT_TIME})
    delay_s = (_numbers(found, _FRAME_DELAY) or [0.0])[0] / 1000
    steps = _increments_ms(found, frame_count)
    if steps is not None:
        return [delay_s + passed / 1000 for passed in accumulate(steps)]
    content = combined_interval(_text(found, _CONTENT_DATE), _text(found, _CONTENT_TIME))
    groups = raw.find(_PER_FRAME_GROUPS)
    if content is None or groups is None:
        return None
    times: list[float] = []
    for item in items_of(groups):
        interval = temporal_interval("DT", _ZONE.sub("", _reference_time(item)))
        if interval is None:
            return None
        times.append((interval[0] - content[0]).total_seconds())
    return times if len(times) == frame_count else None


def extracted_elements(
    raw: RawDataSet, frame_count: int, chosen: ChosenFrames, *, source_uid: str, sop_instance_uid: str
) -> list[RawElement]:
    """Return the elements before the pixel data of an instance that holds the chosen frames of another.

    Private attributes, whose meaning may hang on frames that are not there, are left out.

    Args:
        raw: the data set of the source.
        frame_count: how many frames the source has.
        chosen: which of them the new instance holds.
        source_uid: the SOP Instance UID of the source.
        sop_instance_uid: that of the new instance.

    Raises:
        Unsupported: what remained would be no valid instance of the SOP class.
        CorruptData: the source contradicts itself.

    Reference: PS3.4 §Y.3.3
    """
    is_part = len(chosen.indices) < frame_count
    if is_part:
        _check_divisible(raw)
    changes: Attributes = {_SOP_INSTANCE_UID: {"vr": "UI", "Value": [sop_instance_uid]}}
    if raw.find(_NUMBER_OF_FRAMES) is not None:
        changes[_NUMBER_OF_FRAMES] = {"vr": "IS", "Value": [len(chosen.indices)]}
    removed = set(_REMOVED)
    if is_part:
        removed |= _shared_overlays(raw)
        _change_times(raw, frame_count, chosen.indices, changes, removed)
    removed |= {element.key for element in raw.elements if is_private(element.key)}
    new = _written(changes)
    if is_part:
        new += [
            _values_of(element, frame_count, chosen.indices)
            for element in raw.elements
            if element.key in _OF_EACH_FRAME and not element.is_undefined
        ]
        groups = raw.find(_PER_FRAME_GROUPS)
        if groups is not None:
            items = items_of(groups)
            if len(items) != frame_count:
                raise CorruptData("There are not as many functional groups as frames.", code="frames-unreadable")
            of_frames = [items[index] for index in chosen.indices]
            new.append(sequence_element(_PER_FRAME_GROUPS, of_frames, raw.encoding))
    extraction = {_SOURCE_UID: {"vr": "UI", "Value": [source_uid]}, **chosen.told}
    new.append(_with_item(raw, _EXTRACTIONS, dict(sorted(extraction.items()))))
    new.append(_with_item(raw, _EQUIPMENT, _EXTRACTOR))
    return raw.replaced(new, removed)


def _check_divisible(raw: RawDataSet) -> None:
    """Refuse what is a whole: tiles whose places follow from their number, planes of a dose."""
    found = raw.attributes({_ORGANIZATION})
    if _text(found, _ORGANIZATION) == "TILED_FULL" or raw.find(_GRID_OFFSETS) is not None:
        raise Unsupported("the frames of this instance mean something together only", code="frames-indivisible")


def _shared_overlays(raw: RawDataSet) -> set[str]:
    """Return the elements of overlays that have frames of their own, and of retired curves and audio."""
    overlays = {
        element.key[:4] for element in raw.elements if element.key[:2] == "60" and element.key[4:] == _OVERLAY_FRAMES
    }
    return {element.key for element in raw.elements if element.key[:4] in overlays or element.key[:2] == "50"}


def _change_times(
    raw: RawDataSet, frame_count: int, indices: Sequence[int], changes: Attributes, removed: set[str]
) -> None:
    """Let the frames begin when they did: the first after a delay, the others after the time since the one before."""
    found = raw.attributes({_FRAME_TIME, _FRAME_TIME_VECTOR, _FRAME_DELAY, _FRAME_INCREMENT_POINTER})
    steps = _increments_ms(found, frame_count)
    if steps is None:
        return
    begins = list(accumulate(steps))
    times = [begins[index] for index in indices]
    delay = (_numbers(found, _FRAME_DELAY) or [0.0])[0] + times[0]
    if delay or _FRAME_DELAY in found:
        changes[_FRAME_DELAY] = _decimals([delay])
    between = [after - before for before, after in pairwise(indices)]
    if _FRAME_TIME in found and len(set(between)) <= 1:
        step = (_numbers(found, _FRAME_TIME) or [0.0])[0]
        changes[_FRAME_TIME] = _decimals([step * (between[0] if between else 1)])
        removed.add(_FRAME_TIME_VECTOR)
        return
    changes[_FRAME_TIME_VECTOR] = _decimals([0.0, *(after - before for before, after in pairwise(times))])
    removed.add(_FRAME_TIME)
    pointers = found.get(_FRAME_INCREMENT_POINTER, {}).get("Value", [])
    if _FRAME_TIME in pointers:
        told = [_FRAME_TIME_VECTOR if each == _FRAME_TIME else each for each in pointers]
        changes[_FRAME_INCREMENT_POINTER] = {"vr": "AT", "Value": told}


def _increments_ms(found: Attributes, frame_count: int) -> list[float] | None:
    """Return the time from each frame to the one before it, 0 for the first."""
    vector = _numbers(found, _FRAME_TIME_VECTOR)
    if vector is not None and len(vector) == frame_count:
        return vector
    step = _numbers(found, _FRAME_TIME)
    return [0.0, *[step[0]] * (frame_count - 1)] if step else None


def _values_of(element: RawElement, frame_count: int, indices: Sequence[int]) -> RawElement:
    """Return an attribute with the values of the chosen frames."""
    value = element.data[element.value : element.end]
    width = word_bytes_of(element.vr)
    starts = range(0, len(value), width)
    values = [value[start : start + width] for start in starts] if width > 1 else value.split(b"\\")
    if len(values) != frame_count:
        return element
    joined = (b"" if width > 1 else b"\\").join(values[index] for index in indices)
    return raw_element(element.key, element.vr, joined + b" " * (len(joined) % 2), element.encoding)


def _with_item(raw: RawDataSet, key: str, item: Attributes) -> RawElement:
    """Return a sequence of the source, or a new one, with one item more."""
    present = raw.find(key)
    items = items_of(present) if present is not None else []
    return sequence_element(key, [*items, _written(item)], raw.encoding)


def _written(attributes: Attributes) -> list[RawElement]:
    data = write_data_set(attributes, EXPLICIT_VR_LITTLE_ENDIAN)
    return read_raw(data, encoding_of(EXPLICIT_VR_LITTLE_ENDIAN)).elements


def _reference_time(item: Sequence[RawElement]) -> str:
    """Return Frame Reference DateTime of the functional groups of one frame, "" if they have none."""
    content = next((element for element in item if element.key == _FRAME_CONTENT), None)
    for inner in items_of(content) if content is not None else ():
        for element in inner:
            if element.key == _FRAME_REFERENCE:
                return element.data[element.value : element.end].decode("ascii", "replace").strip(" \0")
    return ""


def _numbers(found: Attributes, tag: str) -> list[float] | None:
    values = found.get(tag, {}).get("Value")
    try:
        return [float(value) for value in values] if values else None
    except (TypeError, ValueError):
        return None


def _text(found: Attributes, tag: str) -> str:
    values: list[Any] = found.get(tag, {}).get("Value") or [""]
    return str(values[0] or "").strip()


def _decimals(values: Sequence[float]) -> dict[str, Any]:
    # A decimal string has up to 16 characters (PS3.5 §6.2).
    return {"vr": "DS", "Value": [float(f"{value:.9g}") for value in values]}


_EXTRACTOR: Final[Attributes] = {
    tag_of("Manufacturer"): {"vr": "LO", "Value": ["Hilum"]},
    tag_of("PurposeOfReferenceCodeSequence"): {
        "vr": "SQ",
        "Value": [
            {
                tag_of("CodeValue"): {"vr": "SH", "Value": ["109105"]},
                tag_of("CodingSchemeDesignator"): {"vr": "SH", "Value": ["DCM"]},
                tag_of("CodeMeaning"): {"vr": "LO", "Value": ["Frame Extracting Equipment"]},
            }
        ],
    },
}
"""Who extracts frames, as an item of Contributing Equipment Sequence (PS3.3 §C.12.1.1.5)."""
