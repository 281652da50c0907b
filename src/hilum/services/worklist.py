"""The modality worklist: items are entered, changed, searched for and removed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

from hilum.archive.model import DicomJson
from hilum.archive.query import AttributePath
from hilum.archive.worklist import (
    FIELDS,
    MULTIPLE_FIELDS,
    REQUIRED_FIELDS,
    SEQUENCE,
    STATUS_PATH,
    TRANSITIONS,
    JobsOfItem,
    StepStatus,
    Worklist,
    WorklistItem,
    WorklistQuery,
    values_at,
    with_status,
)
from hilum.dicom.dictionary import tag_of, vr_of
from hilum.dicom.value_rules import check_data_set, value_fault
from hilum.kernel.clock import Clock
from hilum.kernel.errors import Conflict, InvalidInput, LimitExceeded, NotFound
from hilum.kernel.ids import new_number, new_uid
from hilum.kernel.limits import MAX_QUERY_OFFSET, MAX_WORKLIST_FIELD_VALUES

FieldValue: TypeAlias = str | float | Sequence[str] | None
"""A field's value or values as DICOM writes them (names with `^` and `=`); None or "" for none."""

_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_CHARACTER_SET: Final = tag_of("SpecificCharacterSet")
_DESCRIPTIONS: Final = ("scheduled_procedure_step_description", "requested_procedure_description")
# Sixteen characters at most (SH), few enough to be read out over a telephone.
_ID_DIGITS: Final = 10


@dataclass(frozen=True, slots=True)
class WorklistEntry:
    """What is entered of an item, or changed in it: fields by name, and any other attribute in DICOM JSON.

    A field wins over the same attribute. Of an item that is there already, what is not named stays as it is.
    """

    fields: Mapping[str, FieldValue] = field(default_factory=dict)
    attributes: DicomJson = field(default_factory=dict)
    status: StepStatus | None = None


class WorklistService:
    """Keeps the worklist of every tenant.

    Args:
        when_scheduled: the jobs to be done about an item that is newly scheduled; durable with it.
    """

    def __init__(
        self,
        worklist: Worklist,
        clock: Clock,
        *,
        when_scheduled: JobsOfItem | None = None,
    ) -> None:
        self._worklist = worklist
        self._clock = clock
        self._when_scheduled = when_scheduled

    async def schedule(self, tenant_id: int, entry: WorklistEntry) -> WorklistItem:
        """Keep a new item, durable once it returns.

        Study Instance UID, Scheduled Procedure Step ID and Requested Procedure ID are made where they are not given;
        of the descriptions of step and procedure one stands for the other.

        Raises:
            InvalidInput: a value is missing or unsound; the message and the fact `attribute` name it.
            Conflict: the study has a step of this id.
        """
        now = self._clock.now()
        attributes = _filled(_entered({SEQUENCE: {"vr": "SQ", "Value": [{}]}}, entry))
        status = _status(entry) or StepStatus.SCHEDULED
        item = with_status(WorklistItem(0, status, attributes, now, now), status, now)
        return await self._worklist.add(tenant_id, item, self._when_scheduled)

    async def change(self, tenant_id: int, item_key: int, entry: WorklistEntry) -> WorklistItem:
        """Change what the entry names, durable once it returns.

        Raises:
            InvalidInput: a value would be missing or is unsound.
            NotFound: there is no such item.
            Conflict: the item's status does not lead to that one, or the study has another step of this id.
        """
        now = self._clock.now()

        def work(item: WorklistItem) -> WorklistItem:
            status = _status(entry) or item.status
            if status is not item.status and status not in TRANSITIONS[item.status]:
                raise Conflict(f"a step that is {item.status} cannot become {status}", code="step-status")
            attributes = _checked(_entered(item.attributes, entry))
            return with_status(replace(item, attributes=attributes), status, now)

        item = await self._worklist.change(tenant_id, item_key, work)
        if item is None:
            raise _no_item()
        return item

    async def find(self, tenant_id: int, item_key: int) -> WorklistItem:
        """Return an item.

        Raises:
            NotFound: there is no such item.
        """
        item = await self._worklist.find(tenant_id, item_key)
        if item is None:
            raise _no_item()
        return item

    async def remove(self, tenant_id: int, item_key: int) -> None:
        """Forget an item.

        Raises:
            NotFound: there is no such item.
        """
        if not await self._worklist.remove(tenant_id, item_key):
            raise _no_item()

    def search(self, tenant_id: int, query: WorklistQuery) -> AsyncGenerator[WorklistItem]:
        """Yield the items a query finds, earliest first, in flat memory.

        Raises:
            LimitExceeded: the offset is beyond `limits.MAX_QUERY_OFFSET`.
        """
        if query.offset > MAX_QUERY_OFFSET:
            raise LimitExceeded(
                f"items beyond the first {MAX_QUERY_OFFSET} cannot be paged to; narrow the search",
                code="query-offset",
                limit=MAX_QUERY_OFFSET,
            )
        return self._worklist.search(tenant_id, query)

    async def count(self, tenant_id: int, query: WorklistQuery) -> int:
        """Return how many items a query finds, whatever its limit and offset."""
        return await self._worklist.count(tenant_id, query)


