"""N-CREATE, N-SET and N-GET of modality performed procedure steps.

Reference: PS3.4 Annex F
"""

from __future__ import annotations

from functools import partial
from typing import Final, Protocol

from hilum.archive.model import DicomJson
from hilum.archive.procedure_steps import PerformedStep
from hilum.archive.remotes import DimseUse
from hilum.dicom.data_sets import read_data_set, write_data_set
from hilum.dicom.dictionary import tag_of
from hilum.dicom.uids import MODALITY_PERFORMED_PROCEDURE_STEP, MODALITY_PERFORMED_PROCEDURE_STEP_RETRIEVE
from hilum.dimse import status
from hilum.dimse.messages import (
    NCreateRequest,
    NCreateResponse,
    NGetRequest,
    NGetResponse,
    NormalizedResponse,
    NSetRequest,
    NSetResponse,
)
from hilum.kernel.errors import Conflict, CorruptData, HilumError, InvalidInput, NotFound
from hilum.kernel.limits import MAX_UID_LENGTH
from hilum.scp.calls import Call, DimseService, Operation, gather, unrecognized
from hilum.scp.negotiation import MESSAGE_RULE
from hilum.scp.statuses import refusal, status_table
from hilum.services.procedure_steps import StepReport
from hilum.ul.negotiation import TransferSyntaxRule

PROCEDURE_STEP_STATUSES: Final = status_table(
    {
        InvalidInput: status.INVALID_ATTRIBUTE_VALUE,
        NotFound: status.NO_SUCH_SOP_INSTANCE,
        Conflict: status.DUPLICATE_SOP_INSTANCE,
        CorruptData: status.PROCESSING_FAILURE,
    },
    {
        "missing-attribute": status.MISSING_ATTRIBUTE,
        "missing-value": status.MISSING_ATTRIBUTE_VALUE,
        "step-ended": status.PROCESSING_FAILURE,
        "sop-instance": status.INVALID_SOP_INSTANCE,
        "sop-class": status.NO_SUCH_SOP_CLASS,
    },
)
"""N-CREATE, N-SET and N-GET of performed procedure steps (PS3.4 §F.7.2, §F.8.2; PS3.7 §10.1)."""

_MAY_NO_LONGER_BE_UPDATED: Final = 0xA710
"""Error ID that goes with 0110 for a step that has ended (PS3.4 Table F.7.2-2)."""

_CLASSES: Final = frozenset({MODALITY_PERFORMED_PROCEDURE_STEP, MODALITY_PERFORMED_PROCEDURE_STEP_RETRIEVE})
_UID_CHARACTERS: Final = frozenset("0123456789.")


class PerformedSteps(Protocol):
    """What this door needs of the service of performed procedure steps."""

    async def begin(
        self,
        tenant_id: int,
        sop_instance_uid: str | None,
        attributes: DicomJson,
        *,
        calling_ae_title: str | None = None,
    ) -> StepReport:
        """Keep a step that begins."""
        ...

    async def change(self, tenant_id: int, sop_instance_uid: str, changes: DicomJson) -> StepReport:
        """Change a step that is under way, or end it."""
        ...

    async def find(self, tenant_id: int, sop_instance_uid: str) -> PerformedStep:
        """Return a step."""
        ...


