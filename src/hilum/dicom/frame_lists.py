"""Which frames of an instance a retrieval at the FRAME level names: by list, by ranges, by time.

Reference: PS3.4 §Y.3.2, Table Y.6-2
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, NoReturn, TypeAlias

from hilum.dicom.dictionary import tag_of
from hilum.dicom.elements import Attributes
from hilum.kernel.errors import InvalidInput, NotFound, Unsupported
from hilum.kernel.limits import MAX_FRAME_LIST_VALUES

_SIMPLE: Final = tag_of("SimpleFrameList")
_CALCULATED: Final = tag_of("CalculatedFrameList")
_TIME_RANGE: Final = tag_of("TimeRange")
# Seconds: decimal strings of milliseconds are added up to the times of frames.
_TOLERANCE_S: Final = 1e-6


@dataclass(frozen=True, slots=True)
class SimpleFrameList:
    """Frame numbers, each greater than the one before."""

    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CalculatedFrameList:
    """First frame, upper limit and increment of ranges, each beginning behind the one before."""

    ranges: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class TimeRange:
    """From one time to another, both included, in seconds since Content Time."""

    start_s: float
    end_s: float


FrameList: TypeAlias = SimpleFrameList | CalculatedFrameList | TimeRange


@dataclass(frozen=True, slots=True)
class ChosenFrames:
    """The frames of one instance, 0-based and rising, and the attributes that tell how they were chosen."""

    indices: Sequence[int]
    told: Attributes


def read_frame_list(keys: Mapping[str, Mapping[str, Any]]) -> FrameList:
    """Return which frames an identifier names.

    Raises:
        InvalidInput: there is none of the three keys, or several; numbers do not rise, ranges overlap or are none.

    Reference: PS3.4 §Y.3.2.1, §Y.6.1.1.3
    """
    given = {
        tag: list(keys[tag]["Value"]) for tag in (_SIMPLE, _CALCULATED, _TIME_RANGE) if keys.get(tag, {}).get("Value")
    }
    if len(given) != 1:
        _refuse("an identifier at the FRAME level has exactly one of the three keys that choose frames")
    ((tag, values),) = given.items()
    if len(values) > MAX_FRAME_LIST_VALUES:
        _refuse(f"no more than {MAX_FRAME_LIST_VALUES} numbers may choose frames", tag)
    if tag == _TIME_RANGE:
        return _time_range(values)
    if not all(isinstance(value, int) and not isinstance(value, bool) and value > 0 for value in values):
        _refuse("frame numbers and increments begin with 1", tag)
    if tag == _SIMPLE:
        if any(after <= before for before, after in pairwise(values)):
            _refuse("frame numbers have to rise", tag)
        return SimpleFrameList(tuple(values))
    if len(values) % 3:
        _refuse("ranges of frames have three numbers each", tag)
    ranges = list(zip(values[::3], values[1::3], values[2::3], strict=True))
    reached = 0
    for first, limit, _ in ranges:
        # A range to the end, however the end is written, leaves no room for another.
        if first <= reached or limit < first:
            _refuse("ranges of frames have to rise and must not overlap", tag)
        reached = limit
    return CalculatedFrameList(tuple(ranges))


def choose_frames(wanted: FrameList, frame_count: int, times_s: Sequence[float] | None) -> ChosenFrames:
    """Return the frames of an instance that are wanted; numbers beyond its end are passed over.

    Args:
        wanted: what was asked for.
        frame_count: how many frames there are.
        times_s: when each begins, in seconds since Content Time; None where nothing tells.

    Raises:
        NotFound: none of the frames is there.
        InvalidInput: a range before the last one ends behind the last frame.
        Unsupported: a time was asked for and the frames have none.

    Reference: PS3.4 §Y.3.2.1, PS3.3 §C.12.3
    """
    match wanted:
        case SimpleFrameList(numbers):
            found = numbers[: bisect_right(numbers, frame_count)]
            chosen = ChosenFrames([number - 1 for number in found], _told(_SIMPLE, "UL", found))
        case CalculatedFrameList(ranges):
            chosen = _calculated(ranges, frame_count)
        case TimeRange(start_s, end_s):
            chosen = _timed(start_s, end_s, times_s)
    if not chosen.indices:
        raise NotFound("none of the frames asked for is there", code="no-frames")
    return chosen


def _calculated(ranges: Sequence[tuple[int, int, int]], frame_count: int) -> ChosenFrames:
    indices: list[int] = []
    told: list[int] = []
    for number, (first, limit, step) in enumerate(ranges):
        if first > frame_count:
            continue
        if limit > frame_count and number + 1 < len(ranges):
            _refuse("only the last range of frames may reach to the end", _CALCULATED)
        last = min(limit, frame_count)
        indices.extend(range(first - 1, last, step))
        told += [first, last, step]
    return ChosenFrames(indices, _told(_CALCULATED, "UL", told))


def _timed(start_s: float, end_s: float, times_s: Sequence[float] | None) -> ChosenFrames:
    if times_s is None:
        raise Unsupported("the frames of the instance have no times", code="frames-without-times")
    order = sorted(range(len(times_s)), key=times_s.__getitem__)
    rising = [times_s[index] for index in order]
    low, high = bisect_left(rising, start_s - _TOLERANCE_S), bisect_right(rising, end_s + _TOLERANCE_S)
    told = [rising[low], rising[high - 1]] if low < high else []
    return ChosenFrames(sorted(order[low:high]), _told(_TIME_RANGE, "FD", told))


def _time_range(values: Sequence[Any]) -> TimeRange:
    if len(values) != 2 or not all(isinstance(value, int | float) and math.isfinite(value) for value in values):
        _refuse("a range of times has two numbers", _TIME_RANGE)
    start_s, end_s = map(float, values)
    if end_s < start_s:
        _refuse("the end of a range of times lies before its beginning", _TIME_RANGE)
    return TimeRange(start_s, end_s)


def _told(tag: str, vr: str, values: Sequence[float]) -> Attributes:
    return {tag: {"vr": vr, "Value": list(values)}}


def _refuse(message: str, tag: str = _SIMPLE) -> NoReturn:
    keyword = {_SIMPLE: "SimpleFrameList", _CALCULATED: "CalculatedFrameList", _TIME_RANGE: "TimeRange"}[tag]
    raise InvalidInput(message, code="frame-list", attribute=keyword)
