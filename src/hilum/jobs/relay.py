"""The loop that tells the archive's other parts what ingest has written."""

from __future__ import annotations

import asyncio
from typing import Final

from hilum.archive.changes import ChangeConsumer, Outbox
from hilum.kernel.errors import HilumError
from hilum.kernel.limits import OUTBOX_BATCH, OUTBOX_INTERVAL_S
from hilum.observe.logs import get_logger

_log = get_logger("relay")

_LONGEST_DELAY_S: Final = 30.0


class OutboxRelay:
    """Hands on the outbox's changes until it is closed. Every worker has one; one of them works at a time.

    Args:
        outbox: where the changes are.
        consume: who is told; what it raises is logged, and it hears of the same changes again after a while.
    """

    def __init__(self, outbox: Outbox, consume: ChangeConsumer, *, interval_s: float = OUTBOX_INTERVAL_S) -> None:
        self._outbox = outbox
        self._consume = consume
        self._interval_s = interval_s
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._loop = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop; changes in the middle of being handed on come again."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.wait([self._loop])

    async def _run(self) -> None:
        delay_s = self._interval_s
        while True:
            handing_on = asyncio.create_task(_hand_on(self._outbox, self._consume))
            try:
                await asyncio.wait([handing_on])
            except asyncio.CancelledError:
                handing_on.cancel()
                await asyncio.wait([handing_on])
                raise
            error = asyncio.CancelledError() if handing_on.cancelled() else handing_on.exception()
            if error is None:
                delay_s = self._interval_s
                if handing_on.result() == OUTBOX_BATCH:
                    continue
            else:
                delay_s = min(delay_s * 2, _LONGEST_DELAY_S)
                level = _log.warning if isinstance(error, HilumError) else _log.error
                level("changes cannot be handed on", delay_s=delay_s, exc=error)
            await asyncio.sleep(delay_s)


async def _hand_on(outbox: Outbox, consume: ChangeConsumer) -> int:
    return await outbox.hand_on(consume, OUTBOX_BATCH)
