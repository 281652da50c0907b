"""The modalities of studies, as searches by modality read them, say what the series say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from hilum.archive.model import DuplicatePolicy
from hilum.index.address import DatabaseAddress
from hilum.index.embedded import EmbeddedPostgres
from hilum.index.postgres import PostgresIndex, open_index
from support.database import draft, new_tenant, open_folder

REPLACE = DuplicatePolicy.REPLACE

NOTED = """
SELECT study_instance_uid, modality, study_date::text, study_time::text FROM study_modality WHERE tenant_id = $1
ORDER BY study_instance_uid, modality
"""
TRUE = """
SELECT DISTINCT study_instance_uid, modality, study_date::text, study_time::text
FROM series JOIN study USING (study_key, tenant_id) WHERE tenant_id = $1 AND modality IS NOT NULL
ORDER BY study_instance_uid, modality
"""


@pytest.fixture
async def tenant_id(database: EmbeddedPostgres) -> int:
    return await new_tenant(database.app_address())


@pytest.fixture
async def index(database: EmbeddedPostgres) -> AsyncIterator[PostgresIndex]:
    async with open_index(database.app_address()) as index:
        yield index


async def noted(address: DatabaseAddress, tenant_id: int) -> list[tuple[str, ...]]:
    """Return what is noted, once it has been found to be what the series say."""
    connection = await asyncpg.connect(**address.connect_arguments())
    try:
        await connection.fetchval("SELECT set_config('hilum.tenant', $1, false)", str(tenant_id))
        found = [tuple(row) for row in await connection.fetch(NOTED, tenant_id)]
        assert found == [tuple(row) for row in await connection.fetch(TRUE, tenant_id)]
        return found
    finally:
        await connection.close()


async def test_each_modality_of_a_study_is_noted_once(
    database: EmbeddedPostgres, index: PostgresIndex, tenant_id: int
) -> None:
    one = draft(Modality="PT", StudyDate="20200101", StudyTime="1015")
    drafts = [
        one,
        draft(series="1.2.1.2", instance="1.2.1.2.1", Modality="CT"),
        draft(series="1.2.1.3", instance="1.2.1.3.1", Modality="CT"),
        draft(series="1.2.1.4", instance="1.2.1.4.1", Modality=""),
    ]
    await index.ingest(tenant_id, drafts, REPLACE)
    await index.ingest(tenant_id, [draft(series="1.2.1.5", instance="1.2.1.5.1", Modality="CT")], REPLACE)
    found = await noted(database.app_address(), tenant_id)
    assert found == [("1.2.1", modality, "2020-01-01", "10:15:00") for modality in ("CT", "PT")]


async def test_what_is_completed_later_is_noted_too(
    database: EmbeddedPostgres, index: PostgresIndex, tenant_id: int
) -> None:
    await index.ingest(tenant_id, [draft(Modality="MR", StudyDate="", StudyTime="")], REPLACE)
    await index.ingest(tenant_id, [draft("1.2.2", "1.2.2.1", "1.2.2.1.1", Modality="")], REPLACE)
    later = [
        draft(series="1.2.1.2", instance="1.2.1.2.1", Modality="MR", StudyDate="20210203", StudyTime=""),
        draft("1.2.2", "1.2.2.1", "1.2.2.1.2", Modality="US"),
    ]
    # A worker that has not seen these series yet looks what they lack.
    async with open_index(database.app_address()) as other:
        await other.ingest(tenant_id, later, REPLACE)
    found = await noted(database.app_address(), tenant_id)
    assert [row[:3] for row in found if row[0] == "1.2.1"] == [("1.2.1", "MR", "2021-02-03")]
    assert [row[1] for row in found if row[0] == "1.2.2"] == ["US"]


async def test_a_modality_is_forgotten_with_its_last_series(
    database: EmbeddedPostgres, index: PostgresIndex, tenant_id: int
) -> None:
    drafts = [
        draft(Modality="CT"),
        draft(series="1.2.1.2", instance="1.2.1.2.1", Modality="CT"),
        draft(series="1.2.1.3", instance="1.2.1.3.1", Modality="SR"),
    ]
    await index.ingest(tenant_id, drafts, REPLACE)
    for series, left in (("1.2.1.2", ["CT", "SR"]), ("1.2.1.3", ["CT"]), ("1.2.1.1", [])):
        moved = draft("1.2.2", "1.2.2.1", f"{series}.1", Modality="OT")
        await index.ingest(tenant_id, [moved], REPLACE)
        found = await noted(database.app_address(), tenant_id)
        assert [row[1] for row in found if row[0] == "1.2.1"] == left


async def test_workers_that_add_series_to_one_study_at_a_time_note_them_all(
    database: EmbeddedPostgres, tenant_id: int
) -> None:
    modalities = ["CT", "MR", "PT", "SR", "US", "XA"]

    async def add(number: int) -> None:
        async with open_index(database.app_address()) as index:
            for each, modality in enumerate(modalities[number:] + modalities[:number]):
                dated = {"StudyDate": "20200101"} if each > 2 else {"StudyDate": ""}
                series = f"1.2.1.{modalities.index(modality)}"
                one = draft("1.2.1", series, f"{series}.{number}", Modality=modality, **dated)
                await index.ingest(tenant_id, [one], REPLACE)

    await asyncio.gather(*(add(number) for number in range(4)))
    found = await noted(database.app_address(), tenant_id)
    assert [(row[1], row[2]) for row in found] == [(modality, "2020-01-01") for modality in modalities]


ROWS_OF_STEP_7 = """
INSERT INTO patient (tenant_id, identity, attributes, terms) SELECT $1, 'P', '{}', '{}';
INSERT INTO study (tenant_id, patient_key, study_instance_uid, study_date, attributes, terms)
SELECT $1, patient_key, '1.2.' || $1, '2020-01-01', '{}', '{}' FROM patient;
INSERT INTO series (tenant_id, study_key, series_instance_uid, modality, attributes, terms)
SELECT $1, study_key, '1.2.' || n, (ARRAY['CT', 'CT', 'MR'])[n], '{}', '{}' FROM study, generate_series(1, 4) n
"""


async def test_an_archive_of_before_gets_the_modalities_of_all_its_tenants() -> None:
    with open_folder() as folder:
        server = EmbeddedPostgres(folder / "data")
        server.start()
        try:
            address = server.owner_address()

            async def connect() -> asyncpg.Connection[asyncpg.Record]:
                return await asyncpg.connect(**address.connect_arguments())

            def upgrade(connection: Connection, revision: str) -> None:
                config = Config()
                config.set_main_option("script_location", "hilum.index:migrations")
                config.attributes["connection"] = connection
                command.upgrade(config, revision)

            engine = create_async_engine("postgresql+asyncpg://", async_creator=connect)
            async with engine.connect() as connection:
                await connection.run_sync(upgrade, "0007")
                await connection.execute(text("INSERT INTO tenant (name) VALUES ('second')"))
                for tenant_id in (1, 2):
                    await connection.execute(text(f"SELECT set_config('hilum.tenant', '{tenant_id}', false)"))
                    for statement in ROWS_OF_STEP_7.replace("$1", str(tenant_id)).split(";\n"):
                        await connection.execute(text(statement))
                await connection.execute(text("SELECT set_config('hilum.tenant', '', false)"))
                await connection.commit()
                await connection.run_sync(upgrade, "head")
                await connection.commit()
            await engine.dispose()
            for tenant_id in (1, 2):
                found = await noted(address, tenant_id)
                assert found == [(f"1.2.{tenant_id}", modality, "2020-01-01", None) for modality in ("CT", "MR")]
        finally:
            server.stop()
