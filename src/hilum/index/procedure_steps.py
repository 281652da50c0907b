"""Performed procedure steps: their rows, their links to worklist items, and the items' status that follows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import Any, Final

import asyncpg
import orjson

from hilum.archive.procedure_steps import JobsOfStep, PerformedStatus, PerformedStep, referenced_item, status_of_item
from hilum.archive.worklist import with_status
from hilum.index.enqueue import enqueue
from hilum.index.pool import Connection, TenantPool
from hilum.index.terms import clean, json_text
from hilum.index.worklist import worklist_item, write_item
from hilum.kernel.errors import Conflict

_STEP: Final = """
SELECT step_key, sop_instance_uid, status, calling_ae_title, attributes, created_at, changed_at,
    ARRAY(
        SELECT DISTINCT item_key FROM performed_step_reference AS r
        WHERE r.step_key = s.step_key AND r.tenant_id = s.tenant_id AND item_key IS NOT NULL ORDER BY item_key
    ) AS item_keys
FROM performed_procedure_step AS s
"""
_INSERT: Final = """
INSERT INTO performed_procedure_step
    (tenant_id, sop_instance_uid, status, calling_ae_title, attributes, created_at, changed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING step_key
"""
_UPDATE: Final = """
UPDATE performed_procedure_step SET (status, attributes, changed_at) = ($3, $4, $5)
WHERE tenant_id = $1 AND step_key = $2
"""
_REFER: Final = """
INSERT INTO performed_step_reference (tenant_id, step_key, position, study_instance_uid, item_key)
VALUES ($1, $2, $3, $4, $5)
"""
_ITEMS: Final = "SELECT item_key, status, attributes, created_at, changed_at FROM worklist_item WHERE tenant_id = $1"
# Items are locked in the order of their keys, so that two reports never wait for each other.
_CANDIDATES: Final = f"""
{_ITEMS} AND (study_instance_uid = ANY($2::text[]) OR accession_number = ANY($3::text[])) ORDER BY item_key FOR UPDATE
"""
_LINKED_ITEMS: Final = f"{_ITEMS} AND item_key = ANY($2::bigint[]) ORDER BY item_key FOR UPDATE"
_STATUSES: Final = """
SELECT r.item_key, array_agg(s.status) AS statuses
FROM performed_step_reference AS r JOIN performed_procedure_step AS s USING (step_key, tenant_id)
WHERE r.tenant_id = $1 AND r.item_key = ANY($2::bigint[]) GROUP BY r.item_key
"""


class PostgresProcedureSteps:
    """Implements `hilum.archive.procedure_steps.ProcedureSteps`.

    Args:
        writing: the worker's connections for writing.
        reading: the worker's connections for reading.
    """

    def __init__(self, writing: TenantPool, reading: TenantPool) -> None:
        self._writing = writing
        self._reading = reading

    async def add(self, tenant_id: int, step: PerformedStep, jobs: JobsOfStep | None = None) -> PerformedStep:
        """Keep a new step, with the jobs it calls for, link it to the items it names and let them follow.

        Raises:
            Conflict: there is a step of this SOP Instance UID.
        """
        async with self._writing.use(tenant_id) as connection, connection.transaction():
            try:
                key = await connection.fetchval(
                    _INSERT,
                    tenant_id,
                    step.sop_instance_uid,
                    step.status.value,
                    None if step.calling_ae_title is None else clean(step.calling_ae_title),
                    json_text(step.attributes),
                    step.created_at,
                    step.changed_at,
                )
            except asyncpg.UniqueViolationError as error:
                raise Conflict("there is a performed procedure step of this UID", code="duplicate-step") from error
            item_keys = await _link(connection, tenant_id, int(key), step)
            await _follow(connection, tenant_id, item_keys, step)
            kept = replace(step, step_key=int(key), item_keys=tuple(item_keys))
            if jobs is not None:
                await enqueue(connection, tenant_id, jobs(kept))
        return kept

    async def find(self, tenant_id: int, sop_instance_uid: str) -> PerformedStep | None:
        """Return a step, or None."""
        async with self._reading.use(tenant_id) as connection:
            record = await connection.fetchrow(
                f"{_STEP} WHERE tenant_id = $1 AND sop_instance_uid = $2", tenant_id, clean(sop_instance_uid)
            )
        return None if record is None else _step(record)

    async def change(
        self,
        tenant_id: int,
        sop_instance_uid: str,
        work: Callable[[PerformedStep], PerformedStep],
        jobs: JobsOfStep | None = None,
    ) -> PerformedStep | None:
        """Keep what `work` makes of the step, with the jobs that calls for, and let its items follow.

        None: there is no such step.
        """
        async with self._writing.use(tenant_id) as connection, connection.transaction():
            record = await connection.fetchrow(
                f"{_STEP} WHERE tenant_id = $1 AND sop_instance_uid = $2 FOR UPDATE OF s", tenant_id, sop_instance_uid
            )
            if record is None:
                return None
            before = _step(record)
            step = work(before)
            await connection.execute(
                _UPDATE, tenant_id, step.step_key, step.status.value, json_text(step.attributes), step.changed_at
            )
            if step.status is not before.status:
                await _follow(connection, tenant_id, step.item_keys, step)
            if jobs is not None:
                await enqueue(connection, tenant_id, jobs(step))
        return step

    async def of_items(self, tenant_id: int, item_keys: Collection[int]) -> list[PerformedStep]:
        """Return the steps performed for these items, oldest first."""
        return await self._of_references(tenant_id, "item_key = ANY($2::bigint[])", list(item_keys))

    async def of_study(self, tenant_id: int, study_instance_uid: str) -> list[PerformedStep]:
        """Return the steps performed for a study, oldest first."""
        return await self._of_references(tenant_id, "study_instance_uid = $2", clean(study_instance_uid))

    async def _of_references(self, tenant_id: int, condition: str, value: Any) -> list[PerformedStep]:
        statement = f"""
            {_STEP} WHERE tenant_id = $1 AND step_key IN (
                SELECT step_key FROM performed_step_reference WHERE tenant_id = $1 AND {condition}
            ) ORDER BY created_at, step_key
        """  # noqa: S608 - of constants
        async with self._reading.use(tenant_id) as connection:
            return [_step(record) for record in await connection.fetch(statement, tenant_id, value)]


def _step(record: asyncpg.Record) -> PerformedStep:
    return PerformedStep(
        step_key=record["step_key"],
        sop_instance_uid=record["sop_instance_uid"],
        status=PerformedStatus(record["status"]),
        attributes=orjson.loads(record["attributes"]),
        calling_ae_title=record["calling_ae_title"],
        created_at=record["created_at"],
        changed_at=record["changed_at"],
        item_keys=tuple(record["item_keys"]),
    )


async def _link(connection: Connection, tenant_id: int, step_key: int, step: PerformedStep) -> list[int]:
    """Write what the step refers to, and return the keys of the items that are in the worklist."""
    references = step.references
    records = await connection.fetch(
        _CANDIDATES,
        tenant_id,
        [clean(reference.study_instance_uid) for reference in references],
        [clean(reference.accession_number) for reference in references if reference.accession_number],
    )
    candidates = [worklist_item(record) for record in records]
    found = [referenced_item(reference, candidates) for reference in references]
    await connection.executemany(
        _REFER,
        [
            (tenant_id, step_key, position, clean(reference.study_instance_uid), item.item_key if item else None)
            for position, (reference, item) in enumerate(zip(references, found, strict=True))
        ],
    )
    return sorted({item.item_key for item in found if item is not None})


async def _follow(connection: Connection, tenant_id: int, item_keys: Iterable[int], step: PerformedStep) -> None:
    """Give the items the status that all steps performed for them make."""
    keys = list(item_keys)
    if not keys:
        return
    items = [worklist_item(record) for record in await connection.fetch(_LINKED_ITEMS, tenant_id, keys)]
    statuses = {record[0]: record[1] for record in await connection.fetch(_STATUSES, tenant_id, keys)}
    for item in items:
        performed = [PerformedStatus(status) for status in statuses.get(item.item_key, ())]
        status = status_of_item(performed, item.status)
        if status is not item.status:
            await write_item(connection, tenant_id, with_status(item, status, step.changed_at))
