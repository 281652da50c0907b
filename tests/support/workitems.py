"""Workitems to test with."""

from __future__ import annotations

from typing import Any

from hilum.archive.model import DicomJson
from support.database import attributes_of

STATION = {"CodeValue": "CADSRV1", "CodingSchemeDesignator": "99HIL", "CodeMeaning": "CAD server 1"}
CODE = {"CodeValue": "110004", "CodingSchemeDesignator": "DCM", "CodeMeaning": "Computer Aided Detection"}


def workitem_attributes(**values: Any) -> DicomJson:
    """Return the attributes of a new workitem with what a careful creator sends; values of None are left out."""
    keywords: dict[str, Any] = {
        "ScheduledProcedureStepPriority": "MEDIUM",
        "ProcedureStepLabel": "Mammography CAD",
        "WorklistLabel": "CAD",
        "ScheduledStationNameCodeSequence": [],
        "ScheduledProcedureStepStartDateTime": "20260102101500",
        "ScheduledWorkitemCodeSequence": CODE,
        "InputReadinessState": "READY",
        "PatientName": "Doe^Jane",
        "PatientID": "P1",
        "PatientBirthDate": "19700101",
        "PatientSex": "F",
        "ReferencedRequestSequence": {"StudyInstanceUID": "1.2.3.4", "AccessionNumber": "A1"},
        "ProcedureStepState": "SCHEDULED",
    }
    return attributes_of({key: value for key, value in (keywords | values).items() if value is not None})


def performed() -> DicomJson:
    """Return what has to be there before a workitem may be COMPLETED."""
    return attributes_of(
        {
            "UnifiedProcedureStepPerformedProcedureSequence": {
                "PerformedStationNameCodeSequence": STATION,
                "PerformedProcedureStepStartDateTime": "20260102102000",
                "PerformedWorkitemCodeSequence": CODE,
                "PerformedProcedureStepEndDateTime": "20260102102500",
                "OutputInformationSequence": [],
            }
        }
    )


def discontinued() -> DicomJson:
    """Return what has to be there before a performer may make a workitem CANCELED."""
    return attributes_of(
        {
            "ProcedureStepProgressInformationSequence": {
                "ProcedureStepCancellationDateTime": "20260102102200",
                "ProcedureStepDiscontinuationReasonCodeSequence": {
                    "CodeValue": "110514",
                    "CodingSchemeDesignator": "DCM",
                    "CodeMeaning": "Incorrect worklist entry selected",
                },
            }
        }
    )
