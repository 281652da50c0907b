"""Search: bounded questions to the index."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace

from hilum.archive.model import DicomJson
from hilum.archive.ports import InstanceIndex
from hilum.archive.query import Query
from hilum.kernel.errors import LimitExceeded, Unavailable
from hilum.kernel.limits import (
    DATABASE_ACQUIRE_TIMEOUT_S,
    MAX_QUERY_OFFSET,
    MAX_QUERY_RESULTS,
    MAX_STREAMED_SEARCHES,
)


class SearchService:
    """Answers QIDO-RS, C-FIND and the study list alike."""

    def __init__(self, index: InstanceIndex) -> None:
        self._index = index
        self._streams = asyncio.Semaphore(MAX_STREAMED_SEARCHES)

    def search(self, tenant_id: int, query: Query) -> AsyncIterator[DicomJson]:
        """Yield what matches, in the query's order; never more than `limits.MAX_QUERY_RESULTS` and one.

        The one more lets a door ask beyond its limit to learn whether there are more.

        Raises:
            LimitExceeded: the offset is beyond `limits.MAX_QUERY_OFFSET`.
        """
        if query.offset > MAX_QUERY_OFFSET:
            raise LimitExceeded(
                f"results beyond the first {MAX_QUERY_OFFSET} cannot be paged to; narrow the search",
                code="query-offset",
                limit=MAX_QUERY_OFFSET,
            )
        return self._index.search(tenant_id, replace(query, limit=min(query.limit, MAX_QUERY_RESULTS + 1)))

    async def stream(self, tenant_id: int, query: Query) -> AsyncGenerator[list[DicomJson]]:
        """Yield what matches in lists, as many as the query's limit says; closing the iterator ends the search.

        Each search under way keeps a connection of the index while its reader takes results, so only some run at a
        time; others wait for their turn.

        Raises:
            Unavailable: too many searches are under way, or the index does not answer.
        """
        try:
            async with asyncio.timeout(DATABASE_ACQUIRE_TIMEOUT_S):
                await self._streams.acquire()
        except TimeoutError:
            raise Unavailable("too many searches are under way", code="too-many-searches") from None
        try:
            async with aclosing(self._index.search_batches(tenant_id, query)) as batches:
                async for batch in batches:
                    yield batch
        finally:
            self._streams.release()

    async def count(self, tenant_id: int, query: Query) -> int:
        """Return how many match, whatever limit and offset say."""
        return await self._index.count(tenant_id, query)

    async def unsupported_matches(self, query: Query) -> list[str]:
        """Return the dotted tag paths of matching keys that cannot be matched at the query's level."""
        return await self._index.unsupported_matches(query)
