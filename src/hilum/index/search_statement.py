"""The compiler from query AST to SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import ColumnElement, FromClause, Select, and_, exists, false, func, literal_column, select, true
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by

from hilum.archive.query import Level, Match, MomentMatch, Query, SortKey
from hilum.dicom.levels import level_of
from hilum.dicom.matching import value_matches
from hilum.index import tags
from hilum.index.search_conditions import (
    COLLECTED,
    TYPED_COLUMNS,
    is_supported,
    match_level,
    moment_clause,
    row_clause,
    text_clause,
)
from hilum.index.search_terms import Clause, text_value
from hilum.index.tables import (
    INSTANCE_TABLE,
    LEVEL_KEYS,
    LEVEL_TABLES,
    PATIENT_TABLE,
    SERIES_TABLE,
    STUDY_TABLE,
)
from hilum.kernel.errors import Unsupported

_ONLINE: Final = "ONLINE"


@dataclass
class SearchStatement:
    """SQL for one query of one tenant.

    A match on an attribute of a lower level holds if one descendant satisfies all keys of its level, with an
    ancestor that satisfies all of its own (relational query, PS3.4 §C.4.1.3.2). Keys the index cannot match are
    left out; the
    door has asked `unsupported_matches` before.
    """

    tenant_id: int
    query: Query
    _by_level: dict[Level, list[Match]] = field(init=False)

    def __post_init__(self) -> None:
        self._by_level = {level: [] for level in Level}
        self._collected: list[Match] = []
        self._constant: list[Match] = []
        for match in self.query.matches:
            tag = match.path[0]
            if not is_supported(match):
                continue
            if tag in COLLECTED:
                self._collected.append(match)
            elif tag == tags.INSTANCE_AVAILABILITY:
                self._constant.append(match)
            else:
                self._by_level[match_level(match.path)].append(match)
        self._moments: dict[Level, list[MomentMatch]] = {level: [] for level in Level}
        for moment in self.query.moments:
            if is_moment_supported(moment):
                self._moments[match_level((moment.date_tag,))].append(moment)

    def count(self) -> Select[Any]:
        """Return the statement that counts what matches."""
        return self._from(select(func.count())).where(self._where())

    def page(self, columns: Sequence[ColumnElement[Any]]) -> Select[Any]:
        """Return the statement for the query's page: keys of all levels, and `columns`, in order."""
        order = self._order()
        keys = [LEVEL_TABLES[level].c[LEVEL_KEYS[level]] for level in self._levels()]
        inner = (
            self._from(select(*keys, *columns, *(e.label(f"order_{i}") for i, (e, _) in enumerate(order))))
            .where(self._where())
            .order_by(*(_directed(expression, direction) for expression, direction in order))
            .limit(self.query.limit)
            .offset(self.query.offset)
        )
        return inner

    def with_counts(self, page: Select[Any], wanted: frozenset[str]) -> Select[Any]:
        """Return the page with the computed attributes that are wanted, worked out for its rows alone."""
        rows = page.subquery("page")
        computed = [_computed(tag, rows, self.tenant_id) for tag in sorted(wanted)]
        order = [_directed(rows.c[f"order_{i}"], direction) for i, (_, direction) in enumerate(self._order())]
        return select(rows, *computed).order_by(*order)

    def _levels(self) -> list[Level]:
        return [level for level in Level if level <= self.query.level]

    def _from(self, statement: Select[Any]) -> Select[Any]:
        return statement.select_from(_joined(self._levels()))

    def _where(self) -> Clause:
        level = self.query.level
        clauses: list[Clause] = [LEVEL_TABLES[level].c.tenant_id == self.tenant_id]
        clauses += self._row_clauses(self._levels())
        if level >= Level.STUDY:
            clauses += [_collected_clause(match) for match in self._collected]
        clauses += [self._constant_clause(match) for match in self._constant]
        below = [
            at
            for at in Level
            if at > level and (self._by_level[at] or self._moments[at] or (at is Level.STUDY and self._collected))
        ]
        if below:
            chain = [at for at in Level if level < at <= below[-1]]
            first = LEVEL_TABLES[chain[0]]
            link = LEVEL_KEYS[level]
            inner = self._row_clauses(chain)
            if level < Level.STUDY:
                inner += [_collected_clause(match) for match in self._collected]
            clauses.append(
                exists(
                    select(literal_column("1"))
                    .select_from(_joined(chain))
                    .where(
                        first.c[link] == LEVEL_TABLES[level].c[link],
                        first.c.tenant_id == LEVEL_TABLES[level].c.tenant_id,
                        *inner,
                    )
                    .correlate(LEVEL_TABLES[level])
                )
            )
        return and_(*clauses)

    def _row_clauses(self, levels: Sequence[Level]) -> list[Clause]:
        clauses = [row_clause(LEVEL_TABLES[at], self._by_level[at]) for at in levels if self._by_level[at]]
        return clauses + [moment_clause(LEVEL_TABLES[at], moment) for at in levels for moment in self._moments[at]]

    def _constant_clause(self, match: Match) -> Clause:
        return true() if value_matches("CS", _ONLINE, match.condition) else false()

    def _order(self) -> list[tuple[ColumnElement[Any], str]]:
        """Return expressions and directions; unique at the end, so that pages neither overlap nor leave gaps."""
        order = [self._sort_expression(key) for key in self.query.sort]
        level = self.query.level
        if not order:
            if level is Level.PATIENT:
                order = [(PATIENT_TABLE.c.name_alphabetic, "ASC")]
            else:
                order = [(STUDY_TABLE.c.study_date, "DESC NULLS LAST"), (STUDY_TABLE.c.study_time, "DESC NULLS LAST")]
        if level is Level.PATIENT:
            return [*order, (PATIENT_TABLE.c.patient_key, "ASC")]
        order.append((STUDY_TABLE.c.study_instance_uid, "ASC"))
        if level >= Level.SERIES:
            order += [(SERIES_TABLE.c.series_number, "ASC"), (SERIES_TABLE.c.series_instance_uid, "ASC")]
        if level is Level.INSTANCE:
            order += [(INSTANCE_TABLE.c.instance_number, "ASC"), (INSTANCE_TABLE.c.sop_instance_uid, "ASC")]
        return order

    def _sort_expression(self, key: SortKey) -> tuple[ColumnElement[Any], str]:
        level = Level(level_of(key.tag))
        row = LEVEL_TABLES[level]
        expression: ColumnElement[Any]
        if level > self.query.level or key.tag in tags.COUNTS or key.tag in COLLECTED:
            raise Unsupported("Searches cannot be sorted by this attribute.", code="unsupported-sort", tag=key.tag)
        if key.tag in TYPED_COLUMNS:
            expression = row.c[TYPED_COLUMNS[key.tag]]
        elif key.tag == tags.PATIENT_NAME:
            expression = row.c.name_alphabetic
        elif level is Level.INSTANCE and key.tag not in tags.INSTANCE_TERMS:
            raise Unsupported("Searches cannot be sorted by this attribute.", code="unsupported-sort", tag=key.tag)
        else:
            # JSON is ordered by worth: numbers as numbers, moments as moments, names by their normal form.
            expression = row.c.terms.op("->", return_type=JSONB())(text_value(key.tag)).op("->")(literal_column("0"))
        if key.tag in (tags.STUDY_DATE, tags.STUDY_TIME):
            return expression, "DESC NULLS LAST" if key.descending else "ASC NULLS FIRST"
        return expression, "DESC" if key.descending else "ASC"


