"""Searches: compiled, run, and answered row by row."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

import asyncpg

from hilum.archive.model import DicomJson
from hilum.archive.query import Query
from hilum.index.pool import Connection, TenantPool
from hilum.index.search_conditions import is_supported
from hilum.index.search_plan import SearchPlan, Statement
from hilum.index.search_plan import compiled_sql as compiled_sql
from hilum.index.search_statement import is_moment_supported
from hilum.kernel.limits import FIND_BATCH_RESULTS

if TYPE_CHECKING:
    from asyncpg.cursor import Cursor

# Up to this many rows come in one answer of the server; more come by a cursor, which takes a transaction.
_ONE_FETCH: Final = 500
# The first rows of a longer answer: what a person sees at once.
_FIRST: Final = 50


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

        The first list is asked for by itself: where there is an index in the order of the answers the server reads
        no more of it, however many match. What comes in while a long answer is read may stand at another place than
        the order says; nothing is told twice or missed.

        Raises:
            Unavailable, LimitExceeded, Unsupported: as `search`.
        """
        if query.limit <= 0:
            return
        plan = SearchPlan(tenant_id, query)
        answer = plan.answer
        at_once = query.limit if query.limit <= _ONE_FETCH else _FIRST
        async with self._pool.use(tenant_id) as connection:
            sql, parameters = plan.page(at_once)
            records = await connection.fetch(sql, *parameters)
            if len(records) == at_once < query.limit:
                rest = _Rest(connection, plan.rest([record["key"] for record in records]))
                async with connection.transaction(readonly=True):
                    while len(records) == at_once:
                        # The server works on the next ones while these are built, encoded and sent.
                        following = asyncio.ensure_future(rest.fetch())
                        try:
                            await asyncio.sleep(0)
                            yield [answer.build(record) for record in records]
                            records, at_once = await following, FIND_BATCH_RESULTS
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
        sql, parameters = SearchPlan(tenant_id, query).count()
        async with self._pool.use(tenant_id) as connection:
            return int(await connection.fetchval(sql, *parameters))

    def unsupported_matches(self, query: Query) -> list[str]:
        """Return the dotted tag paths of matching keys this index cannot match."""
        paths = [".".join(match.path) for match in query.matches if not is_supported(match)]
        return paths + [moment.date_tag for moment in query.moments if not is_moment_supported(moment)]


class _Rest:
    """The rows of a statement, some at a time, within a transaction."""

    def __init__(self, connection: Connection, statement: Statement) -> None:
        self._connection = connection
        self._statement = statement
        self._cursor: Cursor[asyncpg.Record] | None = None

    async def fetch(self) -> list[asyncpg.Record]:
        """Return the next rows, fewer than `FIND_BATCH_RESULTS` when they are the last ones."""
        if self._cursor is None:
            sql, parameters = self._statement
            self._cursor = await self._connection.cursor(sql, *parameters)
        return await self._cursor.fetch(FIND_BATCH_RESULTS)
