"""The archive as acceptor: whom it lets in, what it agrees to, and which service each message reaches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from hilum.archive.model import Origin, OriginKind, Principal, Tenant
from hilum.archive.remotes import DimseUse, RemoteAe
from hilum.dicom.uids import APPLICATION_CONTEXT, IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from hilum.dimse.messages import CCancelRequest, Message, Request, Response
from hilum.kernel.errors import Unavailable
from hilum.kernel.limits import MAX_OPERATIONS_PERFORMED, MAX_PDU_LENGTH_BYTES, SEND_WINDOW
from hilum.net.association import Association, Welcome
from hilum.net.invocations import Invocations
from hilum.policies.admission import permitted_uses
from hilum.scp.calls import Call, Caller, DimseService, Operation
from hilum.ul.negotiation import AcceptorPolicy, TransferSyntaxRule, negotiate
from hilum.ul.primitives import (
    AssociateReject,
    AssociateRequest,
    AsyncOperationsWindow,
    Buffer,
    ExtendedNegotiation,
    RejectReason,
    RejectResult,
    RoleSelection,
)


@dataclass(frozen=True, slots=True)
class Admission:
    """What is known of a caller that is let in; see `Caller`.

    `response` confirms its user identity, None when that was not proved.
    """

    remote: RemoteAe | None = None
    principal: Principal | None = None
    response: bytes | None = None

    @property
    def may_ask(self) -> frozenset[DimseUse]:
        """Which services it may use: all, unless the registry or the rights of its user say less."""
        return permitted_uses(self.remote, self.principal)


Admit = Callable[[Tenant, AssociateRequest, Association], Awaitable[Admission | RejectReason]]
"""Decides whether a caller may open an association with a tenant's archive. May raise Unavailable."""


class ArchivePolicy(AcceptorPolicy):
    """The archive's answer to one association request, once it is known who asks whom.

    Reference: PS3.8 §7.1.1, PS3.7 Annex D.3
    """

    implementation_class_uid = IMPLEMENTATION_CLASS_UID
    implementation_version_name = IMPLEMENTATION_VERSION_NAME
    async_operations_window = AsyncOperationsWindow(MAX_OPERATIONS_PERFORMED, SEND_WINDOW)

    def __init__(
        self,
        services: Sequence[DimseService],
        admission: Admission | RejectReason,
        max_pdu_length_bytes: int = MAX_PDU_LENGTH_BYTES,
    ) -> None:
        self._admission = admission
        self._services = services
        self.max_pdu_length = max_pdu_length_bytes

    def rejection(self, request: AssociateRequest) -> RejectReason | None:
        """Return why the request as a whole is refused, None if it is welcome."""
        if request.application_context_name != APPLICATION_CONTEXT:
            return RejectReason.APPLICATION_CONTEXT_NOT_SUPPORTED
        return self._admission if isinstance(self._admission, RejectReason) else None

    def transfer_syntax_rule(self, request: AssociateRequest, abstract_syntax: str) -> TransferSyntaxRule | None:
        """Return which transfer syntaxes will do for an abstract syntax, None if it is not served to this caller."""
        service = self.service_of(abstract_syntax)
        return service.rule(abstract_syntax) if service is not None else None

    def role_selection(self, request: AssociateRequest, proposed: RoleSelection) -> RoleSelection | None:
        """Return the roles the SOP class's service grants."""
        service = self.service_of(proposed.sop_class_uid)
        return service.role_selection(request, proposed) if service is not None else None

    def extended_negotiation(
        self, request: AssociateRequest, proposed: ExtendedNegotiation
    ) -> ExtendedNegotiation | None:
        """Return the answer of the SOP class's service."""
        service = self.service_of(proposed.sop_class_uid)
        return service.extended_negotiation(request, proposed) if service is not None else None

    def user_identity_response(self, request: AssociateRequest) -> bytes | None:
        """Return what admission answers to a user identity."""
        return self._admission.response if isinstance(self._admission, Admission) else None

    def service_of(self, abstract_syntax: str) -> DimseService | None:
        """Return the service this caller may use for an abstract syntax."""
        allowed = self._admission.may_ask if isinstance(self._admission, Admission) else frozenset()
        for service in self._services:
            if service.use in allowed and service.rule(abstract_syntax) is not None:
                return service
        return None