def is_moment_supported(moment: MomentMatch) -> bool:
    """Return whether the index can match a date and a time as one moment."""
    keys = [Match((tag,), moment.dates) for tag in (moment.date_tag, moment.time_tag)]
    return all(map(is_supported, keys)) and len({match_level(key.path) for key in keys}) == 1


# Attribute to the level it describes, the level of the descendants it is worked out from, and the column it lists; it
# counts them where there is none.
_FROM_DESCENDANTS: Final = {
    tags.NUMBER_OF_PATIENT_RELATED_STUDIES: (Level.PATIENT, Level.STUDY, None),
    tags.NUMBER_OF_PATIENT_RELATED_SERIES: (Level.PATIENT, Level.SERIES, None),
    tags.NUMBER_OF_PATIENT_RELATED_INSTANCES: (Level.PATIENT, Level.INSTANCE, None),
    tags.NUMBER_OF_STUDY_RELATED_SERIES: (Level.STUDY, Level.SERIES, None),
    tags.NUMBER_OF_STUDY_RELATED_INSTANCES: (Level.STUDY, Level.INSTANCE, None),
    tags.NUMBER_OF_SERIES_RELATED_INSTANCES: (Level.SERIES, Level.INSTANCE, None),
    tags.MODALITIES_IN_STUDY: (Level.STUDY, Level.SERIES, "modality"),
    tags.SOP_CLASSES_IN_STUDY: (Level.STUDY, Level.INSTANCE, "sop_class_uid"),
}


