"""Forwarding as the command line opens it, whether or not the archive is being served."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hilum.app.bootstrap import prepare_data_directory
from hilum.app.database import Database
from hilum.app.settings import Settings
from hilum.app.tenancy import own_tenant
from hilum.archive.model import Tenant
from hilum.index.postgres import open_index
from hilum.kernel.clock import SystemClock
from hilum.queue.jobs import PostgresJobs
from hilum.services.forwarding import ForwardService
from hilum.services.remotes import RemoteService


@asynccontextmanager
async def open_forwarding(settings: Settings) -> AsyncIterator[tuple[ForwardService, Tenant]]:
    """Yield the forwarding of the data folder and the tenant it is of.

    Raises:
        Unavailable: the database does not answer.
        InvalidInput: the data folder cannot be used.
    """
    prepare_data_directory(settings)
    async with Database(settings) as database, open_index(database.serving) as index:
        service = ForwardService(
            store=index.forwarding,
            queue=PostgresJobs(index.connections),
            remotes=RemoteService(index.remotes, index.notices),
            clock=SystemClock(),
        )
        yield service, await own_tenant(settings, index.accounts)
