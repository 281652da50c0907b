"""Patients, studies and series: found, made, and completed by what later instances know."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import asyncpg

from hilum.index.ingest_sql import ADD_PATIENTS, ADD_SERIES, ADD_STUDIES, FILL, FIND_SERIES
from hilum.index.known_series import KnownSeries
from hilum.index.pool import Connection
from hilum.index.rows import InstanceRow, LevelRow
from hilum.index.study_modalities import follow_study, note_modalities

# Workers that insert and delete the same study can make each other look again; not for ever.
_ATTEMPTS = 5


async def ensure_series(
    connection: Connection, tenant_id: int, rows: Sequence[InstanceRow]
) -> dict[tuple[str, str], KnownSeries]:
    """Make sure the series of the rows are there, and return what is to be known of each, by study and series UID.

    Runs within the caller's transaction. The first instance of an entity says what it is; what it left out is taken
    from later ones. A study stays with the patient it came with. Locks are taken in one order (patients, studies,
    series, each by name), so that workers do not block each other crosswise.

    Raises:
        asyncpg.SerializationError: others kept removing what was made; the caller may try again.
    """
    firsts: dict[tuple[str, str], InstanceRow] = {}
    for row in sorted(rows, key=lambda r: (r.study_instance_uid, r.series_instance_uid)):
        firsts.setdefault((row.study_instance_uid, row.series_instance_uid), row)
    added: set[tuple[str, str]] = set()
    for _ in range(_ATTEMPTS):
        found = await _find(connection, tenant_id, firsts)
        missing = {n: row for n, row in firsts.items() if n not in found or found[n]["series_key"] is None}
        if not missing:
            completed = await _complete(connection, tenant_id, firsts, found)
            await note_modalities(connection, tenant_id, completed | {found[name]["series_key"] for name in added})
            return {n: KnownSeries(record["series_key"], record["identity"]) for n, record in found.items()}
        added |= missing.keys()
        new_studies: dict[str, InstanceRow] = {}
        for name, row in missing.items():
            if name not in found:
                new_studies.setdefault(row.study_instance_uid, row)
        await _add_studies(connection, tenant_id, new_studies.values())
        await _add(
            connection,
            ADD_SERIES,
            tenant_id,
            [((row.study_instance_uid, row.series_instance_uid), row.series) for row in missing.values()],
        )
    raise asyncpg.SerializationError("series keep vanishing")


async def _find(
    connection: Connection, tenant_id: int, firsts: dict[tuple[str, str], InstanceRow]
) -> dict[tuple[str, str], asyncpg.Record]:
    names = list(firsts)
    records = await connection.fetch(FIND_SERIES, tenant_id, [n[0] for n in names], [n[1] for n in names])
    return {names[record["position"] - 1]: record for record in records}


async def _add_studies(connection: Connection, tenant_id: int, rows: Iterable[InstanceRow]) -> None:
    ordered = sorted(rows, key=lambda r: r.study_instance_uid)
    if not ordered:
        return
    patients = {row.patient_identity: row.patient for row in ordered}
    await _add(connection, ADD_PATIENTS, tenant_id, [((), patients[identity]) for identity in sorted(patients)])
    await _add(
        connection,
        ADD_STUDIES,
        tenant_id,
        [((row.patient_identity, row.study_instance_uid), row.study) for row in ordered],
    )


async def _add(
    connection: Connection, statement: str, tenant_id: int, rows: Sequence[tuple[tuple[str, ...], LevelRow]]
) -> None:
    values = [(*names, *row.columns.values(), row.attributes, row.terms) for names, row in rows]
    await connection.execute(statement, tenant_id, *map(list, zip(*values, strict=True)))


async def _complete(
    connection: Connection,
    tenant_id: int,
    firsts: dict[tuple[str, str], InstanceRow],
    found: dict[tuple[str, str], asyncpg.Record],
) -> set[int]:
    """Add to entities what they lack and the new instances have; return the keys of series that were completed."""
    wanted: dict[tuple[int, int], tuple[str, LevelRow]] = {}
    for name, record in found.items():
        row = firsts[name]
        levels = [("study", row.study), ("series", row.series)]
        if record["identity"] == row.patient_identity:
            levels.append(("patient", row.patient))
        for table, level in levels:
            if not level.tags <= set(record[f"{table}_tags"]):
                order = ("patient", "study", "series").index(table)
                wanted.setdefault((order, record[f"{table}_key"]), (table, level))
    for (_, key), (table, level) in sorted(wanted.items(), key=lambda item: item[0]):
        columns: list[Any] = [value for name, value in level.columns.items() if name != "identity"]
        await connection.execute(FILL[table], tenant_id, key, *columns, level.attributes, level.terms)
        if table == "study":
            await follow_study(connection, tenant_id, key)
    return {key for (_, key), (table, _) in wanted.items() if table == "series"}