class PerformedProcedureStepService(DimseService):
    """Modality Performed Procedure Step, and its Retrieve SOP class (PS3.4 §F.7, §F.8).

    A data set comes with a response where the step is not just what the modality sent: attributes of type 2 that it
    left out are there, empty. What an N-SET wanted to change and may not is named in a warning.
    """

    use = DimseUse.PROCEDURE_STEP

    def __init__(self, steps: PerformedSteps) -> None:
        self._steps = steps

    def rule(self, abstract_syntax: str) -> TransferSyntaxRule | None:
        """Accept any encoding of a data set without pixels."""
        return MESSAGE_RULE if abstract_syntax in _CLASSES else None

    def begin(self, call: Call) -> Operation | None:
        """Act on a report or a question.

        Reference: PS3.7 §10.1.2, §10.1.3, §10.1.5
        """
        match call.request:
            case NCreateRequest() as request if call.abstract_syntax == MODALITY_PERFORMED_PROCEDURE_STEP:
                return gather(call, partial(self._create, call, request), PROCEDURE_STEP_STATUSES)
            case NSetRequest() as request if call.abstract_syntax == MODALITY_PERFORMED_PROCEDURE_STEP:
                return gather(call, partial(self._set, call, request), PROCEDURE_STEP_STATUSES)
            case NGetRequest() as request:
                return gather(call, partial(self._get, call, request), PROCEDURE_STEP_STATUSES)
        return unrecognized(call)

    async def _create(self, call: Call, request: NCreateRequest, data: bytes) -> None:
        """Answer N-CREATE (PS3.4 §F.7.2.1)."""
        uid = (request.affected_sop_instance_uid or "").strip()
        try:
            _check_class(request.affected_sop_class_uid)
            _check_uid(uid or "1")
            report = await self._steps.begin(
                call.caller.tenant_id,
                uid or None,
                read_data_set(data, call.transfer_syntax) if data else {},
                calling_ae_title=call.caller.origin.calling_ae_title,
            )
        except HilumError as error:
            await _answer(call, NCreateResponse, uid, error=error)
        else:
            await _answer(call, NCreateResponse, report.step.sop_instance_uid, report=report)

    async def _set(self, call: Call, request: NSetRequest, data: bytes) -> None:
        """Answer N-SET (PS3.4 §F.7.2.2)."""
        uid = request.requested_sop_instance_uid.strip()
        try:
            _check_class(request.requested_sop_class_uid)
            _check_uid(uid)
            changes = read_data_set(data, call.transfer_syntax) if data else {}
            report = await self._steps.change(call.caller.tenant_id, uid, changes)
        except HilumError as error:
            await _answer(call, NSetResponse, uid, error=error)
        else:
            await _answer(call, NSetResponse, uid, report=report)

    async def _get(self, call: Call, request: NGetRequest, _data: bytes) -> None:
        """Answer N-GET (PS3.4 §F.8.2.1): all attributes, or those asked for."""
        uid = request.requested_sop_instance_uid.strip()
        try:
            _check_class(request.requested_sop_class_uid)
            _check_uid(uid)
            attributes = (await self._steps.find(call.caller.tenant_id, uid)).attributes
        except HilumError as error:
            await _answer(call, NGetResponse, uid, error=error)
            return
        asked = {f"{tag:08X}" for tag in request.attribute_identifier_list} or attributes.keys()
        found = {tag: attributes[tag] for tag in asked if tag in attributes}
        code = status.SUCCESS if len(found) == len(asked) else status.OPTIONAL_ATTRIBUTES_NOT_SUPPORTED
        await _respond(call, NGetResponse, uid, code, attributes=found)


async def _answer(
    call: Call,
    kind: type[NCreateResponse] | type[NSetResponse] | type[NGetResponse],
    uid: str,
    *,
    report: StepReport | None = None,
    error: HilumError | None = None,
) -> None:
    if error is not None:
        answer = refusal(error, PROCEDURE_STEP_STATUSES)
        keywords = str(error.facts.get("attributes") or error.facts.get("attribute") or "").split()
        await _respond(
            call,
            kind,
            uid,
            answer.status,
            error_comment=answer.error_comment,
            error_id=_MAY_NO_LONGER_BE_UPDATED if error.reason_code == "step-ended" else None,
            tags=tuple(tag_of(keyword) for keyword in keywords),
        )
    elif report is not None:
        await _respond(
            call,
            kind,
            uid,
            status.ATTRIBUTE_LIST_ERROR if report.unchanged else status.SUCCESS,
            tags=report.unchanged,
            attributes={tag: report.step.attributes[tag] for tag in report.added},
        )


async def _respond(
    call: Call,
    kind: type[NCreateResponse] | type[NSetResponse] | type[NGetResponse],
    uid: str,
    code: int,
    *,
    error_comment: str = "",
    error_id: int | None = None,
    tags: tuple[str, ...] = (),
    attributes: DicomJson | None = None,
) -> None:
    response: NormalizedResponse = kind(
        message_id_being_responded_to=call.request.message_id,
        status=code,
        error_comment=error_comment or None,
        error_id=error_id,
        affected_sop_class_uid=call.abstract_syntax,
        affected_sop_instance_uid=uid if _is_sendable(uid) else None,
        attribute_identifier_list=tuple(int(tag, 16) for tag in tags),
        has_data_set=bool(attributes),
    )
    if attributes:
        remote = call.caller.remote
        character_set = remote.character_set if remote is not None else None
        await call.respond_with(response, write_data_set(attributes, call.transfer_syntax, character_set=character_set))
    else:
        call.respond(response)


def _check_class(uid: str) -> None:
    """Let the SOP class be one of a performed procedure step; some modalities mix the two up."""
    if uid.strip() not in _CLASSES:
        raise InvalidInput("this is no SOP class of performed procedure steps", code="sop-class")


def _check_uid(uid: str) -> None:
    """Let what machines take for a UID pass, leading zeros and all; anything else names no step."""
    if not _is_sendable(uid):
        raise InvalidInput("the SOP Instance UID is missing or no UID", code="sop-instance")


def _is_sendable(uid: str) -> bool:
    return 0 < len(uid) <= MAX_UID_LENGTH and _UID_CHARACTERS.issuperset(uid)
