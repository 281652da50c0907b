"""What may be written into a workitem, what a final state asks for, and what subscribers are told of a change.

Reference: PS3.4 Annex CC
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from hilum.archive.model import DicomJson
from hilum.archive.workitem_attributes import ENUMERATED_VALUES, REQUIREMENTS, Requirement
from hilum.archive.workitems import (
    Workitem,
    WorkitemEventType,
    WorkitemProblem,
    WorkitemReport,
    WorkitemState,
)
from hilum.dicom.data_sets import write_data_set
from hilum.dicom.dictionary import keyword_of, tag_of, vr_of
from hilum.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, UNIFIED_PROCEDURE_STEP_PUSH
from hilum.kernel.errors import Conflict, InvalidInput

DEFAULT_WORKLIST_LABEL: Final = "DEFAULT"
"""What stands as Worklist Label where the creator left it to us."""

_TRANSACTION_UID: Final = tag_of("TransactionUID")
_STATE: Final = tag_of("ProcedureStepState")
_READINESS: Final = tag_of("InputReadinessState")
_PROGRESS: Final = tag_of("ProcedureStepProgressInformationSequence")
_STATION: Final = tag_of("ScheduledStationNameCodeSequence")
_PERFORMERS: Final = tag_of("ScheduledHumanPerformersSequence")
_CANCELLATION_TIME: Final = tag_of("ProcedureStepCancellationDateTime")
_REASON: Final = tag_of("ReasonForCancellation")
_REASON_CODE: Final = tag_of("ProcedureStepDiscontinuationReasonCodeSequence")
_CONTACT: Final = (tag_of("ContactURI"), tag_of("ContactDisplayName"))
_COMMUNICATIONS: Final = tag_of("ProcedureStepCommunicationsURISequence")
_CONDITION_OF: Final = {WorkitemState.COMPLETED: "RPp", WorkitemState.CANCELED: "RX"}


@dataclass(frozen=True, slots=True)
class Change:
    """A workitem as it is to be kept, and what to tell of it. `is_modified`: not all is kept that was sent."""

    workitem: Workitem
    reports: tuple[WorkitemReport, ...]
    is_modified: bool = False


# --- creating and changing ---------------------------------------------------------------------------------------


def created(sop_instance_uid: str, attributes: DicomJson, now: datetime) -> Change:
    """Return the new workitem that the attributes make.

    Attributes that may be empty may be left out, and are kept as empty. What only its performer may write is dropped.

    Raises:
        InvalidInput: an attribute is missing, has no value where it needs one, or one that is not allowed.
        Conflict: the workitem is to begin in another state than SCHEDULED.

    Reference: PS3.4 §CC.2.5.2, Table CC.2.5-3
    """
    kept = dict(attributes)
    is_modified = False
    if has_value(kept.get(_TRANSACTION_UID)):
        raise _wrong("TransactionUID", "is given by whoever takes the workitem, later")
    for tag, requirement in REQUIREMENTS.items():
        if requirement.created == "-":
            is_modified |= has_value(kept.pop(tag, None))
        if requirement.created == "1":
            _demand(requirement, kept.get(tag))
        if requirement.created in "-2" and tag != _TRANSACTION_UID:
            kept.setdefault(tag, {"vr": vr_of(tag)})
        _check_items(requirement, kept.get(tag))
    if first_value(kept, "ProcedureStepState") != WorkitemState.SCHEDULED:
        raise Conflict("a workitem begins in the state SCHEDULED", code=WorkitemProblem.NOT_SCHEDULED)
    _check_values(kept)
    _check_writable(kept)
    if not has_value(kept.get(tag_of("WorklistLabel"))):
        kept |= _element("WorklistLabel", DEFAULT_WORKLIST_LABEL)
    kept |= _element("SOPClassUID", UNIFIED_PROCEDURE_STEP_PUSH) | _element("SOPInstanceUID", sop_instance_uid)
    kept |= _element("ProcedureStepState", WorkitemState.SCHEDULED)
    workitem = _stamped(Workitem(sop_instance_uid, WorkitemState.SCHEDULED, kept), now)
    reports = (state_report(workitem.attributes), *_assignments(workitem.attributes))
    return Change(workitem, reports, is_modified)


def changed(workitem: Workitem, modifications: DicomJson, now: datetime) -> Change:
    """Return the workitem with the modifications in it; sequences are replaced as a whole.

    Attributes that never change are passed over when they say what stands there already.

    Raises:
        InvalidInput: an attribute may not be changed, or not to this.

    Reference: PS3.4 §CC.2.6.2, Table CC.2.5-3
    """
    before = workitem.attributes
    after = dict(before)
    for tag, element in modifications.items():
        requirement = REQUIREMENTS.get(tag)
        if requirement is not None:
            if requirement.changed == "s" or tag == _TRANSACTION_UID:
                continue
            if requirement.changed == "-":
                if _content(element) != _content(before.get(tag)):
                    raise _wrong(requirement.keyword, "may not be changed")
                continue
            if requirement.changed == "1" and not has_value(element):
                raise _empty(requirement.keyword)
            _check_items(requirement, element)
        after[tag] = element
    _check_values(after)
    _check_writable(after)
    result = _stamped(replace(workitem, attributes=after), now)
    reports: list[WorkitemReport] = []
    if _differs(before, after, _READINESS):
        reports.append(state_report(after))
    if _differs(before, after, _PROGRESS):
        reports.append(
            WorkitemReport(WorkitemEventType.PROGRESS_REPORT, {_PROGRESS: after.get(_PROGRESS, {"vr": "SQ"})})
        )
    if _differs(before, after, _STATION) or _differs(before, after, _PERFORMERS):
        reports += _assignments(after)
    return Change(result, tuple(reports))


# --- states ------------------------------------------------------------------------------------------------------


def missing_for(state: WorkitemState, attributes: DicomJson) -> list[str]:
    """Return the keywords of what a workitem lacks before it may come to a final state.

    Reference: PS3.4 §CC.2.1.3, Table CC.2.5-3 (final state)
    """
    conditions = _CONDITION_OF.get(state, "")
    return _missing(REQUIREMENTS, attributes, conditions) if conditions else []


def _missing(requirements: Mapping[str, Requirement], attributes: DicomJson, conditions: str) -> list[str]:
    gaps: list[str] = []
    for tag, requirement in requirements.items():
        if requirement.final not in conditions:
            continue
        element = attributes.get(tag)
        if element is None or (requirement.final != "p" and not has_value(element)):
            gaps.append(requirement.keyword)
        for item in _items(element):
            gaps += _missing(requirement.items, item, conditions)
    return gaps


def in_state(workitem: Workitem, state: WorkitemState, now: datetime) -> Change:
    """Return the workitem in another state, and the report of it.

    Reference: PS3.4 §CC.2.1.3
    """
    attributes = workitem.attributes | _element("ProcedureStepState", state)
    result = _stamped(replace(workitem, state=state, attributes=attributes), now)
    return Change(result, (state_report(result.attributes),))


def canceled_on_request(workitem: Workitem, request: DicomJson, now: datetime) -> Change:
    """Return the SCHEDULED workitem as canceled by us, who had it: with when and why.

    It goes through IN PROGRESS, and both states are reported.

    Raises:
        InvalidInput: a value of the request does not fit its attribute.

    Reference: PS3.4 §CC.2.2.3
    """
    item: DicomJson = {_CANCELLATION_TIME: {"vr": "DT", "Value": [date_time(now)]}}
    item |= {tag: request[tag] for tag in (_REASON, _REASON_CODE) if has_value(request.get(tag))}
    item.setdefault(_REASON_CODE, {"vr": "SQ", "Value": [_DISCONTINUED]})
    contact = {tag: request[tag] for tag in _CONTACT if has_value(request.get(tag))}
    _check_writable(item | contact)
    if contact:
        item[_COMMUNICATIONS] = {"vr": "SQ", "Value": [contact]}
    taken = in_state(workitem, WorkitemState.IN_PROGRESS, now)
    attributes = taken.workitem.attributes | {_PROGRESS: {"vr": "SQ", "Value": [dict(sorted(item.items()))]}}
    ended = in_state(replace(taken.workitem, attributes=attributes), WorkitemState.CANCELED, now)
    return Change(ended.workitem, taken.reports + ended.reports)


def cancel_request(request: DicomJson, requesting_ae_title: str) -> WorkitemReport:
    """Return the report by which the performer learns that somebody wants a workitem canceled.

    Raises:
        InvalidInput: a value of the request does not fit its attribute.

    Reference: PS3.4 §CC.2.2.3, Table CC.2.4-1
    """
    tags = (*_CONTACT, _REASON, _REASON_CODE)
    information = {tag: request[tag] for tag in tags if has_value(request.get(tag))}
    _check_writable(information)
    return WorkitemReport(
        WorkitemEventType.CANCEL_REQUESTED,
        dict(sorted((information | _element("RequestingAE", requesting_ae_title)).items())),
    )


def state_report(attributes: DicomJson) -> WorkitemReport:
    """Return the report of a workitem's state.

    Reference: PS3.4 Table CC.2.4-1
    """
    information = {tag: attributes[tag] for tag in (_READINESS, _STATE)}
    if attributes[_STATE]["Value"] == [WorkitemState.CANCELED]:
        for item in _items(attributes.get(_PROGRESS)):
            information |= {tag: item[tag] for tag in (_REASON, _REASON_CODE) if has_value(item.get(tag))}
    return WorkitemReport(WorkitemEventType.STATE_REPORT, dict(sorted(information.items())))


def restart_report() -> WorkitemReport:
    """Return the report that this service is there again, and that nothing was lost.

    Reference: PS3.4 Table CC.2.4-1
    """
    return WorkitemReport(
        WorkitemEventType.SCP_STATUS_CHANGE,
        _element("SCPStatus", "RESTARTED")
        | _element("SubscriptionListStatus", "WARM START")
        | _element("UnifiedProcedureStepListStatus", "WARM START"),
    )


def _assignments(attributes: DicomJson) -> list[WorkitemReport]:
    """Return a report for each human performer, or one for the station alone; none when nobody is assigned."""
    station = {_STATION: attributes[_STATION]} if _items(attributes.get(_STATION)) else {}
    people = [
        {tag: person[tag] for tag in _PERSON if has_value(person.get(tag))}
        for person in _items(attributes.get(_PERFORMERS))
    ]
    return [
        WorkitemReport(WorkitemEventType.ASSIGNED, dict(sorted((station | person).items())))
        for person in people or [{}]
        if station or person
    ]


_PERSON: Final = (tag_of("HumanPerformerCodeSequence"), tag_of("HumanPerformerOrganization"))


# --- elements ----------------------------------------------------------------------------------------------------


def date_time(moment: datetime) -> str:
    """Return a moment in UTC as a DT value.

    Reference: PS3.5 §6.2
    """
    return moment.strftime("%Y%m%d%H%M%S.%f+0000")


def has_value(element: Mapping[str, Any] | None) -> bool:
    """Return whether an attribute is there and not empty."""
    if element is None:
        return False
    if "InlineBinary" in element or "BulkDataURI" in element:
        return True
    return any(value not in (None, "") for value in element.get("Value", ()))


def first_value(attributes: DicomJson, keyword: str) -> str | None:
    """Return the first value of an attribute as text without padding, None when it has none or is no text."""
    element = attributes.get(tag_of(keyword))
    value = next(iter(element.get("Value", ())), None) if element else None
    return value.strip(" \0") if isinstance(value, str) else None


def _element(keyword: str, value: str) -> DicomJson:
    tag = tag_of(keyword)
    return {tag: {"vr": vr_of(tag), "Value": [str(value)]}}


# Code Value, designator and meaning of CID 9300 for those who give no reason.
_DISCONTINUED: Final = (
    _element("CodeValue", "110513")
    | _element("CodingSchemeDesignator", "DCM")
    | _element("CodeMeaning", "Discontinued for unspecified reason")
)


def _stamped(workitem: Workitem, now: datetime) -> Workitem:
    attributes = workitem.attributes | _element("ScheduledProcedureStepModificationDateTime", date_time(now))
    return replace(workitem, attributes=dict(sorted(attributes.items())))


def _items(element: Mapping[str, Any] | None) -> list[DicomJson]:
    return [item for item in (element or {}).get("Value", ()) if isinstance(item, dict)]


def _content(element: Mapping[str, Any] | None) -> Any:
    return element.get("Value") or None if element else None


def _differs(before: DicomJson, after: DicomJson, tag: str) -> bool:
    return bool(_content(before.get(tag)) != _content(after.get(tag)))


def _check_items(requirement: Requirement, element: Mapping[str, Any] | None) -> None:
    for item in _items(element):
        for tag, inner in requirement.items.items():
            if inner.created == "1":
                _demand(inner, item.get(tag))
            _check_items(inner, item.get(tag))


def _demand(requirement: Requirement, element: Mapping[str, Any] | None) -> None:
    if element is None:
        raise InvalidInput(f"{requirement.keyword} is missing", code="missing-attribute", attribute=requirement.keyword)
    if not has_value(element):
        raise _empty(requirement.keyword)


def _check_values(attributes: DicomJson) -> None:
    for tag, allowed in ENUMERATED_VALUES.items():
        values = attributes.get(tag, {}).get("Value", ())
        if len(values) != 1 or str(values[0]).strip(" \0") not in allowed:
            raise _wrong(str(keyword_of(tag)), f"is one of {', '.join(sorted(allowed))}")


def _check_writable(attributes: DicomJson) -> None:
    """Refuse what could not be given back: one odd value would keep whoever asks from all the rest."""
    write_data_set(attributes, EXPLICIT_VR_LITTLE_ENDIAN)


def _empty(keyword: str) -> InvalidInput:
    return InvalidInput(f"{keyword} has no value", code="missing-value", attribute=keyword)


def _wrong(keyword: str, rule: str) -> InvalidInput:
    return InvalidInput(f"{keyword} {rule}", code="invalid-attribute", attribute=keyword)
