"""Remotes as they are called: by the registry, or by an address given on the spot; over TLS where the registry says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from hilum.app.bootstrap import prepare_data_directory
from hilum.app.database import Database
from hilum.app.settings import Settings
from hilum.app.tenancy import own_tenant
from hilum.app.tls import tls_identity
from hilum.archive.model import Tenant
from hilum.archive.remotes import DimseUse, RemoteAe
from hilum.index.registry import open_registry as open_index_registry
from hilum.kernel.errors import InvalidInput, NotFound
from hilum.scu.remote import Dial, Remote, check_ae_title, dialer
from hilum.scu.verification import echo
from hilum.services.remotes import RemoteService


def dial_with(settings: Settings) -> Dial:
    """Return what turns entries of the registry into addresses to call, with our TLS identity."""
    identity = tls_identity(settings)
    return dialer(lambda remote: identity.client_context(remote.certificate))


def echo_with(settings: Settings) -> Callable[[RemoteAe], Awaitable[float]]:
    """Return what asks an entry of the registry whether it is there."""
    dial = dial_with(settings)

    async def ask(remote: RemoteAe) -> float:
        return await echo(dial(remote, DimseUse.ECHO), calling_ae_title=settings.dicom.ae_title)

    return ask


@asynccontextmanager
async def open_registry(settings: Settings) -> AsyncIterator[tuple[RemoteService, Tenant]]:
    """Yield the registry of the data folder, whether or not it is being served, and the tenant it is of.

    Raises:
        Unavailable: the database does not answer.
        InvalidInput: the data folder cannot be used.
    """
    prepare_data_directory(settings)
    async with Database(settings) as database, open_index_registry(database.serving) as registry:
        tenant = await own_tenant(settings, registry.accounts)
        yield RemoteService(registry.remotes, registry.notices), tenant


async def resolve_remote(settings: Settings, text: str, use: DimseUse) -> Remote:
    """Return whom a person means by AE_TITLE@host:port, or by a registered AE title alone.

    Raises:
        InvalidInput: the text is neither, or the entry has no address.
        NotFound: the AE title is not registered.
        Forbidden: the registry does not let it be asked for this use.
        Unavailable: the registry does not answer.
    """
    if "@" in text:
        return Remote.parse(text)
    try:
        ae_title = check_ae_title(text)
    except InvalidInput as error:
        raise InvalidInput(f"{text!r} is neither AE_TITLE@host:port nor an AE title", code="remote") from error
    if not settings.database.url and not settings.data_directory.exists():
        raise NotFound(f"{ae_title} is not registered: there is no archive in {settings.data_directory}", code="remote")
    async with open_registry(settings) as (remotes, tenant):
        entry = await remotes.find(tenant.tenant_id, ae_title)
    if entry is None:
        raise NotFound(f"{ae_title} is not registered; name it as {ae_title}@host:port", code="no-such-remote")
    return dial_with(settings)(entry, use)
