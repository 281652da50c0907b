"""What a modality has to say of a procedure step it performs, and what it may change of it later.

Reference: PS3.4 §F.7.2, Table F.7.2-1
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from hilum.archive.model import DicomJson
from hilum.archive.procedure_steps import PerformedStatus
from hilum.archive.worklist import values_at
from hilum.dicom.dictionary import keyword_of, path_of, tag_of, vr_of
from hilum.kernel.errors import Conflict, InvalidInput

Rules = Mapping[str, "str | Rules"]
"""Tag to the type of its attribute, or to the rules of a sequence's items (key "" has the type of the sequence)."""


def _rules(text: str) -> Rules:
    """Return the tree of lines "path type"."""
    tree: dict[str, Any] = {}
    for line in text.strip().splitlines():
        path, kind = line.split()
        *above, tag = path_of(path)
        node = tree
        for parent in above:
            node = node[parent]
        node[tag] = {"": kind} if vr_of(tag) == "SQ" else kind
    return MappingProxyType(tree)


ON_CREATION: Final = _rules(
    """
ScheduledStepAttributesSequence 1
ScheduledStepAttributesSequence.StudyInstanceUID 1
ScheduledStepAttributesSequence.ReferencedStudySequence 2
ScheduledStepAttributesSequence.AccessionNumber 2
ScheduledStepAttributesSequence.RequestedProcedureID 2
ScheduledStepAttributesSequence.RequestedProcedureDescription 2
ScheduledStepAttributesSequence.ScheduledProcedureStepID 2
ScheduledStepAttributesSequence.ScheduledProcedureStepDescription 2
ScheduledStepAttributesSequence.ScheduledProtocolCodeSequence 2
PatientName 2
PatientID 2
PatientBirthDate 2
PatientSex 2
ReferencedPatientSequence 2
PerformedProcedureStepID 1
PerformedStationAETitle 1
PerformedStationName 2
PerformedLocation 2
PerformedProcedureStepStartDate 1
PerformedProcedureStepStartTime 1
PerformedProcedureStepStatus 1
PerformedProcedureStepDescription 2
PerformedProcedureTypeDescription 2
ProcedureCodeSequence 2
PerformedProcedureStepEndDate 2
PerformedProcedureStepEndTime 2
Modality 1
StudyID 2
PerformedProtocolCodeSequence 2
PerformedSeriesSequence 2
"""
)
"""What N-CREATE has to bring: type 1 with a value, type 2 at least empty."""

_SERIES: Final = """
PerformedSeriesSequence.PerformingPhysicianName 2
PerformedSeriesSequence.ProtocolName 2
PerformedSeriesSequence.OperatorsName 2
PerformedSeriesSequence.SeriesInstanceUID 1
PerformedSeriesSequence.SeriesDescription 2
PerformedSeriesSequence.RetrieveAETitle 2
PerformedSeriesSequence.ReferencedImageSequence 2
PerformedSeriesSequence.ReferencedNonImageCompositeSOPInstanceSequence 2
"""
_END: Final = """
PerformedProcedureStepEndDate 1
PerformedProcedureStepEndTime 1
"""
ON_COMPLETION: Final = _rules(_END.strip() + "\nPerformedSeriesSequence 1" + _SERIES)
"""What a completed step has to have.

The standard has Protocol Name of type 1; modalities whose operators chose no protocol leave it empty.
"""
ON_DISCONTINUATION: Final = _rules(_END.strip() + "\nPerformedSeriesSequence 2" + _SERIES)
"""What a discontinued step has to have.

The standard wants a series here too; a modality that stopped before the first image has none to name.
"""

FIXED: Final = frozenset(
    tag_of(keyword)
    for keyword in (
        *("SpecificCharacterSet", "ScheduledStepAttributesSequence", "PatientName", "PatientID", "IssuerOfPatientID"),
        *("IssuerOfPatientIDQualifiersSequence", "OtherPatientIDsSequence", "PatientBirthDate", "PatientSex"),
        *("ReferencedPatientSequence", "AdmissionID", "IssuerOfAdmissionIDSequence", "ServiceEpisodeID"),
        *("IssuerOfServiceEpisodeIDSequence", "ServiceEpisodeDescription", "PerformedProcedureStepID"),
        *("PerformedStationAETitle", "PerformedStationName", "PerformedLocation", "PerformedProcedureStepStartDate"),
        *("PerformedProcedureStepStartTime", "Modality", "StudyID"),
    )
)
"""What N-SET may not change."""

_CHARACTER_SET: Final = tag_of("SpecificCharacterSet")
_STATUS: Final = tag_of("PerformedProcedureStepStatus")
_FINAL: Final[Mapping[PerformedStatus, Rules]] = MappingProxyType(
    {PerformedStatus.COMPLETED: ON_COMPLETION, PerformedStatus.DISCONTINUED: ON_DISCONTINUATION}
)


