from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from hilum.kernel.errors import RemoteProtocolError
from hilum.ul.negotiation import AcceptorPolicy, AgreedContext, TransferSyntaxRule, agreed_contexts, negotiate
from hilum.ul.primitives import (
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    AsyncOperationsWindow,
    CommonExtendedNegotiation,
    ContextAnswer,
    ContextResult,
    ExtendedNegotiation,
    ProposedContext,
    RejectReason,
    RejectResult,
    RejectSource,
    RoleSelection,
    UserIdentity,
    UserIdentityType,
)
from support.ul import (
    ACCEPT,
    APPLICATION_CONTEXT,
    CT_STORAGE,
    EXPLICIT,
    IMPLICIT,
    REQUEST,
    VERIFICATION,
)

JPEG = "1.2.840.10008.1.2.4.50"


@dataclass
class Policy(AcceptorPolicy):
    """An acceptor called HILUM that stores CT in little endian."""

    implementation_class_uid: str = "2.25.1"
    implementation_version_name: str | None = "HILUM_TEST"
    max_pdu_length: int = 65_536
    async_operations_window: AsyncOperationsWindow = field(default=AsyncOperationsWindow(4, 1))
    rules: dict[str, TransferSyntaxRule] = field(
        default_factory=lambda: {
            VERIFICATION: TransferSyntaxRule({IMPLICIT}),
            CT_STORAGE: TransferSyntaxRule({IMPLICIT, EXPLICIT, JPEG}),
        }
    )
    congested: RejectReason | None = None

    def rejection(self, request: AssociateRequest) -> RejectReason | None:
        if self.congested is not None:
            return self.congested
        if request.application_context_name != APPLICATION_CONTEXT:
            return RejectReason.APPLICATION_CONTEXT_NOT_SUPPORTED
        if request.called_ae_title != "HILUM":
            return RejectReason.CALLED_AE_TITLE_NOT_RECOGNIZED
        if request.calling_ae_title == "STRANGER":
            return RejectReason.CALLING_AE_TITLE_NOT_RECOGNIZED
        return None

    def transfer_syntax_rule(self, request: AssociateRequest, abstract_syntax: str) -> TransferSyntaxRule | None:
        return self.rules.get(abstract_syntax)


class GrantingPolicy(Policy):
    def role_selection(self, request: AssociateRequest, proposed: RoleSelection) -> RoleSelection | None:
        return RoleSelection(proposed.sop_class_uid, True, True)

    def extended_negotiation(
        self, request: AssociateRequest, proposed: ExtendedNegotiation
    ) -> ExtendedNegotiation | None:
        return replace(proposed, application_information=b"\x01")

    def user_identity_response(self, request: AssociateRequest) -> bytes | None:
        return b"ticket"


def accepted(request: AssociateRequest, policy: Policy) -> AssociateAccept:
    answer = negotiate(request, policy)
    assert isinstance(answer, AssociateAccept)
    return answer


def with_information(**changes: object) -> AssociateRequest:
    return replace(REQUEST, user_information=replace(REQUEST.user_information, **changes))  # type: ignore[arg-type]


class TestRejection:
    """PS3.8 §9.3.4, Table 9-21"""

    @pytest.mark.parametrize(
        ("request_", "policy", "codes"),
        [
            (replace(REQUEST, application_context_name="2.25.9"), Policy(), (1, 1, 2)),
            (replace(REQUEST, calling_ae_title="STRANGER"), Policy(), (1, 1, 3)),
            (replace(REQUEST, called_ae_title="ELSEWHERE"), Policy(), (1, 1, 7)),
            (REQUEST, Policy(congested=RejectReason.TEMPORARY_CONGESTION), (2, 3, 1)),
            (REQUEST, Policy(congested=RejectReason.LOCAL_LIMIT_EXCEEDED), (2, 3, 2)),
        ],
    )
    def test_request_is_rejected_with_result_source_and_reason_of_the_standard(
        self, request_: AssociateRequest, policy: Policy, codes: tuple[int, int, int]
    ) -> None:
        answer = negotiate(request_, policy)
        assert isinstance(answer, AssociateReject)
        assert (answer.result, answer.source, answer.reason.code) == codes

    def test_every_reason_belongs_to_its_source(self) -> None:
        assert {reason: (reason.source, reason.code) for reason in RejectReason} == {
            RejectReason.NO_REASON_GIVEN: (RejectSource.SERVICE_USER, 1),
            RejectReason.APPLICATION_CONTEXT_NOT_SUPPORTED: (RejectSource.SERVICE_USER, 2),
            RejectReason.CALLING_AE_TITLE_NOT_RECOGNIZED: (RejectSource.SERVICE_USER, 3),
            RejectReason.CALLED_AE_TITLE_NOT_RECOGNIZED: (RejectSource.SERVICE_USER, 7),
            RejectReason.ACSE_NO_REASON_GIVEN: (RejectSource.SERVICE_PROVIDER_ACSE, 1),
            RejectReason.PROTOCOL_VERSION_NOT_SUPPORTED: (RejectSource.SERVICE_PROVIDER_ACSE, 2),
            RejectReason.PRESENTATION_NO_REASON_GIVEN: (RejectSource.SERVICE_PROVIDER_PRESENTATION, 0),
            RejectReason.TEMPORARY_CONGESTION: (RejectSource.SERVICE_PROVIDER_PRESENTATION, 1),
            RejectReason.LOCAL_LIMIT_EXCEEDED: (RejectSource.SERVICE_PROVIDER_PRESENTATION, 2),
        }
        assert (RejectResult.PERMANENT, RejectResult.TRANSIENT) == (1, 2)


