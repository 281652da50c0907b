"""Search: bounded questions to the index."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from hilum.archive.model import DicomJson
from hilum.archive.ports import InstanceIndex
from hilum.archive.query import Query
from hilum.kernel.errors import LimitExceeded
from hilum.kernel.limits import MAX_QUERY_OFFSET, MAX_QUERY_RESULTS


class SearchService:
    """Answers QIDO-RS, C-FIND and the study list alike."""

    def __init__(self, index: InstanceIndex) -> None:
        self._index = index

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

    async def count(self, tenant_id: int, query: Query) -> int:
        """Return how many match, whatever limit and offset say."""
        return await self._index.count(tenant_id, query)

    async def unsupported_matches(self, query: Query) -> list[str]:
        """Return the dotted tag paths of matching keys that cannot be matched at the query's level."""
        return await self._index.unsupported_matches(query)
