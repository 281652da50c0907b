"""What other processes tell through the database: PostgreSQL's LISTEN and NOTIFY."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import asyncpg

from hilum.index.address import DatabaseAddress
from hilum.index.pool import Connection
from hilum.kernel.limits import (
    DATABASE_CONNECT_TIMEOUT_S,
    NOTICE_CHECK_INTERVAL_S,
    NOTICE_CHECK_TIMEOUT_S,
    NOTICE_RETRY_DELAY_S,
)

_PREFIX: Final = "hilum_"


class PostgresNotices:
    """One connection that listens; implements `hilum.archive.ports.Notices`.

    The connection is looked at now and then, so that one which died without a word is noticed; a lost one is made
    anew.

    Args:
        address: where the database answers.
    """

    def __init__(self, address: DatabaseAddress) -> None:
        self._address = address
        self._subscribers: dict[str, list[Callable[[str | None], None]]] = {}
        self._work: asyncio.Task[None] | None = None
        self._connection: Connection | None = None
        self._is_listening = False
        self._something = asyncio.Event()

    @property
    def is_listening(self) -> bool:
        """Whether every notice arrives now."""
        return self._is_listening and self._connection is not None and not self._connection.is_closed()

    def subscribe(self, topic: str, note: Callable[[str | None], None]) -> None:
        """Let `note` be called with the text of each notice on the topic, and None when some may have been missed."""
        if topic not in self._subscribers:
            self._is_listening = False
        self._subscribers.setdefault(topic, []).append(note)
        self._something.set()
        if self._work is None:
            self._work = asyncio.create_task(self._listen())

    async def close(self) -> None:
        """Stop listening."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait([self._work])

    async def _listen(self) -> None:
        while True:
            # The loss of the connection is no news: who asks sees `is_listening`.
            with contextlib.suppress(
                asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError
            ):
                await self._listen_once()
            await asyncio.sleep(NOTICE_RETRY_DELAY_S)

    async def _listen_once(self) -> None:
        connection: Connection = await asyncpg.connect(
            **self._address.connect_arguments(),
            timeout=DATABASE_CONNECT_TIMEOUT_S,
            server_settings={"application_name": "hilum notices"},
        )
        self._connection = connection
        connection.add_termination_listener(lambda _connection: self._something.set())
        heard: set[str] = set()
        try:
            while not connection.is_closed():
                self._something.clear()
                new = self._subscribers.keys() - heard
                for topic in sorted(new):
                    await connection.add_listener(_PREFIX + topic, self._hear)
                if new:
                    heard |= new
                    self._tell_all(None)
                self._is_listening = True
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(NOTICE_CHECK_INTERVAL_S):
                        await self._something.wait()
                await connection.execute("SELECT 1", timeout=NOTICE_CHECK_TIMEOUT_S)
        finally:
            self._is_listening = False
            self._connection = None
            connection.terminate()

    def _hear(self, _connection: object, _pid: int, channel: str, payload: object) -> None:
        for note in self._subscribers.get(channel.removeprefix(_PREFIX), ()):
            note(str(payload))

    def _tell_all(self, payload: str | None) -> None:
        for notes in self._subscribers.values():
            for note in notes:
                note(payload)
