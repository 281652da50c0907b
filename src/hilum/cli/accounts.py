"""`hilum token ...`, `hilum user ...` and `hilum tenant ...`."""

from __future__ import annotations

import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Annotated

import cyclopts
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hilum.app.bootstrap import ADMINISTRATOR, prepare_data_directory
from hilum.app.database import Database
from hilum.app.loop import run
from hilum.app.settings import Settings
from hilum.app.tenancy import own_tenant, tenant_named
from hilum.archive.model import Role
from hilum.archive.ports import Accounts, User
from hilum.cli.options import ConfigOption, DataOption, TenantOption, settings_from
from hilum.index.registry import open_registry
from hilum.kernel.clock import SystemClock
from hilum.kernel.errors import Conflict, InvalidInput, NotFound
from hilum.scu.remote import check_ae_title
from hilum.services.identity import IdentityService

token_app = cyclopts.App(name="token", help="Bearer tokens, by which programs sign in.")
user_app = cyclopts.App(name="user", help="Accounts of people and programs.")
tenant_app = cyclopts.App(name="tenant", help="Parties of which none sees anything of the others.")


@asynccontextmanager
async def _identity(settings: Settings) -> AsyncIterator[tuple[Accounts, IdentityService]]:
    prepare_data_directory(settings)
    async with Database(settings) as database, open_registry(database.serving) as registry:
        identity = IdentityService(registry.accounts, SystemClock())
        try:
            yield registry.accounts, identity
        finally:
            identity.close()


async def _user(accounts: Accounts, name: str) -> User:
    user = await accounts.find_user(name)
    if user is None:
        raise NotFound(f"there is no user {name!r}", code="user")
    return user


@token_app.command(name="create")
def create_token(
    name: Annotated[str, Parameter(help="What the token is for; shown in lists.")],
    *,
    user: Annotated[str, Parameter(help="Whose rights the token carries.")] = ADMINISTRATOR,
    days: Annotated[int | None, Parameter(help="Days until it expires; without, it does not.")] = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Create a bearer token and print it, this once."""
    if days is not None and not 1 <= days <= 36_500:
        raise InvalidInput("--days is a number from 1 to 36500", code="usage")

    async def work() -> str:
        settings = settings_from(config, data=str(data) if data else None)
        async with _identity(settings) as (accounts, identity):
            owner = await _user(accounts, user)
            _, secret = await identity.create_token(owner, name, timedelta(days=days) if days else None)
            return secret

    print(run(work()))


@token_app.command(name="list")
def list_tokens(*, data: DataOption = None, config: ConfigOption = None) -> None:
    """List the tokens, without their secrets."""

    async def work() -> Table:
        settings = settings_from(config, data=str(data) if data else None)
        table = Table("id", "name", "user", "created", "expires", "last used")
        async with _identity(settings) as (accounts, _):
            for token in await accounts.list_tokens():
                times = (token.created_at, token.expires_at, token.last_used_at)
                shown = [time.strftime("%Y-%m-%d %H:%M") if time else "never" for time in times]
                table.add_row(str(token.token_id), token.name, token.user_name, *shown)
        return table

    Console().print(run(work()))


@token_app.command(name="revoke")
def revoke_token(token_id: int, /, *, data: DataOption = None, config: ConfigOption = None) -> None:
    """Revoke a token; it stops working at once."""

    async def work() -> None:
        settings = settings_from(config, data=str(data) if data else None)
        async with _identity(settings) as (accounts, _):
            if not await accounts.revoke_token(token_id):
                raise NotFound(f"there is no token {token_id}", code="token")

    run(work())


@user_app.command(name="create")
def create_user(
    name: str,
    /,
    *,
    role: Annotated[Role, Parameter(help="What the user may do.")] = Role.READER,
    tenant: TenantOption = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Create an account. The password is read from standard input, or made and printed at a terminal."""

    async def work() -> str | None:
        settings = settings_from(config, data=str(data) if data else None, tenant=tenant)
        password, is_made = _password()
        async with _identity(settings) as (accounts, identity):
            owner = await own_tenant(settings, accounts)
            await identity.create_user(name, password, frozenset({role}), owner.tenant_id)
        return password if is_made else None

    _tell(run(work()))


@user_app.command(name="password")
def set_password(name: str = ADMINISTRATOR, /, *, data: DataOption = None, config: ConfigOption = None) -> None:
    """Set a user's password and end the user's sessions. Read from standard input, or made and printed."""

    async def work() -> str | None:
        settings = settings_from(config, data=str(data) if data else None)
        password, is_made = _password()
        async with _identity(settings) as (accounts, identity):
            user = await _user(accounts, name)
            await accounts.set_password_hash(user.user_id, await identity.hash_password(password))
        return password if is_made else None

    _tell(run(work()))


@tenant_app.command(name="add")
def add_tenant(
    name: str,
    /,
    *,
    ae_title: Annotated[
        list[str] | None, Parameter(negative="", help="AE title by which callers mean this tenant; repeat.")
    ] = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Make a tenant; what comes under its AE titles, and from its users, is its own from then on."""
    titles = [check_ae_title(title) for title in ae_title or ()]
    if not name.strip():
        raise InvalidInput("a tenant has a name", code="usage")

    async def work() -> None:
        async with _identity(settings_from(config, data=str(data) if data else None)) as (accounts, _):
            for title in titles:
                if await accounts.tenant_of_ae_title(title) is not None:
                    raise Conflict(f"another tenant answers to {title}", code="ae-title-taken")
            tenant = await accounts.add_tenant(name)
            for title in titles:
                await accounts.assign_ae_title(title, tenant.tenant_id)

    run(work())


@tenant_app.command(name="answer")
def answer(name: str, ae_title: str, /, *, data: DataOption = None, config: ConfigOption = None) -> None:
    """Let a tenant answer to one more AE title; works at once."""
    title = check_ae_title(ae_title)

    async def work() -> None:
        async with _identity(settings_from(config, data=str(data) if data else None)) as (accounts, _):
            tenant = await tenant_named(name, accounts)
            await accounts.assign_ae_title(title, tenant.tenant_id)

    run(work())


@tenant_app.command(name="list")
def list_tenants(*, data: DataOption = None, config: ConfigOption = None) -> None:
    """List the tenants with the AE titles they answer to."""

    async def work() -> Table:
        table = Table("name", "AE titles", "users")
        async with _identity(settings_from(config, data=str(data) if data else None)) as (accounts, _):
            for each in await accounts.list_tenants():
                table.add_row(Text(each.tenant.name), ", ".join(each.ae_titles), str(each.user_count))
        return table

    Console().print(run(work()))


def _password() -> tuple[str, bool]:
    if sys.stdin is None or sys.stdin.isatty():
        return secrets.token_urlsafe(12), True
    line = sys.stdin.readline().rstrip("\r\n")
    return (line, False) if line else (secrets.token_urlsafe(12), True)


def _tell(password: str | None) -> None:
    if password is not None:
        print(password)
