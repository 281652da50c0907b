"""What PS3.4 Table CC.2.5-3 asks of a workitem's attributes, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from hilum.dicom.dictionary import tag_of

# Keyword (">" an attribute of the items of the sequence above), what is asked of it when a workitem is created, when
# it is changed, and when it comes to a final state.
# Created: 1 a value, 2 a value or none, 3 optional, - empty or left out, s the archive's own.
# Changed: 1 may be set to a value, 2 also to none, - stays as it is, s the archive's own.
# Final: R a value, P a value if COMPLETED, p there if COMPLETED, X a value if CANCELED, O nothing.
_TABLE: Final = """
TransactionUID - - O
SOPClassUID s s O
SOPInstanceUID s s O
ScheduledProcedureStepPriority 1 1 R
ScheduledProcedureStepModificationDateTime s s R
ProcedureStepLabel 1 1 R
WorklistLabel 2 1 R
ScheduledProcessingParametersSequence 2 2 O
ScheduledStationNameCodeSequence 2 2 O
ScheduledStationClassCodeSequence 2 2 O
ScheduledStationGeographicLocationCodeSequence 2 2 O
ScheduledHumanPerformersSequence 3 2 O
>HumanPerformerCodeSequence 1 1 O
ScheduledProcedureStepStartDateTime 1 1 R
ExpectedCompletionDateTime 3 1 O
ScheduledWorkitemCodeSequence 2 1 O
CommentsOnTheScheduledProcedureStep 2 1 O
InputReadinessState 1 1 R
InputInformationSequence 2 2 O
StudyInstanceUID 2 2 O
PatientName 2 - O
PatientID 2 - O
IssuerOfPatientID 2 - O
IssuerOfPatientIDQualifiersSequence 2 - O
OtherPatientIDsSequence 2 2 O
PatientBirthDate 2 - O
PatientSex 2 - O
AdmissionID 2 - O
IssuerOfAdmissionIDSequence 2 - O
AdmittingDiagnosesDescription 2 - O
AdmittingDiagnosesCodeSequence 2 - O
ReferencedRequestSequence 2 - O
>StudyInstanceUID 1 - O
>AccessionNumber 2 - O
>IssuerOfAccessionNumberSequence 2 - O
>OrderPlacerIdentifierSequence 2 - O
>OrderFillerIdentifierSequence 2 - O
>RequestedProcedureID 2 - O
>RequestedProcedureDescription 2 - O
>RequestedProcedureCodeSequence 2 - O
ReplacedProcedureStepSequence 3 - O
>ReferencedSOPClassUID 1 - O
>ReferencedSOPInstanceUID 1 - O
ProcedureStepState 1 - R
ProcedureStepProgressInformationSequence - 2 X
>ProcedureStepProgress 3 1 O
>ProcedureStepCommunicationsURISequence 3 1 O
>>ContactURI 1 1 O
>ProcedureStepCancellationDateTime 3 1 X
>ReasonForCancellation 3 1 O
>ProcedureStepDiscontinuationReasonCodeSequence 3 1 X
UnifiedProcedureStepPerformedProcedureSequence - 2 P
>ActualHumanPerformersSequence 3 1 O
>PerformedStationNameCodeSequence 3 2 P
>PerformedStationClassCodeSequence 3 2 O
>PerformedStationGeographicLocationCodeSequence 3 2 O
>PerformedProcedureStepStartDateTime 3 1 P
>PerformedWorkitemCodeSequence 3 1 P
>PerformedProcedureStepEndDateTime 3 1 P
>OutputInformationSequence 3 2 p
"""


@dataclass(frozen=True, slots=True)
class Requirement:
    """What is asked of one attribute, and of the attributes of its items."""

    keyword: str
    created: str
    changed: str
    final: str
    items: dict[str, Requirement] = field(default_factory=dict)


def _read() -> dict[str, Requirement]:
    levels: list[dict[str, Requirement]] = [{}]
    for line in _TABLE.strip().splitlines():
        name, created, changed, final = line.split()
        keyword = name.lstrip(">")
        requirement = Requirement(keyword, created, changed, final)
        depth = len(name) - len(keyword)
        del levels[depth + 1 :]
        levels[depth][tag_of(keyword)] = requirement
        levels.append(requirement.items)
    return levels[0]


REQUIREMENTS: Final[Mapping[str, Requirement]] = MappingProxyType(_read())
"""By tag; attributes that are not in it are optional."""

ENUMERATED_VALUES: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        tag_of("ScheduledProcedureStepPriority"): frozenset({"HIGH", "MEDIUM", "LOW"}),
        tag_of("InputReadinessState"): frozenset({"INCOMPLETE", "UNAVAILABLE", "READY"}),
    }
)
"""PS3.3 §C.30.2."""
