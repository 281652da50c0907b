"""Storage Commitment as the side that calls: brings answers to remotes, and asks them (PS3.4 Annex J)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from hilum.archive.commitment import Commitment
from hilum.archive.model import DicomJson
from hilum.archive.remotes import DimseUse, RemoteAe
from hilum.dicom.commitment import CommitmentMessage, read_commitment
from hilum.dicom.data_sets import read_data_set, write_data_set
from hilum.dicom.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    STORAGE_COMMITMENT_INSTANCE,
    STORAGE_COMMITMENT_PUSH_MODEL,
)
from hilum.dimse import status
from hilum.dimse.command_set import violation
from hilum.dimse.messages import (
    Message,
    NActionRequest,
    NEventReportRequest,
    NEventReportResponse,
    Request,
    Response,
)
from hilum.dimse.status import StatusCategory, describe_status
from hilum.kernel.errors import HilumError, Unavailable, Unsupported
from hilum.kernel.limits import COMMITMENT_ANSWER_WAIT_S, MAX_IDENTIFIER_BYTES
from hilum.net.association import Association
from hilum.net.invocations import Invocations
from hilum.scu.remote import Dial, call
from hilum.services.commitment import request_data_set, result_data_set
from hilum.ul.primitives import Buffer, ProposedContext, RoleSelection

_CONTEXT_ID: Final = 1
_CONTEXTS: Final = [
    ProposedContext(_CONTEXT_ID, STORAGE_COMMITMENT_PUSH_MODEL, (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN))
]
_REQUEST: Final = 1
_SUCCESS, _FAILURES_EXIST = 1, 2
# What says that the remote will not answer for anything, now or later.
_FINAL_REFUSALS: Final = frozenset(
    {status.NO_SUCH_SOP_CLASS, status.SOP_CLASS_NOT_SUPPORTED, status.NOT_AUTHORIZED, status.NO_SUCH_ACTION_TYPE}
)

Heard = Callable[[int, str, CommitmentMessage], Awaitable[None]]
"""Keeps a remote's answer: tenant, AE title of the remote, what it says. See `CommitmentService.hear`."""


