"""An amount that is shared by those who work at the same time, for example of memory."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Allowance:
    """Lends shares of a total, first come first served. Who asks for more than the total gets all of it."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._free = total
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def share(self, amount: int) -> AsyncIterator[None]:
        """Wait for the amount and hold it until the block ends."""
        amount = min(amount, self._total)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((amount, turn))
        self._lend()
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._free += amount
            else:
                turn.cancel()
            self._lend()

    def _lend(self) -> None:
        while self._waiting:
            amount, turn = self._waiting[0]
            if turn.cancelled():
                self._waiting.popleft()
            elif amount <= self._free:
                self._waiting.popleft()
                self._free -= amount
                turn.set_result(None)
            else:
                return
