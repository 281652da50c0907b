"""The archive as acceptor: which tenant an association speaks to, and which service each of its messages reaches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from hilum.archive.model import Origin, OriginKind, Tenant
from hilum.dicom.uids import VERIFICATION
from hilum.dimse import status
from hilum.dimse.messages import (
    RESPONSES,
    CEchoRequest,
    CEchoResponse,
    CStoreRequest,
    Message,
    Request,
)
from hilum.kernel.errors import Unavailable
from hilum.net.association import Association, Welcome
from hilum.scp.negotiation import ArchivePolicy, ScpSettings
from hilum.scp.store import InstanceStore, StoreOperation
from hilum.ul.negotiation import negotiate
from hilum.ul.primitives import AssociateReject, AssociateRequest, Buffer, RejectReason, RejectResult


class Operation(Protocol):
    """What becomes of one request whose data set is coming."""

    def data_set(self, data: Buffer, is_last: bool) -> Awaitable[None] | None:
        """Take a piece of the data set; after the last one the request is answered."""
        ...

    def abandon(self) -> None:
        """Undo: the association ended before the data set did."""
        ...


class ArchiveScp:
    """Answers association requests and serves Verification and Storage on what it accepts.

    Args:
        store: where instances go.
        tenant_of: the tenant that answers to a called AE title, or None.
        is_known_caller: whether a calling AE title may call from a peer's address.
        settings: what may be chosen.
    """

    def __init__(
        self,
        *,
        store: InstanceStore,
        tenant_of: Callable[[str], Awaitable[Tenant | None]],
        is_known_caller: Callable[[str, str], bool],
        settings: ScpSettings | None = None,
    ) -> None:
        self._store = store
        self._tenant_of = tenant_of
        self._is_known_caller = is_known_caller
        self._settings = settings or ScpSettings()

    async def answer(self, association: Association, request: AssociateRequest) -> Welcome | AssociateReject:
        """Return the accept with its handler, or the rejection.

        While the accounts cannot be asked, the rejection is a transient one: the peer may try again.

        Reference: PS3.8 §7.1.1, §9.3.4
        """
        peer = association.connection.peer
        try:
            tenant = await self._tenant_of(request.called_ae_title)
        except Unavailable:
            return AssociateReject(RejectResult.TRANSIENT, RejectReason.TEMPORARY_CONGESTION)
        policy = ArchivePolicy(
            self._settings,
            is_called_known=tenant is not None,
            is_calling_known=self._is_known_caller(request.calling_ae_title, peer),
        )
        answer = negotiate(request, policy)
        if isinstance(answer, AssociateReject):
            return answer
        assert tenant is not None  # without one the policy rejects
        origin = Origin(OriginKind.DIMSE, request.calling_ae_title, request.called_ae_title, peer)
        return Welcome(answer, ArchiveHandler(association, self._store, tenant.tenant_id, origin))


class ArchiveHandler:
    """Serves the messages of one association."""

    def __init__(self, association: Association, store: InstanceStore, tenant_id: int, origin: Origin) -> None:
        self._association = association
        self._store = store
        self._tenant_id = tenant_id
        self._origin = origin
        self._operation: Operation | None = None

    def message(self, context_id: int, message: Message) -> None:
        """Begin what a request asks for; cancels of what cannot be cancelled are passed over.

        Reference: PS3.7 §9.3, PS3.4 §A.3, §B.2
        """
        match message:
            case CStoreRequest() if self._association.contexts[context_id].abstract_syntax != VERIFICATION:
                self._operation = StoreOperation(
                    self._association, context_id, message, self._store, self._tenant_id, self._origin
                )
            case CEchoRequest():
                response = CEchoResponse(
                    message_id_being_responded_to=message.message_id,
                    status=status.SUCCESS,
                    affected_sop_class_uid=VERIFICATION,
                )
                self._association.respond(context_id, response)
            case Request() if message.has_data_set:
                self._operation = _UnknownOperation(self._association, context_id, message)
            case Request():
                _UnknownOperation(self._association, context_id, message).answer()
            case _:
                pass

    def data_set(self, data: Buffer, is_last: bool) -> Awaitable[None] | None:
        """Hand a piece of a data set to the operation it belongs to."""
        operation = self._operation
        assert operation is not None
        if is_last:
            self._operation = None
        return operation.data_set(data, is_last)

    def end(self) -> None:
        """Undo what was half received; what was received whole goes on to its end."""
        if self._operation is not None:
            self._operation.abandon()
            self._operation = None


class _UnknownOperation:
    """A request the archive does not serve: its data set is passed over and it is told so."""

    def __init__(self, association: Association, context_id: int, request: Request) -> None:
        self._association = association
        self._context_id = context_id
        self._request = request

    def data_set(self, data: Buffer, is_last: bool) -> None:
        if is_last:
            self.answer()

    def abandon(self) -> None:
        pass

    def answer(self) -> None:
        response = RESPONSES[self._request.command_field](
            message_id_being_responded_to=self._request.message_id,
            status=status.UNRECOGNIZED_OPERATION,
            error_comment="this operation is not served here",
        )
        self._association.respond(self._context_id, response)
