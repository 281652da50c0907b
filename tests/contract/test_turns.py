"""The port `Turns` on PostgreSQL: who may send to a remote, whichever worker it is of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from hilum.archive.remotes import RemoteAe
from hilum.index.embedded import EmbeddedPostgres
from hilum.index.pool import TenantPool
from hilum.kernel.clock import SystemClock
from hilum.queue.turns import PostgresTurns, TurnTimes
from support.database import new_tenant

TIMES = TurnTimes(lease_s=5.0, renewal_s=0.1, poll_s=0.02, length_s=0.3)


@asynccontextmanager
async def a_worker(database: EmbeddedPostgres, times: TurnTimes = TIMES) -> AsyncIterator[PostgresTurns]:
    """The turns as one worker process has them."""
    pool = TenantPool(database.app_address(), 3, {})
    try:
        yield PostgresTurns(pool, SystemClock(), times)
    finally:
        await pool.close()


@pytest.fixture
async def workers(database: EmbeddedPostgres) -> AsyncIterator[list[PostgresTurns]]:
    async with a_worker(database) as one, a_worker(database) as other:
        yield [one, other]


def remote(tenant_id: int, max_associations: int = 1) -> RemoteAe:
    return RemoteAe(1, tenant_id, "STORE", "127.0.0.1", 104, max_associations=max_associations)


def always() -> bool:
    return True


class Sending:
    """Sends for a while in each turn, and knows how many do so."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.order: list[str] = []

    async def send(
        self, turns: PostgresTurns, to: RemoteAe, name: str, goes_on: Callable[[], bool] = lambda: False
    ) -> None:
        async with turns.wait(to, always) as is_over:
            assert is_over is not None
            self.order.append(name)
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0.05)
            while goes_on() and not is_over():  # noqa: ASYNC110 - as a sender asks before each instance
                await asyncio.sleep(0.02)
            self.now -= 1


async def test_no_more_send_than_the_remote_takes_in_all_workers(workers: list[PostgresTurns], tenant_id: int) -> None:
    sending, to = Sending(), remote(tenant_id, 2)
    async with asyncio.timeout(30):
        await asyncio.gather(*(sending.send(workers[n % 2], to, str(n)) for n in range(12)))
    assert len(sending.order) == 12
    assert sending.most == 2


async def test_who_comes_first_sends_first(
    database: EmbeddedPostgres, workers: list[PostgresTurns], tenant_id: int
) -> None:
    sending, to = Sending(), remote(tenant_id)
    pool = TenantPool(database.app_address(), 1, {})

    async def until_waiting(count: int) -> None:
        async with asyncio.timeout(20), pool.use(tenant_id) as connection:
            while await connection.fetchval("SELECT count(*) FROM association_ticket") < count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    try:
        tasks = []
        async with workers[0].wait(to, always):
            for n in range(6):
                tasks.append(asyncio.create_task(sending.send(workers[n % 2], to, str(n))))
                await until_waiting(n + 2)
        async with asyncio.timeout(30):
            await asyncio.gather(*tasks)
    finally:
        await pool.close()
    assert sending.order == [str(n) for n in range(6)]


async def test_who_sends_for_long_lets_others_in(workers: list[PostgresTurns], tenant_id: int) -> None:
    sending, to = Sending(), remote(tenant_id)
    waiting = asyncio.Event()

    async def for_ever() -> None:
        while not waiting.is_set():
            await sending.send(workers[0], to, "long", lambda: not waiting.is_set())

    async with asyncio.timeout(30):
        long = asyncio.create_task(for_ever())
        await asyncio.sleep(0.2)
        assert sending.order == ["long"]
        for n in range(3):
            await sending.send(workers[1], to, f"short {n}")
        waiting.set()
        await long
    assert [name for name in sending.order if name != "long"] == ["short 0", "short 1", "short 2"]
    assert sending.most == 1


async def test_nobody_is_interrupted_whom_nobody_waits_for(workers: list[PostgresTurns], tenant_id: int) -> None:
    async with workers[0].wait(remote(tenant_id), always) as is_over:
        assert is_over is not None
        await asyncio.sleep(TIMES.length_s + 3 * TIMES.renewal_s)
        assert not is_over()


async def test_what_a_dead_worker_had_goes_to_the_next(
    database: EmbeddedPostgres, workers: list[PostgresTurns], tenant_id: int
) -> None:
    # One that does not renew is to the others as one that is dead.
    async with a_worker(database, TurnTimes(lease_s=0.5, renewal_s=60, poll_s=0.02, length_s=60)) as dead:
        sending = Sending()
        async with asyncio.timeout(30), dead.wait(remote(tenant_id), always):
            await sending.send(workers[0], remote(tenant_id), "next")
    assert sending.order == ["next"]


async def test_a_lease_that_ran_out_is_not_taken_up_again(
    database: EmbeddedPostgres, workers: list[PostgresTurns], tenant_id: int
) -> None:
    async with a_worker(database, TurnTimes(lease_s=0.5, renewal_s=1.2, poll_s=0.02, length_s=60)) as late:
        late_one, next_one = late.wait(remote(tenant_id), always), workers[0].wait(remote(tenant_id), always)
        async with asyncio.timeout(30), late_one as is_over, next_one as other:
            assert is_over is not None
            assert other is not None
            await asyncio.sleep(1.6)
            assert is_over()
            assert not other()


async def test_who_wants_no_more_does_not_stand_in_the_way(workers: list[PostgresTurns], tenant_id: int) -> None:
    to = remote(tenant_id)
    async with asyncio.timeout(30):
        async with workers[0].wait(to, always):
            async with workers[1].wait(to, lambda: False) as is_over:
                assert is_over is None
            cancelled = asyncio.create_task(Sending().send(workers[1], to, "cancelled"))
            await asyncio.sleep(0.1)
            cancelled.cancel()
            await asyncio.wait([cancelled])
        async with workers[1].wait(to, always) as is_over:
            assert is_over is not None


async def test_remotes_and_tenants_do_not_wait_for_each_other(
    database: EmbeddedPostgres, workers: list[PostgresTurns], tenant_id: int
) -> None:
    other_tenant_id = await new_tenant(database.app_address())
    other_remote = RemoteAe(2, tenant_id, "OTHER", "127.0.0.1", 104, max_associations=1)
    async with asyncio.timeout(10), workers[0].wait(remote(tenant_id), always):
        for to in (remote(other_tenant_id), other_remote):
            async with workers[1].wait(to, always) as is_over:
                assert is_over is not None
