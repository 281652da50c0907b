"""Row-level security: the second lock on every tenant's rows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import asyncpg
import pytest

from hilum.archive.model import DuplicatePolicy, SeriesMetadata
from hilum.archive.query import Level, Query
from hilum.index.embedded import EmbeddedPostgres
from hilum.index.pool import Connection
from hilum.index.postgres import PostgresIndex, open_index
from hilum.kernel.errors import Forbidden, Unavailable
from support.database import draft, new_tenant

GUARDED = (
    *("patient", "study", "series", "instance"),
    *("instance_version", "series_metadata", "change_feed", "outbox"),
)


@pytest.fixture
async def other_tenant_id(database: EmbeddedPostgres) -> int:
    return await new_tenant(database.app_address())


@pytest.fixture
async def session(database: EmbeddedPostgres) -> AsyncIterator[Connection]:
    """A connection in the serving role, with no tenant set."""
    connection = await asyncpg.connect(**database.app_address().connect_arguments())
    yield connection
    await connection.close()


async def fill(index: PostgresIndex, tenant_id: int) -> None:
    """Put at least one row of the tenant into each guarded table."""
    await index.ingest(tenant_id, [draft()], DuplicatePolicy.REPLACE)
    await index.ingest(tenant_id, [draft(content="new")], DuplicatePolicy.REPLACE)
    stamp = await index.series_stamp(tenant_id, "1.2.1", "1.2.1.1")
    assert stamp is not None
    await index.write_series_metadata(tenant_id, "1.2.1", "1.2.1.1", SeriesMetadata(b"gzip", stamp, False))


async def test_the_serving_role_sees_only_the_rows_of_the_tenant_that_is_set(
    index: PostgresIndex, tenant_id: int, other_tenant_id: int, session: Connection
) -> None:
    await fill(index, tenant_id)
    for table in GUARDED:
        assert await session.fetchval(f"SELECT count(*) FROM {table}") == 0, table
    await session.execute("SELECT set_config('hilum.tenant', $1, false)", str(other_tenant_id))
    for table in GUARDED:
        assert await session.fetchval(f"SELECT count(*) FROM {table}") == 0, table
    await session.execute("SELECT set_config('hilum.tenant', $1, false)", str(tenant_id))
    for table in GUARDED:
        assert await session.fetchval(f"SELECT count(*) FROM {table}") > 0, table


async def test_the_serving_role_cannot_change_or_add_rows_of_another_tenant(
    index: PostgresIndex, tenant_id: int, other_tenant_id: int, session: Connection
) -> None:
    await fill(index, tenant_id)
    await session.execute("SELECT set_config('hilum.tenant', $1, false)", str(other_tenant_id))
    assert await session.execute("UPDATE study SET study_id = 'stolen'") == "UPDATE 0"
    assert await session.execute("DELETE FROM change_feed") == "DELETE 0"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await session.execute(
            "INSERT INTO patient (tenant_id, identity, attributes, terms) VALUES ($1, 'x', '{}', '{}')", tenant_id
        )


@pytest.mark.parametrize(
    "statement",
    [
        "SET row_security = off; SELECT * FROM patient",
        "ALTER TABLE patient DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE patient NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY own_tenant ON patient",
        "SET ROLE hilum_owner",
        "SET SESSION AUTHORIZATION postgres",
        "ALTER ROLE hilum_app BYPASSRLS",
        "CREATE TABLE public.mine (x int)",
        "UPDATE alembic_version SET version_num = 'x'",
        "COPY patient TO PROGRAM 'cat'",
    ],
)
async def test_the_serving_role_cannot_switch_the_lock_off(session: Connection, statement: str) -> None:
    with pytest.raises(asyncpg.PostgresError):
        await session.execute(statement)


async def test_every_table_with_a_tenant_of_patients_is_guarded(session: Connection) -> None:
    unguarded = await session.fetch(
        """
        SELECT relname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attname = 'tenant_id'
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
            AND NOT (relrowsecurity AND relforcerowsecurity)
        """
    )
    assert {record[0] for record in unguarded} == {"tenant", "ae_title", "user_account"}


async def test_the_owner_of_the_tables_is_bound_too(
    index: PostgresIndex, tenant_id: int, database: EmbeddedPostgres
) -> None:
    await fill(index, tenant_id)
    owner = await asyncpg.connect(**database.owner_address().connect_arguments())
    try:
        assert await owner.fetchval("SELECT count(*) FROM patient") == 0
    finally:
        await owner.close()


async def test_the_index_does_not_open_as_owner_of_the_tables(database: EmbeddedPostgres) -> None:
    with pytest.raises(Forbidden, match="must be neither superuser nor owner"):
        async with open_index(database.owner_address()):
            pass


async def test_tenants_alternating_on_the_same_connections_see_their_own_alone(
    index: PostgresIndex, tenant_id: int, other_tenant_id: int
) -> None:
    for turn in range(12):
        for tenant, patient in ((tenant_id, "MINE"), (other_tenant_id, "THEIRS")):
            uid = f"1.2.{turn}"
            await index.ingest(
                tenant, [draft(uid, f"{uid}.1", f"{uid}.1.1", PatientID=patient)], DuplicatePolicy.REPLACE
            )
            answers = [a async for a in index.search(tenant, Query(Level.STUDY))]
            assert {a["00100020"]["Value"][0] for a in answers} == {patient}
            assert len(answers) == turn + 1
    mine = await index.find_instances(tenant_id, "1.2.0")
    theirs = await index.find_instances(other_tenant_id, "1.2.0")
    assert mine[0].instance_key != theirs[0].instance_key


async def test_blob_keys_of_all_tenants_are_known(index: PostgresIndex, tenant_id: int, other_tenant_id: int) -> None:
    drafts = {tenant: draft() for tenant in (tenant_id, other_tenant_id)}
    for tenant, one in drafts.items():
        await index.ingest(tenant, [one], DuplicatePolicy.REPLACE)
    keys = {one.blob.key for one in drafts.values()}
    assert await index.known_blob_keys([*keys, "unknown"]) == keys


async def test_a_wrong_password_is_refused_and_not_told(database: EmbeddedPostgres) -> None:
    address = replace(database.app_address(), password="wrong")
    with pytest.raises(Unavailable) as caught:
        async with open_index(address):
            pass
    assert "wrong" not in str(caught.value)
    assert str(database.app_address().password) not in repr(database.app_address())
