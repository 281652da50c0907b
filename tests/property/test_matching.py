"""Laws that matching obeys whatever the values (PS3.4 §C.2.2.2)."""

from __future__ import annotations

from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from hilum.dicom.matching import (
    Fuzzy,
    Single,
    Universal,
    Wildcard,
    matches,
    normalise_name,
    parse_condition,
    value_matches,
)
from hilum.dicom.temporal import temporal_interval
from hilum.kernel.errors import InvalidInput

VRS = [
    "AE",
    "AS",
    "AT",
    "CS",
    "DA",
    "DS",
    "DT",
    "FD",
    "FL",
    "IS",
    "LO",
    "LT",
    "PN",
    "SH",
    "SL",
    "SQ",
    "SS",
    "ST",
    "SV",
    "TM",
    "UC",
    "UI",
    "UL",
    "UN",
    "UR",
    "US",
    "UT",
    "UV",
    "OB",
]
NAME_TEXT = st.text(
    alphabet=st.characters(exclude_characters="\\=*?\x00", exclude_categories=["Cs", "Cc"]), max_size=20
)
PLAIN_TEXT = st.text(
    alphabet=st.characters(exclude_characters="\\*?\x00", exclude_categories=["Cs", "Cc", "Zs"]), max_size=20
)
MOMENTS = st.datetimes(min_value=datetime.fromisoformat("1900-01-01"), max_value=datetime.fromisoformat("2100-01-01"))


@given(st.sampled_from(VRS), st.text(max_size=30), st.booleans(), st.booleans())
def test_parsing_gives_a_condition_or_refuses_in_the_documented_way(
    vr: str, text: str, fuzzy: bool, wildcards: bool
) -> None:
    try:
        condition = parse_condition(vr, text, fuzzy=fuzzy, wildcards=wildcards)
    except InvalidInput:
        return
    assert isinstance(value_matches(vr, "x", condition), bool)


@given(st.text(max_size=40))
def test_normalising_a_name_twice_changes_nothing_more(text: str) -> None:
    once = normalise_name(text)
    assert normalise_name(once) == once
    assert once == " ".join(once.split())
    assert not set("^=") & set(once)


@given(NAME_TEXT)
def test_a_name_matches_itself_in_any_case_and_by_its_beginning(name: str) -> None:
    attributes = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": name}]}}
    assert matches(attributes, ["00100010"], parse_condition("PN", normalise_name(name)))
    condition = parse_condition("PN", name)
    if isinstance(condition, Single):
        assert matches(attributes, ["00100010"], condition)
        assert matches(attributes, ["00100010"], parse_condition("PN", name + "*"))


@given(NAME_TEXT, NAME_TEXT)
def test_fuzzy_matching_finds_all_that_exact_matching_finds(name: str, asked: str) -> None:
    attributes = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": name}]}}
    for text in (asked, name):
        exact, fuzzy = parse_condition("PN", text), parse_condition("PN", text, fuzzy=True)
        if matches(attributes, ["00100010"], exact):
            assert isinstance(fuzzy, Fuzzy | Universal)
            assert matches(attributes, ["00100010"], fuzzy)


@given(PLAIN_TEXT, st.data())
def test_replacing_characters_by_wildcards_keeps_the_match(text: str, data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(begin, len(text)))
    for middle in ("*", "?" * (end - begin)):
        assert value_matches("LO", text, parse_condition("LO", text[:begin] + middle + text[end:]))


@given(MOMENTS, MOMENTS, MOMENTS)
def test_a_range_matches_what_lies_between_its_ends(one: datetime, other: datetime, found: datetime) -> None:
    low, high = min(one, other), max(one, other)
    for vr, form in (("DA", "%Y%m%d"), ("DT", "%Y%m%d%H%M%S.%f")):
        ends = [moment.strftime(form) for moment in (low, high)]
        value = found.strftime(form)
        assert value_matches(vr, value, parse_condition(vr, "-".join(ends))) == (ends[0] <= value <= ends[1])
        assert value_matches(vr, value, parse_condition(vr, f"{ends[0]}-")) == (ends[0] <= value)
        assert value_matches(vr, value, parse_condition(vr, f"-{ends[1]}")) == (value <= ends[1])


@given(MOMENTS, st.integers(0, 6))
def test_less_precision_covers_a_longer_interval_that_holds_the_shorter(moment: datetime, digits: int) -> None:
    whole = moment.strftime("%Y%m%d%H%M%S.%f")
    shorter = [whole[:n] for n in (4, 6, 8, 10, 12, 14)] + [whole[: 15 + n] for n in range(1, digits + 1)]
    intervals = [temporal_interval("DT", text) for text in shorter]
    for outer, inner in pairwise(intervals):
        assert outer is not None and inner is not None
        assert outer[0] <= inner[0] <= inner[1] <= outer[1]
    last = temporal_interval("DT", whole)
    assert last is not None and last[1] - last[0] < timedelta(microseconds=1)


@given(st.text(alphabet="ab*?", max_size=8), st.text(alphabet="ab", max_size=8))
def test_a_pattern_means_what_the_shell_means_by_it(pattern: str, text: str) -> None:
    assert value_matches("LO", text, Wildcard(pattern)) == fnmatchcase(text, pattern)
