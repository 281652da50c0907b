"""The compiler from query AST to SQL."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    String,
    all_,
    and_,
    bindparam,
    cast,
    exists,
    false,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from hilum.archive.query import Level, Match, MomentMatch, Query, SortKey
from hilum.dicom.levels import level_of
from hilum.dicom.matching import Condition, Single, value_matches
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
from hilum.index.search_descendants import described
from hilum.index.search_terms import Clause, text_value
from hilum.index.tables import (
    INSTANCE_TABLE,
    LEVEL_KEYS,
    LEVEL_TABLES,
    PATIENT_TABLE,
    SERIES_TABLE,
    STUDY_MODALITY_TABLE,
    STUDY_TABLE,
)
from hilum.kernel.errors import Unsupported

# Stand for the parameters they name until a query is asked. No value of a query is one of these.
LIMIT: Final = f"limit_{secrets.token_hex(8)}"
OFFSET: Final = f"offset_{secrets.token_hex(8)}"
SEEN: Final = f"seen_{secrets.token_hex(8)}"

_ONLINE: Final = "ONLINE"
# Of a study these stand beside its modalities as well.
_REPEATED: Final = frozenset({(tags.STUDY_DATE,), (tags.STUDY_TIME,)})


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
        self._modality = self._take_modality() if self.query.level is Level.STUDY else None
        # By whose columns studies are found and sorted: those of the table whose index has the modality as well.
        self._study: FromClause = STUDY_TABLE if self._modality is None else STUDY_MODALITY_TABLE

    def _take_modality(self) -> Condition | None:
        """Take the key out of the others that one modality has to be among those of a study."""
        for match in self._collected:
            if match.path == (tags.MODALITIES_IN_STUDY,) and isinstance(match.condition, Single):
                self._collected.remove(match)
                return match.condition
        # Where nothing else is asked of series, one of a modality is a modality of the study.
        below = [*self._by_level[Level.SERIES], *self._by_level[Level.INSTANCE]]
        if len(below) == 1 and not self._moments[Level.SERIES] and not self._moments[Level.INSTANCE]:
            (match,) = below
            if match.path == (tags.MODALITY,) and isinstance(match.condition, Single):
                self._by_level[Level.SERIES] = []
                return match.condition
        return None

    def count(self) -> Select[Any]:
        """Return the statement that counts what matches."""
        return self._from(select(func.count())).where(self._where())

    def page(
        self, columns: Mapping[str, ColumnElement[Any]], computed: Collection[str], *, without_seen: bool = False
    ) -> Select[Any]:
        """Return the statement for the query's page, in order.

        Its columns are `key`, that of the query's level; the `columns`, as text by their labels where they are JSON;
        and the attributes that describe descendants, worked out for the rows of the page alone.

        Args:
            without_seen: leave out the rows whose keys the parameter `SEEN` lists.

        How many rows, and from which on, `LIMIT` and `OFFSET` say.
        """
        order = self._order()
        key = LEVEL_TABLES[self.query.level].c[LEVEL_KEYS[self.query.level]]
        keys = [LEVEL_TABLES[level].c[LEVEL_KEYS[level]] for level in self._levels()]
        clauses = [self._where()]
        if without_seen:
            clauses.append(key != all_(bindparam(SEEN, SEEN, ARRAY(BigInteger))))
        rows = (
            self._from(
                select(
                    *keys,
                    *(column.label(label) for label, column in columns.items()),
                    *(expression.label(f"order_{i}") for i, (expression, _) in enumerate(order)),
                )
            )
            .where(*clauses)
            .order_by(*(_directed(expression, direction) for expression, direction in order))
            .limit(bindparam(LIMIT, LIMIT, Integer))
            .offset(bindparam(OFFSET, OFFSET, Integer))
        ).subquery("page")
        # JSON becomes text when the rows are sorted: of those that are not read it need not.
        read = [
            cast(rows.c[label], String).label(label) if isinstance(column.type, JSONB) else rows.c[label]
            for label, column in columns.items()
        ]
        again = [_directed(rows.c[f"order_{i}"], direction) for i, (_, direction) in enumerate(order)]
        source, expressions = described(rows, computed, self.tenant_id)
        return select(rows.c[key.name].label("key"), *read, *expressions).select_from(source).order_by(*again)

    def _levels(self) -> list[Level]:
        return [level for level in Level if level <= self.query.level]

    def _from(self, statement: Select[Any]) -> Select[Any]:
        joined = _joined(self._levels())
        if self._modality is not None:
            noted = STUDY_MODALITY_TABLE
            joined = joined.join(
                noted,
                and_(noted.c.study_key == STUDY_TABLE.c.study_key, noted.c.tenant_id == STUDY_TABLE.c.tenant_id),
            )
        return statement.select_from(joined)

    def _where(self) -> Clause:
        level = self.query.level
        clauses: list[Clause] = [LEVEL_TABLES[level].c.tenant_id == self.tenant_id]
        if self._modality is not None:
            clauses += [
                STUDY_MODALITY_TABLE.c.tenant_id == self.tenant_id,
                text_clause(STUDY_MODALITY_TABLE.c.modality, self._modality),
            ]
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
        clauses = []
        for at in levels:
            matches = self._by_level[at]
            if at is Level.STUDY and self._study is not STUDY_TABLE:
                repeated = [match for match in matches if match.path in _REPEATED]
                matches = [match for match in matches if match.path not in _REPEATED]
                clauses += [row_clause(self._study, repeated)] if repeated else []
            clauses += [row_clause(LEVEL_TABLES[at], matches)] if matches else []
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
                order = [(self._study.c[column], "DESC NULLS LAST") for column in ("study_date", "study_time")]
        if level is Level.PATIENT:
            return [*order, (PATIENT_TABLE.c.patient_key, "ASC")]
        order.append((self._study.c.study_instance_uid, "ASC"))
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
        if (key.tag,) in _REPEATED:
            expression = self._study.c[TYPED_COLUMNS[key.tag]]
        elif key.tag in TYPED_COLUMNS:
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
    if level is Level.SERIES:
        noted = STUDY_MODALITY_TABLE.alias("of_study")
        is_of_study = noted.c.study_key == STUDY_TABLE.c.study_key, noted.c.tenant_id == STUDY_TABLE.c.tenant_id
        matches = text_clause(noted.c[column], match.condition)
        return exists(select(literal_column("1")).where(*is_of_study, matches).correlate(STUDY_TABLE))
    rows = {at: LEVEL_TABLES[at].alias(f"of_study_{at.name.lower()}") for at in (Level.SERIES, level)}
    series = rows[Level.SERIES]
    on: list[Clause] = [
        series.c.study_key == STUDY_TABLE.c.study_key,
        series.c.tenant_id == STUDY_TABLE.c.tenant_id,
        text_clause(rows[level].c[column], match.condition),
        rows[level].c.series_key == series.c.series_key,
        rows[level].c.tenant_id == series.c.tenant_id,
    ]
    return exists(select(literal_column("1")).where(*on).correlate(STUDY_TABLE))
