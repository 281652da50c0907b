"""What ended is kept for the days that settings say, of every tenant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hilum.archive.model import Tenant
from hilum.archive.ports import TenantSummary
from hilum.archive.worklist import StepStatus
from hilum.kernel.limits import RETENTION_ROWS_AT_A_TIME
from hilum.services.retention import Keeping, RetentionService
from support.worklist import MemoryWorklist, worklist_item

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Stopped:
    """A clock that stands still."""

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 0.0


class Tenants:
    """Two of them."""

    async def list_tenants(self) -> Sequence[TenantSummary]:
        return [TenantSummary(Tenant(number, f"tenant {number}"), (), 0) for number in (1, 2)]


async def ended(worklist: MemoryWorklist, tenant_id: int, days_ago: float) -> int:
    item = replace(worklist_item(StepStatus.COMPLETED), changed_at=NOW - timedelta(days=days_ago))
    return (await worklist.add(tenant_id, item)).item_key


async def test_what_has_had_its_time_goes_and_the_rest_stays() -> None:
    worklist = MemoryWorklist()
    old = [await ended(worklist, tenant_id, 31) for tenant_id in (1, 2)]
    young = [await ended(worklist, tenant_id, 29) for tenant_id in (1, 2)]
    assert await RetentionService(Tenants(), Stopped(), [Keeping("worklist", worklist, 30)]).sweep() == len(old)
    assert [*worklist.items[1], *worklist.items[2]] == young


async def test_nothing_goes_that_is_kept_for_ever() -> None:
    worklist = MemoryWorklist()
    key = await ended(worklist, 1, 10_000)
    assert await RetentionService(Tenants(), Stopped(), [Keeping("worklist", worklist, 0)]).sweep() == 0
    assert list(worklist.items[1]) == [key]


async def test_more_than_one_statement_takes_goes_too() -> None:
    worklist = MemoryWorklist()
    old = worklist_item(StepStatus.CANCELED)
    old = replace(old, changed_at=NOW - timedelta(days=2))
    worklist.items[1] = {key: replace(old, item_key=key) for key in range(RETENTION_ROWS_AT_A_TIME + 1)}
    service = RetentionService(Tenants(), Stopped(), [Keeping("worklist", worklist, 1)])
    assert await service.sweep() == RETENTION_ROWS_AT_A_TIME + 1
    assert not worklist.items[1]