class ArchiveScp:
    """Answers association requests and serves what it accepts.

    Args:
        services: in the order in which they are asked whether an abstract syntax is theirs.
        tenant_of: the tenant that answers to a called AE title, or None.
        admit: whether a caller may call that tenant.
        max_pdu_length_bytes: the largest P-DATA-TF PDU we announce.
    """

    def __init__(
        self,
        *,
        services: Sequence[DimseService],
        tenant_of: Callable[[str], Awaitable[Tenant | None]],
        admit: Admit,
        max_pdu_length_bytes: int = MAX_PDU_LENGTH_BYTES,
    ) -> None:
        self._services = services
        self._tenant_of = tenant_of
        self._admit = admit
        self._max_pdu_length_bytes = max_pdu_length_bytes

    async def answer(self, association: Association, request: AssociateRequest) -> Welcome | AssociateReject:
        """Return the accept with its handler, or the rejection.

        While the accounts cannot be asked, the rejection is a transient one: the peer may try again.

        Reference: PS3.8 §7.1.1, §9.3.4
        """
        admission: Admission | RejectReason = RejectReason.CALLED_AE_TITLE_NOT_RECOGNIZED
        try:
            tenant = await self._tenant_of(request.called_ae_title)
            if tenant is not None:
                admission = await self._admit(tenant, request, association)
        except Unavailable:
            return AssociateReject(RejectResult.TRANSIENT, RejectReason.TEMPORARY_CONGESTION)
        policy = ArchivePolicy(self._services, admission, self._max_pdu_length_bytes)
        answer = negotiate(request, policy)
        if isinstance(answer, AssociateReject):
            return answer
        # Without a tenant and its admission the policy rejects.
        assert tenant is not None
        assert isinstance(admission, Admission)
        peer = association.connection.peer
        origin = Origin(OriginKind.DIMSE, request.calling_ae_title, request.called_ae_title, peer)
        caller = Caller(tenant.tenant_id, origin, admission.remote, admission.principal)
        services = {
            context.abstract_syntax: service
            for context in request.presentation_contexts
            if (service := policy.service_of(context.abstract_syntax)) is not None
        }
        handler = ArchiveHandler(association, services, caller)
        for service in {id(service): service for service in services.values()}.values():
            service.opened(association, caller, handler.invocations)
        return Welcome(answer, handler)


class ArchiveHandler:
    """Serves the messages of one association.

    Args:
        services: by the abstract syntax of the presentation contexts they serve.
    """

    def __init__(self, association: Association, services: Mapping[str, DimseService], caller: Caller) -> None:
        self._association = association
        self._services = services
        self._caller = caller
        self.invocations = Invocations()
        self._operation: Operation | None = None
        self._calls: dict[int, Call] = {}

    def message(self, context_id: int, message: Message) -> None:
        """Begin what a request asks for, end what a cancel names, and hand a response to who waits for it.

        Cancels of what has ended, or cannot be cancelled, are passed over.

        Reference: PS3.7 §9.3, §9.3.2.3
        """
        match message:
            case Request():
                call = Call(self._association, context_id, message, self._caller, self.invocations, ended=self._forget)
                self._calls[message.message_id] = call
                self._operation = self._services[call.abstract_syntax].begin(call)
            case Response():
                self.invocations.response(message)
            case CCancelRequest():
                call_ = self._calls.get(message.message_id_being_responded_to)
                if call_ is not None:
                    call_.cancelled.set()

    def data_set(self, data: Buffer, is_last: bool) -> Awaitable[None] | None:
        """Hand a piece of a data set to the operation it belongs to."""
        operation = self._operation
        if operation is None:
            return None  # of a response: N-ACTION and N-EVENT-REPORT have replies nobody needs
        if is_last:
            self._operation = None
        return operation.data_set(data, is_last)

    def _forget(self, call: Call) -> None:
        self._calls.pop(call.request.message_id, None)

    def end(self) -> None:
        """Undo what was half received; what was received whole goes on to its end."""
        if self._operation is not None:
            self._operation.abandon()
            self._operation = None
        for call in self._calls.values():
            call.cancelled.set()
        self.invocations.end()
