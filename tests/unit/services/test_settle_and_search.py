"""Settled series have their metadata ready; searches are bounded."""

from __future__ import annotations

import asyncio

import pytest
from pydicom.uid import generate_uid

from hilum.archive.query import Level, Query
from hilum.kernel.clock import SystemClock
from hilum.kernel.errors import LimitExceeded
from hilum.kernel.limits import MAX_QUERY_OFFSET
from hilum.services.search import SearchService
from hilum.services.settle import SettleService
from support.instances import ct_slice
from support.store_house import House, until


async def test_a_series_that_has_been_quiet_gets_its_metadata(house: House) -> None:
    settle = SettleService(house.index, SystemClock(), settle_s=0.05)
    stored = [await house.store(ct_slice()) for _ in range(3)]
    for result in stored:
        settle.note(1, result.study_instance_uid, result.series_instance_uid)
    await until(lambda: len(house.index.metadata) == 3)
    await settle.close()


async def test_a_series_that_goes_on_changing_waits(house: House) -> None:
    settle = SettleService(house.index, SystemClock(), settle_s=30)
    result = await house.store(ct_slice())
    settle.note(1, result.study_instance_uid, result.series_instance_uid)
    await asyncio.sleep(0.1)
    assert house.index.metadata == {}
    await settle.close()


async def test_a_series_that_is_gone_does_not_stop_the_others(house: House) -> None:
    settle = SettleService(house.index, SystemClock(), settle_s=0.01)
    result = await house.store(ct_slice())
    settle.note(1, generate_uid(), generate_uid())
    settle.note(1, result.study_instance_uid, result.series_instance_uid)
    await until(lambda: len(house.index.metadata) == 1)
    await settle.close()


async def test_a_search_is_answered_by_the_index(house: House) -> None:
    dataset = ct_slice()
    await house.store(dataset)
    service = SearchService(house.index)
    query = Query(Level.STUDY)
    found = [one async for one in service.search(1, query)]
    assert [one["0020000D"]["Value"] for one in found] == [[dataset.StudyInstanceUID]]
    assert await service.count(1, query) == 1
    assert await service.count(2, query) == 0
    assert await service.unsupported_matches(query) == []


async def test_paging_beyond_the_bound_is_refused(house: House) -> None:
    with pytest.raises(LimitExceeded):
        SearchService(house.index).search(1, Query(Level.STUDY, offset=MAX_QUERY_OFFSET + 1))