class TestPresentationContexts:
    """PS3.8 §9.3.3.2"""

    def test_first_proposed_transfer_syntax_that_is_acceptable_is_taken(self) -> None:
        proposed = ProposedContext(5, CT_STORAGE, ("2.25.8", JPEG, IMPLICIT))
        answer = accepted(replace(REQUEST, presentation_contexts=(proposed,)), Policy())
        assert answer.presentation_contexts == (ContextAnswer(5, ContextResult.ACCEPTANCE, JPEG),)

    def test_preferred_transfer_syntax_wins_over_the_requestors_order(self) -> None:
        policy = Policy(rules={CT_STORAGE: TransferSyntaxRule({IMPLICIT, EXPLICIT, JPEG}, (EXPLICIT, IMPLICIT))})
        proposed = ProposedContext(5, CT_STORAGE, (JPEG, IMPLICIT, EXPLICIT))
        answer = accepted(replace(REQUEST, presentation_contexts=(proposed,)), policy)
        assert answer.presentation_contexts[0].transfer_syntax == EXPLICIT

    def test_requestors_order_decides_when_no_preferred_transfer_syntax_is_proposed(self) -> None:
        assert TransferSyntaxRule({IMPLICIT, JPEG}, (EXPLICIT,)).choose((JPEG, IMPLICIT)) == JPEG

    def test_refused_contexts_say_what_was_not_supported(self) -> None:
        request = replace(
            REQUEST,
            presentation_contexts=(
                ProposedContext(1, "2.25.5", (IMPLICIT,)),
                ProposedContext(3, VERIFICATION, (JPEG,)),
                ProposedContext(5, VERIFICATION, ()),
                ProposedContext(7, VERIFICATION, (IMPLICIT,)),
            ),
        )
        answers = accepted(request, Policy()).presentation_contexts
        assert [answer.result for answer in answers] == [3, 4, 4, 0]
        # The first proposed one fills the field that has no meaning in a refusal.
        assert [answer.transfer_syntax for answer in answers] == [IMPLICIT, JPEG, None, IMPLICIT]

    def test_request_without_any_acceptable_context_is_accepted_with_all_refused(self) -> None:
        request = replace(REQUEST, presentation_contexts=(ProposedContext(1, "2.25.5", (IMPLICIT,)),))
        answer = accepted(request, Policy())
        assert agreed_contexts(request, answer) == {}