class RemoteCommitment:
    """Implements `hilum.archive.commitment.CommitmentSender`.

    Args:
        dial: where a remote is reached.
        calling_ae_title: who we are when we ask; an answer of ours comes from whom the remote asked.
        heard: gets answers that come on the association of our request.
        answer_wait_s: how long that association is kept for them.
    """

    def __init__(
        self, dial: Dial, calling_ae_title: str, heard: Heard, *, answer_wait_s: float = COMMITMENT_ANSWER_WAIT_S
    ) -> None:
        self._dial = dial
        self._calling_ae_title = calling_ae_title
        self._heard = heard
        self._answer_wait_s = answer_wait_s

    async def report(self, remote: RemoteAe, commitment: Commitment) -> None:
        """Return when the remote has taken our answer, on an association on which we are SCP.

        Reference: PS3.4 §J.3.3, PS3.7 §10.3.1
        """
        # The peer has the SCU role here, though we call.
        roles = (RoleSelection(STORAGE_COMMITMENT_PUSH_MODEL, scu_role=False, scp_role=True),)
        handler = _Handler()
        association = await self._open(remote, commitment.own_ae_title, handler, roles)
        request = NEventReportRequest(
            message_id=1,
            has_data_set=True,
            affected_sop_class_uid=STORAGE_COMMITMENT_PUSH_MODEL,
            affected_sop_instance_uid=STORAGE_COMMITMENT_INSTANCE,
            event_type_id=_FAILURES_EXIST if commitment.failures else _SUCCESS,
        )
        await _invoke(association, handler, request, result_data_set(commitment))
        await association.release()

    async def request(self, remote: RemoteAe, commitment: Commitment, taken: Callable[[], Awaitable[None]]) -> None:
        """Return when the remote has taken our request, and has answered or let the time for it go by.

        Reference: PS3.4 §J.3.2, PS3.7 §10.3.4
        """
        answered = asyncio.Event()

        async def hear(data: bytes, transfer_syntax_uid: str) -> None:
            answer = read_commitment(read_data_set(data, transfer_syntax_uid))
            await self._heard(commitment.tenant_id, remote.ae_title, answer)
            answered.set()

        handler = _Handler(hear)
        association = await self._open(remote, self._calling_ae_title, handler, ())
        request = NActionRequest(
            message_id=1,
            has_data_set=True,
            requested_sop_class_uid=STORAGE_COMMITMENT_PUSH_MODEL,
            requested_sop_instance_uid=STORAGE_COMMITMENT_INSTANCE,
            action_type_id=_REQUEST,
        )
        await _invoke(association, handler, request, request_data_set(commitment))
        waiting = [asyncio.ensure_future(answered.wait()), asyncio.ensure_future(association.connection.closed())]
        try:
            await taken()
            await asyncio.wait(waiting, timeout=self._answer_wait_s, return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            association.abort()
            association.connection.close()
            raise
        finally:
            for each in waiting:
                each.cancel()
        await association.release()

    async def _open(
        self, remote: RemoteAe, calling_ae_title: str, handler: _Handler, roles: tuple[RoleSelection, ...]
    ) -> Association:
        association = await call(
            self._dial(remote, DimseUse.COMMITMENT),
            calling_ae_title,
            _CONTEXTS,
            handler,
            role_selections=roles,
        )
        handler.association = association
        if _CONTEXT_ID not in association.contexts:
            await association.release()
            raise Unsupported("the remote does not serve Storage Commitment", code="context-refused")
        return association


async def _invoke(association: Association, handler: _Handler, request: Request, attributes: DicomJson) -> None:
    """Return when the remote has answered a request with success."""
    try:
        data_set = write_data_set(attributes, association.contexts[_CONTEXT_ID].transfer_syntax)
        response = await handler.invoke(association, _CONTEXT_ID, request, data_set)
    except BaseException:
        association.abort()
        association.connection.close()
        raise
    row = describe_status(response.status)
    if row.category in (StatusCategory.SUCCESS, StatusCategory.WARNING):
        return
    await association.release()
    family = Unsupported if response.status in _FINAL_REFUSALS else Unavailable
    raise family(f"the remote answered {response.status:04X}: {row.meaning}", code="commitment-refused")


class _Handler(Invocations):
    """The messages of an association of ours: responses, and answers where they are awaited."""

    def __init__(self, hear: Callable[[bytes, str], Awaitable[None]] | None = None) -> None:
        super().__init__()
        self.association: Association | None = None
        self._hear = hear
        self._report: NEventReportRequest | None = None
        self._content = bytearray()

    def message(self, context_id: int, message: Message) -> None:
        """Note a response; take an answer.

        Raises:
            RemoteProtocolError: the peer asks for something else.
        """
        if isinstance(message, Response):
            self.response(message)
        elif isinstance(message, NEventReportRequest) and self._hear is not None and message.has_data_set:
            self._report = message
            self._content.clear()
        else:
            raise violation("a request came to a side that serves none", command=message.command_field.name)

    def data_set(self, data: Buffer, is_last: bool) -> None:
        """Take a piece of an answer; what comes with a response is passed over.

        Raises:
            RemoteProtocolError: the answer is longer than `MAX_IDENTIFIER_BYTES`.
        """
        if self._report is None:
            return
        if len(self._content) + len(data) > MAX_IDENTIFIER_BYTES:
            raise violation("the data set of a message is too long")
        self._content += data
        if is_last:
            report, self._report = self._report, None
            assert self.association is not None
            self.association.spawn(self._answer(self.association, report, bytes(self._content)))

    async def _answer(self, association: Association, report: NEventReportRequest, data: bytes) -> None:
        assert self._hear is not None
        try:
            await self._hear(data, association.contexts[_CONTEXT_ID].transfer_syntax)
            code = status.SUCCESS
        except HilumError:
            code = status.PROCESSING_FAILURE
        association.respond(
            _CONTEXT_ID,
            NEventReportResponse(
                message_id_being_responded_to=report.message_id,
                status=code,
                affected_sop_class_uid=STORAGE_COMMITMENT_PUSH_MODEL,
                affected_sop_instance_uid=STORAGE_COMMITMENT_INSTANCE,
                event_type_id=report.event_type_id,
            ),
        )
