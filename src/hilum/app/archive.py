"""One archive opened for use: every service wired to the index and the blob store. Workers and CLI verbs share it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from hilum.app.settings import Settings
from hilum.archive.model import Tenant
from hilum.archive.ports import Accounts, BlobStore, InstanceIndex
from hilum.index import DatabaseAddress, open_index
from hilum.kernel.clock import SystemClock
from hilum.services.identity import IdentityService
from hilum.services.render import RenderService
from hilum.services.retrieve import RetrieveService
from hilum.services.search import SearchService
from hilum.services.store import StoreService


@dataclass(frozen=True, slots=True)
class Archive:
    """The services of one open archive."""

    index: InstanceIndex
    blobs: BlobStore
    accounts: Accounts
    identity: IdentityService
    store: StoreService
    retrieve: RetrieveService
    search: SearchService
    render: RenderService
    tenant: Tenant


@asynccontextmanager
async def open_archive(settings: Settings, address: DatabaseAddress, *, settles: bool = True) -> AsyncIterator[Archive]:
    """Yield the archive whose database answers at the address.

    Args:
        settings: where blobs lie, and the policies.
        address: the serving role's address.
        settles: whether series that have become quiet get their metadata prepared by this process.

    Raises:
        Unavailable: database or storage do not answer.
    """
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        index = await stack.enter_async_context(open_index(address, pool_size=settings.database.pool_size))
        yield None  # type: ignore