class TestUserInformation:
    """PS3.7 Annex D.3.3"""

    def test_accept_carries_the_acceptors_own_values_and_echoes_the_titles(self) -> None:
        answer = accepted(REQUEST, Policy())
        assert (answer.called_ae_title, answer.calling_ae_title) == ("HILUM", "MODALITY")
        assert answer.application_context_name == APPLICATION_CONTEXT
        assert answer.user_information.max_pdu_length == 65_536
        assert answer.user_information.implementation_class_uid == "2.25.1"
        assert answer.user_information.implementation_version_name == "HILUM_TEST"

    def test_what_was_not_negotiated_is_not_answered(self) -> None:
        information = accepted(REQUEST, GrantingPolicy()).user_information
        assert information.async_operations_window is None
        assert information.role_selections == ()
        assert information.extended_negotiations == ()
        assert information.user_identity_response is None

    @pytest.mark.parametrize(
        ("proposed", "ceiling", "granted"),
        [
            ((8, 8), (4, 1), (4, 1)),
            ((2, 1), (4, 4), (2, 1)),
            ((0, 0), (4, 1), (4, 1)),
            ((8, 0), (0, 0), (8, 0)),
            ((0, 3), (0, 0), (0, 3)),
        ],
    )
    def test_async_window_is_narrowed_where_zero_means_no_bound(
        self, proposed: tuple[int, int], ceiling: tuple[int, int], granted: tuple[int, int]
    ) -> None:
        request = with_information(async_operations_window=AsyncOperationsWindow(*proposed))
        answer = accepted(request, Policy(async_operations_window=AsyncOperationsWindow(*ceiling)))
        assert answer.user_information.async_operations_window == AsyncOperationsWindow(*granted)

    def test_role_selection_is_not_answered_by_default(self) -> None:
        request = with_information(role_selections=(RoleSelection(CT_STORAGE, False, True),))
        assert accepted(request, Policy()).user_information.role_selections == ()

    def test_roles_that_were_not_proposed_are_never_granted(self) -> None:
        request = with_information(role_selections=(RoleSelection(CT_STORAGE, False, True),))
        answer = accepted(request, GrantingPolicy())
        assert answer.user_information.role_selections == (RoleSelection(CT_STORAGE, False, True),)

    def test_extended_negotiation_is_answered_when_the_policy_answers(self) -> None:
        request = with_information(
            extended_negotiations=(ExtendedNegotiation(CT_STORAGE, b"\x02\x00"),),
            common_extended_negotiations=(CommonExtendedNegotiation(CT_STORAGE, "2.25.6"),),
        )
        assert accepted(request, Policy()).user_information.extended_negotiations == ()
        information = accepted(request, GrantingPolicy()).user_information
        assert information.extended_negotiations == (ExtendedNegotiation(CT_STORAGE, b"\x01"),)
        assert information.common_extended_negotiations == ()

    @pytest.mark.parametrize(("wanted", "response"), [(True, b"ticket"), (False, None)])
    def test_identity_is_answered_only_when_a_response_is_requested(self, wanted: bool, response: bytes | None) -> None:
        identity = UserIdentity(UserIdentityType.USERNAME, b"reader", positive_response_requested=wanted)
        answer = accepted(with_information(user_identity=identity), GrantingPolicy())
        assert answer.user_information.user_identity_response == response

    def test_credentials_do_not_show_in_repr(self) -> None:
        identity = UserIdentity(UserIdentityType.USERNAME_AND_PASSCODE, b"reader", b"secret")
        shown = repr(with_information(user_identity=identity, user_identity_response=b"ticket"))
        assert not any(word in shown for word in ("reader", "secret", "ticket"))


class TestAgreedContexts:
    """PS3.8 §7.1.1.14, PS3.7 §D.3.3.4"""

    def test_accepted_contexts_are_listed_with_syntaxes_and_default_roles(self) -> None:
        assert agreed_contexts(REQUEST, ACCEPT) == {1: AgreedContext(1, VERIFICATION, IMPLICIT, True, False)}

    def test_roles_count_when_proposed_and_granted(self) -> None:
        request = with_information(
            role_selections=(RoleSelection(VERIFICATION, False, True), RoleSelection(CT_STORAGE, True, True))
        )
        granted = (RoleSelection(VERIFICATION, True, True), RoleSelection(CT_STORAGE, True, False))
        accept = replace(
            accepted(request, Policy()),
            user_information=replace(ACCEPT.user_information, role_selections=granted),
        )
        agreed = agreed_contexts(request, accept)
        assert (agreed[1].requestor_is_scu, agreed[1].requestor_is_scp) == (False, True)
        assert (agreed[3].requestor_is_scu, agreed[3].requestor_is_scp) == (True, False)

    @pytest.mark.parametrize("granted", [(RoleSelection(CT_STORAGE, False, False),), ()])
    def test_unasked_or_unanswered_roles_leave_the_requestor_scu(self, granted: tuple[RoleSelection, ...]) -> None:
        accept = replace(
            accepted(REQUEST, Policy()),
            user_information=replace(ACCEPT.user_information, role_selections=granted),
        )
        assert agreed_contexts(REQUEST, accept)[3].requestor_is_scu

    @pytest.mark.parametrize(
        "answer",
        [
            ContextAnswer(5, ContextResult.ACCEPTANCE, IMPLICIT),
            ContextAnswer(5, ContextResult.USER_REJECTION),
            ContextAnswer(1, ContextResult.ACCEPTANCE, JPEG),
            ContextAnswer(1, ContextResult.ACCEPTANCE, None),
        ],
    )
    def test_accept_that_does_not_fit_the_request_is_refused(self, answer: ContextAnswer) -> None:
        with pytest.raises(RemoteProtocolError):
            agreed_contexts(REQUEST, replace(ACCEPT, presentation_contexts=(answer,)))
