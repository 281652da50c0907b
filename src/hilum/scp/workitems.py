"""Unified procedure steps over DIMSE: create, change, take, finish, cancel, find and watch workitems.

Reference: PS3.4 Annex CC
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from typing import Any, Final, Protocol

from hilum.archive.model import DicomJson
from hilum.archive.remotes import DimseUse
from hilum.archive.workitems import Workitem, WorkitemQuery, WorkitemState, WorkitemWarning
from hilum.dicom.data_sets import read_data_set, write_data_set
from hilum.dicom.dictionary import tag_of
from hilum.dicom.uids import (
    UNIFIED_PROCEDURE_STEP_EVENT,
    UNIFIED_PROCEDURE_STEP_PULL,
    UNIFIED_PROCEDURE_STEP_PUSH,
    UNIFIED_PROCEDURE_STEP_QUERY,
    UNIFIED_PROCEDURE_STEP_WATCH,
)
from hilum.dimse import status
from hilum.dimse.messages import (
    CFindRequest,
    NActionRequest,
    NActionResponse,
    NCreateRequest,
    NCreateResponse,
    NGetRequest,
    NGetResponse,
    NSetRequest,
    NSetResponse,
    Request,
)
from hilum.kernel.errors import InvalidInput, Unsupported
from hilum.net.association import Association
from hilum.net.invocations import Invocations
from hilum.policies.workitems import first_value
from hilum.scp.calls import Call, Caller, DimseService, Operation, gather, unrecognized
from hilum.scp.negotiation import MESSAGE_RULE
from hilum.scp.statuses import FIND_STATUSES, WORKITEM_STATUSES
from hilum.scp.workitem_query import find_workitems
from hilum.scp.workitem_subscribers import PresentSubscribers
from hilum.ul.negotiation import TransferSyntaxRule

CHANGE_STATE: Final = 1
REQUEST_CANCEL: Final = 2
SUBSCRIBE: Final = 3
UNSUBSCRIBE: Final = 4
SUSPEND_GLOBAL: Final = 5

OPERATIONS: Final[Mapping[str, tuple[type[Request], ...]]] = {
    UNIFIED_PROCEDURE_STEP_PUSH: (NCreateRequest, NActionRequest, NGetRequest),
    UNIFIED_PROCEDURE_STEP_PULL: (CFindRequest, NGetRequest, NSetRequest, NActionRequest),
    UNIFIED_PROCEDURE_STEP_WATCH: (NActionRequest, NGetRequest, CFindRequest),
    UNIFIED_PROCEDURE_STEP_EVENT: (),
    UNIFIED_PROCEDURE_STEP_QUERY: (CFindRequest,),
}
"""What each SOP class is asked (PS3.4 Table CC.2-1); Event only tells."""

ACTIONS: Final[Mapping[str, frozenset[int]]] = {
    UNIFIED_PROCEDURE_STEP_PUSH: frozenset({REQUEST_CANCEL}),
    UNIFIED_PROCEDURE_STEP_PULL: frozenset({CHANGE_STATE}),
    UNIFIED_PROCEDURE_STEP_WATCH: frozenset({REQUEST_CANCEL, SUBSCRIBE, UNSUBSCRIBE, SUSPEND_GLOBAL}),
}
"""The action types of each SOP class (PS3.4 Table CC.2-1)."""

_WARNINGS: Final[Mapping[WorkitemWarning, int]] = {
    WorkitemWarning.MODIFIED: status.WORKITEM_CREATED_WITH_MODIFICATIONS,
    WorkitemWarning.ALREADY_CANCELED: status.WORKITEM_ALREADY_CANCELED,
    WorkitemWarning.ALREADY_COMPLETED: status.WORKITEM_ALREADY_COMPLETED,
}
# They name the instance in the command set (PS3.4 Table CC.2.5-3: not allowed in N-GET), or are for nobody to see.
_NOT_RETURNED: Final = frozenset(tag_of(keyword) for keyword in ("SOPClassUID", "SOPInstanceUID", "TransactionUID"))
_ABOUT_SUBSCRIBING: Final = frozenset(tag_of(keyword) for keyword in ("ReceivingAE", "DeletionLock"))


class WrittenWorkitem(Protocol):
    """What became of a request to write."""

    @property
    def workitem(self) -> Workitem:
        """The workitem as it stands now."""
        ...

    @property
    def warning(self) -> WorkitemWarning | None:
        """What the caller has to be told with the success."""
        ...


class Workitems(Protocol):
    """What these doors need of the workitem service."""

    async def create_workitem(
        self, tenant_id: int, attributes: DicomJson, sop_instance_uid: str | None = None
    ) -> WrittenWorkitem:
        """Keep a new workitem."""
        ...

    async def read_workitem(self, tenant_id: int, sop_instance_uid: str) -> Workitem:
        """Return a workitem."""
        ...

    async def change_workitem(
        self, tenant_id: int, sop_instance_uid: str, modifications: DicomJson, transaction_uid: str | None
    ) -> WrittenWorkitem:
        """Change attributes."""
        ...

    async def change_workitem_state(
        self,
        tenant_id: int,
        sop_instance_uid: str,
        state: WorkitemState,
        transaction_uid: str | None,
        performer: str,
    ) -> WrittenWorkitem:
        """Bring a workitem to a state."""
        ...

    async def request_cancellation(
        self, tenant_id: int, sop_instance_uid: str, request: DicomJson, requesting_ae_title: str
    ) -> WrittenWorkitem:
        """Cancel a workitem, or ask its performer to."""
        ...

    def search_workitems(self, tenant_id: int, query: WorkitemQuery) -> AsyncGenerator[DicomJson]:
        """Yield the attributes of what matches."""
        ...

    async def subscribe(
        self,
        tenant_id: int,
        sop_instance_uid: str,
        subscriber: str,
        *,
        has_deletion_lock: bool,
        keys: DicomJson | None = None,
        is_here: bool = False,
    ) -> None:
        """Subscribe an application entity."""
        ...

    async def unsubscribe(self, tenant_id: int, sop_instance_uid: str, subscriber: str) -> None:
        """End a subscription."""
        ...

    async def suspend(self, tenant_id: int, sop_instance_uid: str, subscriber: str) -> None:
        """End a global subscription for what is to come."""
        ...


class UnifiedProcedureStepService(DimseService):
    """The five SOP classes of unified procedure steps; instances are of the Push SOP class in all of them.

    Reference: PS3.4 §CC.2, §CC.3
    """

    use = DimseUse.WORKITEM

    def __init__(self, workitems: Workitems, present: PresentSubscribers) -> None:
        self._workitems = workitems
        self._present = present

    def rule(self, abstract_syntax: str) -> TransferSyntaxRule | None:
        """Accept any encoding of a data set without pixels."""
        return MESSAGE_RULE if abstract_syntax in OPERATIONS else None

    def opened(self, association: Association, caller: Caller, invocations: Invocations) -> None:
        """Remember whom events can be told over its own association."""
        self._present.add(association, caller, invocations)

    def begin(self, call: Call) -> Operation | None:
        """Answer a request of one of the SOP classes.

        Reference: PS3.4 Table CC.2-1
        """
        request = call.request
        if not isinstance(request, OPERATIONS[call.abstract_syntax]):
            return unrecognized(call)
        table = WORKITEM_STATUSES
        match request:
            case CFindRequest():
                table = FIND_STATUSES
                run = self._find(call, request)
            case NCreateRequest():
                run = self._create(call, request)
            case NSetRequest():
                run = self._set(call, request)
            case NGetRequest():
                run = self._get(call, request)
            case NActionRequest():
                run = self._act(call, request)
            case _:
                return unrecognized(call)
        return gather(call, run, table)

    def _find(self, call: Call, request: CFindRequest) -> _Run:
        async def run(data: bytes) -> None:
            identifier = read_data_set(data, call.transfer_syntax)
            await find_workitems(call, request, identifier, self._workitems.search_workitems)

        return run

    def _create(self, call: Call, request: NCreateRequest) -> _Run:
        """PS3.4 §CC.2.5."""

        async def run(data: bytes) -> None:
            _check_class(request.affected_sop_class_uid)
            attributes = read_data_set(data, call.transfer_syntax)
            uid = request.affected_sop_instance_uid
            written = await self._workitems.create_workitem(call.caller.tenant_id, attributes, uid)
            call.respond(
                NCreateResponse(
                    message_id_being_responded_to=request.message_id,
                    status=_status(written),
                    affected_sop_class_uid=UNIFIED_PROCEDURE_STEP_PUSH,
                    affected_sop_instance_uid=written.workitem.sop_instance_uid,
                )
            )

        return run

    def _set(self, call: Call, request: NSetRequest) -> _Run:
        """PS3.4 §CC.2.6."""

        async def run(data: bytes) -> None:
            _check_class(request.requested_sop_class_uid)
            modifications = read_data_set(data, call.transfer_syntax)
            uid = request.requested_sop_instance_uid
            transaction_uid = first_value(modifications, "TransactionUID")
            written = await self._workitems.change_workitem(call.caller.tenant_id, uid, modifications, transaction_uid)
            call.respond(
                NSetResponse(
                    message_id_being_responded_to=request.message_id,
                    status=_status(written),
                    affected_sop_class_uid=UNIFIED_PROCEDURE_STEP_PUSH,
                    affected_sop_instance_uid=uid,
                )
            )

        return run

    def _get(self, call: Call, request: NGetRequest) -> _Run:
        """PS3.4 §CC.2.7."""

        async def run(_data: bytes) -> None:
            _check_class(request.requested_sop_class_uid)
            uid = request.requested_sop_instance_uid
            workitem = await self._workitems.read_workitem(call.caller.tenant_id, uid)
            asked = [f"{tag:08X}" for tag in request.attribute_identifier_list]
            attributes = {
                tag: element
                for tag, element in workitem.attributes.items()
                if tag not in _NOT_RETURNED and (tag in asked or not asked)
            }
            is_complete = all(tag in attributes for tag in asked)
            response = NGetResponse(
                message_id_being_responded_to=request.message_id,
                status=status.SUCCESS if is_complete else status.OPTIONAL_ATTRIBUTES_NOT_SUPPORTED,
                affected_sop_class_uid=UNIFIED_PROCEDURE_STEP_PUSH,
                affected_sop_instance_uid=uid,
                has_data_set=True,
            )
            character_set = call.caller.remote.character_set if call.caller.remote else None
            await call.respond_with(
                response, write_data_set(attributes, call.transfer_syntax, character_set=character_set)
            )

        return run

    def _act(self, call: Call, request: NActionRequest) -> _Run:
        """PS3.4 §CC.2.1 to §CC.2.3."""

        async def run(data: bytes) -> None:
            _check_class(request.requested_sop_class_uid)
            if request.action_type_id not in ACTIONS[call.abstract_syntax]:
                raise Unsupported("the SOP class of this context has no such action", code="no-such-action")
            information = read_data_set(data, call.transfer_syntax) if data else {}
            uid = request.requested_sop_instance_uid
            written: WrittenWorkitem | None = None
            if request.action_type_id == CHANGE_STATE:
                written = await self._change_state(call, uid, information)
            elif request.action_type_id == REQUEST_CANCEL:
                written = await self._workitems.request_cancellation(
                    call.caller.tenant_id, uid, information, _calling(call)
                )
            else:
                await self._watch(call, uid, request.action_type_id, information)
            call.respond(
                NActionResponse(
                    message_id_being_responded_to=request.message_id,
                    status=status.SUCCESS if written is None else _status(written),
                    affected_sop_class_uid=UNIFIED_PROCEDURE_STEP_PUSH,
                    affected_sop_instance_uid=uid,
                    action_type_id=request.action_type_id,
                )
            )

        return run

    async def _change_state(self, call: Call, uid: str, information: DicomJson) -> WrittenWorkitem:
        """PS3.4 §CC.2.1."""
        try:
            state = WorkitemState(str(first_value(information, "ProcedureStepState")))
        except ValueError as error:
            raise _bad_argument("ProcedureStepState") from error
        transaction_uid = first_value(information, "TransactionUID")
        return await self._workitems.change_workitem_state(
            call.caller.tenant_id, uid, state, transaction_uid, _calling(call)
        )

    async def _watch(self, call: Call, uid: str, action: int, information: DicomJson) -> None:
        """PS3.4 §CC.2.3."""
        tenant_id = call.caller.tenant_id
        subscriber = first_value(information, "ReceivingAE")
        if not subscriber:
            raise _bad_argument("ReceivingAE")
        if action == UNSUBSCRIBE:
            await self._workitems.unsubscribe(tenant_id, uid, subscriber)
        elif action == SUSPEND_GLOBAL:
            await self._workitems.suspend(tenant_id, uid, subscriber)
        else:
            lock = first_value(information, "DeletionLock")
            if lock not in ("TRUE", "FALSE"):
                raise _bad_argument("DeletionLock")
            await self._workitems.subscribe(
                tenant_id,
                uid,
                subscriber,
                has_deletion_lock=lock == "TRUE",
                keys={tag: element for tag, element in information.items() if tag not in _ABOUT_SUBSCRIBING},
                is_here=self._present.find(tenant_id, subscriber) is not None,
            )


_Run = Callable[[bytes], Coroutine[Any, Any, None]]


def _check_class(sop_class_uid: str) -> None:
    # Instances are of the Push SOP class; some name the class of the context, which can mean nothing else.
    if sop_class_uid not in OPERATIONS:
        raise Unsupported("workitems are of the SOP class Unified Procedure Step - Push", code="no-such-sop-class")


def _status(written: WrittenWorkitem) -> int:
    return status.SUCCESS if written.warning is None else _WARNINGS[written.warning]


def _calling(call: Call) -> str:
    return call.caller.origin.calling_ae_title or ""


def _bad_argument(keyword: str) -> InvalidInput:
    return InvalidInput(f"{keyword} is missing or has no value known here", code="invalid-argument", attribute=keyword)
