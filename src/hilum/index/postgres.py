"""The index behind the port `InstanceIndex`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from typing import Final

import asyncpg

from hilum.archive.model import (
    BlobRef,
    DicomJson,
    DuplicatePolicy,
    IngestOutcome,
    InstanceDraft,
    SeriesMetadata,
    StoredInstance,
)
from hilum.archive.query import InstanceSelection, Query
from hilum.index import read_sql
from hilum.index.accounts import PostgresAccounts
from hilum.index.address import DatabaseAddress
from hilum.index.commitments import PostgresCommitments
from hilum.index.forwarding import PostgresForwarding
from hilum.index.ingest import Ingest
from hilum.index.notices import PostgresNotices
from hilum.index.pool import TenantPool
from hilum.index.prefetch import PostgresPrefetch
from hilum.index.procedure_steps import PostgresProcedureSteps
from hilum.index.remotes import PostgresRemotes
from hilum.index.rows import attributes_text, prepare
from hilum.index.search import Search
from hilum.index.workitems import PostgresWorkitems
from hilum.index.worklist import PostgresWorklist
from hilum.kernel.errors import NotFound
from hilum.kernel.limits import (
    DATABASE_READ_CONNECTIONS,
    DATABASE_WRITE_CONNECTIONS,
    DATABASE_WRITE_TIMEOUT_S,
    SEARCH_TIMEOUT_S,
)

_WRITE_SETTINGS: Final = {
    # What a killed worker had under way must end before others judge what became of it (UNSETTLED_BLOB_GRACE_S).
    "client_connection_check_interval": "2s",
    "statement_timeout": str(int(DATABASE_WRITE_TIMEOUT_S * 1000)),
    # Prepared statements are planned once and for all, perhaps while a table is small: never without its index.
    "enable_seqscan": "off",
}
_READ_SETTINGS: Final = {
    "statement_timeout": str(int(SEARCH_TIMEOUT_S * 1000)),
    "default_transaction_read_only": "on",
    # Which index serves a search depends on the values it asks for.
    "plan_cache_mode": "force_custom_plan",
}


class PostgresIndex:
    """One worker's access to the index; implements `hilum.archive.ports.InstanceIndex`.

    Open it with `open_index`. One process needs one; it belongs to one event loop.
    """

    def __init__(self, address: DatabaseAddress) -> None:
        self._writing = TenantPool(address, DATABASE_WRITE_CONNECTIONS, _WRITE_SETTINGS)
        self._reading = TenantPool(address, DATABASE_READ_CONNECTIONS, _READ_SETTINGS)
        self._ingest = Ingest(self._writing)
        self._search = Search(self._reading)
        self.accounts = PostgresAccounts(self._writing)
        self.worklist = PostgresWorklist(self._writing, self._reading)
        self.procedure_steps = PostgresProcedureSteps(self._writing, self._reading)
        self.commitments = PostgresCommitments(self._writing)
        self.forwarding = PostgresForwarding(self._writing)
        self.prefetch = PostgresPrefetch(self._writing)
        self.remotes = PostgresRemotes(self._writing)
        self.workitems = PostgresWorkitems(self._writing, self._reading)
        self.notices = PostgresNotices(address)

    @property
    def connections(self) -> TenantPool:
        """The worker's connections for writing, for the other rooms that keep rows of tenants."""
        return self._writing

    async def open(self) -> None:
        """Connect, and make sure that row-level security binds the role we connect as.

        Raises:
            Unavailable: the database does not answer.
            Forbidden: the role could see every tenant's rows.
        """
        await self._writing.open()

    async def close(self) -> None:
        """Close all connections."""
        await self.notices.close()
        await self._writing.close()
        await self._reading.close()

    def prepare(self, draft: InstanceDraft) -> InstanceDraft:
        """Return the draft with its row worked out."""
        return prepare(draft)

    async def ingest(
        self, tenant_id: int, drafts: Sequence[InstanceDraft], policy: DuplicatePolicy
    ) -> list[IngestOutcome]:
        """Write the rows of all drafts in one transaction; once it returns they are durable and visible."""
        return await self._ingest.ingest(tenant_id, drafts, policy)

    def search(self, tenant_id: int, query: Query) -> AsyncIterator[DicomJson]:
        """Yield the matching entities as DICOM JSON, in the query's order."""
        return self._search.search(tenant_id, query)

    def search_batches(self, tenant_id: int, query: Query) -> AsyncGenerator[list[DicomJson]]:
        """Yield the matching entities in lists, in the query's order."""
        return self._search.batches(tenant_id, query)

    async def count(self, tenant_id: int, query: Query) -> int:
        """Return how many entities match, whatever limit and offset say."""
        return await self._search.count(tenant_id, query)

    async def unsupported_matches(self, query: Query) -> list[str]:
        """Return the dotted tag paths of matching keys this index cannot match at the query's level."""
        return self._search.unsupported_matches(query)

    async def find_instances(
        self,
        tenant_id: int,
        study_instance_uid: str,
        series_instance_uid: str | None = None,
        sop_instance_uid: str | None = None,
        *,
        with_frame_index: bool = False,
    ) -> list[StoredInstance]:
        """Return current instances ordered by series number, instance number, UID; [] when there are none."""
        statement = read_sql.find_instances(
            by_series=series_instance_uid is not None,
            by_instance=sop_instance_uid is not None,
            with_frame_index=with_frame_index,
        )
        async with self._reading.use(tenant_id) as connection:
            records = await connection.fetch(
                statement, tenant_id, study_instance_uid, series_instance_uid, sop_instance_uid
            )
        return _stored(records)

    async def select_instances(self, tenant_id: int, selection: InstanceSelection, limit: int) -> list[StoredInstance]:
        """Return the current instances of a selection, no more than `limit`, study by study in the order of reading."""
        statement, keys = read_sql.select_instances(selection)
        async with self._reading.use(tenant_id) as connection:
            return _stored(await connection.fetch(statement, tenant_id, limit, *keys))

    async def read_attributes(self, tenant_id: int, instance_keys: Sequence[int]) -> list[bytes]:
        """Return the instances' attributes as DICOM JSON text in the order of the keys.

        Raises:
            NotFound: one of the keys names no instance of the tenant (any more).
        """
        async with self._reading.use(tenant_id) as connection:
            records = await connection.fetch(read_sql.READ_ATTRIBUTES, tenant_id, list(instance_keys))
        if len(records) != len(instance_keys):
            raise NotFound("An instance is not there any more.", code="instance-gone")
        return [attributes_text(record[0]) for record in records]

    async def series_stamp(self, tenant_id: int, study_instance_uid: str, series_instance_uid: str) -> str | None:
        """Return a value that changes whenever the series' set of current instances changes; None: no such series."""
        async with self._reading.use(tenant_id) as connection:
            stamp: str | None = await connection.fetchval(
                read_sql.SERIES_STAMP, tenant_id, study_instance_uid, series_instance_uid
            )
            return stamp

    async def read_series_metadata(
        self, tenant_id: int, study_instance_uid: str, series_instance_uid: str
    ) -> SeriesMetadata | None:
        """Return the ready-made metadata when there is one and its stamp still holds."""
        async with self._reading.use(tenant_id) as connection:
            record = await connection.fetchrow(
                read_sql.READ_SERIES_METADATA, tenant_id, study_instance_uid, series_instance_uid
            )
        if record is None or record["stamp"] != record["current_stamp"]:
            return None
        return SeriesMetadata(record["gzip_json"], record["stamp"], record["has_placeholders"])

    async def write_series_metadata(
        self, tenant_id: int, study_instance_uid: str, series_instance_uid: str, metadata: SeriesMetadata
    ) -> None:
        """Keep ready-made metadata for the series, in place of any earlier one; without the series, do nothing."""
        async with self._writing.use(tenant_id) as connection:
            await connection.execute(
                read_sql.WRITE_SERIES_METADATA,
                tenant_id,
                study_instance_uid,
                series_instance_uid,
                metadata.stamp,
                metadata.has_placeholders,
                metadata.gzip_json,
            )

    async def known_blob_keys(self, keys: Sequence[str]) -> set[str]:
        """Return those of the keys that an instance version of any tenant points to (for start-up repair).

        No connection sees the rows of several tenants, so they are asked one after the other.
        """
        async with self._writing.use(None) as connection:
            tenants = [record[0] for record in await connection.fetch(read_sql.TENANTS)]
        known: set[str] = set()
        for tenant_id in tenants:
            async with self._writing.use(tenant_id) as connection:
                records = await connection.fetch(read_sql.KNOWN_BLOB_KEYS, tenant_id, list(keys))
            known.update(record[0] for record in records)
        return known


