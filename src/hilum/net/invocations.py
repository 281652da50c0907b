"""Requests of this side and the responses they get."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hilum.dimse.messages import Request, Response
from hilum.dimse.status import is_pending
from hilum.kernel.errors import Unavailable
from hilum.kernel.limits import RESPONSE_TIMEOUT_S
from hilum.net.association import Association
from hilum.net.outbox import DataSet


class Invocations:
    """Matches responses with the requests this side has sent on one association, whichever side opened it."""

    def __init__(self) -> None:
        self._waiting: dict[int, asyncio.Future[Response]] = {}
        self._slots: asyncio.Semaphore | None = None

    @asynccontextmanager
    async def turn(self, association: Association) -> AsyncIterator[None]:
        """Wait until the negotiated window has room for a request more, and keep it until the block ends.

        Raises:
            Unavailable: the association is not open.
        """
        window = association.max_invoked
        if window == 0:
            yield
            return
        if self._slots is None:
            self._slots = asyncio.Semaphore(window)
        async with self._slots:
            yield

    async def invoke(
        self,
        association: Association,
        context_id: int,
        request: Request,
        data_set: DataSet | None = None,
    ) -> Response:
        """Return the final response to a request, which is sent once the window has room for it.

        Raises:
            Unavailable: the association ended before it came, or it took longer than `RESPONSE_TIMEOUT_S` after the
                request was sent; then the association is aborted.
        """
        async with self.turn(association):
            return await self.invoke_in_turn(association, context_id, request, data_set)

    async def invoke_in_turn(
        self,
        association: Association,
        context_id: int,
        request: Request,
        data_set: DataSet | None = None,
    ) -> Response:
        """Do as `invoke`, within a `turn`."""
        future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._waiting[request.message_id] = future
        try:
            await association.invoke(context_id, request, data_set)
            async with asyncio.timeout(RESPONSE_TIMEOUT_S):
                return await future
        except TimeoutError as error:
            late = Unavailable("the peer does not answer", code="response-timeout")
            association.abort(late)
            raise late from error
        finally:
            del self._waiting[request.message_id]
            # The association may have ended while the request was being written: then nobody asks for that any more.
            if not future.cancel() and not future.cancelled():
                future.exception()

    def response(self, response: Response) -> None:
        """Give a response to whoever waits for it."""
        future = self._waiting.get(response.message_id_being_responded_to)
        if future is not None and not future.done() and not is_pending(response.status):
            future.set_result(response)

    def end(self) -> None:
        """Fail what still waits: the association has ended."""
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(Unavailable("the association ended before the response", code="association-ended"))
