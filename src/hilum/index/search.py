"""Searches: compiled, run, and answered row by row."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Select
from sqlalchemy.dialects.postgresql.asyncpg import dialect

from hilum.archive.model import DicomJson
from hilum.archive.query import Query
from hilum.index.pool import TenantPool
from hilum.index.search_answers import Answer
from hilum.index.search_conditions import is_supported
from hilum.index.search_statement import SearchStatement, is_moment_supported
from hilum.kernel.limits import FIND_BATCH_RESULTS

_DIALECT: Final = dialect()  # type: ignore[no-untyped-call]
# Up to this many rows come in one answer of the server; more come by a cursor, which takes a transaction.
_ONE_FETCH: Final = 500


class Search:
    """Runs queries on connections for reading."""

    def __init__(self, pool: TenantPool) -> None:
        self._pool = pool

    async def search(self, tenant_id: int, query: Query) -> AsyncIterator[DicomJson]:
        """Yield what matches, in the query's order; see `InstanceIndex.search`.

        Raises:
            Unavailable: the database does not answer.
            LimitExceeded: the query takes too long.
            Unsupported: the index cannot sort by an attribute the query names.
        """
        async with aclosing(self.batches(tenant_id, query)) as batches:
            async for batch in batches:
                for found in batch:
                    yield found

    async def batches(self, tenant_id: int, query: Query) -> AsyncGenerator[list[DicomJson]]:
        """Yield the same in lists; before the last one the connection is given back.

        Raises:
            Unavailable, LimitExceeded, Unsupported: as `search`.
        """
        if query.limit <= 0:
            return
        answer, sql, parameters = _prepared(tenant_id, query)
        async with self._pool.use(tenant_id) as connection:
            if query.limit <= _ONE_FETCH:
                records = await connection.fetch(sql, *parameters)
            else:
                async with connection.transaction(readonly=True):
                    cursor = await connection.cursor(sql, *parameters)
                    records = await cursor.fetch(FIND_BATCH_RESULTS)
                    while len(records) == FIND_BATCH_RESULTS:
                        # The server works on the next ones while these are built, encoded and sent.
                        following = asyncio.ensure_future(cursor.fetch(FIND_BATCH_RESULTS))
                        try:
                            await asyncio.sleep(0)
                            yield [answer.build(record) for record in records]
                            records = await following
                        finally:
                            # Who closes the search wants neither the next ones nor their error.
                            following.cancel()
                            await asyncio.wait((following,))
                            if not following.cancelled():
                                following.exception()
        for start in range(0, len(records), FIND_BATCH_RESULTS):
            yield [answer.build(record) for record in records[start : start + FIND_BATCH_RESULTS]]

    async def count(self, tenant_id: int, query: Query) -> int:
        """Return how many entities match, whatever limit and offset say."""
        sql, parameters = compiled_sql(SearchStatement(tenant_id, query).count())
        async with self._pool.use(tenant_id) as connection:
            return int(await connection.fetchval(sql, *parameters))

    def unsupported_matches(self, query: Query) -> list[str]:
        """Return the dotted tag paths of matching keys this index cannot match."""
        paths = [".".join(match.path) for match in query.matches if not is_supported(match)]
        return paths + [moment.date_tag for moment in query.moments if not is_moment_supported(moment)]


@lru_cache(maxsize=64)
def _prepared(tenant_id: int, query: Query) -> tuple[Answer, str, list[Any]]:
    """Return answer, text and parameters of a query; viewers and workstations ask the same ones again and again."""
    answer = Answer(query)
    statement = SearchStatement(tenant_id, query)
    return answer, *compiled_sql(statement.with_counts(statement.page(answer.columns()), answer.computed))


def compiled_sql(statement: Select[Any]) -> tuple[str, list[Any]]:
    """Return a statement's text and its parameters in order, as asyncpg takes them."""
    compiled = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    parameters = compiled.params
    return str(compiled), [parameters[name] for name in compiled.positiontup or ()]
