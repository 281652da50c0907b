"""The registry of remote application entities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Final

import asyncpg

from hilum.archive.remotes import DimseUse, RemoteAe
from hilum.index.pool import TenantPool
from hilum.kernel.errors import Conflict, NotFound

_COLUMNS: Final = [field.name for field in fields(RemoteAe)]
_WRITTEN: Final = [name for name in _COLUMNS if name != "remote_id"]
_LIST: Final = ", ".join(_COLUMNS)
_FIND: Final = f"SELECT {_LIST} FROM remote_ae WHERE ae_title = $2 AND tenant_id = $1"  # noqa: S608 - constants
_ALL: Final = f"SELECT {_LIST} FROM remote_ae WHERE tenant_id = $1 ORDER BY ae_title"  # noqa: S608
_INSERT: Final = (
    f"INSERT INTO remote_ae ({', '.join(_WRITTEN)}) "  # noqa: S608
    f"VALUES ({', '.join(f'${number}' for number in range(1, len(_WRITTEN) + 1))}) RETURNING {_LIST}"
)
_UPDATE: Final = (
    f"UPDATE remote_ae SET {', '.join(f'{name} = ${number}' for number, name in enumerate(_WRITTEN[1:], 2))} "  # noqa: S608
    f"WHERE remote_id = ${len(_WRITTEN) + 1} AND tenant_id = $1 RETURNING {_LIST}"
)
_REMOVE: Final = "DELETE FROM remote_ae WHERE ae_title = $2 AND tenant_id = $1"


class PostgresRemotes:
    """Implements `hilum.archive.ports.Remotes`.

    Args:
        pool: the worker's connections for writing.
    """

    def __init__(self, pool: TenantPool) -> None:
        self._pool = pool

    async def find(self, tenant_id: int, ae_title: str) -> RemoteAe | None:
        """Return the application entity of that title, or None."""
        async with self._pool.use(tenant_id) as connection:
            record = await connection.fetchrow(_FIND, tenant_id, ae_title)
        return None if record is None else _remote(record)

    async def list(self, tenant_id: int) -> Sequence[RemoteAe]:
        """Return all, by AE title."""
        async with self._pool.use(tenant_id) as connection:
            return [_remote(record) for record in await connection.fetch(_ALL, tenant_id)]

    async def save(self, remote: RemoteAe) -> RemoteAe:
        """Keep a new entry (its `remote_id` is 0) or the changed one of that id, and return it as kept.

        Raises:
            Conflict: another entry has the AE title.
            NotFound: the entry of that id is not there any more.
        """
        values = [_plain(getattr(remote, name)) for name in _WRITTEN]
        async with self._pool.use(remote.tenant_id) as connection:
            try:
                if remote.remote_id:
                    record = await connection.fetchrow(_UPDATE, *values, remote.remote_id)
                else:
                    record = await connection.fetchrow(_INSERT, *values)
            except asyncpg.UniqueViolationError as error:
                raise Conflict(f"{remote.ae_title} is registered already", code="remote-exists") from error
        if record is None:
            raise NotFound("this application entity is not registered any more", code="no-such-remote")
        return _remote(record)

    async def remove(self, tenant_id: int, ae_title: str) -> bool:
        """Remove the entry of that title; False when there is none."""
        async with self._pool.use(tenant_id) as connection:
            done = await connection.execute(_REMOVE, tenant_id, ae_title)
        return str(done) != "DELETE 0"


def _plain(value: Any) -> Any:
    if isinstance(value, frozenset):
        return sorted(value)
    return list(value) if isinstance(value, tuple) else value


def _remote(record: asyncpg.Record) -> RemoteAe:
    values = dict(record)
    return RemoteAe(
        **values
        | {
            "transfer_syntaxes": tuple(values["transfer_syntaxes"]),
            "may_ask": frozenset(DimseUse(use) for use in values["may_ask"]),
            "may_be_asked": frozenset(DimseUse(use) for use in values["may_be_asked"]),
        }
    )
