"""The statements that answer one query, compiled once for all queries that differ in plain values alone."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, Final, TypeAlias

from sqlalchemy import Select
from sqlalchemy.dialects.postgresql.asyncpg import dialect

from hilum.archive.query import Match, Query
from hilum.dicom.matching import Condition, Single, UidList
from hilum.index.search_answers import Answer
from hilum.index.search_conditions import TEXT_COLUMNS, plain_text
from hilum.index.search_statement import LIMIT, OFFSET, SEEN, SearchStatement

Statement: TypeAlias = tuple[str, list[Any]]
"""Text, and parameters in order, as asyncpg takes them."""

_DIALECT: Final = dialect()  # type: ignore[no-untyped-call]
# Stand for values while a statement is compiled. Nobody can ask for one of these.
_PLACES: Final = tuple(f"p{secrets.token_hex(16)}" for _ in range(16))
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
        """Return a matching key with places for its values, if the statement is the same for all values."""
        condition = match.condition
        if match.path[0] not in TEXT_COLUMNS or len(match.path) > 1:
            return match
        formed: Condition
        if isinstance(condition, Single):
            formed = Single(*self._placed((condition.value,)))
        elif isinstance(condition, UidList):
            formed = UidList(self._placed(condition.values))
        else:
            return match
        return replace(match, condition=formed)

    def _placed(self, texts: tuple[str, ...]) -> tuple[str, ...]:
        first = len(self._values) - 2
        if first + len(texts) > len(_PLACES):
            return texts
        places = _PLACES[first : first + len(texts)]
        self._values.update(zip(places, map(plain_text, texts), strict=True))
        return places

    def _filled(self, statement: Statement, more: dict[str, Any]) -> Statement:
        sql, parameters = statement
        values = self._values | more
        return sql, [values.get(value, value) if isinstance(value, str) else value for value in parameters]


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
