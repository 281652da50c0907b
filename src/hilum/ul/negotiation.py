"""What an acceptor answers to an association request, as a pure function of the request and a policy.

The policy knows titles, SOP classes and limits; the rules here keep its answers within what the standard allows.

Reference: PS3.8 §7.1.1, §9.3.3, §9.3.4; PS3.7 Annex D.3.3
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Protocol

from hilum.kernel import limits
from hilum.ul.pdu import violation
from hilum.ul.primitives import (
    AbortReason,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    AsyncOperationsWindow,
    ContextAnswer,
    ContextResult,
    ExtendedNegotiation,
    ProposedContext,
    RejectReason,
    RejectResult,
    RoleSelection,
    UserInformation,
)

_TRANSIENT = frozenset({RejectReason.TEMPORARY_CONGESTION, RejectReason.LOCAL_LIMIT_EXCEEDED})


@dataclass(frozen=True, slots=True)
class TransferSyntaxRule:
    """Which transfer syntax of a proposed context is taken.

    Of the proposed ones the first in `preferred` is taken; when none of them is there, the first the requestor names
    that is in `acceptable`. With `preferred` empty the requestor's order decides, so that it has to convert nothing.
    """

    acceptable: Container[str]
    preferred: Sequence[str] = ()

    def choose(self, proposed: Sequence[str]) -> str | None:
        """Return the transfer syntax to accept, None if no proposed one will do."""
        for transfer_syntax in self.preferred:
            if transfer_syntax in proposed:
                return transfer_syntax
        return next((syntax for syntax in proposed if syntax in self.acceptable), None)


class AcceptorPolicy(Protocol):
    """What an acceptor decides for itself. Methods with a body are defaults for classes that inherit from this one."""

    implementation_class_uid: str
    implementation_version_name: str | None = None
    max_pdu_length: int = limits.MAX_PDU_LENGTH_BYTES
    # In the requestor's reading: how much it may invoke, and how much it may be asked to perform.
    async_operations_window: AsyncOperationsWindow = AsyncOperationsWindow()

    def rejection(self, request: AssociateRequest) -> RejectReason | None:
        """Return why the request as a whole is refused, None if it is welcome.

        Congestion and limits come first, since they say nothing about the peer; then application context, called
        and calling AE title, user identity (`ACSE_NO_REASON_GIVEN`; PS3.7 §D.3.3.7).
        """
        ...

    def transfer_syntax_rule(self, request: AssociateRequest, abstract_syntax: str) -> TransferSyntaxRule | None:
        """Return which transfer syntaxes will do for an abstract syntax, None if it is not supported at all."""
        ...

    def role_selection(self, request: AssociateRequest, proposed: RoleSelection) -> RoleSelection | None:
        """Return the roles granted, None for no answer: the requestor is SCU. Roles not proposed are never granted."""
        return None

    def extended_negotiation(
        self, request: AssociateRequest, proposed: ExtendedNegotiation
    ) -> ExtendedNegotiation | None:
        """Return the answer to an extended negotiation, None for no answer."""
        return None

    def user_identity_response(self, request: AssociateRequest) -> bytes | None:
        """Return the server response to a user identity; asked only when the requestor wants one."""
        return b""


def negotiate(request: AssociateRequest, policy: AcceptorPolicy) -> AssociateAccept | AssociateReject:
    """Return the answer to an association request.

    A request none of whose contexts is acceptable is accepted with every context refused, as the standard has it.

    Reference: PS3.8 §7.1.1, PS3.7 §D.3
    """
    reason = policy.rejection(request)
    if reason is not None:
        return AssociateReject(RejectResult.TRANSIENT if reason in _TRANSIENT else RejectResult.PERMANENT, reason)
    proposed = request.user_information
    identity = proposed.user_identity
    return AssociateAccept(
        called_ae_title=request.called_ae_title,
        calling_ae_title=request.calling_ae_title,
        application_context_name=request.application_context_name,
        presentation_contexts=tuple(_answer(request, context, policy) for context in request.presentation_contexts),
        user_information=UserInformation(
            max_pdu_length=policy.max_pdu_length,
            implementation_class_uid=policy.implementation_class_uid,
            implementation_version_name=policy.implementation_version_name,
            async_operations_window=_narrow(proposed.async_operations_window, policy.async_operations_window),
            role_selections=_role_selections(request, policy),
            extended_negotiations=tuple(
                answer
                for proposal in proposed.extended_negotiations
                if (answer := policy.extended_negotiation(request, proposal)) is not None
            ),
            user_identity_response=(
                policy.user_identity_response(request)
                if identity is not None and identity.positive_response_requested
                else None
            ),
        ),
    )


def _answer(request: AssociateRequest, context: ProposedContext, policy: AcceptorPolicy) -> ContextAnswer:
    # A refusal has to carry a transfer syntax that nobody may test; some peers stumble over an empty one.
    meaningless = next(iter(context.transfer_syntaxes), None)
    rule = policy.transfer_syntax_rule(request, context.abstract_syntax)
    if rule is None:
        return ContextAnswer(context.context_id, ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED, meaningless)
    transfer_syntax = rule.choose(context.transfer_syntaxes)
    if transfer_syntax is None:
        return ContextAnswer(context.context_id, ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED, meaningless)
    return ContextAnswer(context.context_id, ContextResult.ACCEPTANCE, transfer_syntax)


def _role_selections(request: AssociateRequest, policy: AcceptorPolicy) -> tuple[RoleSelection, ...]:
    granted: dict[str, RoleSelection] = {}
    for proposal in request.user_information.role_selections:
        answer = policy.role_selection(request, proposal)
        if answer is not None:
            granted[proposal.sop_class_uid] = RoleSelection(
                proposal.sop_class_uid,
                scu_role=proposal.scu_role and answer.scu_role,
                scp_role=proposal.scp_role and answer.scp_role,
            )
    return tuple(granted.values())


def _narrow(proposed: AsyncOperationsWindow | None, ceiling: AsyncOperationsWindow) -> AsyncOperationsWindow | None:
    if proposed is None:
        return None
    return AsyncOperationsWindow(
        _lower(proposed.max_invoked, ceiling.max_invoked), _lower(proposed.max_performed, ceiling.max_performed)
    )


def _lower(first: int, second: int) -> int:
    # 0 means no bound.
    return min(first, second) if first and second else first or second


@dataclass(frozen=True, slots=True)
class AgreedContext:
    """A presentation context both sides may use, and the roles the requestor has in it.

    Reference: PS3.8 §7.1.1.13, PS3.7 §D.3.3.4
    """

    context_id: int
    abstract_syntax: str
    transfer_syntax: str
    requestor_is_scu: bool = True
    requestor_is_scp: bool = False


def agreed_contexts(request: AssociateRequest, accept: AssociateAccept) -> dict[int, AgreedContext]:
    """Return the accepted presentation contexts by id.

    Raises:
        RemoteProtocolError: the accept answers what was not proposed or takes a transfer syntax that was not.

    Reference: PS3.8 §7.1.1.14, PS3.7 §D.3.3.4
    """
    proposed = {context.context_id: context for context in request.presentation_contexts}
    asked = {role.sop_class_uid: role for role in request.user_information.role_selections}
    # A role counts when it was proposed and granted; without a proposal or an answer the requestor is SCU.
    roles = {
        role.sop_class_uid: (
            asked[role.sop_class_uid].scu_role and role.scu_role,
            asked[role.sop_class_uid].scp_role and role.scp_role,
        )
        for role in accept.user_information.role_selections
        if role.sop_class_uid in asked
    }
    agreed: dict[int, AgreedContext] = {}
    for answer in accept.presentation_contexts:
        context = proposed.get(answer.context_id)
        if context is None:
            raise violation(
                AbortReason.INVALID_PDU_PARAMETER_VALUE,
                "accept answers a presentation context that was not proposed",
                context_id=answer.context_id,
            )
        if answer.result is not ContextResult.ACCEPTANCE:
            continue
        if answer.transfer_syntax is None or answer.transfer_syntax not in context.transfer_syntaxes:
            raise violation(
                AbortReason.INVALID_PDU_PARAMETER_VALUE,
                "accept takes a transfer syntax that was not proposed",
                context_id=answer.context_id,
            )
        scu, scp = roles.get(context.abstract_syntax, (True, False))
        agreed[answer.context_id] = AgreedContext(
            answer.context_id, context.abstract_syntax, answer.transfer_syntax, scu, scp
        )
    return agreed
