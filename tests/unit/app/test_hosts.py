"""Looking up the hosts of remotes."""

from __future__ import annotations

import asyncio
import socket
import threading
from datetime import UTC, datetime

import pytest

from hilum.app.hosts import HostAddresses
from hilum.kernel.errors import Unavailable
from hilum.kernel.limits import HOST_ADDRESSES_S


class _Clock:
    seconds = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.seconds


class _Names:
    """A name server: what `getaddrinfo` answers, or the error it ends with, and how often it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answer: list[str] | OSError = []
        self.count = 0
        self.gate = threading.Event()
        self.gate.set()
        monkeypatch.setattr(socket, "getaddrinfo", self._look_up)

    def _look_up(self, *_args: object, **_options: object) -> list[object]:
        self.count += 1
        self.gate.wait(30)
        if isinstance(self.answer, OSError):
            raise self.answer
        return [(None, None, None, None, (address, 0)) for address in self.answer]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> _Names:
    return _Names(monkeypatch)


AWAY = socket.gaierror(socket.EAI_AGAIN, "try again")


async def test_addresses_are_remembered_for_a_moment(names: _Names) -> None:
    clock = _Clock()
    hosts = HostAddresses(clock)
    names.answer = ["192.0.2.4", "2001:db8::4"]
    assert await hosts.of("ct1") == {"192.0.2.4", "2001:db8::4"}
    names.answer = ["192.0.2.5"]
    assert "192.0.2.4" in await hosts.of("ct1")
    assert names.count == 1
    clock.seconds += HOST_ADDRESSES_S
    assert await hosts.of("ct1") == {"192.0.2.5"}


async def test_callers_at_the_same_time_ask_once(names: _Names) -> None:
    hosts = HostAddresses(_Clock())
    names.answer = ["192.0.2.4"]
    names.gate.clear()
    asking = [asyncio.create_task(hosts.of("ct1")) for _ in range(20)]
    await asyncio.sleep(0.05)
    names.gate.set()
    assert await asyncio.gather(*asking) == [{"192.0.2.4"}] * 20
    assert names.count == 1


async def test_a_name_that_does_not_exist_has_no_addresses(names: _Names) -> None:
    names.answer = socket.gaierror(socket.EAI_NONAME, "unknown")
    assert await HostAddresses(_Clock()).of("ct1") == frozenset()


async def test_without_a_name_server_former_addresses_hold_and_else_nothing_is_known(names: _Names) -> None:
    clock = _Clock()
    hosts = HostAddresses(clock)
    names.answer = AWAY
    with pytest.raises(Unavailable, match="ct1"):
        await hosts.of("ct1")
    names.answer = ["192.0.2.4"]
    assert await hosts.of("ct1") == {"192.0.2.4"}
    names.answer = AWAY
    clock.seconds += HOST_ADDRESSES_S
    assert await hosts.of("ct1") == {"192.0.2.4"}


async def test_a_name_server_that_never_answers_is_not_waited_for(
    names: _Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hilum.app.hosts.HOST_LOOKUP_TIMEOUT_S", 0.05)
    names.answer = ["192.0.2.4"]
    names.gate.clear()
    hosts = HostAddresses(_Clock())
    with pytest.raises(Unavailable):
        await hosts.of("ct1")
    names.gate.set()
    assert await hosts.of("ct1") == {"192.0.2.4"}
