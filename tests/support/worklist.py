"""Worklist items for tests."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hilum.archive.worklist import (
    OPEN_STATUSES,
    JobsOfItem,
    StepStatus,
    WorklistItem,
    WorklistQuery,
    is_found,
    with_status,
)
from hilum.kernel.errors import Conflict
from support.database import attributes_of

NOW = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
_numbers = itertools.count(1)


def worklist_item(
    status: StepStatus = StepStatus.SCHEDULED, step: Mapping[str, Any] | None = None, **values: Any
) -> WorklistItem:
    """Return an item that is not kept yet: a CT of Jane Doe; keywords change it, `step` what is in the sequence."""
    number = next(_numbers)
    scheduled = {
        "ScheduledStationAETitle": "CT1",
        "ScheduledProcedureStepStartDate": "20260105",
        "ScheduledProcedureStepStartTime": "101500",
        "Modality": "CT",
        "ScheduledProcedureStepDescription": "CT Thorax",
        "ScheduledProcedureStepID": f"S{number}",
    }
    attributes = attributes_of(
        {
            "PatientName": "Doe^Jane",
            "PatientID": "P1",
            "AccessionNumber": "A1",
            "StudyInstanceUID": f"1.2.826.0.{number}",
            "RequestedProcedureID": "R1",
            "RequestedProcedureDescription": "CT",
            "ScheduledProcedureStepSequence": [scheduled | dict(step or {})],
        }
        | values
    )
    return with_status(WorklistItem(0, status, attributes, NOW, NOW), status, NOW)


class MemoryWorklist:
    """A worklist in memory, which finds what the definition finds."""

    def __init__(self) -> None:
        self.items: dict[int, dict[int, WorklistItem]] = {}
        self._keys = itertools.count(1)

    async def add(self, tenant_id: int, item: WorklistItem, jobs: JobsOfItem | None = None) -> WorklistItem:
        self._check(tenant_id, item)
        kept = replace(item, item_key=next(self._keys))
        self.items.setdefault(tenant_id, {})[kept.item_key] = kept
        return kept

    def _check(self, tenant_id: int, item: WorklistItem) -> None:
        names = ("study_instance_uid", "scheduled_procedure_step_id")
        for other in self.items.get(tenant_id, {}).values():
            if other.item_key != item.item_key and all(other.text(name) == item.text(name) for name in names):
                raise Conflict("the study has a step of this id already", code="step-taken")

    async def find(self, tenant_id: int, item_key: int) -> WorklistItem | None:
        return self.items.get(tenant_id, {}).get(item_key)

    async def change(
        self, tenant_id: int, item_key: int, work: Callable[[WorklistItem], WorklistItem]
    ) -> WorklistItem | None:
        item = await self.find(tenant_id, item_key)
        if item is None:
            return None
        changed = work(item)
        self._check(tenant_id, changed)
        self.items[tenant_id][item_key] = changed
        return changed

    async def remove(self, tenant_id: int, item_key: int) -> bool:
        return self.items.get(tenant_id, {}).pop(item_key, None) is not None

    async def forget_ended(self, tenant_id: int, before: datetime, limit: int) -> int:
        items = self.items.get(tenant_id, {})
        ended = [key for key, item in items.items() if item.status not in OPEN_STATUSES and item.changed_at < before]
        for key in ended[:limit]:
            del items[key]
        return len(ended[:limit])

    async def search(self, tenant_id: int, query: WorklistQuery) -> AsyncGenerator[WorklistItem]:
        found = [item for item in self.items.get(tenant_id, {}).values() if is_found(item, query)]
        found.sort(key=lambda item: item.text("scheduled_procedure_step_start_date"))
        for item in found[query.offset :][: query.limit]:
            yield item

    async def count(self, tenant_id: int, query: WorklistQuery) -> int:
        return sum(is_found(item, query) for item in self.items.get(tenant_id, {}).values())
