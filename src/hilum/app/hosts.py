"""The addresses of host names: looked up off the event loop, and remembered for a moment."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor

from hilum.kernel.clock import Clock
from hilum.kernel.errors import Unavailable
from hilum.kernel.limits import HOST_ADDRESSES_S, HOST_LOOKUP_TIMEOUT_S

_THREADS = 4


class HostAddresses:
    """What the hosts of registered remotes resolve to.

    While names cannot be looked up, what they resolved to before still holds.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._threads = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="host-lookup")
        self._known: dict[str, tuple[float, frozenset[str]]] = {}
        self._under_way: dict[str, asyncio.Future[frozenset[str]]] = {}

    async def of(self, host: str) -> frozenset[str]:
        """Return all addresses of the host; none when there is no such name.

        Raises:
            Unavailable: names cannot be looked up now, and nothing is known from before.
        """
        known = self._known.get(host)
        if known is not None and self._clock.monotonic() < known[0]:
            return known[1]
        looking = self._under_way.get(host)
        if looking is None:
            looking = asyncio.get_running_loop().run_in_executor(self._threads, _look_up, host)
            self._under_way[host] = looking
            looking.add_done_callback(lambda done: self._keep(host, done))
        try:
            async with asyncio.timeout(HOST_LOOKUP_TIMEOUT_S):
                return await asyncio.shield(looking)
        except (OSError, TimeoutError) as error:
            if known is not None:
                return known[1]
            raise Unavailable(f"the addresses of {host} cannot be looked up", code="host-lookup", host=host) from error

    def _keep(self, host: str, done: asyncio.Future[frozenset[str]]) -> None:
        self._under_way.pop(host, None)
        if not done.cancelled() and done.exception() is None:
            self._known[host] = (self._clock.monotonic() + HOST_ADDRESSES_S, done.result())


def _look_up(host: str) -> frozenset[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        # No such name is an answer; that nobody answers is none.
        if error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)):
            return frozenset()
        raise
    except UnicodeError:
        return frozenset()
    return frozenset(str(address[0]) for *_, address in found)
