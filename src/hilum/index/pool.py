"""Connections of one process, each remembering the tenant it was last used for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import asyncpg

from hilum.index.address import DatabaseAddress
from hilum.index.translate import database_errors
from hilum.kernel.errors import Forbidden, HilumError, Unavailable
from hilum.kernel.limits import DATABASE_ACQUIRE_TIMEOUT_S, DATABASE_CANCEL_TIMEOUT_S, DATABASE_CONNECT_TIMEOUT_S

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_SET_TENANT = "SELECT set_config('hilum.tenant', $1, false)"
_CHECK_ROLE = """
SELECT rolsuper OR rolbypassrls OR EXISTS (
    SELECT FROM pg_class WHERE relname = 'instance' AND relnamespace = 'public'::regnamespace
        AND pg_has_role(current_user, relowner, 'MEMBER'))
FROM pg_roles WHERE rolname = current_user
"""


@dataclass(slots=True)
class _Slot:
    connection: Connection
    tenant_id: int | None = None


class TenantPool:
    """At most `size` connections, handed out for one tenant at a time.

    A connection's tenant (the setting `hilum.tenant` that row-level security reads) is set when it differs from
    the last one, and idle connections of the same tenant are preferred, so the usual statement costs one round
    trip. Nothing is reset on return; instead a connection whose use ended with anything unexpected is dropped, and
    none is handed out under a tenant it is not known to have. One whose user was cancelled is kept: peers cancel
    searches as a matter of course, and a new connection takes as long as ten searches.

    Args:
        address: where to connect.
        size: how many connections at most.
        settings: server settings of every connection.
    """

    def __init__(self, address: DatabaseAddress, size: int, settings: Mapping[str, str]) -> None:
        self._address = address
        self._settings = dict(settings)
        self._size = size
        self._count = 0
        self._free = asyncio.Semaphore(size)
        self._idle: list[_Slot] = []
        self._is_closed = False

    async def open(self) -> None:
        """Connect once to see that the database answers and that row-level security binds our role.

        Raises:
            Unavailable: the database does not answer.
            Forbidden: the role is superuser, bypasses row-level security or owns the tables.
        """
        async with self.use(None) as connection:
            if await connection.fetchval(_CHECK_ROLE):
                raise Forbidden(
                    "The database role of the workers must be neither superuser nor owner of the tables, and must "
                    "not have BYPASSRLS: row-level security would not bind it.",
                    code="unsafe-database-role",
                )

    async def close(self) -> None:
        """Close all connections; those in use are dropped when they come back."""
        self._is_closed = True
        idle, self._idle = self._idle, []
        for slot in idle:
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                await slot.connection.close(timeout=2)

    @contextlib.asynccontextmanager
    async def use(self, tenant_id: int | None) -> AsyncIterator[Connection]:
        """Lend a connection on which the tenant's rows, and only they, are visible.

        With None it is any connection, whatever rows it shows: for tables that belong to no tenant.

        Raises:
            Unavailable: no connection became free or could be made in time, or the database failed.
        """
        with database_errors():
            await self._wait_for_turn()
            try:
                slot = await self._slot(tenant_id)
                is_sound = False
                try:
                    yield slot.connection
                    is_sound = True
                except (asyncpg.PostgresError, HilumError, GeneratorExit):
                    # The server answered in order, or nothing was asked of it just then; a connection it ended says
                    # so itself.
                    is_sound = True
                    raise
                except asyncio.CancelledError:
                    is_sound = await _has_stopped(slot.connection)
                    raise
                finally:
                    self._take_back(slot, is_sound=is_sound)
            finally:
                self._free.release()

    async def _wait_for_turn(self) -> None:
        if self._is_closed:
            raise Unavailable("The index is closed.", code="index-closed")
        if not self._free.locked():
            await self._free.acquire()  # does not wait
            return
        try:
            async with asyncio.timeout(DATABASE_ACQUIRE_TIMEOUT_S):
                await self._free.acquire()
        except TimeoutError as error:
            raise Unavailable("All database connections are busy.", code="database-busy") from error

    async def _slot(self, tenant_id: int | None) -> _Slot:
        slot = self._take_idle(tenant_id) or _Slot(await self._connect())
        if tenant_id is not None and slot.tenant_id != tenant_id:
            try:
                await slot.connection.fetchval(_SET_TENANT, str(tenant_id))
                slot.tenant_id = tenant_id
            except BaseException:
                slot.connection.terminate()
                self._count -= 1
                raise
        return slot

    def _take_idle(self, tenant_id: int | None) -> _Slot | None:
        alive = [slot for slot in self._idle if not slot.connection.is_closed()]
        self._count -= len(self._idle) - len(alive)
        self._idle = alive
        for position in range(len(alive) - 1, -1, -1):
            if tenant_id in (None, alive[position].tenant_id):
                return alive.pop(position)
        # One more connection is dearer than changing the tenant of one, but only once.
        return alive.pop(0) if alive and self._count >= self._size else None

    def _take_back(self, slot: _Slot, *, is_sound: bool) -> None:
        connection = slot.connection
        if not is_sound or self._is_closed or connection.is_closed() or connection.is_in_transaction():
            connection.terminate()
            self._count -= 1
            return
        self._idle.append(slot)

    async def _connect(self) -> Connection:
        connection: Connection = await asyncpg.connect(
            **self._address.connect_arguments(),
            timeout=DATABASE_CONNECT_TIMEOUT_S,
            server_settings={"application_name": "hilum", **self._settings},
        )
        self._count += 1
        return connection


async def _has_stopped(connection: Connection) -> bool:
    """Return whether the server has ended the statement that was cancelled, which the driver has it do."""
    try:
        # Its turn comes when that is over; the driver knows then whether a transaction was left open.
        await connection.execute("SELECT", timeout=DATABASE_CANCEL_TIMEOUT_S)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        return False
    return True
