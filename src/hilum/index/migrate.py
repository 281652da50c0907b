"""Bringing a database to the schema this release expects."""

from __future__ import annotations

import re
from typing import Final

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from hilum.index.address import DatabaseAddress
from hilum.index.server_credentials import APP_ROLE
from hilum.index.translate import database_errors
from hilum.kernel.errors import InvalidInput, Unavailable

_LOCK: Final = 0x48494C554D  # any number nobody else uses for an advisory lock: "HILUM"
_ROLE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


async def migrate(owner_address: DatabaseAddress, serving_role: str = APP_ROLE) -> None:
    """Create or upgrade the schema and let the serving role use it. Idempotent; concurrent callers take turns.

    On a server of your own, prepare once, as its superuser:

        CREATE ROLE hilum_owner LOGIN PASSWORD '...';
        CREATE ROLE hilum_app LOGIN PASSWORD '...' NOSUPERUSER NOBYPASSRLS;
        CREATE DATABASE hilum OWNER hilum_owner TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8';
        \\c hilum
        ALTER FUNCTION pg_catalog.textlike(text, text) LEAKPROOF;

    The last line is for speed alone: it lets searches with wildcards use their indexes in spite of row-level
    security. PostgreSQL 15 or later with the extensions pg_trgm and btree_gin (package postgresql-contrib).

    Args:
        owner_address: a role that owns the database, and is not the serving role.
        serving_role: the role workers connect as.

    Raises:
        Unavailable: the database does not answer or refuses.
        InvalidInput: the serving role's name is none.
    """
    if not _ROLE_NAME.fullmatch(serving_role):
        raise InvalidInput("The name of the serving role is not a plain identifier.", code="bad-role-name")

    async def connect() -> asyncpg.Connection[asyncpg.Record]:
        return await asyncpg.connect(**owner_address.connect_arguments())

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    with database_errors():
        try:
            async with engine.connect() as connection:
                await connection.execute(text(f"SELECT pg_advisory_lock({_LOCK})"))
                await connection.commit()
                await connection.run_sync(_upgrade)
                await connection.commit()
                for statement in _grants(serving_role):
                    await connection.execute(text(statement))
                await connection.commit()
        except SQLAlchemyError as error:
            raise Unavailable("The database refused a statement.", code="database-error") from error
        finally:
            await engine.dispose()


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", "hilum.index:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _grants(role: str) -> list[str]:
    return [
        f'GRANT USAGE ON SCHEMA public TO "{role}"',
        f'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO "{role}"',
        f'REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM "{role}"',
    ]
