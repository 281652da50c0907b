"""Requests that get many responses, as C-FIND, C-MOVE and C-GET do."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable
from dataclasses import dataclass, field
from typing import TypeAlias

from hilum.dimse.messages import CCancelRequest, Request, Response
from hilum.dimse.status import is_pending
from hilum.kernel.errors import LimitExceeded, LocalProtocolError, Unavailable
from hilum.kernel.limits import (
    CANCEL_TIMEOUT_S,
    MAX_BUFFERED_RESPONSE_BYTES,
    MAX_BUFFERED_RESPONSES,
    MAX_IDENTIFIER_BYTES,
    RESPONSE_TIMEOUT_S,
)
from hilum.net.association import Association
from hilum.ul.primitives import Buffer

Answer: TypeAlias = tuple[Response, bytes | None]
"""A response and its data set, None when it has none."""


@dataclass(slots=True)
class _Stream:
    """The responses to one request that nobody has taken yet."""

    answers: deque[Answer] = field(default_factory=deque)
    size_bytes: int = 0
    is_final_received: bool = False
    is_abandoned: bool = False
    has_ended: bool = False
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    room: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, response: Response, data_set: bytes | None) -> Awaitable[None] | None:
        """Add an answer; when there are enough for now, return what says that there is room again."""
        self.is_final_received = not is_pending(response.status)
        self.arrived.set()
        if self.is_abandoned:
            return None
        self.answers.append((response, data_set))
        self.size_bytes += len(data_set or b"")
        if len(self.answers) < MAX_BUFFERED_RESPONSES and self.size_bytes < MAX_BUFFERED_RESPONSE_BYTES:
            return None
        self.room.clear()
        return self._wait_for_room()

    async def _wait_for_room(self) -> None:
        await self.room.wait()

    def take(self) -> Answer:
        """Return the oldest answer and make room."""
        answer = self.answers.popleft()
        self.size_bytes -= len(answer[1] or b"")
        if not self.answers:
            self.arrived.clear()
            self.room.set()
        return answer

    def abandon(self) -> None:
        """Keep no more answers: nobody will take them."""
        self.is_abandoned = True
        self.answers.clear()
        self.arrived.clear()
        self.room.set()

    def end(self) -> None:
        """Note that no more answers come."""
        self.has_ended = True
        self.arrived.set()
        self.room.set()


class ResponseStreams:
    """The requests of this side, on one association, whose responses are taken one by one."""

    def __init__(self) -> None:
        self._streams: dict[int, _Stream] = {}
        self._incoming: tuple[_Stream, Response] | None = None
        self._content = bytearray()

    async def stream(
        self,
        association: Association,
        context_id: int,
        request: Request,
        identifier: Buffer,
        *,
        silence_s: float = RESPONSE_TIMEOUT_S,
    ) -> AsyncGenerator[Answer, None]:
        """Send a request and yield its responses as they come, the final one last.

        The peer is slowed down when responses are not taken. Closed early, it cancels the request and waits for the
        final response, so that the association can be used again; a peer that goes on is aborted.

        Args:
            silence_s: how long the peer may send nothing at all on this association.

        Raises:
            Unavailable: the association ended before the final response, or the peer fell silent.

        Reference: PS3.7 §9.1.2, §9.3.2.3
        """
        stream = _Stream()
        self._streams[request.message_id] = stream
        try:
            await association.invoke(context_id, request, identifier)
            is_final = False
            while not is_final:
                await self._arrival(association, stream, silence_s)
                response, data_set = stream.take()
                is_final = not is_pending(response.status)
                yield response, data_set
        finally:
            stream.abandon()
            if not stream.is_final_received and not association.is_ended:
                await self._cancel(association, context_id, request, stream)
            del self._streams[request.message_id]

    async def _arrival(self, association: Association, stream: _Stream, silence_s: float) -> None:
        """Wait until there is an answer to take."""
        while not stream.answers:
            if stream.has_ended:
                raise Unavailable("the association ended before the final response", code="association-ended")
            received_bytes = association.connection.received_bytes
            try:
                async with asyncio.timeout(silence_s):
                    await stream.arrived.wait()
            except TimeoutError as error:
                # What else arrives meanwhile, as the instances of a C-GET do, shows that the peer is at work.
                if association.connection.received_bytes == received_bytes:
                    late = Unavailable("the peer does not answer", code="response-timeout")
                    association.abort(late)
                    raise late from error

    async def _cancel(self, association: Association, context_id: int, request: Request, stream: _Stream) -> None:
        """End a request early, and wait for its final response."""
        try:
            association.cancel(context_id, CCancelRequest(message_id_being_responded_to=request.message_id))
        except LocalProtocolError:
            association.abort()  # The request never went out whole.
            return
        try:
            async with asyncio.timeout(CANCEL_TIMEOUT_S):
                while not (stream.is_final_received or stream.has_ended):
                    stream.arrived.clear()
                    await stream.arrived.wait()
        except BaseException as error:
            association.abort()
            if not isinstance(error, TimeoutError):
                raise

    # --- what the association's handler passes on ----------------------------------------------------------------

    def awaits(self, response: Response) -> bool:
        """Return whether the response belongs to one of these requests."""
        return response.message_id_being_responded_to in self._streams

    def begin(self, response: Response) -> Awaitable[None] | None:
        """Take a response; when it has a data set, `data_set` has to be called with its pieces."""
        stream = self._streams[response.message_id_being_responded_to]
        if response.has_data_set:
            self._incoming = stream, response
            return None
        return stream.put(response, None)

    def data_set(self, data: Buffer, is_last: bool) -> Awaitable[None] | None:
        """Take a piece of the data set of the last response; of others it is passed over.

        Raises:
            LimitExceeded: it is longer than `limits.MAX_IDENTIFIER_BYTES`.
        """
        if self._incoming is None:
            return None
        if len(self._content) + len(data) > MAX_IDENTIFIER_BYTES:
            raise LimitExceeded("the data set of a response is too long", limit=MAX_IDENTIFIER_BYTES)
        self._content += data
        if not is_last:
            return None
        stream, response = self._incoming
        content, self._incoming, self._content = bytes(self._content), None, bytearray()
        return stream.put(response, content)

    def end(self) -> None:
        """Fail what still waits, once it has taken what came: the association has ended."""
        for stream in self._streams.values():
            stream.end()
