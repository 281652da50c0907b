"""The modality worklist under /api/worklist, and what was performed of it under /api/procedure-steps.

Readers look; who may store may schedule, change and remove.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from hilum.archive.model import Permission
from hilum.archive.procedure_steps import PerformedStatus, PerformedStep
from hilum.archive.query import Level, Match
from hilum.archive.query import Query as ArchiveQuery
from hilum.archive.worklist import (
    FIELDS,
    MULTIPLE_FIELDS,
    OPEN_STATUSES,
    StepStatus,
    WorklistItem,
    WorklistQuery,
    values_at,
)
from hilum.console.access import allowed
from hilum.console.problems import problems
from hilum.dicom.conditions import Single, parse_condition
from hilum.dicom.dictionary import path_of, vr_of
from hilum.dicom.temporal import temporal_interval
from hilum.kernel.errors import InvalidInput
from hilum.kernel.limits import DEFAULT_QUERY_RESULTS, MAX_QUERY_OFFSET, MAX_WORKLIST_RESULTS
from hilum.services.procedure_steps import ProcedureStepService
from hilum.services.search import SearchService
from hilum.services.worklist import FieldValue, WorklistEntry, WorklistService

ItemId = Annotated[int, Path(ge=1, lt=2**63)]

_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_START_DATE: Final = path_of("PerformedProcedureStepStartDate")
_START_TIME: Final = path_of("PerformedProcedureStepStartTime")
_END_DATE: Final = path_of("PerformedProcedureStepEndDate")
_END_TIME: Final = path_of("PerformedProcedureStepEndTime")
_SERIES: Final = path_of("PerformedSeriesSequence")
_SERIES_UID: Final = path_of("SeriesInstanceUID")
_IMAGES: Final = path_of("ReferencedImageSequence")
_OTHER_INSTANCES: Final = path_of("ReferencedNonImageCompositeSOPInstanceSequence")


@dataclass(frozen=True, slots=True)
class WorklistServices:
    """What this part of the API needs."""

    worklist: WorklistService
    procedure_steps: ProcedureStepService
    search: SearchService


class StepFields(BaseModel):
    """A scheduled procedure step; names are written as DICOM has them: `Doe^Jane`, `Yamada^Tarou=山田^太郎`."""

    model_config = ConfigDict(extra="forbid")

    patient_name: str | None = None
    patient_id: str | None = None
    issuer_of_patient_id: str | None = None
    patient_birth_date: date | None = None
    patient_sex: str | None = Field(None, description="M, F or O.")
    patient_size: float | None = Field(None, description="Metres.")
    patient_weight: float | None = Field(None, description="Kilograms.")
    pregnancy_status: int | None = Field(None, description="1 not, 2 possibly, 3 definitely pregnant, 4 unknown.")
    medical_alerts: list[str] = []
    allergies: list[str] = []
    additional_patient_history: str | None = None
    admission_id: str | None = None
    current_patient_location: str | None = None
    accession_number: str | None = None
    referring_physician_name: str | None = None
    requesting_physician: str | None = None
    requesting_service: str | None = None
    study_instance_uid: str | None = Field(None, description="Made when it is not given.")
    requested_procedure_id: str | None = Field(None, description="Made when it is not given.")
    requested_procedure_description: str | None = None
    requested_procedure_priority: str | None = Field(None, description="STAT, HIGH, ROUTINE, MEDIUM or LOW.")
    reason_for_the_requested_procedure: str | None = None
    scheduled_station_ae_title: list[str] = Field([], description="Each station the step may be performed on.")
    scheduled_station_name: list[str] = []
    scheduled_procedure_step_start_date: date | None = None
    scheduled_procedure_step_start_time: time | None = Field(None, description="Local time, without a zone.")
    modality: str | None = None
    scheduled_performing_physician_name: str | None = None
    scheduled_procedure_step_description: str | None = None
    scheduled_procedure_step_location: str | None = None
    scheduled_procedure_step_id: str | None = Field(None, description="Made when it is not given.")
    comments_on_the_scheduled_procedure_step: str | None = None
    pre_medication: str | None = None
    requested_contrast_agent: str | None = None
    attributes: dict[str, Any] = Field(
        {}, description="Any attributes in the DICOM JSON model. A field wins over the same attribute."
    )


class StepEntry(StepFields):
    """What is entered of a step, or changed in it. Of a change, what is left out stays and null takes away."""

    status: StepStatus | None = Field(None, description="SCHEDULED for a new step, unless another is given.")


class PerformedStepSummary(BaseModel):
    """What a modality reported of an examination. Dates and times are the modality's own."""

    sop_instance_uid: str
    status: PerformedStatus
    performed_station_ae_title: str | None
    performed_procedure_step_start_date: date | None
    performed_procedure_step_start_time: time | None
    performed_procedure_step_end_date: date | None
    performed_procedure_step_end_time: time | None
    study_instance_uids: list[str]
    series_instance_uids: list[str]
    instance_count: int = Field(description="Instances that the modality says it has made.")
    item_ids: list[int] = Field(description="Items of the worklist it was performed for.")