def _no_item() -> NotFound:
    return NotFound("there is no such worklist item", code="worklist-item")


def _entered(attributes: DicomJson, entry: WorklistEntry) -> DicomJson:
    """Return the attributes with those of the entry in place of their own."""
    given = check_data_set(entry.attributes)
    given.pop(_CHARACTER_SET, None)  # of the message they came in, if at all: text is Unicode here
    steps = given.pop(SEQUENCE, {"vr": "SQ", "Value": [{}]}).get("Value", [{}])
    if len(steps) != 1:
        raise InvalidInput(
            "ScheduledProcedureStepSequence has to have one item; each step is an item of the worklist by itself",
            code="invalid-value",
            attribute="ScheduledProcedureStepSequence",
        )
    step = {**values_at(attributes, (SEQUENCE,))[0], **steps[0]}
    result = {**attributes, **given, SEQUENCE: {"vr": "SQ", "Value": [step]}}
    for name, value in entry.fields.items():
        path = FIELDS[name]
        place = result if len(path) == 1 else step
        place[path[-1]] = _element(name, path, value)
    result[SEQUENCE] = {"vr": "SQ", "Value": [dict(sorted(step.items()))]}
    return dict(sorted(result.items()))


def _status(entry: WorklistEntry) -> StepStatus | None:
    """Return the status the entry asks for, be it in its data set."""
    given = values_at(entry.attributes, STATUS_PATH)
    if entry.status is not None or not given:
        return entry.status
    try:
        return StepStatus(str(given[0]).strip())
    except ValueError:
        raise _unsound("status", "is none of the known ones") from None


def _element(name: str, path: AttributePath, value: FieldValue) -> dict[str, Any]:
    vr = vr_of(path[-1])
    texts = [value] if isinstance(value, str | float | int) else list(value or ())
    values: list[Any] = []
    for text in texts:
        if isinstance(text, str) and not text.strip():
            continue
        worth = _name(text) if vr == "PN" and isinstance(text, str) else text
        fault = value_fault(vr, worth)
        if fault:
            raise _unsound(name, fault)
        values.append(worth)
    return {"vr": vr, "Value": values} if values else {"vr": vr}


def _name(text: str) -> dict[str, str]:
    groups = zip(_GROUPS, text.split("=", 2), strict=False)
    return {group: part for group, part in groups if part}


def _filled(attributes: DicomJson) -> DicomJson:
    """Return the attributes of a new item with what can be made, checked."""
    made: dict[str, FieldValue] = {
        "study_instance_uid": new_uid(),
        "scheduled_procedure_step_id": f"S{new_number(_ID_DIGITS)}",
        "requested_procedure_id": f"R{new_number(_ID_DIGITS)}",
    }
    for name, other in (_DESCRIPTIONS, _DESCRIPTIONS[::-1]):
        made[name] = next(iter(values_at(attributes, FIELDS[other])), None)
    missing = {name: value for name, value in made.items() if not values_at(attributes, FIELDS[name])}
    return _checked(_entered(attributes, WorklistEntry(missing)))


def _checked(attributes: DicomJson) -> DicomJson:
    """Return the attributes if a modality can work with them."""
    for name in (*REQUIRED_FIELDS, "study_instance_uid", "scheduled_procedure_step_id", *_DESCRIPTIONS):
        if not values_at(attributes, FIELDS[name]):
            raise _unsound(name, "is missing", code="missing-value")
    for name, path in FIELDS.items():
        count = len(values_at(attributes, path))
        if count > (MAX_WORKLIST_FIELD_VALUES if name in MULTIPLE_FIELDS else 1):
            raise _unsound(name, "has too many values")
    return attributes


def _unsound(name: str, fault: str, *, code: str = "invalid-value") -> InvalidInput:
    return InvalidInput(f"{name} {fault}", code=code, attribute=name)
