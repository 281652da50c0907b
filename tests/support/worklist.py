"""Worklist items for tests."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hilum.archive.worklist import StepStatus, WorklistItem, with_status
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