class PerformedStepDetails(PerformedStepSummary):
    """The same with all the modality sent."""

    attributes: dict[str, Any]


class StepItem(StepFields):
    """An item of the worklist."""

    item_id: int
    status: StepStatus
    created_at: datetime
    changed_at: datetime


class StepItemDetails(StepItem):
    """An item with what was performed of it."""

    study_is_stored: bool = Field(description="Whether the archive holds instances of its study.")
    performed_steps: list[PerformedStepSummary]


class StepItemList(BaseModel):
    """Items of the worklist, earliest first; `total` counts those on other pages too."""

    items: list[StepItem]
    total: int


class PerformedStepList(BaseModel):
    """Performed procedure steps, oldest first."""

    procedure_steps: list[PerformedStepSummary]


class ItemQuery(BaseModel):
    """What items are searched by. In text `*` stands for any characters and `?` for one."""

    model_config = ConfigDict(extra="forbid")

    date_from: date | None = Field(None, description="First day on which the step is scheduled.")
    date_to: date | None = Field(None, description="Last day.")
    modality: str | None = None
    station: str | None = Field(None, description="AE title of a station it is scheduled for.")
    patient_name: str | None = Field(None, description="Beginnings of the words of the name, in any order.")
    patient_id: str | None = None
    accession_number: str | None = None
    study_instance_uid: str | None = None
    status: list[StepStatus] = Field(
        [], description="Statuses; without, steps that are to be performed or being so, unless `all` is set."
    )
    all: bool = Field(False, description="Steps of every status.")
    limit: int = Field(DEFAULT_QUERY_RESULTS, ge=1, le=MAX_WORKLIST_RESULTS)
    offset: int = Field(0, ge=0, le=MAX_QUERY_OFFSET)


_QUERY_PATHS: Final = {
    "date_from": FIELDS["scheduled_procedure_step_start_date"],
    "modality": FIELDS["modality"],
    "station": FIELDS["scheduled_station_ae_title"],
    "patient_name": FIELDS["patient_name"],
    "patient_id": FIELDS["patient_id"],
    "accession_number": FIELDS["accession_number"],
    "study_instance_uid": FIELDS["study_instance_uid"],
}


def worklist_routes(services: WorklistServices) -> APIRouter:
    """Return the routes, to be included in the console API."""
    routes = APIRouter(tags=["worklist"])

    async def details(tenant_id: int, item: WorklistItem) -> StepItemDetails:
        performed = await services.procedure_steps.of_items(tenant_id, [item.item_key])
        study = Match(FIELDS["study_instance_uid"], Single(item.text("study_instance_uid")))
        return StepItemDetails(
            **_fields_of(item),
            study_is_stored=await services.search.count(tenant_id, ArchiveQuery(Level.STUDY, (study,))) > 0,
            performed_steps=[_summary(step) for step in performed],
        )

    @routes.get("/worklist", responses=problems(400, 401, 403))
    async def list_items(query: Annotated[ItemQuery, Query()], request: Request) -> StepItemList:
        """Search the worklist."""
        tenant_id = allowed(request, Permission.READ).tenant.tenant_id
        asked = _query(query)
        items = [StepItem(**_fields_of(item)) async for item in services.worklist.search(tenant_id, asked)]
        return StepItemList(items=items, total=await services.worklist.count(tenant_id, asked))

    @routes.post("/worklist", status_code=201, responses=problems(400, 401, 403, 409))
    async def add_item(entry: StepEntry, request: Request) -> StepItem:
        """Schedule a procedure step. Modalities find it at once."""
        tenant_id = allowed(request, Permission.STORE).tenant.tenant_id
        return StepItem(**_fields_of(await services.worklist.schedule(tenant_id, _entry(entry))))

    @routes.get("/worklist/{item_id}", responses=problems(400, 401, 403, 404))
    async def read_item(item_id: ItemId, request: Request) -> StepItemDetails:
        """Return an item with what was performed of it."""
        tenant_id = allowed(request, Permission.READ).tenant.tenant_id
        return await details(tenant_id, await services.worklist.find(tenant_id, item_id))

    @routes.patch("/worklist/{item_id}", responses=problems(400, 401, 403, 404, 409))
    async def change_item(item_id: ItemId, entry: StepEntry, request: Request) -> StepItem:
        """Change what is given, and leave the rest as it is."""
        tenant_id = allowed(request, Permission.STORE).tenant.tenant_id
        return StepItem(**_fields_of(await services.worklist.change(tenant_id, item_id, _entry(entry))))

    @routes.delete("/worklist/{item_id}", status_code=204, responses=problems(400, 401, 403, 404))
    async def remove_item(item_id: ItemId, request: Request) -> Response:
        """Remove an item. What modalities reported of it stays."""
        await services.worklist.remove(allowed(request, Permission.STORE).tenant.tenant_id, item_id)
        return Response(status_code=204)

    @routes.get("/procedure-steps", responses=problems(400, 401, 403))
    async def list_procedure_steps(study_instance_uid: str, request: Request) -> PerformedStepList:
        """List what modalities reported of a study."""
        tenant_id = allowed(request, Permission.READ).tenant.tenant_id
        found = await services.procedure_steps.of_study(tenant_id, study_instance_uid)
        return PerformedStepList(procedure_steps=[_summary(step) for step in found])

    @routes.get("/procedure-steps/{sop_instance_uid}", responses=problems(401, 403, 404))
    async def read_procedure_step(sop_instance_uid: str, request: Request) -> PerformedStepDetails:
        """Return a performed procedure step with all the modality sent."""
        step = await services.procedure_steps.find(allowed(request, Permission.READ).tenant.tenant_id, sop_instance_uid)
        return PerformedStepDetails(**_summary(step).model_dump(), attributes=step.attributes)

    return routes


