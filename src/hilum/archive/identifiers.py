"""Identifiers of queries as DICOM JSON: which of their attributes have to match, and which are to be returned."""

from __future__ import annotations

from typing import Any, Final

from hilum.archive.model import DicomJson
from hilum.archive.query import Match
from hilum.dicom.conditions import Universal, parse_condition
from hilum.dicom.dictionary import tag_of
from hilum.dicom.zones import date_time_in_zone
from hilum.kernel.errors import InvalidInput
from hilum.kernel.limits import MAX_SEQUENCE_DEPTH

# They tell how the identifier is to be read, and match nothing.
_ABOUT_THE_IDENTIFIER: Final = frozenset(
    tag_of(keyword) for keyword in ("SpecificCharacterSet", "TimezoneOffsetFromUTC")
)
_NAME_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")


def matching_keys(
    identifier: DicomJson, *, fuzzy: bool = False, offset_minutes: int | None = None
) -> tuple[Match, ...]:
    """Return what has to match; universal keys match everything and are left out.

    Args:
        identifier: the keys.
        fuzzy: whether person names are matched by the beginnings of their words.
        offset_minutes: the zone of moments (DT) that name none; None leaves them as they are.

    Raises:
        InvalidInput: a value is none its attribute can be matched by, or a sequence has several items.

    Reference: PS3.4 §C.2.2.2
    """
    return tuple(_matches(identifier, (), fuzzy, offset_minutes))


def _matches(identifier: DicomJson, path: tuple[str, ...], fuzzy: bool, offset_minutes: int | None) -> list[Match]:
    if len(path) > MAX_SEQUENCE_DEPTH:
        raise InvalidInput("The identifier is nested too deeply.", code="bad-query-value")
    matches: list[Match] = []
    for tag, element in identifier.items():
        if tag in _ABOUT_THE_IDENTIFIER:
            continue
        values = element.get("Value") or []
        if element["vr"] == "SQ":
            if len(values) > 1:
                raise InvalidInput("A sequence is matched by one item.", code="bad-query-value")
            for item in values:
                matches += _matches(item, (*path, tag), fuzzy, offset_minutes)
            continue
        if not values:
            continue
        text = "\\".join(_text(value) for value in values)
        if element["vr"] == "DT" and offset_minutes is not None:
            text = date_time_in_zone(text, offset_minutes)
        condition = parse_condition(element["vr"], text, fuzzy=fuzzy)
        if not isinstance(condition, Universal):
            matches.append(Match((*path, tag), condition))
    return matches


def _text(value: Any) -> str:
    """Return a value of DICOM JSON as it stands in a data set."""
    if isinstance(value, dict):
        return "=".join(str(value.get(group, "")) for group in _NAME_GROUPS).rstrip("=")
    return "" if value is None else str(value)


def requested(attributes: DicomJson, identifier: DicomJson) -> DicomJson:
    """Return of a match what the identifier asks for: its own attributes, and of their sequences' items the same.

    A sequence that is empty in the identifier, or has an empty item, is returned whole; what the match lacks is
    returned empty.

    Reference: PS3.4 §C.1.2, §C.2.2.2.6
    """
    answer: DicomJson = {}
    for tag, asked in identifier.items():
        if tag in _ABOUT_THE_IDENTIFIER:
            continue
        found = attributes.get(tag)
        if found is None:
            answer[tag] = {"vr": asked["vr"]}
        elif asked["vr"] == "SQ" and asked.get("Value") and asked["Value"][0]:
            items = [requested(item, asked["Value"][0]) for item in found.get("Value", ())]
            answer[tag] = {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
        else:
            answer[tag] = found
    return answer
