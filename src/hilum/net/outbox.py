"""Messages on their way out of one association: one after the other, as fast as the peer takes them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

from hilum.dimse.command_set import encode_command_set
from hilum.dimse.fragments import fragment_command, fragment_data_set, max_fragment_bytes
from hilum.dimse.messages import Message
from hilum.kernel.errors import Unavailable
from hilum.kernel.files import FileRange
from hilum.kernel.limits import KIB
from hilum.net.connection import Connection
from hilum.net.files import chunks_of
from hilum.ul.primitives import Buffer, PData

# PDUs handed to the socket before looking whether the peer keeps up.
_PDUS_AT_A_TIME = 8
# The same for whole messages of some hundred bytes.
_MESSAGES_AT_A_TIME = 64


# Smaller fragments are read and written many at a time, which costs less than two calls for each.
_LEAST_FILE_FRAGMENT_BYTES = 32 * KIB

DataSet: TypeAlias = AsyncIterable[Buffer] | Buffer | FileRange
"""The data set of a message: in pieces, at hand, or in an open file."""


class Outbox:
    """Keeps the fragments of messages apart: while a data set goes out, later commands wait for its end.

    Reference: PS3.8 Annex E.2
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._fragment_bytes = max_fragment_bytes(connection.core.max_sent_pdu_length)
        self._lock = asyncio.Lock()
        self._held: list[tuple[int, Message]] = []

    def put(self, context_id: int, message: Message) -> None:
        """Send a message without a data set, now or after the one that is going out."""
        if self._lock.locked():
            self._held.append((context_id, message))
        else:
            self._connection.send(*fragment_command(context_id, message, self._fragment_bytes))

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until no other message is going out, and hold back others until the block ends."""
        async with self._lock:
            try:
                yield
            finally:
                held, self._held = self._held, []
                for context_id, message in held:
                    if not self._connection.is_ended:
                        self._connection.send(*fragment_command(context_id, message, self._fragment_bytes))

    async def stream(self, context_id: int, message: Message, data_set: DataSet | None) -> None:
        """Write a message and its data set within a `turn`, without copying.

        When the data set's iterator fails the association is aborted: a message once begun cannot be taken back.

        Raises:
            Unavailable: the association has ended.
        """
        command = fragment_command(context_id, message, self._fragment_bytes)
        try:
            if data_set is None:
                await self._write(command)
            elif isinstance(data_set, FileRange):
                await self._stream_file(context_id, command, data_set)
            elif isinstance(data_set, AsyncIterable):
                await self._write(command)
                async for piece in data_set:
                    await self._write(self._fragments(context_id, piece, is_end=False))
                await self._write(self._fragments(context_id, b"", is_end=True))
            else:
                await self._write(itertools.chain(command, self._fragments(context_id, data_set, is_end=True)))
        except BaseException as error:
            self._connection.abort(error)
            raise

    async def repeat(self, context_id: int, message: Message, data_sets: Sequence[Buffer]) -> None:
        """Write the same command set once for each data set, many in one go, within a `turn`.

        Raises:
            Unavailable: the association has ended, or ends meanwhile.
        """
        command = encode_command_set(message)
        try:
            for start in range(0, len(data_sets), _MESSAGES_AT_A_TIME):
                some = data_sets[start : start + _MESSAGES_AT_A_TIME]
                if max(len(command), *map(len, some)) <= self._fragment_bytes:
                    if self._connection.is_ended:
                        raise Unavailable("the association has ended", code="association-ended")
                    fragments = [part for data_set in some for part in ((True, command), (False, data_set))]
                    self._connection.send_fragments(context_id, fragments)
                    await self._connection.drained()
                else:
                    for data_set in some:
                        await self._write(
                            itertools.chain(
                                fragment_command(context_id, message, self._fragment_bytes),
                                self._fragments(context_id, data_set, is_end=True),
                            )
                        )
        except BaseException as error:
            self._connection.abort(error)
            raise

    async def _stream_file(self, context_id: int, command: Iterator[PData], content: FileRange) -> None:
        if content.length and self._fragment_bytes >= _LEAST_FILE_FRAGMENT_BYTES and self._connection.takes_files:
            await self._connection.send_file(context_id, command, content, self._fragment_bytes)
            return
        await self._write(command)
        missing = content.length
        async for chunk in chunks_of(content):
            missing -= len(chunk)
            await self._write(self._fragments(context_id, chunk, is_end=not missing))
        if not content.length:
            await self._write(self._fragments(context_id, b"", is_end=True))

    def _fragments(self, context_id: int, data: Buffer, *, is_end: bool) -> Iterator[PData]:
        return fragment_data_set(context_id, data, self._fragment_bytes, is_end=is_end)

    async def _write(self, fragments: Iterator[PData]) -> None:
        while batch := list(itertools.islice(fragments, _PDUS_AT_A_TIME)):
            if self._connection.is_ended:
                raise Unavailable("the association has ended", code="association-ended")
            self._connection.send(*batch)
            await self._connection.drained()
