"""Storage Commitment as a remote meets it: its requests, and its answers to ours (PS3.4 Annex J)."""

from __future__ import annotations

import asyncio
from typing import Final

from hilum.archive.commitment import Commitment, InstanceReference
from hilum.archive.remotes import DimseUse
from hilum.dicom.commitment import read_commitment
from hilum.dicom.data_sets import read_data_set, write_data_set
from hilum.dicom.uids import (
    STORAGE_COMMITMENT_INSTANCE,
    STORAGE_COMMITMENT_PUSH_MODEL,
)
from hilum.dimse import status
from hilum.dimse.messages import (
    NActionRequest,
    NActionResponse,
    NEventReportRequest,
    NEventReportResponse,
)
from hilum.dimse.status import StatusCategory, describe_status
from hilum.kernel.errors import HilumError, InvalidInput, Unavailable, Unsupported
from hilum.observe.logs import get_logger
from hilum.scp.calls import Call, DimseService, Operation, gather, unrecognized
from hilum.scp.negotiation import MESSAGE_RULE
from hilum.scp.statuses import status_table
from hilum.services.commitment import CommitmentService, result_data_set
from hilum.ul.negotiation import TransferSyntaxRule
from hilum.ul.primitives import AssociateRequest, RoleSelection

_log = get_logger("commitment")

_REQUEST: Final = 1
"""Action Type ID of a request (PS3.4 §J.3.2)."""
_SUCCESS, _FAILURES_EXIST = 1, 2
"""Event Type IDs of a result (PS3.4 §J.3.3)."""

COMMITMENT_STATUSES: Final = status_table(
    {InvalidInput: status.INVALID_ARGUMENT_VALUE},
    {
        "missing-attribute": status.INVALID_ARGUMENT_VALUE,
        "duplicate-transaction": status.INVALID_ARGUMENT_VALUE,
        "no-such-transaction": status.INVALID_ARGUMENT_VALUE,
        "no-such-action": status.NO_SUCH_ACTION_TYPE,
        "no-such-event": status.NO_SUCH_EVENT_TYPE,
    },
)
"""N-ACTION and N-EVENT-REPORT of Storage Commitment (PS3.7 §10.1.1.1.8, §10.1.4.1.10)."""


class StorageCommitmentService(DimseService):
    """Takes requests for commitment and the answers of remotes that were asked.

    A request is answered on the association it came on while that lasts; else, or when the remote does not take the
    answer there, on a new one.
    """

    use = DimseUse.COMMITMENT

    def __init__(self, commitments: CommitmentService) -> None:
        self._commitments = commitments
        self._answering: set[asyncio.Task[None]] = set()

    def rule(self, abstract_syntax: str) -> TransferSyntaxRule | None:
        """Serve the push model."""
        return MESSAGE_RULE if abstract_syntax == STORAGE_COMMITMENT_PUSH_MODEL else None

    def role_selection(self, request: AssociateRequest, proposed: RoleSelection) -> RoleSelection | None:
        """Let the requestor be SCP: it brings an answer to what we asked."""
        return proposed

    def begin(self, call: Call) -> Operation | None:
        """Take a request or an answer.

        Reference: PS3.4 §J.3.2, §J.3.3
        """
        request = call.request
        if isinstance(request, NActionRequest):

            async def accept(data: bytes) -> None:
                await self._accept(call, request, data)

            return gather(call, accept, COMMITMENT_STATUSES)
        if isinstance(request, NEventReportRequest):

            async def hear(data: bytes) -> None:
                await self._hear(call, request, data)

            return gather(call, hear, COMMITMENT_STATUSES)
        return unrecognized(call)

    async def _accept(self, call: Call, request: NActionRequest, data: bytes) -> None:
        if request.action_type_id != _REQUEST:
            raise Unsupported("Storage Commitment has one action: 1", code="no-such-action")
        message = read_commitment(read_data_set(data, call.transfer_syntax))
        caller = call.caller
        commitment = await self._commitments.accept(
            caller.tenant_id,
            message.transaction_uid,
            caller.origin.calling_ae_title or "",
            caller.origin.called_ae_title or "",
            [InstanceReference(*each) for each in message.instances],
        )
        call.respond(
            NActionResponse(
                message_id_being_responded_to=request.message_id,
                status=status.SUCCESS,
                affected_sop_class_uid=STORAGE_COMMITMENT_PUSH_MODEL,
                affected_sop_instance_uid=STORAGE_COMMITMENT_INSTANCE,
                action_type_id=_REQUEST,
            )
        )
        # Not a task of the association: a peer that releases it must not wait until all bytes have been looked at.
        answering = asyncio.create_task(self._answer(call, commitment))
        self._answering.add(answering)
        answering.add_done_callback(self._answering.discard)

    async def _answer(self, call: Call, commitment: Commitment) -> None:
        async def tell(decided: Commitment) -> None:
            if call.association.is_ended:
                raise Unavailable("the association has ended", code="association-ended")
            report = NEventReportRequest(
                message_id=call.association.next_message_id(),
                has_data_set=True,
                affected_sop_class_uid=STORAGE_COMMITMENT_PUSH_MODEL,
                affected_sop_instance_uid=STORAGE_COMMITMENT_INSTANCE,
                event_type_id=_FAILURES_EXIST if decided.failures else _SUCCESS,
            )
            data_set = write_data_set(result_data_set(decided), call.transfer_syntax)
            response = await call.invocations.invoke(call.association, call.context_id, report, data_set)
            if describe_status(response.status).category is not StatusCategory.SUCCESS:
                raise Unavailable("the remote does not take the answer here", code="answer-refused")

        try:
            await self._commitments.answer_here(commitment, tell)
        except HilumError as error:
            # The queue goes on with it.
            _log.info("a commitment is answered later", transaction=commitment.commitment_id, exc=error)

    async def _hear(self, call: Call, request: NEventReportRequest, data: bytes) -> None:
        if request.event_type_id not in (_SUCCESS, _FAILURES_EXIST):
            raise Unsupported("Storage Commitment has two events: 1 and 2", code="no-such-event")
        answer = read_commitment(read_data_set(data, call.transfer_syntax))
        caller = call.caller
        await self._commitments.hear(caller.tenant_id, caller.origin.calling_ae_title or "", answer)
        call.respond(
            NEventReportResponse(
                message_id_being_responded_to=request.message_id,
                status=status.SUCCESS,
                affected_sop_class_uid=STORAGE_COMMITMENT_PUSH_MODEL,
                affected_sop_instance_uid=STORAGE_COMMITMENT_INSTANCE,
                event_type_id=request.event_type_id,
            )
        )
