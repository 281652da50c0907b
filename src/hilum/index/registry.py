"""What verbs need that ask for no instance: accounts and remotes, without the searches, which take long to load."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from hilum.index.accounts import PostgresAccounts
from hilum.index.address import DatabaseAddress
from hilum.index.notices import PostgresNotices
from hilum.index.pool import TenantPool
from hilum.index.remotes import PostgresRemotes


@dataclass(frozen=True, slots=True)
class PostgresRegistry:
    """The part of `PostgresIndex` that knows people, programs and application entities."""

    accounts: PostgresAccounts
    remotes: PostgresRemotes
    notices: PostgresNotices


@contextlib.asynccontextmanager
async def open_registry(address: DatabaseAddress) -> AsyncIterator[PostgresRegistry]:
    """Yield the registry, and close it afterwards.

    Raises:
        Unavailable: the database does not answer.
        Forbidden: the role could see every tenant's rows.
    """
    pool, notices = TenantPool(address, 1, {}), PostgresNotices(address)
    try:
        await pool.open()
        yield PostgresRegistry(PostgresAccounts(pool), PostgresRemotes(pool), notices)
    finally:
        await notices.close()
        await pool.close()
