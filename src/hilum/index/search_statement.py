"""The compiler from query AST to SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import ColumnElement, FromClause, Select, and_, exists, false, func, literal_column, select, true
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by

from hilum.archive.query import Level, Match, Query, SortKey
from hilum.dicom.levels import level_of
from hilum.dicom.matching import value_matches
from hilum.index import tags
from hilum.index.search_conditions import COLLECTED, TYPED_COLUMNS, is_supported, match_level, row_clause, text_clause
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
        computed = [expression.label(tag) for tag, expression in self._computed(rows).items() if tag in wanted]
        order = [_directed(rows.c[f"order_{i}"], direction) for i, (_, direction) in enumerate(self._order())]
        return select(rows, *computed).order_by(*order)

    def _levels(self) -> list[Level]:
        return [level for level in Level if level <= self.query.level]

    def _from(self, statement: Select[Any]) -> Select[Any]:
        return statement.select_from(_joined(self._levels()))

    def _where(self) -> Clause:
        level = self.query.level
        clauses: list[Clause] = [LEVEL_TABLES[level].c.tenant_id == self.tenant_id]
        clauses += [row_clause(LEVEL_TABLES[at], self._by_level[at]) for at in self._levels() if self._by_level[at]]
        if level >= Level.STUDY:
            clauses += [_collected_clause(match) for match in self._collected]
        clauses += [self._constant_clause(match) for match in self._constant]
        below = [at for at in Level if at > level and (self._by_level[at] or (at is Level.STUDY and self._collected))]
        if below:
            chain = [at for at in Level if level < at <= below[-1]]
            first = LEVEL_TABLES[chain[0]]
            link = LEVEL_KEYS[level]
            inner = [row_clause(LEVEL_TABLES[at], self._by_level[at]) for at in chain if self._by_level[at]]
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

    def _computed(self, page: FromClause) -> dict[str, ColumnElement[Any]]:
        """Return the expressions for attributes that describe descendants, each over one row of the page."""
        computed: dict[str, ColumnElement[Any]] = {}
        patient, study = PATIENT_TABLE.alias("p"), STUDY_TABLE.alias("st")
        series, instance = SERIES_TABLE.alias("se"), INSTANCE_TABLE.alias("i")
        of_tenant = {row: row.c.tenant_id == self.tenant_id for row in (patient, study, series, instance)}
        to_series = and_(series.c.study_key == study.c.study_key, of_tenant[series])
        to_instance = and_(instance.c.series_key == series.c.series_key, of_tenant[instance])

        def number(*on: Any) -> ColumnElement[Any]:
            return select(func.count()).where(*on).correlate(page).scalar_subquery()

        in_patient = and_(study.c.patient_key == page.c.patient_key, of_tenant[study])
        computed[tags.NUMBER_OF_PATIENT_RELATED_STUDIES] = number(in_patient)
        computed[tags.NUMBER_OF_PATIENT_RELATED_SERIES] = number(in_patient, to_series)
        computed[tags.NUMBER_OF_PATIENT_RELATED_INSTANCES] = number(in_patient, to_series, to_instance)
        if self.query.level >= Level.STUDY:
            in_study = and_(series.c.study_key == page.c.study_key, of_tenant[series])
            computed[tags.NUMBER_OF_STUDY_RELATED_SERIES] = number(in_study)
            computed[tags.NUMBER_OF_STUDY_RELATED_INSTANCES] = number(in_study, to_instance)
            computed[tags.MODALITIES_IN_STUDY] = _distinct(series.c.modality, page, in_study)
            computed[tags.SOP_CLASSES_IN_STUDY] = _distinct(instance.c.sop_class_uid, page, in_study, to_instance)
        if self.query.level >= Level.SERIES:
            in_series = and_(instance.c.series_key == page.c.series_key, of_tenant[instance])
            computed[tags.NUMBER_OF_SERIES_RELATED_INSTANCES] = number(in_series)
        return computed


def _distinct(value: ColumnElement[Any], page: FromClause, *on: Any) -> ColumnElement[Any]:
    found = func.array_agg(aggregate_order_by(value.distinct(), value))
    return select(found).where(*on, value.is_not(None)).correlate(page).scalar_subquery()


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
