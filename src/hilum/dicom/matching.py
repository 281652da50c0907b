"""The oracle of attribute matching: PS3.4 §C.2.2.2 over DICOM JSON, slow, clear and right.

Searches run as SQL; property tests hold them to what stands here. Queries are built from the conditions of
`hilum.dicom.conditions`, which this module hands on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeAlias

from hilum.dicom.conditions import (
    NUMERIC_VRS,
    TEMPORAL_VRS,
    AnyOf,
    Condition,
    Fuzzy,
    Range,
    Single,
    UidList,
    Universal,
    Wildcard,
    parse_condition,
)
from hilum.dicom.names import name_groups, name_pattern_forms, normalise_name
from hilum.dicom.temporal import Interval, combined_interval, temporal_interval, utc_offset_minutes

__all__ = [
    "AnyOf",
    "Condition",
    "Fuzzy",
    "JsonDataset",
    "Range",
    "Single",
    "UidList",
    "Universal",
    "Wildcard",
    "matches",
    "matches_all",
    "matches_combined",
    "name_groups",
    "normalise_name",
    "parse_condition",
    "value_matches",
]

_TIMEZONE_OFFSET: Final = "00080201"

JsonDataset: TypeAlias = Mapping[str, Mapping[str, Any]]
"""One data set of the DICOM JSON Model: tag of eight upper-case hexadecimal digits to `vr` and `Value`."""


def matches(attributes: JsonDataset, path: Sequence[str], condition: Condition) -> bool:
    """Return whether the data set satisfies one matching key.

    An attribute of several values matches if one of them does; a path through sequences, if one item on each
    level leads to a match. An absent or empty attribute matches the universal condition alone.

    Args:
        attributes: the data set in the DICOM JSON Model.
        path: tags from the outermost sequence to the attribute, eight upper-case hexadecimal digits each.
        condition: what its value has to satisfy.

    Reference: PS3.4 §C.2.2.2, PS3.18 §F.2
    """
    if isinstance(condition, Universal):
        return True
    element = attributes.get(path[0])
    if element is None:
        return False
    values = element.get("Value", ())
    if len(path) > 1:
        return any(isinstance(item, Mapping) and matches(item, path[1:], condition) for item in values)
    vr = str(element.get("vr", "UN"))
    return any(value is not None and value_matches(vr, value, condition) for value in values)


def matches_all(attributes: JsonDataset, keys: Iterable[tuple[Sequence[str], Condition]]) -> bool:
    """Return whether the data set satisfies all keys, those of one sequence in one and the same item.

    Reference: PS3.4 §C.2.2.2.6
    """
    nested: dict[str, list[tuple[Sequence[str], Condition]]] = {}
    for path, condition in keys:
        if isinstance(condition, Universal):
            continue
        if len(path) > 1:
            nested.setdefault(path[0], []).append((path[1:], condition))
        elif not matches(attributes, path, condition):
            return False
    return all(
        any(
            isinstance(item, Mapping) and matches_all(item, item_keys)
            for item in attributes.get(tag, {}).get("Value", ())
        )
        for tag, item_keys in nested.items()
    )


def matches_combined(
    attributes: JsonDataset,
    date_tag: str,
    time_tag: str,
    dates: Range,
    times: Range,
    offset_minutes: int | None = None,
) -> bool:
    """Return whether date and time of the data set, taken as one moment, lie in a combined range.

    The ends of both ranges belong together: from `dates.low` at `times.low` to `dates.high` at `times.high`.
    A data set without a time matches if any moment of its day lies in the range.

    Args:
        attributes: the data set in the DICOM JSON Model.
        date_tag: the date.
        time_tag: the time that belongs to it.
        dates: a range of the same form as `times`.
        times: the times of the ends of `dates`.
        offset_minutes: the ends are meant in this zone; a data set that tells its own is compared in it.

    Reference: PS3.4 §C.2.2.2.5.4
    """
    date, time = _readable(attributes, date_tag, "DA"), _readable(attributes, time_tag, "TM")
    moment = combined_interval(date, time) if date is not None else None
    if moment is None:
        return False
    if offset_minutes is not None and time is not None:
        own = utc_offset_minutes(_first_text(attributes, _TIMEZONE_OFFSET))
        shift = timedelta(minutes=0 if own is None else offset_minutes - own)
        moment = (moment[0] + shift, moment[1] + shift)
    if dates.low is not None:
        low = combined_interval(dates.low, times.low)
        if low is None or moment[1] < low[0] or (time is not None and moment[0] < low[0]):
            return False
    if dates.high is not None:
        high = combined_interval(dates.high, times.high)
        if high is None or moment[0] > high[1]:
            return False
    return True


def _readable(attributes: JsonDataset, tag: str, vr: str) -> str | None:
    values = attributes.get(tag, {}).get("Value", ())
    return next((str(v) for v in values if v is not None and temporal_interval(vr, str(v)) is not None), None)


def _first_text(attributes: JsonDataset, tag: str) -> str:
    return next((str(v) for v in attributes.get(tag, {}).get("Value", ()) if v is not None), "")


def value_matches(vr: str, value: object, condition: Condition) -> bool:
    """Return whether one value of a VR, as it stands in DICOM JSON, satisfies a condition.

    Reference: PS3.4 §C.2.2.2
    """
    if isinstance(condition, Universal):
        return True
    if isinstance(condition, AnyOf):
        return any(value_matches(vr, value, alternative) for alternative in condition.alternatives)
    if isinstance(condition, UidList):
        return str(value).strip(" \0") in condition.values
    if vr == "PN":
        return _name_matches(value, condition)
    if isinstance(condition, Fuzzy):
        return False
    if isinstance(condition, Wildcard):
        # Padding is no part of a value (PS3.5 §6.2).
        return _wildcard_matches(condition.pattern.strip(), str(value).strip(" \0"))
    if isinstance(condition, Range):
        return _in_range(temporal_interval(vr, str(value)), vr, condition)
    if vr in TEMPORAL_VRS:
        found, asked = temporal_interval(vr, str(value)), temporal_interval(vr, condition.value)
        return found is not None and asked is not None and asked[0] <= found[0] <= asked[1]
    if vr in NUMERIC_VRS:
        return _same_number(str(value), condition.value)
    return str(value).strip(" \0") == condition.value.strip(" \0")


def _in_range(found: Interval | None, vr: str, condition: Range) -> bool:
    """A stored value of lower precision stands where its interval begins: "10" is ten o'clock."""
    if found is None:
        return False
    low = temporal_interval(vr, condition.low) if condition.low else None
    high = temporal_interval(vr, condition.high) if condition.high else None
    if (condition.low and low is None) or (condition.high and high is None):
        return False
    return (low is None or found[0] >= low[0]) and (high is None or found[0] <= high[1])


