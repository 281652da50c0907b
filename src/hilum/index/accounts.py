"""Tenants, AE titles, users, tokens and sessions: the tables that say which tenant a caller belongs to.

They are asked before a tenant is known, so row-level security does not guard them; nothing of a patient is in them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import asyncpg

from hilum.archive.model import Principal, Role, Tenant
from hilum.archive.ports import TenantSummary, Token, User
from hilum.index.pool import Connection, TenantPool
from hilum.kernel.errors import Conflict, NotFound, Unavailable

_USER: Final = """
SELECT user_id, user_account.name AS user_name, tenant_id, tenant.name AS tenant_name, roles, password_hash, is_enabled
FROM user_account JOIN tenant USING (tenant_id)
"""
_PRINCIPAL: Final = """
SELECT user_id, user_account.name AS user_name, tenant_id, tenant.name AS tenant_name, roles
FROM {table} JOIN user_account USING (user_id) JOIN tenant USING (tenant_id)
WHERE secret_digest = $1 AND is_enabled AND {alive}
"""
_SESSION_PRINCIPAL: Final = _PRINCIPAL.format(table="session", alive="expires_at > $2")
_TOKEN_PRINCIPAL: Final = _PRINCIPAL.format(table="access_token", alive="(expires_at IS NULL OR expires_at > $2)")
# The time of use is noted to the minute: one write a minute, however often the token is shown.
_NOTE_USE: Final = """
UPDATE access_token SET last_used_at = date_trunc('minute', $2::timestamptz)
WHERE secret_digest = $1 AND (last_used_at IS NULL OR last_used_at < date_trunc('minute', $2::timestamptz))
"""
_LISTED: Final = """
SELECT token_id, access_token.name AS token_name, user_account.name AS user_name, access_token.created_at,
    expires_at, last_used_at
FROM access_token JOIN user_account USING (user_id)
"""
_ADD_USER: Final = """
INSERT INTO user_account (tenant_id, name, folded_name, roles, password_hash)
VALUES ($1, $2, $3, $4, $5) RETURNING user_id
"""
_REGISTER: Final = """
INSERT INTO access_token (user_id, name, secret_digest, expires_at) VALUES ($1, $2, $3, $4) RETURNING token_id
"""
_ADD_TENANT: Final = "INSERT INTO tenant (name) VALUES ($1) RETURNING tenant_id, name"
_TENANTS: Final = """
SELECT tenant_id, name,
    ARRAY(SELECT ae_title FROM ae_title WHERE ae_title.tenant_id = tenant.tenant_id ORDER BY ae_title) AS ae_titles,
    (SELECT count(*) FROM user_account WHERE user_account.tenant_id = tenant.tenant_id) AS user_count
