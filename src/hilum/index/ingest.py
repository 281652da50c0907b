"""Ingest: all rows of one batch in one transaction, nearly always in one statement."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import asyncpg

from hilum.archive.model import DuplicatePolicy, IngestOutcome, IngestStatus, InstanceDraft
from hilum.index.hierarchy import ensure_series
from hilum.index.ingest_sql import (
    ADD_INSTANCE,
    ADD_INSTANCES,
    LOCK_INSTANCE,
    REMOVE_EMPTY_PATIENT,
    REMOVE_EMPTY_SERIES,
    REMOVE_EMPTY_STUDY,
    REPLACE_INSTANCE,
)
from hilum.index.known_series import KnownSeries, SeriesMemory, SeriesName
from hilum.index.pool import Connection, TenantPool
from hilum.index.rows import InstanceRow, row_of
from hilum.index.study_modalities import drop_modalities
from hilum.kernel.errors import Unavailable
from hilum.kernel.limits import KNOWN_SERIES

_ATTEMPTS: Final = 5


class Ingest:
    """Writes batches of instances.

    A SOP Instance UID names one instance in a tenant, whatever study and series it says it belongs to; if other
    content under it is taken in, the instance moves to where the new content says. A series is named by its study's
    UID and its own.
    """

    def __init__(self, pool: TenantPool) -> None:
        self._pool = pool
        self._memory = SeriesMemory(KNOWN_SERIES)

    async def ingest(
        self, tenant_id: int, drafts: Sequence[InstanceDraft], policy: DuplicatePolicy
    ) -> list[IngestOutcome]:
        """Write the rows of all drafts; see `InstanceIndex.ingest`.

        Raises:
            Unavailable: the database does not answer. Whether anything was written is then unknown.
        """
        if not drafts:
            return []
        batch = _Batch(tenant_id, [row_of(draft) for draft in drafts], policy)
        for attempt in range(_ATTEMPTS):
            try:
                async with self._pool.use(tenant_id) as connection:
                    return await self._write(connection, batch)
            except Unavailable as error:
                # A series we remember is gone, or workers waited for each other crosswise: nothing was written.
                if not isinstance(error.__cause__, asyncpg.ForeignKeyViolationError | asyncpg.TransactionRollbackError):
                    raise
                self._memory.forget(batch.names)
                await asyncio.sleep(0.005 * attempt)
        raise Unavailable("The database is busy with the same series elsewhere.", code="database-busy")

    async def _write(self, connection: Connection, batch: _Batch) -> list[IngestOutcome]:
        known = {name: series for name in batch.names if (series := self._memory.get(name)) is not None}
        if len(known) == len(batch.names) and not batch.has_repeats:
            outcomes = await batch.add(connection, known)
            if outcomes is not None:
                return outcomes
        async with connection.transaction():
            lacking = [row for row in batch.rows if batch.name(row) not in known]
            if lacking:
                ensured = await ensure_series(connection, batch.tenant_id, lacking)
                known |= {(batch.tenant_id, *name): series for name, series in ensured.items()}
            outcomes = None if batch.has_repeats else await batch.add(connection, known)
            if outcomes is None:
                outcomes = [await batch.settle(connection, row, known) for row in batch.rows]
        for name, series in known.items():
            self._memory.remember(name, series)
        return outcomes


class _Batch:
    """The drafts of one call."""

    def __init__(self, tenant_id: int, rows: list[InstanceRow], policy: DuplicatePolicy) -> None:
        self.tenant_id = tenant_id
        self.rows = rows
        self.names = {self.name(row) for row in rows}
        self.has_repeats = len({row.sop_instance_uid for row in rows}) < len(rows)
        self._policy = policy
        # By UID, so that two workers with the same instances wait for each other one way round only.
        self._order = sorted(range(len(rows)), key=lambda i: rows[i].sop_instance_uid)
        self._values = [row.values for row in rows]

    def name(self, row: InstanceRow) -> SeriesName:
        """Return the name of a row's series."""
        return self.tenant_id, row.study_instance_uid, row.series_instance_uid

    async def add(self, connection: Connection, known: dict[SeriesName, KnownSeries]) -> list[IngestOutcome] | None:
        """Insert all rows in one statement; None, and nothing inserted, when some have to replace others.

        When another worker brings in the same instance at this very moment, the rows beside it may be inserted
        although the answer is None; settling recognizes them by their blobs.
        """
        keeps = self._policy is DuplicatePolicy.KEEP
        left = await self._insert(connection, self._order, known, regardless=keeps)
        outcomes = [IngestOutcome(IngestStatus.STORED, self._patient_differs(row, known)) for row in self.rows]
        for position, is_same in left:
            if is_same is None or not (is_same or keeps):
                return None
            index = self._order[position - 1]
            status = IngestStatus.IDENTICAL if is_same else IngestStatus.REFUSED
            outcomes[index] = IngestOutcome(status, outcomes[index].patient_differs)
        return outcomes

    async def settle(
        self, connection: Connection, row: InstanceRow, known: dict[SeriesName, KnownSeries]
    ) -> IngestOutcome:
        """Insert one row or decide about the one that is there, which is locked meanwhile."""
        index = self.rows.index(row)
        differs = self._patient_differs(row, known)
        for _ in range(_ATTEMPTS):
            there = await connection.fetchrow(LOCK_INSTANCE, self.tenant_id, row.sop_instance_uid, row.draft.blob.key)
            if there is None:
                if not await self._insert(connection, [index], known, regardless=True):
                    return IngestOutcome(IngestStatus.STORED, differs)
                continue
            if there["is_own"]:
                return IngestOutcome(IngestStatus.STORED, differs)
            if there["digest"] == row.draft.digest:
                return IngestOutcome(IngestStatus.IDENTICAL, differs)
            if self._policy is DuplicatePolicy.KEEP:
                return IngestOutcome(IngestStatus.REFUSED, differs)
            await connection.execute(
                REPLACE_INSTANCE,
                self.tenant_id,
                there["instance_key"],
                row.study_instance_uid,
                row.series_instance_uid,
                *self._placed(index, known),
            )
            if there["series_key"] != known[self.name(row)].series_key:
                await self._remove_emptied(connection, there["series_key"])
            return IngestOutcome(IngestStatus.REPLACED, differs)
        raise asyncpg.SerializationError("an instance keeps appearing and vanishing")

    async def _insert(
        self,
        connection: Connection,
        indexes: Sequence[int],
        known: dict[SeriesName, KnownSeries],
        *,
        regardless: bool,
    ) -> list[asyncpg.Record]:
        values = [
            (
                *self._placed(index, known),
                self.rows[index].study_instance_uid,
                self.rows[index].series_instance_uid,
            )
            for index in indexes
        ]
        if len(values) == 1:
            return await connection.fetch(ADD_INSTANCE, self.tenant_id, regardless, *values[0])
        columns = map(list, zip(*values, strict=True))
        return await connection.fetch(ADD_INSTANCES, self.tenant_id, regardless, *columns)

    def _placed(self, index: int, known: dict[SeriesName, KnownSeries]) -> tuple[Any, ...]:
        row = self.rows[index]
        return known[self.name(row)].series_key, self._patient_differs(row, known), *self._values[index]

    def _patient_differs(self, row: InstanceRow, known: dict[SeriesName, KnownSeries]) -> bool:
        return known[self.name(row)].patient_identity != row.patient_identity

    async def _remove_emptied(self, connection: Connection, series_key: int) -> None:
        study_key = await connection.fetchval(REMOVE_EMPTY_SERIES, self.tenant_id, series_key)
        if study_key is not None:
            await drop_modalities(connection, self.tenant_id, study_key)
            patient_key = await connection.fetchval(REMOVE_EMPTY_STUDY, self.tenant_id, study_key)
            if patient_key is not None:
                await connection.execute(REMOVE_EMPTY_PATIENT, self.tenant_id, patient_key)
