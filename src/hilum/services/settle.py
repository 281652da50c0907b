"""Settle: when a series has been quiet for a while, its metadata are made before anyone asks for them."""

from __future__ import annotations

import asyncio
from typing import Final

from hilum.archive.ports import InstanceIndex
from hilum.kernel.clock import Clock
from hilum.kernel.errors import HilumError
from hilum.kernel.limits import MAX_UNSETTLED_SERIES
from hilum.services.metadata import MetadataMaker

_LOOK_INTERVAL_SHARE: Final = 0.25

_Series = tuple[int, str, str]


class SettleService:
    """Watches the series this process stores into. What it misses is made when it is asked for.

    Args:
        settle_s: how long a series has to be quiet.
    """

    def __init__(self, index: InstanceIndex, clock: Clock, settle_s: float) -> None:
        self._maker = MetadataMaker(index)
        self._clock = clock
        self._settle_s = settle_s
        self._changed: dict[_Series, float] = {}
        self._worker: asyncio.Task[None] | None = None

    def note(self, tenant_id: int, study_instance_uid: str, series_instance_uid: str) -> None:
        """Note that the series has changed just now."""
        series = (tenant_id, study_instance_uid, series_instance_uid)
        # Moved to the end: the series stand in the order in which they will have settled.
        self._changed.pop(series, None)
        if len(self._changed) < MAX_UNSETTLED_SERIES:
            self._changed[series] = self._clock.monotonic()
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Stop; series that have not settled are made when they are asked for."""
        self._changed.clear()
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait([self._worker])

    async def _work(self) -> None:
        """Make the metadata of settled series, one at a time, until none is left to wait for."""
        while self._changed:
            series, changed_at = next(iter(self._changed.items()))
            remaining_s = changed_at + self._settle_s - self._clock.monotonic()
            if remaining_s > 0:
                await asyncio.sleep(max(remaining_s, self._settle_s * _LOOK_INTERVAL_SHARE))
                continue
            del self._changed[series]
            try:
                await self._maker.series(*series)
            except HilumError:
                continue  # gone meanwhile, or the database is away: it is made when it is asked for
