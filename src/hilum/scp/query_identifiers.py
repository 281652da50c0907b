"""From the identifier of a C-FIND request to the query AST, by the rules of levels (PS3.4 §C.4.1, §C.6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from hilum.archive.model import DicomJson
from hilum.archive.query import AttributePath, Level, Match, MomentMatch, Query
from hilum.dicom.conditions import Condition, Range, Single, UidList, Universal, parse_condition
from hilum.dicom.dictionary import is_private, keyword_of, path_keywords, tag_of, vr_of
from hilum.dicom.levels import DATE_TIME_PAIRS, UNIQUE_KEYS, level_of
from hilum.dicom.zones import TIMEZONE_OFFSET, date_time_in_zone, offset_of
from hilum.kernel.errors import InvalidInput, LimitExceeded
from hilum.kernel.limits import MAX_QUERY_KEYS, MAX_QUERY_VALUES
from hilum.scp.query_models import LEVEL_NAMES, QueryOptions

QUERY_RETRIEVE_LEVEL: Final = tag_of("QueryRetrieveLevel")
ALWAYS_ANSWERED: Final = frozenset(map(tag_of, ("QueryRetrieveLevel", "RetrieveAETitle", "InstanceAvailability")))
"""What every answer says, asked or not."""

_ABOUT_THE_REQUEST: Final = frozenset(map(tag_of, ("SpecificCharacterSet", "QueryRetrieveLevel", "QueryRetrieveView")))
_OF_ANY_LEVEL: Final = ALWAYS_ANSWERED | {TIMEZONE_OFFSET}
_BIRTH_DATE: Final = tag_of("PatientBirthDate")
_PATIENT_KEYS: Final = frozenset(map(tag_of, ("PatientID", "IssuerOfPatientID")))
_NAME_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")


@dataclass(frozen=True, slots=True)
class FindRequest:
    """What one identifier asks for.

    `keys` are the attributes to answer with, as they stand in the identifier. `conditions` of keys in sequences choose
    the items to return. `ignores_keys` says that some key is not answered or not matched. `offset_minutes` is the zone
    to answer in, None for as things are.
    """

    query: Query
    keys: DicomJson
    item_keys: dict[str, list[tuple[AttributePath, Condition]]] = field(default_factory=dict)
    ignores_keys: bool = False
    offset_minutes: int | None = None
    character_set: str | None = None


def read_request(identifier: DicomJson, levels: Sequence[Level], options: QueryOptions, *, limit: int) -> FindRequest:
    """Return what an identifier asks for in a model of these levels.

    Keys without a value ask for the attribute; those of lower levels, and private ones above the instance, are passed
    over. Patient ID and its issuer may stand at any level.

    Raises:
        InvalidInput: the level is none of the model; a unique key of a level above is missing or is not one value; a
            key of another level has a value, unless relational queries were agreed on; a value does not fit its VR.
            The fact `attribute` names the key.
        LimitExceeded: more keys or values than a query may have.

    Reference: PS3.4 §C.4.1.1.3.1, §C.4.1.2, §C.4.1.3
    """
    level = _level(identifier, levels)
    offset = offset_of(identifier) if options.zones else None
    keys: DicomJson = {}
    conditions: dict[AttributePath, Condition] = {}
    ignores = False
    for tag, element in identifier.items():
        if tag in _ABOUT_THE_REQUEST or (tag == TIMEZONE_OFFSET and options.zones):
            continue
        asked = dict(_conditions((tag,), element, options, offset))
        if tag not in _OF_ANY_LEVEL:
            if asked:
                _check_level(tag, level, levels, options)
            elif level_of(tag) > level or (is_private(tag) and level < Level.INSTANCE):
                ignores = True
                continue
        keys[tag] = element
        # Of the zone it is read in nobody is found by.
        conditions.update({path: condition for path, condition in asked.items() if path[0] != TIMEZONE_OFFSET})
    _check_bounds(conditions)
    if not options.relational:
        _check_unique_keys(conditions, level, levels)
    moments = tuple(_take_moments(conditions, offset)) if options.moments else ()
    item_keys: dict[str, list[tuple[AttributePath, Condition]]] = {}
    for path, condition in conditions.items():
        if len(path) > 1:
            item_keys.setdefault(path[0], []).append((path[1:], condition))
    return FindRequest(
        query=Query(
            level=level,
            matches=tuple(Match(path, condition) for path, condition in conditions.items()),
            include=frozenset((tag,) for tag in _to_read(keys, offset)),
            limit=limit,
            moments=moments,
            has_defaults=False,
        ),
        keys=keys,
        item_keys=item_keys,
        ignores_keys=ignores,
        offset_minutes=offset,
        character_set=_character_set(identifier),
    )


def first_text(attributes: DicomJson, tag: str) -> str:
    """Return the first value of an attribute as text, "" if it has none."""
    values = attributes.get(tag, {}).get("Value") or ("",)
    return "" if values[0] is None else str(values[0])


def _level(identifier: DicomJson, levels: Sequence[Level]) -> Level:
    text = first_text(identifier, QUERY_RETRIEVE_LEVEL).strip()
    if not text:
        raise _wrong("QueryRetrieveLevel is missing", "missing-key", QUERY_RETRIEVE_LEVEL)
    level = LEVEL_NAMES.get(text)
    if level is None or level not in levels:
        raise _wrong("QueryRetrieveLevel is none of this information model", "invalid-level", QUERY_RETRIEVE_LEVEL)
    return level


def _conditions(
    path: AttributePath, element: dict[str, Any], options: QueryOptions, offset: int | None
) -> Iterator[tuple[AttributePath, Condition]]:
    """Yield what a key, or the keys in its item, have to satisfy; nothing for a universal one."""
    vr = vr_of(path[-1])
    values = element.get("Value") or ()
    if vr == "SQ" or element["vr"] == "SQ":
        if len(values) > 1 or element["vr"] != "SQ":
            raise _wrong(f"{path_keywords(path)} takes one item", "invalid-sequence-key", path[0])
        for item in values:
            for tag, inner in item.items():
                if tag not in _ABOUT_THE_REQUEST:
                    yield from _conditions((*path, tag), inner, options, offset)
        return
    if "InlineBinary" in element:
        if vr == "UN":
            return
        raise _wrong(f"{path_keywords(path)} has a value of another kind than its VR", "bad-query-value", path[-1])
    text = "\\".join(map(_text, values))
    if vr == "DT" and offset is not None:
        text = date_time_in_zone(text, offset)
    try:
        condition = parse_condition(vr, text, fuzzy=options.fuzzy)
    except InvalidInput as error:
        raise _wrong(f"{path_keywords(path)}: {error.message}", error.reason_code, path[-1]) from error
    if not isinstance(condition, Universal):
        yield path, condition


def _text(value: Any) -> str:
    """Return a value of DICOM JSON as it stands in a data set."""
    if isinstance(value, dict):
        return "=".join(str(value.get(group, "")) for group in _NAME_GROUPS).rstrip("=")
    return "" if value is None else str(value)


def _check_level(tag: str, level: Level, levels: Sequence[Level], options: QueryOptions) -> None:
    """Refuse a matching key that does not belong to the level of the query."""
    own = level_of(tag)
    # Where there is no patient level, what is said of patients belongs to the study.
    if own < levels[0]:
        own = levels[0]
    if options.relational or own == level or (own < level and (tag in UNIQUE_KEYS or tag in _PATIENT_KEYS)):
        return
    where = "below" if own > level else "above"
    raise _wrong(f"{_shown(tag)} belongs to a level {where}: not without relational queries", "unexpected-key", tag)


def _check_unique_keys(conditions: dict[AttributePath, Condition], level: Level, levels: Sequence[Level]) -> None:
    for above in (each for each in levels if each < level):
        tag = UNIQUE_KEYS[above]
        condition = conditions.get((tag,))
        if condition is None:
            raise _wrong(f"{_shown(tag)} is missing", "missing-key", tag)
        if not isinstance(condition, Single) and not (isinstance(condition, UidList) and len(condition.values) == 1):
            raise _wrong(f"{_shown(tag)} has to be one value here", "several-values", tag)


def _check_bounds(conditions: dict[AttributePath, Condition]) -> None:
    values = sum(
        len(getattr(condition, "values", ()) or getattr(condition, "alternatives", ()) or (condition,))
        for condition in conditions.values()
    )
    if len(conditions) > MAX_QUERY_KEYS or values > MAX_QUERY_VALUES:
        raise LimitExceeded("the identifier has more keys or values than a query may have", code="query-size")


def _take_moments(conditions: dict[AttributePath, Condition], offset: int | None) -> Iterator[MomentMatch]:
    """Take ranges of a date and of its time, of the same form, out of the conditions."""
    for date_tag, time_tag in DATE_TIME_PAIRS.items():
        dates, times = conditions.get((date_tag,)), conditions.get((time_tag,))
        if (
            isinstance(dates, Range)
            and isinstance(times, Range)
            and (dates.low is None, dates.high is None) == (times.low is None, times.high is None)
        ):
            del conditions[date_tag,], conditions[time_tag,]
            zone = None if date_tag == _BIRTH_DATE else offset
            yield MomentMatch(date_tag, time_tag, dates, times, zone)


def _to_read(keys: DicomJson, offset: int | None) -> set[str]:
    """Return what the index has to tell: to move a time into another zone it takes its date, and the zone it is in."""
    tags = set(keys) - ALWAYS_ANSWERED
    if offset is not None:
        tags.add(TIMEZONE_OFFSET)
        for pair in DATE_TIME_PAIRS.items():
            if not tags.isdisjoint(pair):
                tags.update(pair)
    return tags


def _character_set(identifier: DicomJson) -> str | None:
    values = identifier.get(tag_of("SpecificCharacterSet"), {}).get("Value")
    return "\\".join("" if value is None else str(value) for value in values) if values else None


def _shown(tag: str) -> str:
    return keyword_of(tag) or tag


def _wrong(message: str, code: str, tag: str) -> InvalidInput:
    return InvalidInput(message, code=code, attribute=_shown(tag))
