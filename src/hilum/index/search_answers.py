"""From a row of the result to the DICOM JSON of an answer."""

from __future__ import annotations

from typing import Any, Final

import asyncpg
import orjson
from sqlalchemy import ColumnElement

from hilum.archive.model import DicomJson
from hilum.archive.query import Level, Query
from hilum.dicom.dictionary import tag_of, vr_of
from hilum.dicom.levels import COMPUTED_ATTRIBUTES, DEFAULT_RESPONSES, UNIQUE_KEYS, level_of
from hilum.index import tags
from hilum.index.rows import attributes_text
from hilum.index.tables import INSTANCE_TABLE, LEVEL_TABLES

_CONSTANT: Final[DicomJson] = {
    # All text leaves in UTF-8.
    tags.SPECIFIC_CHARACTER_SET: {"vr": "CS", "Value": ["ISO_IR 192"]},
    tags.INSTANCE_AVAILABILITY: {"vr": "CS", "Value": ["ONLINE"]},
}
# The door knows under which address the archive is reached.
_DOORS_OWN: Final = frozenset({tag_of("RetrieveURL"), tag_of("RetrieveAETitle")})
_OF_ANY_LEVEL: Final = frozenset({*_CONSTANT, tags.TIMEZONE_OFFSET_FROM_UTC})
# Empty rather than left out when they have no value: type 1 and 2 in the tables of PS3.18 §10.6.3.
_ALWAYS: Final = (
    frozenset(DEFAULT_RESPONSES[Level.PATIENT]) - {tags.ISSUER_OF_PATIENT_ID},
    frozenset(DEFAULT_RESPONSES[Level.STUDY]) - {tags.TIMEZONE_OFFSET_FROM_UTC},
    frozenset({tags.MODALITY, tags.SERIES_NUMBER, tags.SERIES_INSTANCE_UID}),
    frozenset({tags.SOP_CLASS_UID, tags.SOP_INSTANCE_UID, tags.INSTANCE_NUMBER}),
)
_COMPUTED: Final = frozenset().union(*COMPUTED_ATTRIBUTES) - _CONSTANT.keys() - _DOORS_OWN
# Instance attributes whose term is the value itself, so that the whole data set need not be unpacked.
_PLAIN_VRS: Final = frozenset({"CS", "IS", "LO", "SH", "UI", "US", "UL"})


class Answer:
    """What one query returns of each match.

    Args:
        query: asks for the default attributes of its level and of the `ancestors`, those it matches, and those it
            includes.
    """

    def __init__(self, query: Query) -> None:
        levels = {query.level, *query.ancestors}
        asked: set[str] = set()
        empty: set[str] = set()
        matched: set[str] = set()
        if query.has_defaults:
            for level in levels:
                asked.update(DEFAULT_RESPONSES[level])
                empty.update(_ALWAYS[level] & set(DEFAULT_RESPONSES[level]))
            asked.update(UNIQUE_KEYS[level] for level in Level if Level.STUDY <= level <= query.level)
            matched = {match.path[0] for match in query.matches}
            asked |= matched
        included = frozenset(path[0] for path in query.include or ())
        self._has_all = query.include is None
        # Of what lies below its level an answer has nothing to say.
        self._asked = frozenset(
            tag for tag in (asked | included) - _DOORS_OWN if level_of(tag) <= query.level or tag in _OF_ANY_LEVEL
        )
        self._empty = frozenset(empty | included | matched) & self._asked - _COMPUTED
        self._levels = [
            level
            for level in Level
            if level <= query.level
            and (
                (self._has_all and level in levels | {Level.PATIENT if query.level is Level.STUDY else query.level})
                or any(level_of(tag) == level for tag in self._asked)
                or level is query.level
            )
        ]
        of_instance = [t for t in self._asked if level_of(t) == Level.INSTANCE and t not in _CONSTANT]
        self._is_plain = not self._has_all and all(
            t in tags.INSTANCE_TERMS and vr_of(t) in _PLAIN_VRS for t in of_instance
        )
        self.computed = frozenset(tag for tag in self._asked if tag in _COMPUTED)
        # Answers without defaults are taken from the levels above the instance attribute by attribute.
        self._picks: list[tuple[str, list[str]]] = []
        if not query.has_defaults and not self._has_all and query.level is not Level.INSTANCE:
            self._picks = [
                (f"attributes_{level.value}", [t for t in self._asked if level_of(t) == level or t in _OF_ANY_LEVEL])
                for level in self._levels
            ]
        self._computed_vrs = {tag: vr_of(tag) for tag in self.computed}
        if self._has_all:
            self.computed |= frozenset().union(*(COMPUTED_ATTRIBUTES[level] for level in levels)) & _COMPUTED

    def columns(self) -> dict[str, ColumnElement[Any]]:
        """Return the columns an answer is made of, by the names they have in its row; JSON comes as text."""
        columns: dict[str, ColumnElement[Any]] = {}
        for level in self._levels:
            if level is Level.INSTANCE and self._is_plain:
                columns["terms"] = INSTANCE_TABLE.c.terms
            else:
                columns[f"attributes_{level.value}"] = LEVEL_TABLES[level].c.attributes
        return columns

    def _build_picked(self, record: asyncpg.Record) -> DicomJson:
        answer: DicomJson = {}
        for column, wanted in self._picks:
            held = orjson.loads(record[column])
            for tag in wanted:
                element = held.get(tag)
                if element is not None:
                    answer[tag] = element
        for tag, vr in self._computed_vrs.items():
            value = record[tag]
            if value is not None:
                answer[tag] = {"vr": vr, "Value": value if isinstance(value, list) else [value]}
        return answer

    def build(self, record: asyncpg.Record) -> DicomJson:
        """Return the answer for one row, tags ascending where there are defaults."""
        if self._picks:
            return self._build_picked(record)
        found: DicomJson = {}
        for level in self._levels:
            if level is Level.INSTANCE and self._is_plain:
                terms = orjson.loads(record["terms"])
                found.update({tag: {"vr": vr_of(tag), "Value": values} for tag, values in terms.items()})
            elif level is Level.INSTANCE:
                attributes = orjson.loads(attributes_text(record[f"attributes_{level.value}"]))
                found.update({t: e for t, e in attributes.items() if "BulkDataURI" not in e})
            else:
                found.update(orjson.loads(record[f"attributes_{level.value}"]))
        answer = found if self._has_all else {tag: found[tag] for tag in self._asked & found.keys()}
        for tag in self.computed:
            value = record[tag]
            values = value if isinstance(value, list) else [] if value is None else [value]
            answer[tag] = {"vr": vr_of(tag), "Value": values} if values else {"vr": vr_of(tag)}
        answer[tags.SPECIFIC_CHARACTER_SET] = _CONSTANT[tags.SPECIFIC_CHARACTER_SET]
        if self._has_all or tags.INSTANCE_AVAILABILITY in self._asked:
            answer[tags.INSTANCE_AVAILABILITY] = _CONSTANT[tags.INSTANCE_AVAILABILITY]
        for tag in self._empty:
            answer.setdefault(tag, {"vr": vr_of(tag)})
        return dict(sorted(answer.items()))