@dataclass(frozen=True, slots=True)
class Accepted:
    """What becomes of a report.

    `added` are attributes kept empty that the modality ought to have sent, `unchanged` those it wanted to change and
    may not, as top-level tags.
    """

    attributes: DicomJson
    status: PerformedStatus
    added: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()


def accept_creation(attributes: DicomJson) -> Accepted:
    """Return the step a modality begins. Attributes of type 2 that are missing count as empty.

    Raises:
        InvalidInput: an attribute of type 1 is missing or empty (codes `missing-attribute`, `missing-value`; the fact
            `attributes` lists the keywords), or the status is not IN PROGRESS (`attribute` names it).

    Reference: PS3.4 §F.7.2.1
    """
    given = {tag: element for tag, element in attributes.items() if tag != _CHARACTER_SET}
    _check_sequences(given)
    accepted = _completed(given, ON_CREATION)
    status = _status(accepted)
    if status is not PerformedStatus.IN_PROGRESS:
        raise _bad_status("a step begins IN PROGRESS")
    return Accepted(accepted, status, _added(given, accepted))


def accept_change(present: DicomJson, status: PerformedStatus, changes: DicomJson) -> Accepted:
    """Return the step with the modality's changes: each attribute, a sequence as a whole, in place of what was there.

    What may not be changed stays, without complaint if the modality repeats it. Attributes of type 2 that are missing
    when the step ends count as empty.

    Args:
        present: the step's attributes so far.
        status: its status so far.

    Raises:
        Conflict: the step has ended (code `step-ended`).
        InvalidInput: the status is none, or the step ends without what a step that has ended needs.

    Reference: PS3.4 §F.7.2.2
    """
    if status is not PerformedStatus.IN_PROGRESS:
        raise Conflict("the performed procedure step has ended and may no longer be updated", code="step-ended")
    _check_sequences(changes)
    given = {tag: element for tag, element in changes.items() if tag not in FIXED}
    merged = dict(sorted((present | given).items()))
    new = _status(merged)
    accepted = _completed(merged, _FINAL[new]) if new in _FINAL else merged
    unchanged = tuple(
        tag
        for tag, element in changes.items()
        if tag in FIXED - {_CHARACTER_SET} and _kept_form(tag, element) != present.get(tag)
    )
    return Accepted(accepted, new, _added(merged, accepted), unchanged)


def _check_sequences(attributes: DicomJson) -> None:
    """Refuse an attribute that is a sequence and should not be, or should be and is not: nobody could read it."""
    for tag, element in attributes.items():
        is_sequence = element["vr"] == "SQ"
        if vr_of(tag) != "UN" and is_sequence != (vr_of(tag) == "SQ"):
            keyword = keyword_of(tag) or tag
            raise InvalidInput(f"an attribute has another VR: {keyword}", code="invalid-value", attribute=keyword)
        for item in element.get("Value", ()) if is_sequence else ():
            _check_sequences(item)


def _kept_form(tag: str, element: Any) -> Any:
    """Return a fixed attribute as it would have been kept had it come on creation."""
    rule = ON_CREATION.get(tag)
    return element if rule is None else _checked({tag: element}, {tag: rule}, [], [])[tag]


def _status(attributes: DicomJson) -> PerformedStatus:
    try:
        return PerformedStatus(str(next(iter(values_at(attributes, (_STATUS,))), "")).strip())
    except ValueError:
        raise _bad_status("the status is none a performed procedure step can have") from None


def _bad_status(message: str) -> InvalidInput:
    return InvalidInput(message, code="step-status", attribute="PerformedProcedureStepStatus")


def _completed(attributes: DicomJson, rules: Rules) -> DicomJson:
    """Return the attributes with those of type 2 there, if those of type 1 are."""
    absent: list[str] = []
    empty: list[str] = []
    result = _checked(attributes, rules, absent, empty)
    for missing, code, fault in (
        (absent, "missing-attribute", "an attribute is missing"),
        (empty, "missing-value", "an attribute has no value"),
    ):
        if missing:
            keywords = [keyword_of(tag) or tag for tag in dict.fromkeys(missing)]
            raise InvalidInput(
                f"{fault}: {keywords[0]}", code=code, attribute=keywords[0], attributes=" ".join(keywords)
            )
    return result


def _checked(attributes: DicomJson, rules: Rules, absent: list[str], empty: list[str]) -> DicomJson:
    result = dict(attributes)
    for tag, rule in rules.items():
        if not tag:
            continue
        kind = rule if isinstance(rule, str) else rule[""]
        values = values_at(attributes, (tag,))
        if not values:
            if kind == "2":
                result[tag] = {"vr": vr_of(tag)}
            else:
                (empty if tag in attributes else absent).append(tag)
        elif not isinstance(rule, str):
            items: Sequence[DicomJson] = [_checked(item, rule, absent, empty) for item in values]
            result[tag] = {"vr": "SQ", "Value": items}
    return dict(sorted(result.items()))


def _added(given: DicomJson, accepted: DicomJson) -> tuple[str, ...]:
    return tuple(tag for tag in accepted if accepted[tag] != given.get(tag))
