"""`Accounts` on PostgreSQL."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from hilum.archive.model import Role, Tenant
from hilum.archive.ports import Accounts, User
from hilum.index.embedded import EmbeddedPostgres
from hilum.index.postgres import PostgresIndex
from hilum.kernel.errors import Conflict, NotFound
from support.database import new_tenant

NOW = datetime(2026, 1, 2, 10, 30, 20, tzinfo=UTC)
LATER = NOW + timedelta(days=400_000)
_numbers = count()


def digest(secret: str) -> bytes:
    return hashlib.sha256(f"{secret} {next(_numbers)}".encode()).digest()


@pytest.fixture
def accounts(index: PostgresIndex) -> Accounts:
    return index.accounts


@pytest.fixture
async def user(accounts: Accounts) -> User:
    tenant = await accounts.default_tenant()
    return await accounts.create_user(f"User {next(_numbers)}", tenant.tenant_id, frozenset({Role.READER}), "hash")


async def test_a_fresh_installation_has_a_tenant(accounts: Accounts) -> None:
    assert await accounts.default_tenant() == Tenant(1, "default")


async def test_an_ae_title_belongs_to_one_tenant(accounts: Accounts, database: EmbeddedPostgres) -> None:
    first, second = await new_tenant(database.app_address()), await new_tenant(database.app_address())
    assert await accounts.tenant_of_ae_title("NOBODY") is None
    await accounts.assign_ae_title("SITE_A", first)
    await accounts.assign_ae_title("SITE_A ", first)
    with pytest.raises(Conflict):
        await accounts.assign_ae_title("SITE_A", second)
    tenant = await accounts.tenant_of_ae_title("SITE_A")
    assert tenant is not None
    assert tenant.tenant_id == first


async def test_users_are_found_without_regard_to_case(accounts: Accounts) -> None:
    before = await accounts.count_users()
    tenant = await accounts.default_tenant()
    roles = frozenset({Role.ADMINISTRATOR, Role.READER})
    made = await accounts.create_user("Ärztin", tenant.tenant_id, roles, None)
    assert await accounts.find_user("ÄRZTIN ") == made
    assert made.roles == roles
    assert await accounts.find_user("nobody") is None
    assert await accounts.count_users() == before + 1
    with pytest.raises(Conflict):
        await accounts.create_user("ärztin", tenant.tenant_id, roles, None)
    with pytest.raises(NotFound):
        await accounts.create_user("lost", 999_999_999, roles, None)


async def test_a_session_lives_until_it_ends(accounts: Accounts, user: User) -> None:
    mine, ended = digest("mine"), digest("ended")
    await accounts.create_session(user.user_id, mine, LATER)
    await accounts.create_session(user.user_id, ended, LATER)
    principal = await accounts.principal_of_session(mine, NOW)
    assert principal is not None
    assert (principal.user_id, principal.tenant, principal.roles) == (user.user_id, user.tenant, user.roles)
    assert await accounts.principal_of_session(mine, LATER) is None
    await accounts.end_session(ended)
    await accounts.end_session(ended)
    assert await accounts.principal_of_session(ended, NOW) is None
    with pytest.raises(NotFound):
        await accounts.create_session(999_999_999, digest("x"), LATER)


async def test_a_new_password_ends_all_sessions(accounts: Accounts, user: User) -> None:
    mine = digest("mine")
    await accounts.create_session(user.user_id, mine, LATER)
    await accounts.set_password_hash(user.user_id, "new")
    assert await accounts.principal_of_session(mine, NOW) is None
    found = await accounts.find_user(user.name)
    assert found is not None
    assert found.password_hash == "new"
    with pytest.raises(NotFound):
        await accounts.set_password_hash(999_999_999, "x")


async def test_a_token_works_until_it_expires_or_is_revoked(accounts: Accounts, user: User) -> None:
    endless, ending = digest("endless"), digest("ending")
    token = await accounts.create_token(user.user_id, "script", endless, None)
    await accounts.create_token(user.user_id, "demo", ending, NOW)
    assert token.last_used_at is None
    assert await accounts.principal_of_token(ending, NOW) is None
    assert await accounts.principal_of_token(digest("none"), NOW) is None
    assert await accounts.principal_of_token(endless, NOW) is not None
    assert await accounts.principal_of_token(endless, NOW - timedelta(hours=1)) is not None
    listed = {t.token_id: t for t in await accounts.list_tokens()}
    assert listed[token.token_id].last_used_at == NOW.replace(second=0)
    assert listed[token.token_id].user_name == user.name
    assert await accounts.revoke_token(token.token_id)
    assert not await accounts.revoke_token(token.token_id)
    assert await accounts.principal_of_token(endless, NOW) is None
    with pytest.raises(NotFound):
        await accounts.create_token(999_999_999, "x", digest("x"), None)
