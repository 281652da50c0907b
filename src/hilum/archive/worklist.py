"""The modality worklist: scheduled procedure steps, what may become of each, and what a query for them means."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeAlias

from hilum.archive.jobs import NewJob
from hilum.archive.model import DicomJson
from hilum.archive.query import AttributePath, Match
from hilum.dicom.dictionary import path_of, tag_of
from hilum.dicom.matching import Range, matches_all, matches_combined
from hilum.dicom.zones import TIMEZONE_OFFSET, moved, offset_element, offset_of
from hilum.kernel.limits import DEFAULT_QUERY_RESULTS


class StepStatus(StrEnum):
    """Scheduled Procedure Step Status.

    The first five are the standard's defined terms (PS3.3 Table C.4-10), the others are added to them, as archives
    and information systems do: the standard has such steps vanish.
    """

    SCHEDULED = "SCHEDULED"
    ARRIVED = "ARRIVED"
    READY = "READY"
    STARTED = "STARTED"
    DEPARTED = "DEPARTED"
    CANCELED = "CANCELED"
    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"


OPEN_STATUSES: Final = frozenset({StepStatus.SCHEDULED, StepStatus.ARRIVED, StepStatus.READY, StepStatus.STARTED})
"""What modalities are offered unless they ask for a status: steps that are still to be performed, or being so."""

_BEFORE: Final = frozenset({StepStatus.SCHEDULED, StepStatus.ARRIVED, StepStatus.READY})
_AFTER: Final = frozenset({StepStatus.DEPARTED, StepStatus.CANCELED, StepStatus.COMPLETED, StepStatus.DISCONTINUED})

TRANSITIONS: Final[Mapping[StepStatus, frozenset[StepStatus]]] = MappingProxyType(
    {
        **{status: _BEFORE | _AFTER | {StepStatus.STARTED} for status in _BEFORE},
        StepStatus.STARTED: _AFTER,
        # The patient came back, the order was taken up again, the examination is to be repeated.
        StepStatus.DEPARTED: _BEFORE | _AFTER,
        StepStatus.CANCELED: _BEFORE,
        StepStatus.DISCONTINUED: _BEFORE | {StepStatus.CANCELED, StepStatus.COMPLETED},
        # What is done is done; a further examination is a further step.
        StepStatus.COMPLETED: frozenset(),
    }
)
"""What people, and programs of theirs, may make of a step. Reports of modalities are facts and not bound by it."""


SEQUENCE: Final = tag_of("ScheduledProcedureStepSequence")
_START_DATE: Final = path_of("ScheduledProcedureStepSequence.ScheduledProcedureStepStartDate")
_START_TIME: Final = path_of("ScheduledProcedureStepSequence.ScheduledProcedureStepStartTime")
STATUS_PATH: Final = path_of("ScheduledProcedureStepSequence.ScheduledProcedureStepStatus")

_STEP_PAIRS: Final = {_START_DATE[-1]: _START_TIME[-1]}
_STUDY_PAIRS: Final = {tag_of("StudyDate"): tag_of("StudyTime")}


def _fields(text: str) -> Mapping[str, AttributePath]:
    return MappingProxyType({name: path_of(path) for name, path in (line.split() for line in text.split("\n") if line)})


FIELDS: Final = _fields(
    """
