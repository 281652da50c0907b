"""Which frames a retrieval names: PS3.4 §Y.3.2."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.dicom.frame_lists import (
    CalculatedFrameList,
    SimpleFrameList,
    TimeRange,
    choose_frames,
    read_frame_list,
)
from hilum.kernel.errors import HilumError, InvalidInput, NotFound, Unsupported
from hilum.kernel.limits import MAX_FRAME_LIST_VALUES

SIMPLE, CALCULATED, TIME_RANGE = "00081161", "00081162", "00081163"
END = 0xFFFFFFFF


def keys(**values: Any) -> dict[str, Any]:
    vrs = {SIMPLE: "UL", CALCULATED: "UL", TIME_RANGE: "FD"}
    names = {"simple": SIMPLE, "calculated": CALCULATED, "time_range": TIME_RANGE}
    return {names[name]: {"vr": vrs[names[name]], "Value": value} for name, value in values.items()}


def numbers(identifier: dict[str, Any], frame_count: int) -> list[int]:
    return [index + 1 for index in choose_frames(read_frame_list(identifier), frame_count, None).indices]


def test_the_example_of_the_standard_comes_out() -> None:
    """PS3.4 §Y.3.2.1.2, note."""
    assert numbers(keys(calculated=[2, 9, 3, 12, END, 5]), 25) == [2, 5, 8, 12, 17, 22]


@pytest.mark.parametrize(
    ("values", "frame_count", "expected", "told"),
    [
        ([1, 5, 2], 10, [1, 3, 5], [1, 5, 2]),
        ([1, 6, 2], 10, [1, 3, 5], [1, 6, 2]),
        ([3, 3, 7], 10, [3], [3, 3, 7]),
        ([9, 40, 1], 10, [9, 10], [9, 10, 1]),
        ([1, 2, 1, 11, 12, 1], 10, [1, 2], [1, 2, 1]),
        ([1, END, END], 10, [1], [1, 10, END]),
    ],
)
def test_ranges_are_counted_out(values: list[int], frame_count: int, expected: list[int], told: list[int]) -> None:
    chosen = choose_frames(read_frame_list(keys(calculated=values)), frame_count, None)
    assert [index + 1 for index in chosen.indices] == expected
    assert chosen.told == {CALCULATED: {"vr": "UL", "Value": told}}


@pytest.mark.parametrize(
    "identifier",
    [
        {},
        keys(simple=[]),
        keys(simple=[1], calculated=[1, 2, 1]),
        keys(calculated=[1, 2, 1], time_range=[0, 1]),
        keys(simple=[0]),
        keys(simple=[2, 1]),
        keys(simple=[1, 1]),
        keys(simple=["1"]),
        keys(simple=[True]),
        keys(simple=[None]),
        keys(calculated=[1, 2]),
        keys(calculated=[1, 2, 0]),
        keys(calculated=[3, 2, 1]),
        keys(calculated=[1, 5, 2, 5, 9, 1]),
        keys(calculated=[6, 9, 1, 1, 5, 1]),
        keys(calculated=[1, END, 1, 2, 3, 1]),
        keys(time_range=[1]),
        keys(time_range=[1, 0]),
        keys(time_range=[0, math.inf]),
        keys(time_range=[math.nan, 1]),
        keys(time_range=["0", "1"]),
        keys(simple=list(range(1, MAX_FRAME_LIST_VALUES + 2))),
        keys(calculated=[number for start in range(1, MAX_FRAME_LIST_VALUES) for number in (start, start, 1)]),
    ],
)
def test_what_makes_no_sense_is_refused(identifier: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_frame_list(identifier)
    assert caught.value.reason_code == "frame-list"


def test_only_the_last_range_may_reach_beyond_the_end() -> None:
    wanted = read_frame_list(keys(calculated=[1, 12, 1, 13, 14, 1]))
    assert len(choose_frames(wanted, 20, None).indices) == 14
    with pytest.raises(InvalidInput):
        choose_frames(wanted, 10, None)


def test_none_of_the_frames_is_there() -> None:
    for wanted in (SimpleFrameList((11,)), CalculatedFrameList(((11, 12, 1),))):
        with pytest.raises(NotFound):
            choose_frames(wanted, 10, None)


def test_times_choose_frames_whatever_their_order() -> None:
    chosen = choose_frames(TimeRange(0.5, 2.0), 4, [3.0, 0.5, 2.0, 1.0])
    assert list(chosen.indices) == [1, 2, 3]
    assert chosen.told == {TIME_RANGE: {"vr": "FD", "Value": [0.5, 2.0]}}
    with pytest.raises(Unsupported):
        choose_frames(TimeRange(0, 1), 4, None)


@given(
    values=st.lists(st.one_of(st.integers(-2, 40), st.just(END), st.none(), st.floats(), st.text(max_size=2))),
    name=st.sampled_from(["simple", "calculated", "time_range"]),
    frame_count=st.integers(1, 30),
)
def test_whatever_is_asked_for_frames_rise_and_are_there(values: list[Any], name: str, frame_count: int) -> None:
    try:
        chosen = choose_frames(
            read_frame_list(keys(**{name: values})), frame_count, [0.5 * n for n in range(frame_count)]
        )
    except HilumError as error:
        assert error.reason_code in ("frame-list", "no-frames")
        return
    indices = list(chosen.indices)
    assert indices == sorted(set(indices))
    assert 0 <= indices[0] <= indices[-1] < frame_count
