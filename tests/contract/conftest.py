"""An open index and a tenant of one test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from hilum.index.embedded import EmbeddedPostgres
from hilum.index.postgres import PostgresIndex, open_index
from support.database import new_tenant


@pytest.fixture
async def index(database: EmbeddedPostgres) -> AsyncIterator[PostgresIndex]:
    """The index as a worker opens it."""
    async with open_index(database.app_address()) as opened:
        yield opened


@pytest.fixture
async def tenant_id(database: EmbeddedPostgres) -> int:
    """A tenant nobody else uses."""
    return await new_tenant(database.app_address())
