"""Turns at a remote: as many associations send to it as it takes, of whichever worker, first come first served.

Each that wants to send draws a ticket; those with the lowest numbers send. A ticket is held on lease, so what a dead
worker had goes to the next. Who has sent for a while, and is waited for, ends its turn and draws anew.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from hilum.archive.remotes import RemoteAe
from hilum.kernel.clock import Clock
from hilum.kernel.errors import HilumError
from hilum.kernel.limits import TURN_LEASE_S, TURN_LENGTH_S, TURN_POLL_S, TURN_RENEWAL_S
from hilum.observe.logs import get_logger
from hilum.queue.connections import Connections

_log = get_logger("jobs")

_DRAW: Final = "SELECT draw_association_ticket($1, $2, $3)"
_MINE: Final = "tenant_id = $1 AND remote_ae_title = $2 AND ticket = $3"
# A lease that has run out is not renewed: another may send already.
_RENEW: Final = f"""
UPDATE association_ticket SET held_until = clock_timestamp() + make_interval(secs => $4)
WHERE {_MINE} AND held_until > clock_timestamp()
RETURNING (
    SELECT array[count(*) FILTER (WHERE other.ticket < $3), count(*) FILTER (WHERE other.ticket > $3)]
    FROM association_ticket AS other
    WHERE other.tenant_id = $1 AND other.remote_ae_title = $2 AND other.held_until > clock_timestamp()
)
"""  # noqa: S608 - of constants
_GIVE_BACK: Final = f"DELETE FROM association_ticket WHERE {_MINE}"  # noqa: S608 - of constants


@dataclass(frozen=True, slots=True)
class TurnTimes:
    """How long a ticket is held unrenewed, how often it is renewed and looked at, and how long a turn is."""

    lease_s: float = TURN_LEASE_S
    renewal_s: float = TURN_RENEWAL_S
    poll_s: float = TURN_POLL_S
    length_s: float = TURN_LENGTH_S


class PostgresTurns:
    """Implements `hilum.archive.sending.Turns`."""

    def __init__(self, connections: Connections, clock: Clock, times: TurnTimes | None = None) -> None:
        self._connections = connections
        self._clock = clock
        self._times = times or TurnTimes()

    @contextlib.asynccontextmanager
    async def wait(self, remote: RemoteAe, is_wanted: Callable[[], bool]) -> AsyncIterator[Callable[[], bool] | None]:
        """Yield what tells that the turn is over, once it has come; None when it is wanted no more.

        Raises:
            Unavailable: the database does not answer.
        """
        async with self._connections.use(remote.tenant_id) as connection:
            number: int = await connection.fetchval(_DRAW, remote.tenant_id, remote.ae_title, self._times.lease_s)
        ticket = _Ticket(self._connections, self._clock, self._times, remote, number)
        try:
            while not await ticket.is_up():
                if not is_wanted():
                    yield None
                    return
                await asyncio.sleep(self._times.poll_s)
            renewal = asyncio.create_task(ticket.hold())
            try:
                yield ticket.is_over
            finally:
                renewal.cancel()
                await asyncio.wait([renewal])
        finally:
            await asyncio.shield(asyncio.ensure_future(ticket.give_back()))


class _Ticket:
    def __init__(self, connections: Connections, clock: Clock, times: TurnTimes, remote: RemoteAe, number: int) -> None:
        self._connections = connections
        self._clock = clock
        self._times = times
        self._remote = remote
        self._number = number
        self._is_over = False

    def is_over(self) -> bool:
        """Return whether others are to have their turn now."""
        return self._is_over

    async def is_up(self) -> bool:
        """Return whether the turn has come. A ticket whose lease ran out while it waited is drawn anew."""
        counts = await self._renew()
        if counts is None:
            async with self._connections.use(self._remote.tenant_id) as connection:
                self._number = await connection.fetchval(
                    _DRAW, self._remote.tenant_id, self._remote.ae_title, self._times.lease_s
                )
            return False
        return counts[0] < self._remote.max_associations

    async def hold(self) -> None:
        """Keep the ticket until the turn is over."""
        began = self._clock.monotonic()
        while not self._is_over:
            await asyncio.sleep(self._times.renewal_s)
            try:
                counts = await self._renew()
            except HilumError:
                continue  # once the lease has run out, the next one that works tells so
            if counts is None or (counts[1] > 0 and self._clock.monotonic() - began >= self._times.length_s):
                self._is_over = True

    async def give_back(self) -> None:
        """Let the next one in. Where that fails, the lease runs out."""
        try:
            async with self._connections.use(self._remote.tenant_id) as connection:
                await connection.execute(_GIVE_BACK, *self._mine())
        except HilumError as error:
            _log.info("a turn at a remote ends with its lease", ae_title=self._remote.ae_title, exc=error)

    async def _renew(self) -> list[int] | None:
        async with self._connections.use(self._remote.tenant_id) as connection:
            counts: list[int] | None = await connection.fetchval(_RENEW, *self._mine(), self._times.lease_s)
        return counts

    def _mine(self) -> tuple[int, str, int]:
        return self._remote.tenant_id, self._remote.ae_title, self._number
