"""Attributes in the form in which they are matched.

A data set becomes a tree of the same shape: tag to the list of its values, each value as

- text: a string without padding,
- a number: a number,
- DA, TM, DT: {"DA" | "TM" | "DT": first microsecond of the interval it names},
- PN: the three normalised component groups,
- an item of a sequence: the tree of the item.

The kind can be told from the JSON type, so a condition needs to know nothing of the value representation.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final, TypeAlias

import orjson

from hilum.archive.model import DicomJson
from hilum.dicom.conditions import NUMERIC_VRS, TEMPORAL_VRS
from hilum.dicom.matching import name_groups, normalise_name
from hilum.dicom.temporal import temporal_interval

Terms: TypeAlias = dict[str, list[Any]]

_PADDING: Final = " \0"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")


def terms_of(attributes: Mapping[str, Mapping[str, Any]]) -> Terms:
    """Return the tree of terms of a data set; attributes without a value have none."""
    tree: Terms = {}
    for tag, element in attributes.items():
        values = element.get("Value")
        if values:
            vr = str(element.get("vr", "UN"))
            terms = [term for value in values if value is not None and (term := _term(vr, value)) is not None]
            if terms:
                tree[tag] = terms
    return tree


def _term(vr: str, value: Any) -> Any:
    if vr == "SQ":
        return terms_of(value) if isinstance(value, Mapping) else None
    if vr == "PN":
        return list(groups_of(value))
    if vr in TEMPORAL_VRS:
        moment = _moment(vr, str(value))
        return None if moment is None else {vr: moment}
    if vr in NUMERIC_VRS:
        return _number(value)
    return str(value).strip(_PADDING)


@lru_cache(maxsize=4096)
def _moment(vr: str, text: str) -> int | None:
    """Return the first microsecond a value names; instances of a series repeat the same few."""
    interval = temporal_interval(vr, text)
    return None if interval is None else microseconds(interval[0])


def groups_of(value: Any) -> tuple[str, str, str]:
    """Return the normalised alphabetic, ideographic and phonetic group of a person name, "" where there is none."""
    if isinstance(value, Mapping):
        first, second, third = (normalise_name(str(value.get(group, ""))) for group in _GROUPS)
        return first, second, third
    groups = (*name_groups(str(value)), "", "", "")
    return groups[0], groups[1], groups[2]


def microseconds(moment: datetime) -> int:
    """Return microseconds since 1970, exactly."""
    difference = moment - _EPOCH
    return (difference.days * 86_400 + difference.seconds) * 1_000_000 + difference.microseconds


def _number(value: Any) -> int | float | None:
    if isinstance(value, int | float):
        return value
    try:
        number = Decimal(str(value).strip(_PADDING))
    except InvalidOperation:
        return None
    if not number.is_finite() or abs(number) >= 2**63:
        return None
    return int(number) if number == number.to_integral_value() else float(number)


def first_text(attributes: DicomJson, tag: str) -> str | None:
    """Return the first value as text without padding, or None."""
    value = _first(attributes, tag)
    return None if value is None else clean(str(value).strip(_PADDING)) or None


def first_date(attributes: DicomJson, tag: str) -> date | None:
    """Return the first value as a date, or None when it is none."""
    interval = temporal_interval("DA", str(_first(attributes, tag) or ""))
    return None if interval is None else interval[0].date()


def first_time(attributes: DicomJson, tag: str) -> time | None:
    """Return the beginning of the interval the first value names, or None when it is no time."""
    interval = temporal_interval("TM", str(_first(attributes, tag) or ""))
    return None if interval is None else interval[0].time()


def first_integer(attributes: DicomJson, tag: str) -> int | None:
    """Return the first value as an integer of 64 bits, or None when it is none."""
    number = _number(_first(attributes, tag))
    return number if isinstance(number, int) and abs(number) < 2**63 else None


def first_name(attributes: DicomJson, tag: str) -> tuple[str, str, str]:
    """Return the normalised groups of the first value."""
    first, second, third = (clean(group) for group in groups_of(_first(attributes, tag) or ""))
    return first, second, third


def _first(attributes: DicomJson, tag: str) -> Any:
    element = attributes.get(tag)
    return next((v for v in element.get("Value", ()) if v is not None), None) if element else None


def name_search_form(groups: tuple[str, ...]) -> str | None:
    """Return all words of a name with a space before and after each, or None of an empty name."""
    words = " ".join(group for group in groups if group)
    return f" {search_form(words)} " if words else None


def search_form(text: str) -> str:
    """Return text with each character beyond ASCII spelt as a word of its code point.

    What the trigram index takes for a letter depends on the server's locale; these it takes for letters always.
    """
    return text if text.isascii() else "".join(c if c.isascii() else f"x{ord(c):x}" for c in text)


def clean(text: str) -> str:
    """Return text as PostgreSQL can hold it: it has no NUL, and UTF-8 no half surrogates."""
    if "\0" in text:
        text = text.replace("\0", "")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def json_text(value: Any) -> str:
    """Return JSON text as PostgreSQL's jsonb can hold it."""
    try:
        text = orjson.dumps(value).decode()
        if "\\u0000" not in text:
            return text
    except (orjson.JSONEncodeError, UnicodeEncodeError):
        pass
    return orjson.dumps(_cleaned(value)).decode()


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(str(key)): _cleaned(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(member) for member in value]
    return value