def _entry(entry: StepEntry) -> WorklistEntry:
    given = entry.model_dump(exclude_unset=True)
    attributes, status = given.pop("attributes", {}), given.pop("status", None)
    return WorklistEntry({name: _dicom_value(value) for name, value in given.items()}, attributes, status)


def _dicom_value(value: Any) -> FieldValue:
    """Return a value as DICOM writes it."""
    match value:
        case date():
            return value.strftime("%Y%m%d")
        case time():
            if value.tzinfo is not None:
                raise InvalidInput(
                    "scheduled_procedure_step_start_time is local time and has no zone", code="invalid-value"
                )
            return value.strftime("%H%M%S.%f" if value.microsecond else "%H%M%S")
    result: FieldValue = value
    return result


def _query(query: ItemQuery) -> WorklistQuery:
    matches = []
    ends = [f"{end:%Y%m%d}" if end else "" for end in (query.date_from, query.date_to)]
    texts = {name: getattr(query, name) for name in _QUERY_PATHS if name != "date_from"}
    texts["date_from"] = "-".join(ends) if any(ends) else None
    for name, path in _QUERY_PATHS.items():
        if texts[name]:
            try:
                condition = parse_condition(vr_of(path[-1]), texts[name], fuzzy=name == "patient_name")
            except InvalidInput as error:
                raise InvalidInput(f"{name}: {error.message}", code=error.reason_code) from error
            matches.append(Match(path, condition))
    statuses = None if query.all else frozenset(query.status) or OPEN_STATUSES
    return WorklistQuery(tuple(matches), statuses, query.limit, query.offset)


def _fields_of(item: WorklistItem) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, path in FIELDS.items():
        values = [_shown(vr_of(path[-1]), value) for value in values_at(item.attributes, path)]
        fields[name] = values if name in MULTIPLE_FIELDS else next(iter(values), None)
    return fields | {
        "item_id": item.item_key,
        "status": item.status,
        "created_at": item.created_at,
        "changed_at": item.changed_at,
        "attributes": item.attributes,
    }


def _shown(vr: str, value: Any) -> Any:
    if vr == "PN":
        return "=".join(value.get(group, "") for group in _GROUPS).rstrip("=")
    if vr in ("DA", "TM"):
        interval = temporal_interval(vr, str(value))
        return interval and (interval[0].date() if vr == "DA" else interval[0].time())
    return value.strip() if isinstance(value, str) else value


def _summary(step: PerformedStep) -> PerformedStepSummary:
    series = values_at(step.attributes, _SERIES)

    def first(vr: str, path: tuple[str, ...]) -> Any:
        return next((_shown(vr, value) for value in values_at(step.attributes, path)), None)

    return PerformedStepSummary(
        sop_instance_uid=step.sop_instance_uid,
        status=step.status,
        performed_station_ae_title=first("AE", path_of("PerformedStationAETitle")),
        performed_procedure_step_start_date=first("DA", _START_DATE),
        performed_procedure_step_start_time=first("TM", _START_TIME),
        performed_procedure_step_end_date=first("DA", _END_DATE),
        performed_procedure_step_end_time=first("TM", _END_TIME),
        study_instance_uids=_distinct(reference.study_instance_uid for reference in step.references),
        series_instance_uids=_distinct(str(uid) for each in series for uid in values_at(each, _SERIES_UID)),
        instance_count=sum(len(values_at(each, path)) for each in series for path in (_IMAGES, _OTHER_INSTANCES)),
        item_ids=list(step.item_keys),
    )


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
