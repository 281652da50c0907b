"""What a query asks of one attribute: the conditions of PS3.4 §C.2.2.2 as data, read from text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final, TypeAlias

from hilum.dicom.names import normalise_name
from hilum.dicom.temporal import temporal_interval
from hilum.kernel.errors import InvalidInput
from hilum.kernel.limits import MAX_QUERY_TEXT_CHARACTERS, MAX_QUERY_VALUES, MAX_UID_LENGTH


@dataclass(frozen=True, slots=True)
class Universal:
    """Every entity matches, with or without the attribute (§C.2.2.2.3)."""


@dataclass(frozen=True, slots=True)
class Single:
    """One value of the attribute equals `value` (§C.2.2.2.1).

    Names are compared by `normalise_name`, numbers by their worth; a date or time of lower precision stands
    for the whole interval it names ("10" is every time from ten to eleven); other text is compared
    case-sensitively.
    """

    value: str


@dataclass(frozen=True, slots=True)
class Wildcard:
    """One value matches the pattern: `*` is any run of characters, `?` one; nothing escapes them (§C.2.2.2.4)."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Range:
    """One date, time or date-time lies between `low` and `high`, both included; None is open (§C.2.2.2.5)."""

    low: str | None
    high: str | None


@dataclass(frozen=True, slots=True)
class UidList:
    """The UID is one of `values` (§C.2.2.2.2)."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one alternative holds: what a query with several values of a text attribute asks for."""

    alternatives: tuple[Single | Wildcard | Range, ...]


@dataclass(frozen=True, slots=True)
class Fuzzy:
    """Each word begins some word of the person's name, in any component of any group, in any order.

    The words are normal forms (`normalise_name`). So "jo do" finds Doe^John and "taro" finds Yamada^Tarou.
    All that `Single` finds with the same text, this finds too. PS3.18 §8.3.4.2 leaves the algorithm to the
    server.
    """

    words: tuple[str, ...]


Condition: TypeAlias = Universal | Single | Wildcard | Range | UidList | AnyOf | Fuzzy

TEMPORAL_VRS: Final = frozenset({"DA", "TM", "DT"})
INTEGER_VRS: Final = frozenset({"IS", "SL", "SS", "SV", "UL", "US", "UV"})
NUMERIC_VRS: Final = INTEGER_VRS | {"DS", "FL", "FD"}
WILDCARD_VRS: Final = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_UNMATCHABLE_VRS: Final = frozenset({"SQ", "OB", "OD", "OF", "OL", "OV", "OW", "UN"})
# In these a backslash is an ordinary character and the attribute has one value (PS3.5 §6.2).
_SINGLE_VALUED_VRS: Final = frozenset({"LT", "ST", "UT", "UR"})
_UID_CHARACTERS: Final = re.compile(r"[0-9.]+")
_DATE_TIME: Final = r"\d{4,14}(?:\.\d{1,6})?"
_DATE_TIME_RANGE: Final = re.compile(rf"({_DATE_TIME}(?:[+-]\d{{4}})?)?-({_DATE_TIME}(?:[+-]\d{{4}})?)?")


def parse_condition(vr: str, text: str, *, fuzzy: bool = False, wildcards: bool = True) -> Condition:
    r"""Return the condition a query's text value stands for.

    An empty text and a text of asterisks alone are universal. A backslash parts several values, for UI a
    comma too.

    Args:
        vr: value representation of the attribute, by the dictionary.
        text: the value as the query carries it, decoded.
        fuzzy: whether the query asks for fuzzy matching; it concerns person names alone.
        wildcards: whether `*` and `?` have their meaning; without, they are ordinary characters.

    Raises:
        InvalidInput: the text is no value, range or pattern of this VR, or the VR cannot be matched.

    Reference: PS3.4 §C.2.2.2, PS3.18 §8.3.4
    """
    if len(text) > MAX_QUERY_TEXT_CHARACTERS or "\x00" in text:
        raise InvalidInput("A query value is too long or holds a NUL character.", code="bad-query-value", vr=vr)
    stripped = text.strip()
    if not stripped or (wildcards and not stripped.strip("*")):
        return Universal()
    if vr in _UNMATCHABLE_VRS:
        raise InvalidInput(f"Attributes of VR {vr} cannot be matched by a value.", code="unmatchable-vr", vr=vr)
    if vr == "UI":
        return _uid_condition(stripped)
    if vr in _SINGLE_VALUED_VRS:
        return _value_condition(vr, stripped, fuzzy=fuzzy, wildcards=wildcards)
    values = [value for value in (part.strip() for part in stripped.split("\\")) if value]
    if len(values) > MAX_QUERY_VALUES:
        raise InvalidInput("A query names too many values.", code="bad-query-value", vr=vr)
    parsed = [_value_condition(vr, value, fuzzy=fuzzy, wildcards=wildcards) for value in values]
    if len(parsed) == 1:
        return parsed[0]
    alternatives = tuple(c for c in parsed if isinstance(c, Single | Wildcard | Range))
    if len(alternatives) == len(parsed) and parsed:
        return AnyOf(alternatives)
    if any(isinstance(c, Universal) for c in parsed) or not parsed:
        return Universal()
    raise InvalidInput("Fuzzy matching takes one name.", code="bad-query-value", vr=vr)


