"""What the archive agrees to: PS3.8 §7.1.1, PS3.4 Annex B."""

from __future__ import annotations

import pynetdicom.sop_class
import pytest
from pydicom.uid import UID_dictionary

from hilum.archive.remotes import DimseUse, RemoteAe
from hilum.dicom.uids import STORAGE_SOP_CLASSES, TRANSFER_SYNTAXES
from hilum.scp.negotiation import STORAGE_TRANSFER_SYNTAXES, ScpSettings, is_storage
from hilum.scp.service import Admission, ArchivePolicy
from hilum.scp.store import StorageService
from hilum.scp.verification import VerificationService
from hilum.ul.negotiation import negotiate
from hilum.ul.primitives import (
    AssociateAccept,
    AssociateReject,
    AsyncOperationsWindow,
    ContextResult,
    ExtendedNegotiation,
    ProposedContext,
    RejectReason,
    RejectResult,
    UserInformation,
)
from support.dimse import CT_STORAGE, EXPLICIT, VERIFICATION, MemoryStore, association_request

IMPLICIT = "1.2.840.10008.1.2"
JPEG = "1.2.840.10008.1.2.4.50"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
MPPS = "1.2.840.10008.3.1.2.3.3"
PRIVATE_STORAGE = "1.2.840.113619.4.30"


def policy(
    settings: ScpSettings | None = None,
    *,
    admission: Admission | RejectReason = Admission(),  # noqa: B008 - frozen
) -> ArchivePolicy:
    services = [VerificationService(), StorageService(MemoryStore(), settings or ScpSettings())]
    return ArchivePolicy(services, admission)


def answer(
    *contexts: ProposedContext, settings: ScpSettings | None = None, window: AsyncOperationsWindow | None = None
) -> AssociateAccept:
    accept = negotiate(association_request(contexts=contexts, window=window), policy(settings))
    assert isinstance(accept, AssociateAccept)
    return accept


@pytest.mark.parametrize(
    ("admission", "application_context", "reason"),
    [
        (RejectReason.CALLED_AE_TITLE_NOT_RECOGNIZED, None, RejectReason.CALLED_AE_TITLE_NOT_RECOGNIZED),
        (RejectReason.CALLING_AE_TITLE_NOT_RECOGNIZED, None, RejectReason.CALLING_AE_TITLE_NOT_RECOGNIZED),
        (Admission(), "1.2.3", RejectReason.APPLICATION_CONTEXT_NOT_SUPPORTED),
    ],
)
def test_an_association_is_rejected_for_good_with_the_reason_of_the_standard(
    admission: Admission | RejectReason, application_context: str | None, reason: RejectReason
) -> None:
    request = association_request(**({"application_context": application_context} if application_context else {}))
    assert negotiate(request, policy(admission=admission)) == AssociateReject(RejectResult.PERMANENT, reason)


def test_a_caller_gets_only_the_services_it_may_use() -> None:
    echoing = Admission(RemoteAe(1, 1, "MODALITY", may_ask=frozenset({DimseUse.ECHO})))
    accept = negotiate(association_request(), policy(admission=echoing))
    assert isinstance(accept, AssociateAccept)
    assert [each.result for each in accept.presentation_contexts] == [
        ContextResult.ACCEPTANCE,
        ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED,
    ]


@pytest.mark.parametrize("sop_class_uid", STORAGE_SOP_CLASSES)
def test_every_storage_sop_class_of_the_standard_is_accepted_even_when_unknown_ones_are_not(sop_class_uid: str) -> None:
    settings = ScpSettings(accept_unknown_sop_classes=False)
    accept = answer(ProposedContext(1, sop_class_uid, (EXPLICIT,)), settings=settings)
    assert accept.presentation_contexts[0].result is ContextResult.ACCEPTANCE


def test_every_storage_sop_class_pynetdicom_knows_is_accepted() -> None:
    names = vars(pynetdicom.sop_class)
    theirs = {str(names["_STORAGE_CLASSES"][name]) for name in names["_STORAGE_CLASSES"]}
    assert theirs
    assert all(is_storage(uid, accept_unknown=False) for uid in theirs)