def _name_matches(value: object, condition: Single | Wildcard | Range | Fuzzy) -> bool:
    groups = _groups_of(value)
    if isinstance(condition, Fuzzy):
        words = " ".join(groups).split()
        return all(any(word.startswith(asked) for word in words) for asked in condition.words)
    if isinstance(condition, Range):
        return False
    text = condition.value if isinstance(condition, Single) else condition.pattern
    literal = isinstance(condition, Single)
    if "=" not in text:
        return any(group and _group_matches(group, text, literal=literal) for group in groups)
    asked_groups = text.split("=")
    return all(
        not asked.strip("* ") or (i < len(groups) and _group_matches(groups[i], asked, literal=literal))
        for i, asked in enumerate(asked_groups)
    )


def _group_matches(group: str, asked: str, *, literal: bool) -> bool:
    if literal:
        return group == normalise_name(asked)
    return any(_wildcard_matches(form, group) for form in name_pattern_forms(asked))


def _groups_of(value: object) -> tuple[str, ...]:
    if isinstance(value, Mapping):
        # Empty groups keep their place.
        return tuple(normalise_name(str(value.get(g, ""))) for g in ("Alphabetic", "Ideographic", "Phonetic"))
    return name_groups(str(value))


def _wildcard_matches(pattern: str, text: str) -> bool:
    """Return whether a whole text matches a pattern, in time of at most their lengths multiplied.

    A regular expression's time grows with each further asterisk of a pattern like "*a*a*a*b", which anyone may send.
    """
    at = position = 0
    star, retry = -1, 0
    while position < len(text):
        if at < len(pattern) and pattern[at] == "*":
            star, retry = at, position
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", text[position]):
            at += 1
            position += 1
        elif star >= 0:
            # The last asterisk takes one character more.
            retry += 1
            at, position = star + 1, retry
        else:
            return False
    return not pattern[at:].strip("*")


def _same_number(found: str, asked: str) -> bool:
    try:
        return Decimal(found.strip(" \0")) == Decimal(asked)
    except InvalidOperation:
        return False
