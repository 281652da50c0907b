"""What this room needs of the database: connections that are lent."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeAlias

import asyncpg

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

SETTINGS: dict[str, str] = {
    # Row-level security shows these connections the jobs of every tenant.
    "hilum.queue": "on",
    # Prepared statements are planned once and for all, perhaps while a table is small: never without its index.
    "enable_seqscan": "off",
}


class Connections(Protocol):
    """Connections of one process."""

    def use(self, tenant_id: int | None) -> AbstractAsyncContextManager[Connection]:
        """Lend a connection that shows the tenant's rows; what the database does wrong is raised as Unavailable."""
        ...