def _value_condition(
    vr: str, text: str, *, fuzzy: bool, wildcards: bool
) -> Universal | Single | Wildcard | Range | Fuzzy:
    if vr in TEMPORAL_VRS:
        return _temporal_condition(vr, text)
    if wildcards and not text.strip("*"):
        return Universal()
    if vr in NUMERIC_VRS:
        _check_number(vr, text)
    elif vr == "AT":
        if not re.fullmatch(r"[0-9A-Fa-f]{8}", text):
            raise _malformed(vr)
        return Single(text.upper())
    elif vr == "AS" and not re.fullmatch(r"\d{3}[DWMY]", text):
        raise _malformed(vr)
    if vr == "PN":
        return _name_condition(text, fuzzy=fuzzy, wildcards=wildcards)
    if wildcards and vr in WILDCARD_VRS and ("*" in text or "?" in text):
        return Wildcard(text)
    return Single(text)


def _name_condition(text: str, *, fuzzy: bool, wildcards: bool) -> Universal | Single | Wildcard | Fuzzy:
    normal = normalise_name(text)
    if not normal:
        return Universal()
    if fuzzy:
        # Fuzzy words are beginnings already, so an asterisk after a word says nothing new.
        words = [word.rstrip("*") if wildcards else word for word in normal.split()]
        if not wildcards or not any("*" in word or "?" in word for word in words):
            kept = tuple(word for word in words if word)
            return Fuzzy(kept) if kept else Universal()
    if wildcards and ("*" in normal or "?" in normal):
        return Wildcard(text)
    return Single(text)


def _uid_condition(text: str) -> UidList | Single | Universal:
    values = tuple(dict.fromkeys(v for v in (part.strip(" \0") for part in re.split(r"[\\,]", text)) if v))
    if len(values) > MAX_QUERY_VALUES:
        raise InvalidInput("A query names too many UIDs.", code="bad-query-value", vr="UI")
    # UIDs with leading zeros or empty components are in real archives, so a search for them is allowed.
    if any(len(v) > MAX_UID_LENGTH or not _UID_CHARACTERS.fullmatch(v) for v in values):
        raise _malformed("UI")
    if not values:
        return Universal()
    return Single(values[0]) if len(values) == 1 else UidList(values)


def _temporal_condition(vr: str, text: str) -> Single | Range:
    if temporal_interval(vr, text) is not None:
        return Single(text)
    if vr == "DT":
        parts = _DATE_TIME_RANGE.fullmatch(text)
        if parts is None:
            raise _malformed(vr)
        low, high = parts.group(1), parts.group(2)
    else:
        low, hyphen, high = (part.strip() for part in text.partition("-"))
        if not hyphen:
            raise _malformed(vr)
    intervals = [temporal_interval(vr, end) for end in (low, high) if end]
    if not intervals or None in intervals:
        raise _malformed(vr)
    first, last = intervals[0], intervals[-1]
    # A time range may run over midnight for nobody: §C.2.2.2.5.1 knows no wrap-around, so it would match
    # nothing.
    if first is not None and last is not None and first[0] > last[1]:
        raise InvalidInput("The end of a range lies before its beginning.", code="bad-range", vr=vr)
    return Range(low or None, high or None)


def _check_number(vr: str, text: str) -> None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise _malformed(vr) from None
    if not number.is_finite() or (vr in INTEGER_VRS and number != number.to_integral_value()):
        raise _malformed(vr)


def _malformed(vr: str) -> InvalidInput:
    return InvalidInput(f"A query value is no valid value of VR {vr}.", code="bad-query-value", vr=vr)