patient_name PatientName
patient_id PatientID
issuer_of_patient_id IssuerOfPatientID
patient_birth_date PatientBirthDate
patient_sex PatientSex
patient_size PatientSize
patient_weight PatientWeight
pregnancy_status PregnancyStatus
medical_alerts MedicalAlerts
allergies Allergies
additional_patient_history AdditionalPatientHistory
admission_id AdmissionID
current_patient_location CurrentPatientLocation
accession_number AccessionNumber
referring_physician_name ReferringPhysicianName
requesting_physician RequestingPhysician
requesting_service RequestingService
study_instance_uid StudyInstanceUID
requested_procedure_id RequestedProcedureID
requested_procedure_description RequestedProcedureDescription
requested_procedure_priority RequestedProcedurePriority
reason_for_the_requested_procedure ReasonForTheRequestedProcedure
scheduled_station_ae_title ScheduledProcedureStepSequence.ScheduledStationAETitle
scheduled_station_name ScheduledProcedureStepSequence.ScheduledStationName
scheduled_procedure_step_start_date ScheduledProcedureStepSequence.ScheduledProcedureStepStartDate
scheduled_procedure_step_start_time ScheduledProcedureStepSequence.ScheduledProcedureStepStartTime
modality ScheduledProcedureStepSequence.Modality
scheduled_performing_physician_name ScheduledProcedureStepSequence.ScheduledPerformingPhysicianName
scheduled_procedure_step_description ScheduledProcedureStepSequence.ScheduledProcedureStepDescription
scheduled_procedure_step_location ScheduledProcedureStepSequence.ScheduledProcedureStepLocation
scheduled_procedure_step_id ScheduledProcedureStepSequence.ScheduledProcedureStepID
comments_on_the_scheduled_procedure_step ScheduledProcedureStepSequence.CommentsOnTheScheduledProcedureStep
pre_medication ScheduledProcedureStepSequence.PreMedication
requested_contrast_agent ScheduledProcedureStepSequence.RequestedContrastAgent
"""
)
"""The attributes of an item that have a name of their own in the API, with their place in its data set."""

MULTIPLE_FIELDS: Final = frozenset(
    {"scheduled_station_ae_title", "scheduled_station_name", "medical_alerts", "allergies"}
)
"""Fields that may have several values; all others have one."""

REQUIRED_FIELDS: Final = (
    "patient_name",
    "patient_id",
    "scheduled_station_ae_title",
    "scheduled_procedure_step_start_date",
    "scheduled_procedure_step_start_time",
    "modality",
)
"""What an item cannot do without and nobody else can know: return keys of type 1 (PS3.4 Table K.6-1)."""


@dataclass(frozen=True, slots=True)
class WorklistItem:
    """One scheduled procedure step with all a modality needs to know.

    `attributes` holds the data set with exactly one item in Scheduled Procedure Step Sequence; the status there
    equals `status`. `item_key` is 0 before the item is kept.
    """

    item_key: int
    status: StepStatus
    attributes: DicomJson
    created_at: datetime
    changed_at: datetime

    def value(self, field: str) -> Any:
        """Return the first value of one of `FIELDS` as DICOM JSON has it, or None."""
        return next(iter(values_at(self.attributes, FIELDS[field])), None)

    def text(self, field: str) -> str:
        """Return the first value of a field as text without padding, "" when there is none."""
        value = self.value(field)
        return "" if value is None else str(value).strip()


@dataclass(frozen=True, slots=True)
class WorklistQuery:
    """A question for items, earliest first.

    Ranges of start date and start time together are one range of moments. `statuses` None is every status;
    `limit` None is every item. With `offset_minutes` start date and time are meant in that zone; an item that names
    its own is compared in it, see `in_zone`.

    Reference: PS3.4 Table K.6-1
    """

    matches: tuple[Match, ...] = ()
    statuses: frozenset[StepStatus] | None = OPEN_STATUSES
    limit: int | None = DEFAULT_QUERY_RESULTS
    offset: int = 0
    offset_minutes: int | None = None


def asked_for(
    matches: Iterable[Match],
    *,
    limit: int | None = DEFAULT_QUERY_RESULTS,
    offset: int = 0,
    offset_minutes: int | None = None,
) -> WorklistQuery:
    """Return the query for these keys: for open items, unless one of them asks for a status."""
    keys = tuple(matches)
    statuses = None if any(match.path == STATUS_PATH for match in keys) else OPEN_STATUSES
    return WorklistQuery(keys, statuses, limit, offset, offset_minutes)


def combined_start(matches: Iterable[Match]) -> tuple[Range, Range] | None:
    """Return the ranges of start date and start time when both are asked for, and open at the same ends.

    Then they mean one range of moments; otherwise each is matched by itself.

    Reference: PS3.4 Table K.6-1, Scheduled Procedure Step Start Time
    """
    conditions = {match.path: match.condition for match in matches}
    date, time = conditions.get(_START_DATE), conditions.get(_START_TIME)
    if not isinstance(date, Range) or not isinstance(time, Range):
        return None
    is_same_form = (date.low is None) == (time.low is None) and (date.high is None) == (time.high is None)
    return (date, time) if is_same_form else None


def apart_from_start(matches: Iterable[Match]) -> list[Match]:
    """Return the matching keys other than start date and time."""
    return [match for match in matches if match.path not in (_START_DATE, _START_TIME)]


def is_found(item: WorklistItem, query: WorklistQuery) -> bool:
    """Return whether a query finds an item, whatever its limit: the definition that SQL is held to.

    Reference: PS3.4 §K.2.2, §C.2.2.2
    """
    if query.statuses is not None and item.status not in query.statuses:
        return False
    attributes = in_zone(item.attributes, query.offset_minutes)
    combined = combined_start(query.matches)
    keys = apart_from_start(query.matches) if combined else query.matches
    if not matches_all(attributes, [(match.path, match.condition) for match in keys]):
        return False
    if combined is None:
        return True
    steps = attributes.get(SEQUENCE, {}).get("Value", ())
    return any(matches_combined(step, _START_DATE[-1], _START_TIME[-1], *combined) for step in steps)


def in_zone(attributes: DicomJson, offset_minutes: int | None) -> DicomJson:
    """Return what an item tells with its start in another zone; as it is where the item, or the asker, names none.

    Reference: PS3.4 §C.2.2.2, §K.4.1.1.3.2
    """
    own = offset_of(attributes)
    if own is None or offset_minutes is None:
        return attributes
    shift = offset_minutes - own
    steps = [moved(step, shift, _STEP_PAIRS) for step in attributes.get(SEQUENCE, {}).get("Value", ())]
    result = moved(attributes, shift, _STUDY_PAIRS) | {TIMEZONE_OFFSET: offset_element(offset_minutes)}
    return result | ({SEQUENCE: {"vr": "SQ", "Value": steps}} if steps else {})


def values_at(attributes: Mapping[str, Any], path: AttributePath) -> list[Any]:
    """Return the values at a path, of the first item of each sequence on the way."""
    values: list[Any] = attributes.get(path[0], {}).get("Value", [])
    if len(path) == 1:
        return [value for value in values if value is not None]
    return values_at(values[0], path[1:]) if values else []


def with_status(item: WorklistItem, status: StepStatus, now: datetime) -> WorklistItem:
    """Return the item with another status, in its data set too."""
    step = values_at(item.attributes, (SEQUENCE,))[0] | {STATUS_PATH[-1]: {"vr": "CS", "Value": [status.value]}}
    attributes = item.attributes | {SEQUENCE: {"vr": "SQ", "Value": [dict(sorted(step.items()))]}}
    return replace(item, status=status, attributes=attributes, changed_at=now)


JobsOfItem: TypeAlias = Callable[[WorklistItem], Sequence[NewJob]]
"""What is to be done about an item that is new."""


class Worklist(Protocol):
    """Where items are kept. Every call is about one tenant; all raise Unavailable when the database does not answer."""

    async def add(self, tenant_id: int, item: WorklistItem, jobs: JobsOfItem | None = None) -> WorklistItem:
        """Keep a new item and return it with its key; durable once it returns.

        The jobs that `jobs` makes of it are enqueued with it: all is there afterwards, or nothing.

        Raises:
            Conflict: the study has a step of this Scheduled Procedure Step ID.
        """
        ...

    async def find(self, tenant_id: int, item_key: int) -> WorklistItem | None:
        """Return an item, or None."""
        ...

    async def change(
        self, tenant_id: int, item_key: int, work: Callable[[WorklistItem], WorklistItem]
    ) -> WorklistItem | None:
        """Keep what `work` makes of the item, with nobody else changing it meanwhile; None: there is no such item.

        Raises:
            Conflict: the study has another step of this Scheduled Procedure Step ID.
        """
        ...

    async def remove(self, tenant_id: int, item_key: int) -> bool:
        """Forget an item; False when there is none. Performed steps that refer to it stay."""
        ...

    async def forget_ended(self, tenant_id: int, before: datetime, limit: int) -> int:
        """Forget up to `limit` items that are not open and changed last before that; return how many they were."""
        ...

    def search(self, tenant_id: int, query: WorklistQuery) -> AsyncGenerator[WorklistItem]:
        """Yield what a query finds, earliest start first, from a cursor (flat memory)."""
        ...

    async def count(self, tenant_id: int, query: WorklistQuery) -> int:
        """Return how many items a query finds, whatever its limit and offset."""
        ...
