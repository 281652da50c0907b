"""The database of one installation: the embedded PostgreSQL or an external server, migrated and ready."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

from hilum.app.settings import Settings
from hilum.index.address import DatabaseAddress
from hilum.index.embedded import EmbeddedPostgres
from hilum.index.schema import bring_up_to_date
from hilum.index.server_credentials import APP_ROLE
from hilum.kernel.errors import Unavailable


class Database:
    """An async context: inside it the database answers and has the schema of this version.

    The embedded server belongs to the data folder: it is adopted when another process of Hilum has started it, and
    the last process that uses it stops it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._embedded = None if settings.database.url else EmbeddedPostgres(settings.data_directory)
        self._serving: DatabaseAddress | None = None

    async def __aenter__(self) -> Self:
        """Start or adopt the server and migrate.

        Raises:
            Unavailable: the server does not start or answer.
        """
        try:
            if self._embedded is not None:
                await asyncio.to_thread(self._embedded.start)
                await bring_up_to_date(self._embedded.owner_address(), APP_ROLE)
                self._serving = self._embedded.app_address()
            else:
                self._serving = await self._prepare_external()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the server."""
        await self._close()

    @property
    def serving(self) -> DatabaseAddress:
        """How those who serve connect: as a role that row-level security binds."""
        if self._serving is None:
            raise Unavailable("the database was not started", code="database-not-started")
        return self._serving

    async def is_alive(self) -> bool:
        """Return whether the embedded server lives; an external one is not ours to watch."""
        return self._embedded is None or await asyncio.to_thread(self._embedded.is_alive)

    async def restart(self) -> None:
        """Start the embedded server again.

        Raises:
            Unavailable: it does not start.
        """
        if self._embedded is not None:
            await asyncio.to_thread(self._embedded.start)

    async def _prepare_external(self) -> DatabaseAddress:
        owner = DatabaseAddress.from_dsn(self._settings.database.url)
        serving = self._settings.database.serving_url
        await bring_up_to_date(owner, unquote(urlsplit(serving).username or APP_ROLE))
        return DatabaseAddress.from_dsn(serving)

    async def _close(self) -> None:
        if self._embedded is not None:
            await asyncio.to_thread(self._embedded.stop)
