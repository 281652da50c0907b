"""A database is brought to the schema of this release, and let alone when it has it."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest
from alembic.script import ScriptDirectory

import hilum.index
from hilum.index import migrate as steps
from hilum.index.embedded import EmbeddedPostgres
from hilum.index.schema import bring_up_to_date, head
from hilum.index.server_credentials import APP_ROLE
from hilum.kernel.errors import HilumError


def test_the_head_is_the_one_alembic_finds() -> None:
    script = ScriptDirectory(str(Path(hilum.index.__file__).with_name("migrations")))
    assert head() == script.get_current_head()


async def test_a_database_that_is_ready_is_let_alone(
    database: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_arguments: object) -> None:
        raise AssertionError("it was migrated")

    monkeypatch.setattr(steps, "migrate", refuse)
    await bring_up_to_date(database.owner_address(), APP_ROLE)


async def test_a_step_that_was_not_seen_through_is(database: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(**database.owner_address().connect_arguments())
    try:
        await connection.execute(f"REVOKE SELECT ON association_ticket FROM {APP_ROLE}")
        await bring_up_to_date(database.owner_address(), APP_ROLE)
        is_granted = await connection.fetchval(
            f"SELECT has_table_privilege('{APP_ROLE}', 'association_ticket', 'SELECT')"
        )
        assert is_granted
    finally:
        await connection.close()


async def test_a_role_that_is_not_there_is_told_of(database: EmbeddedPostgres) -> None:
    with pytest.raises(HilumError):
        await bring_up_to_date(database.owner_address(), "nobody_of_this_name")