FROM tenant ORDER BY tenant_id
"""
_ASSIGN_AE_TITLE: Final = """
INSERT INTO ae_title (ae_title, tenant_id) VALUES ($1, $2)
ON CONFLICT (ae_title) DO UPDATE SET tenant_id = ae_title.tenant_id
RETURNING tenant_id
"""


class PostgresAccounts:
    """Implements `hilum.archive.ports.Accounts`.

    Args:
        pool: the worker's connections for writing.
    """

    def __init__(self, pool: TenantPool) -> None:
        self._pool = pool

    async def default_tenant(self) -> Tenant:
        """Return the tenant that a fresh installation has."""
        async with self._pool.use(None) as connection:
            record = await connection.fetchrow("SELECT tenant_id, name FROM tenant ORDER BY tenant_id LIMIT 1")
        if record is None:
            raise Unavailable("The database has no tenant; its schema was not made by Hilum.", code="no-tenant")
        return Tenant(record["tenant_id"], record["name"])

    async def find_tenant(self, name: str) -> Tenant | None:
        """Return the tenant of that name, or None."""
        async with self._pool.use(None) as connection:
            record = await connection.fetchrow("SELECT tenant_id, name FROM tenant WHERE name = $1", name.strip())
        return None if record is None else Tenant(record["tenant_id"], record["name"])

    async def add_tenant(self, name: str) -> Tenant:
        """Make a tenant.

        Raises:
            Conflict: the name is taken.
        """
        async with self._pool.use(None) as connection:
            try:
                record = await connection.fetchrow(_ADD_TENANT, name.strip())
            except asyncpg.UniqueViolationError as error:
                raise Conflict("There is a tenant of this name.", code="tenant-taken") from error
        assert record is not None
        return Tenant(record["tenant_id"], record["name"])

    async def list_tenants(self) -> list[TenantSummary]:
        """Return all tenants, oldest first."""
        async with self._pool.use(None) as connection:
            records = await connection.fetch(_TENANTS)
        return [
            TenantSummary(
                Tenant(record["tenant_id"], record["name"]), tuple(record["ae_titles"]), int(record["user_count"])
            )
            for record in records
        ]

    async def tenant_of_ae_title(self, called_ae_title: str) -> Tenant | None:
        """Return the tenant that answers to this AE title, or None."""
        async with self._pool.use(None) as connection:
            record = await connection.fetchrow(
                "SELECT tenant_id, name FROM ae_title JOIN tenant USING (tenant_id) WHERE ae_title = $1",
                called_ae_title.strip(),
            )
        return None if record is None else Tenant(record["tenant_id"], record["name"])

    async def assign_ae_title(self, ae_title: str, tenant_id: int) -> None:
        """Let the tenant answer to the AE title.

        Raises:
            Conflict: another tenant answers to it.
        """
        async with self._pool.use(None) as connection:
            holder = await connection.fetchval(_ASSIGN_AE_TITLE, ae_title.strip(), tenant_id)
        if holder != tenant_id:
            raise Conflict("Another tenant answers to this AE title.", code="ae-title-taken")

    async def count_users(self) -> int:
        """Return how many accounts exist in all tenants."""
        async with self._pool.use(None) as connection:
            return int(await connection.fetchval("SELECT count(*) FROM user_account"))

    async def find_user(self, name: str) -> User | None:
        """Return the account of that name, or None. Names are compared without case."""
        async with self._pool.use(None) as connection:
            record = await connection.fetchrow(f"{_USER} WHERE folded_name = $1", _folded(name))
        return None if record is None else _user(record)

    async def create_user(self, name: str, tenant_id: int, roles: frozenset[Role], password_hash: str | None) -> User:
        """Create an account.

        Raises:
            Conflict: the name is taken.
            NotFound: there is no such tenant.
        """
        async with self._pool.use(None) as connection:
            try:
                user_id = await connection.fetchval(
                    _ADD_USER, tenant_id, name.strip(), _folded(name), sorted(roles), password_hash
                )
            except asyncpg.UniqueViolationError as error:
                raise Conflict("There is an account of this name.", code="user-name-taken") from error
            except asyncpg.ForeignKeyViolationError as error:
                raise NotFound("There is no such tenant.", code="no-such-tenant") from error
            record = await connection.fetchrow(f"{_USER} WHERE user_id = $1", user_id)
        assert record is not None
        return _user(record)

    async def set_password_hash(self, user_id: int, password_hash: str) -> None:
        """Change the password; all sessions of the user end.

        Raises:
            NotFound: there is no such user.
        """
        async with self._pool.use(None) as connection, connection.transaction():
            changed = await connection.execute(
                "UPDATE user_account SET password_hash = $2 WHERE user_id = $1", user_id, password_hash
            )
            await connection.execute("DELETE FROM session WHERE user_id = $1", user_id)
        if changed == "UPDATE 0":
            raise NotFound("There is no such user.", code="no-such-user")

    async def create_session(self, user_id: int, secret_digest: bytes, expires_at: datetime) -> None:
        """Open a session known by the digest of its cookie; sessions that ended by themselves are cleared away.

        Raises:
            NotFound: there is no such user.
        """
        async with self._pool.use(None) as connection:
            await connection.execute("DELETE FROM session WHERE expires_at < now()")
            try:
                await connection.execute(
                    "INSERT INTO session (secret_digest, user_id, expires_at) VALUES ($1, $2, $3)",
                    secret_digest,
                    user_id,
                    expires_at,
                )
            except asyncpg.ForeignKeyViolationError as error:
                raise NotFound("There is no such user.", code="no-such-user") from error

    async def principal_of_session(self, secret_digest: bytes, now: datetime) -> Principal | None:
        """Return whose live session this is, or None."""
        async with self._pool.use(None) as connection:
            return await _principal(connection, _SESSION_PRINCIPAL, secret_digest, now)

    async def end_session(self, secret_digest: bytes) -> None:
        """End the session; unknown digests are no error."""
        async with self._pool.use(None) as connection:
            await connection.execute("DELETE FROM session WHERE secret_digest = $1", secret_digest)

    async def create_token(self, user_id: int, name: str, secret_digest: bytes, expires_at: datetime | None) -> Token:
        """Register a bearer token.

        Raises:
            NotFound: there is no such user.
        """
        async with self._pool.use(None) as connection:
            try:
                token_id = await connection.fetchval(_REGISTER, user_id, name, secret_digest, expires_at)
            except asyncpg.ForeignKeyViolationError as error:
                raise NotFound("There is no such user.", code="no-such-user") from error
            record = await connection.fetchrow(f"{_LISTED} WHERE token_id = $1", token_id)
        assert record is not None
        return Token(*record)

    async def principal_of_token(self, secret_digest: bytes, now: datetime) -> Principal | None:
        """Return whose live token this is, or None; notes the time of use (to the minute)."""
        async with self._pool.use(None) as connection:
            principal = await _principal(connection, _TOKEN_PRINCIPAL, secret_digest, now)
            if principal is not None:
                await connection.execute(_NOTE_USE, secret_digest, now)
        return principal

    async def list_tokens(self) -> list[Token]:
        """Return all tokens, newest first."""
        async with self._pool.use(None) as connection:
            records = await connection.fetch(f"{_LISTED} ORDER BY access_token.created_at DESC, token_id DESC")
        return [Token(*record) for record in records]

    async def revoke_token(self, token_id: int) -> bool:
        """Remove a token; False when there is none of that id."""
        async with self._pool.use(None) as connection:
            done = await connection.execute("DELETE FROM access_token WHERE token_id = $1", token_id)
        return str(done) != "DELETE 0"


async def _principal(connection: Connection, statement: str, digest: bytes, now: datetime) -> Principal | None:
    record = await connection.fetchrow(statement, digest, now)
    if record is None:
        return None
    tenant = Tenant(record["tenant_id"], record["tenant_name"])
    return Principal(record["user_id"], record["user_name"], tenant, _roles(record))


def _user(record: asyncpg.Record) -> User:
    return User(
        user_id=record["user_id"],
        name=record["user_name"],
        tenant=Tenant(record["tenant_id"], record["tenant_name"]),
        roles=_roles(record),
        password_hash=record["password_hash"],
        is_enabled=record["is_enabled"],
    )


def _roles(record: asyncpg.Record) -> frozenset[Role]:
    return frozenset(Role(role) for role in record["roles"])


def _folded(name: str) -> str:
    return name.strip().casefold()