@pytest.mark.parametrize("uid", [PRIVATE_STORAGE, "1.2.840.10008.5.1.4.1.1.9999", "2.25.1"])
def test_private_and_future_sop_classes_are_accepted_by_setting(uid: str) -> None:
    context = ProposedContext(1, uid, (EXPLICIT,))
    assert answer(context).presentation_contexts[0].result is ContextResult.ACCEPTANCE
    strict = ScpSettings(accept_unknown_sop_classes=False)
    refused = answer(context, settings=strict).presentation_contexts[0]
    assert refused.result is ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED


def test_services_of_the_standard_that_are_no_storage_are_refused() -> None:
    others = [
        uid
        for uid, (name, kind, *_rest) in UID_dictionary.items()
        if kind in ("SOP Class", "Meta SOP Class") and name and uid not in {*STORAGE_SOP_CLASSES, VERIFICATION}
    ]
    assert STUDY_ROOT_FIND in others
    assert MPPS in others
    assert [uid for uid in others if is_storage(uid)] == []


@pytest.mark.parametrize("uid", sorted(STORAGE_TRANSFER_SYNTAXES))
def test_every_transfer_syntax_of_data_sets_is_accepted(uid: str) -> None:
    accept = answer(ProposedContext(1, CT_STORAGE, (uid,)))
    assert accept.presentation_contexts[0].transfer_syntax == uid


def test_syntaxes_that_encode_no_data_set_are_refused() -> None:
    refused = {TRANSFER_SYNTAXES[uid].keyword for uid in set(TRANSFER_SYNTAXES) - STORAGE_TRANSFER_SYNTAXES}
    assert {"XMLEncoding", "RFC2557MIMEEncapsulation"} < refused
    assert len(refused) == 6
    result = answer(ProposedContext(1, CT_STORAGE, ("1.2.3.4",))).presentation_contexts[0].result
    assert result is ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED


def test_the_first_proposed_transfer_syntax_is_taken_so_that_the_sender_converts_nothing() -> None:
    accept = answer(
        ProposedContext(1, CT_STORAGE, (JPEG, EXPLICIT, IMPLICIT)), ProposedContext(3, CT_STORAGE, (IMPLICIT, JPEG))
    )
    assert [each.transfer_syntax for each in accept.presentation_contexts] == [JPEG, IMPLICIT]


def test_a_setting_orders_the_transfer_syntaxes_otherwise() -> None:
    settings = ScpSettings(transfer_syntax_order=(EXPLICIT, JPEG))
    accept = answer(ProposedContext(1, CT_STORAGE, (IMPLICIT, JPEG, EXPLICIT)), settings=settings)
    assert accept.presentation_contexts[0].transfer_syntax == EXPLICIT


@pytest.mark.parametrize(("proposed", "granted"), [(4, 4), (0, 16), (100, 16)])
def test_several_operations_may_be_under_way_when_the_requestor_asks_for_it(proposed: int, granted: int) -> None:
    accept = answer(ProposedContext(1, VERIFICATION, (IMPLICIT,)), window=AsyncOperationsWindow(proposed, 1))
    assert accept.user_information.async_operations_window == AsyncOperationsWindow(granted, 1)


def test_without_a_proposal_no_window_is_answered() -> None:
    assert answer(ProposedContext(1, VERIFICATION, (IMPLICIT,))).user_information.async_operations_window is None


def test_a_storage_scu_is_told_that_instances_are_kept_whole_and_bit_for_bit() -> None:
    proposals = (ExtendedNegotiation(CT_STORAGE, b"\2"), ExtendedNegotiation(STUDY_ROOT_FIND, b"\1"))
    request = association_request()
    request = type(request)(
        request.called_ae_title,
        request.calling_ae_title,
        request.application_context_name,
        request.presentation_contexts,
        UserInformation(16384, "1.2.3", extended_negotiations=proposals),
    )
    accept = negotiate(request, policy())
    assert isinstance(accept, AssociateAccept)
    expected = (ExtendedNegotiation(CT_STORAGE, bytes((2, 0, 3, 0, 0, 0))),)
    assert accept.user_information.extended_negotiations == expected


def test_the_announced_pdu_length_is_a_setting() -> None:
    accept = negotiate(association_request(), ArchivePolicy([VerificationService()], Admission(), 50_000))
    assert isinstance(accept, AssociateAccept)
    assert accept.user_information.max_pdu_length == 50_000
