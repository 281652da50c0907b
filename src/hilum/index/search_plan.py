"""The statements that answer one query, compiled once for all queries that differ in plain values alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, Final, TypeAlias

from sqlalchemy import Select
from sqlalchemy.dialects.postgresql.asyncpg import dialect

from hilum.archive.query import Match, Query
from hilum.dicom.matching import Condition, Range, Single, UidList
from hilum.dicom.temporal import temporal_interval
from hilum.index.search_answers import Answer
from hilum.index.search_conditions import DATE_COLUMNS, TEXT_COLUMNS, plain_text
from hilum.index.search_places import PLACES
from hilum.index.search_statement import LIMIT, OFFSET, SEEN, SearchStatement

Statement: TypeAlias = tuple[str, list[Any]]
"""Text, and parameters in order, as asyncpg takes them."""

_DIALECT: Final = dialect()  # type: ignore[no-untyped-call]
_FORMS: Final = 128


def compiled_sql(statement: Select[Any]) -> Statement:
    """Return a statement's text and its parameters in order, as asyncpg takes them."""
    compiled = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    parameters = compiled.params
    return str(compiled), [parameters[name] for name in compiled.positiontup or ()]


class SearchPlan:
    """What one query of a tenant asks the database.

    `answer` makes answers of the rows.
    """

    def __init__(self, tenant_id: int, query: Query) -> None:
        self._values: dict[str, Any] = {LIMIT: query.limit, OFFSET: query.offset}
        self._limit = query.limit
        matches = tuple(self._form_of(match) for match in query.matches)
        self._form = _form(tenant_id, replace(query, matches=matches, limit=0, offset=0))
        self.answer = self._form.answer

    def page(self, limit: int) -> Statement:
        """Return the statement for the first matches, up to the query's limit and to this one."""
        return self._filled(self._form.page, {LIMIT: min(limit, self._limit)})

    def rest(self, seen: Sequence[int]) -> Statement:
        """Return the statement for what follows a page, up to the query's limit.

        Args:
            seen: the keys of the page's rows. What comes in meanwhile moves nothing out of sight, and nothing comes
                twice.
        """
        return self._filled(self._form.rest, {LIMIT: self._limit - len(seen), SEEN: seen})

    def count(self) -> Statement:
        """Return the statement that counts what matches, whatever limit and offset say."""
        return self._filled(self._form.count, {})

    def _form_of(self, match: Match) -> Match:
        """Return a matching key with places for its values, if the statement is the same for all of its kind."""
        values = _plain_values(match)
        first = len(self._values) - len((LIMIT, OFFSET))
        if not values or first + len(values) > len(PLACES):
            return match
        places = PLACES[first : first + len(values)]
        self._values.update(zip(places, values, strict=True))
        return replace(match, condition=_placed(match.condition, places))

    def _filled(self, statement: Statement, more: dict[str, Any]) -> Statement:
        sql, parameters = statement
        values = self._values | more
        return sql, [values.get(value, value) if isinstance(value, str) else value for value in parameters]


def _plain_values(match: Match) -> list[Any]:
    """Return the values a typed column is compared with, one for each text of the condition; [] if it is not so."""
    tag, condition = match.path[0], match.condition
    if len(match.path) > 1:
        return []
    if tag in TEXT_COLUMNS:
        if isinstance(condition, Single):
            return [plain_text(condition.value)]
        if isinstance(condition, UidList):
            return [plain_text(uid) for uid in condition.values]
    if tag in DATE_COLUMNS and isinstance(condition, Single | Range):
        texts = (condition.value,) if isinstance(condition, Single) else (condition.low, condition.high)
        days = [temporal_interval("DA", text) for text in texts if text]
        return [day[0].date() for day in days if day] if all(days) else []
    return []


def _placed(condition: Condition, places: tuple[str, ...]) -> Condition:
    if isinstance(condition, Range):
        ends = iter(places)
        return Range(condition.low and next(ends), condition.high and next(ends))
    return UidList(places) if isinstance(condition, UidList) else Single(*places)


@dataclass(frozen=True)
class _Form:
    """A query with places for some of its values, and its statements."""

    tenant_id: int
    query: Query

    @cached_property
    def answer(self) -> Answer:
        return Answer(self.query)

    @cached_property
    def page(self) -> Statement:
        return compiled_sql(self._statement.page(self.answer.columns(), self.answer.computed))

    @cached_property
    def rest(self) -> Statement:
        return compiled_sql(self._statement.page(self.answer.columns(), self.answer.computed, without_seen=True))

    @cached_property
    def count(self) -> Statement:
        return compiled_sql(self._statement.count())

    @property
    def _statement(self) -> SearchStatement:
        return SearchStatement(self.tenant_id, self.query)


@lru_cache(maxsize=_FORMS)
def _form(tenant_id: int, query: Query) -> _Form:
    """Viewers and workstations ask the same again and again."""
    return _Form(tenant_id, query)
