"""Which blobs the index points to, in all tenants."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from typing import Final

from hilum.archive.scrubbing import BlobRow
from hilum.index.pool import TenantPool
from hilum.kernel.limits import BLOBS_LISTED_AT_A_TIME

# Row-level security shows a connection one tenant's rows: they are asked one after the other.
_TENANTS: Final = "SELECT tenant_id FROM tenant ORDER BY tenant_id"
_KNOWN: Final = """
SELECT blob_key FROM instance WHERE tenant_id = $1 AND blob_key = ANY($2)
UNION ALL
SELECT blob_key FROM instance_version WHERE tenant_id = $1 AND blob_key = ANY($2)
"""
_PAGE: Final = """
SELECT blob_key, data_set_offset, digest FROM {table}
WHERE tenant_id = $1 AND blob_key > $2 ORDER BY blob_key LIMIT $3
"""
_TABLES: Final = ("instance", "instance_version")


class PostgresBlobRows:
    """Implements `hilum.archive.scrubbing.BlobRows`.

    Args:
        pool: connections of the serving role.
    """

    def __init__(self, pool: TenantPool) -> None:
        self._pool = pool

    async def known(self, keys: Collection[str]) -> set[str]:
        """Return those of the keys an instance or an earlier version of one points to."""
        known: set[str] = set()
        for tenant_id in await self._tenants():
            async with self._pool.use(tenant_id) as connection:
                known.update(record[0] for record in await connection.fetch(_KNOWN, tenant_id, list(keys)))
        return known

    async def batches(self) -> AsyncGenerator[Sequence[BlobRow]]:
        """Yield all, some at a time, each page in a statement of its own: no transaction stays open meanwhile."""
        for tenant_id in await self._tenants():
            for table in _TABLES:
                last = ""
                while True:
                    async with self._pool.use(tenant_id) as connection:
                        records = await connection.fetch(
                            _PAGE.format(table=table), tenant_id, last, BLOBS_LISTED_AT_A_TIME
                        )
                    if not records:
                        break
                    yield [BlobRow(*record) for record in records]
                    last = records[-1]["blob_key"]

    async def _tenants(self) -> list[int]:
        async with self._pool.use(None) as connection:
            return [record[0] for record in await connection.fetch(_TENANTS)]
