"""What has ended long ago is forgotten: items of the worklist, and workitems nobody holds on to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from hilum.archive.ports import TenantSummary
from hilum.kernel.clock import Clock
from hilum.kernel.limits import RETENTION_ROWS_AT_A_TIME
from hilum.observe.logs import get_logger

_log = get_logger("retention")

_FOR_EVER: Final = 0


class Tenants(Protocol):
    """Whose things are kept."""

    async def list_tenants(self) -> Sequence[TenantSummary]:
        """Return all tenants."""
        ...


class Forgetting(Protocol):
    """Where things are kept that come to an end."""

    async def forget_ended(self, tenant_id: int, before: datetime, limit: int) -> int:
        """Remove up to `limit` that ended before that and may go; return how many those were."""
        ...


@dataclass(frozen=True, slots=True)
class Keeping:
    """How many days things of one kind are kept after their end; 0 is for ever."""

    name: str
    kept: Forgetting
    days: int


class RetentionService:
    """Forgets what has been ended for longer than it is kept. Any number of workers may do so at the same time."""

    def __init__(self, tenants: Tenants, clock: Clock, keepings: Sequence[Keeping]) -> None:
        self._tenants = tenants
        self._clock = clock
        self._keepings = [each for each in keepings if each.days != _FOR_EVER]

    async def sweep(self) -> int:
        """Forget of every tenant what has had its time; return how much it was.

        Raises:
            Unavailable: the database does not answer; what is left is left for the next time.
        """
        if not self._keepings:
            return 0
        total = 0
        for summary in await self._tenants.list_tenants():
            tenant_id = summary.tenant.tenant_id
            for keeping in self._keepings:
                before = self._clock.now() - timedelta(days=keeping.days)
                count = await _forget(keeping.kept, tenant_id, before)
                if count:
                    _log.info("ended long ago and removed", tenant=tenant_id, kind=keeping.name, count=count)
                total += count
        return total


async def _forget(kept: Forgetting, tenant_id: int, before: datetime) -> int:
    total = 0
    while True:
        count = await kept.forget_ended(tenant_id, before, RETENTION_ROWS_AT_A_TIME)
        total += count
        if count < RETENTION_ROWS_AT_A_TIME:
            return total
