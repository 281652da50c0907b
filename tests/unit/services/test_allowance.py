"""Shares of a total: never more than there is, first come first served."""

from __future__ import annotations

import asyncio

import pytest

from hilum.services.allowance import Allowance


class _Work:
    """Holds a share until told to stop."""

    def __init__(self, allowance: Allowance, amount: int) -> None:
        self.is_begun = False
        self.may_end = asyncio.Event()
        self.task = asyncio.create_task(self._run(allowance, amount))

    async def _run(self, allowance: Allowance, amount: int) -> None:
        async with allowance.share(amount):
            self.is_begun = True
            await self.may_end.wait()

    async def end(self) -> None:
        self.may_end.set()
        await self.task
        await _settled()


async def _settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def _begun(works: list[_Work]) -> list[bool]:
    return [work.is_begun for work in works]


async def test_no_more_is_lent_than_there_is_and_nobody_is_passed_over() -> None:
    allowance = Allowance(10)
    works = [_Work(allowance, amount) for amount in (6, 4, 7, 1)]
    await _settled()
    assert _begun(works) == [True, True, False, False]
    await works[1].end()
    assert _begun(works) == [True, True, False, False]
    await works[0].end()
    assert _begun(works) == [True, True, True, True]
    for work in works[2:]:
        await work.end()


async def test_who_asks_for_more_than_all_works_alone() -> None:
    allowance = Allowance(10)
    works = [_Work(allowance, amount) for amount in (1, 1000, 1)]
    await _settled()
    assert _begun(works) == [True, False, False]
    await works[0].end()
    assert _begun(works) == [True, True, False]
    await works[1].end()
    assert _begun(works) == [True, True, True]
    await works[2].end()


@pytest.mark.parametrize("is_begun", [True, False])
async def test_cancelled_work_gives_its_share_back(is_begun: bool) -> None:
    allowance = Allowance(10)
    holding = _Work(allowance, 1)
    cancelled = _Work(allowance, 9 if is_begun else 10)
    waiting = _Work(allowance, 9)
    await _settled()
    assert cancelled.is_begun is is_begun
    cancelled.task.cancel()
    await asyncio.wait([cancelled.task])
    await _settled()
    assert waiting.is_begun
    for work in (holding, waiting):
        await work.end()
    async with asyncio.timeout(5), allowance.share(10):
        pass