def _stored(records: Iterable[asyncpg.Record]) -> list[StoredInstance]:
    # UIDs that many rows share are kept once: a patient may have a hundred thousand instances.
    shared: dict[str, str] = {}
    once = shared.setdefault
    return [
        StoredInstance(
            instance_key=key,
            study_instance_uid=once(study, study),
            series_instance_uid=once(series, series),
            sop_instance_uid=sop,
            sop_class_uid=once(sop_class, sop_class),
            transfer_syntax_uid=once(syntax, syntax),
            blob=BlobRef(blob_key, size_bytes, data_set_offset),
            frame_count=frame_count,
            has_bulk_data=has_bulk_data,
            frame_index=frame_index,
        )
        for (
            key,
            study,
            series,
            sop,
            sop_class,
            syntax,
            blob_key,
            size_bytes,
            data_set_offset,
            frame_count,
            has_bulk_data,
            frame_index,
        ) in records
    ]


@contextlib.asynccontextmanager
async def open_index(address: DatabaseAddress) -> AsyncIterator[PostgresIndex]:
    """Yield an open index, and close it afterwards.

    Raises:
        Unavailable: the database does not answer.
        Forbidden: the role could see every tenant's rows.
    """
    index = PostgresIndex(address)
    try:
        await index.open()
        yield index
    finally:
        await index.close()