def _computed(tag: str, page: FromClause, tenant_id: int) -> ColumnElement[Any]:
    """Return the expression for an attribute that describes descendants of one row of the page."""
    level, lowest, listed = _FROM_DESCENDANTS[tag]
    parent, on = page, []
    for at in Level:
        if level < at <= lowest:
            row = LEVEL_TABLES[at].alias(f"related_{at.name.lower()}")
            key = LEVEL_KEYS[Level(at - 1)]
            on += [row.c[key] == parent.c[key], row.c.tenant_id == tenant_id]
            parent = row
    expression: ColumnElement[Any] = func.count()
    if listed is not None:
        value = parent.c[listed]
        on.append(value.is_not(None))
        expression = func.array_agg(aggregate_order_by(value.distinct(), value))
    return select(expression).where(*on).correlate(page).scalar_subquery().label(tag)


def _directed(expression: ColumnElement[Any], direction: str) -> ColumnElement[Any]:
    directed = expression.desc() if direction.startswith("DESC") else expression.asc()
    if direction.endswith("LAST"):
        return directed.nulls_last()
    return directed.nulls_first() if direction.endswith("FIRST") else directed


def _joined(levels: Sequence[Level]) -> FromClause:
    """Return the tables of neighbouring levels joined from the lowest up."""
    lowest = LEVEL_TABLES[levels[-1]]
    joined: FromClause = lowest
    child = lowest
    for level in reversed(levels[:-1]):
        parent = LEVEL_TABLES[level]
        key = LEVEL_KEYS[level]
        joined = joined.join(parent, and_(parent.c[key] == child.c[key], parent.c.tenant_id == child.c.tenant_id))
        child = parent
    return joined


def _collected_clause(match: Match) -> Clause:
    """Return the condition on a study that one of its series or instances has a value that matches."""
    level, column = COLLECTED[match.path[0]]
    rows = {at: LEVEL_TABLES[at].alias(f"of_study_{at.name.lower()}") for at in (Level.SERIES, level)}
    series = rows[Level.SERIES]
    on: list[Clause] = [
        series.c.study_key == STUDY_TABLE.c.study_key,
        series.c.tenant_id == STUDY_TABLE.c.tenant_id,
        text_clause(rows[level].c[column], match.condition),
    ]
    if level is Level.INSTANCE:
        on += [
            rows[level].c.series_key == series.c.series_key,
            rows[level].c.tenant_id == series.c.tenant_id,
        ]
    return exists(select(literal_column("1")).where(*on).correlate(STUDY_TABLE))
