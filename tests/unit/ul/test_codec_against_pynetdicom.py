"""pynetdicom's PDU classes as an independent reader and writer of the same PDUs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pynetdicom import build_context, pdu, pdu_primitives
from pynetdicom.presentation import PresentationContext

from hilum.ul.codec import decode, encode
from hilum.ul.pdu import PduType
from hilum.ul.primitives import (
    Abort,
    AbortReason,
    AbortSource,
    AssociateReject,
    AssociateRequest,
    AsyncOperationsWindow,
    CommonExtendedNegotiation,
    ContextAnswer,
    ContextResult,
    ExtendedNegotiation,
    PData,
    PresentationDataValue,
    Primitive,
    ProposedContext,
    RejectReason,
    RejectResult,
    ReleaseRequest,
    ReleaseResponse,
    RoleSelection,
    UserIdentity,
    UserIdentityType,
    UserInformation,
)
from support.ul import ACCEPT, APPLICATION_CONTEXT, CT_STORAGE, EXPLICIT, IMPLICIT, REQUEST, VERIFICATION

PDUS: dict[type[Primitive], type[pdu.PDU]] = {
    AssociateRequest: pdu.A_ASSOCIATE_RQ,
    type(ACCEPT): pdu.A_ASSOCIATE_AC,
    AssociateReject: pdu.A_ASSOCIATE_RJ,
    PData: pdu.P_DATA_TF,
    ReleaseRequest: pdu.A_RELEASE_RQ,
    ReleaseResponse: pdu.A_RELEASE_RP,
    Abort: pdu.A_ABORT_RQ,
}
REQUESTED = UserInformation(
    max_pdu_length=16_382,
    implementation_class_uid="1.2.826.0.1.3680043.9.3811.3.0.4",
    implementation_version_name="PYNETDICOM_304",
    async_operations_window=AsyncOperationsWindow(3, 2),
    role_selections=(RoleSelection(CT_STORAGE, False, True), RoleSelection(VERIFICATION, True, False)),
    extended_negotiations=(ExtendedNegotiation(CT_STORAGE, b"\x02\x00\x03\x00\x01\x00"),),
    common_extended_negotiations=(
        CommonExtendedNegotiation(CT_STORAGE, "1.2.840.10008.4.2", (VERIFICATION, CT_STORAGE)),
        CommonExtendedNegotiation(VERIFICATION, "1.2.840.10008.4.2"),
    ),
    user_identity=UserIdentity(UserIdentityType.USERNAME_AND_PASSCODE, b"reader", b"secret", True),
)
GRANTED = UserInformation(
    max_pdu_length=0,
    implementation_class_uid="1.2.826.0.1.3680043.9.3811.3.0.4",
    async_operations_window=AsyncOperationsWindow(1, 1),
    role_selections=(RoleSelection(CT_STORAGE, False, True),),
    extended_negotiations=(ExtendedNegotiation(CT_STORAGE, b"\x02"),),
    user_identity_response=b"ticket",
)
PRIMITIVES: list[Primitive] = [
    REQUEST,
    replace(REQUEST, user_information=REQUESTED),
    *(
        replace(
            REQUEST,
            user_information=replace(REQUESTED, user_identity=UserIdentity(identity_type, b"x" * 3000)),
        )
        for identity_type in UserIdentityType
        if identity_type is not UserIdentityType.USERNAME_AND_PASSCODE
    ),
    replace(
        REQUEST,
        presentation_contexts=tuple(
            ProposedContext(context_id, f"1.2.3.{context_id}", (IMPLICIT, EXPLICIT)) for context_id in range(1, 256, 2)
        ),
    ),
    replace(
        ACCEPT,
        presentation_contexts=(
            ContextAnswer(1, ContextResult.ACCEPTANCE, EXPLICIT),
            ContextAnswer(255, ContextResult.ACCEPTANCE, IMPLICIT),
        ),
        user_information=GRANTED,
    ),
    *(AssociateReject(result, reason) for result in RejectResult for reason in RejectReason),
    PData((PresentationDataValue(1, True, True, b"\0\0\0\0\4\0\0\0"),)),
    PData((PresentationDataValue(1, True, True, b"ab"), PresentationDataValue(255, False, False, b"c" * 5000))),
    ReleaseRequest(),
    ReleaseResponse(),
    Abort(),
    *(Abort(AbortSource.SERVICE_PROVIDER, reason) for reason in AbortReason),
]


def decoded(data: bytes) -> Primitive:
    return decode(PduType(data[0]), memoryview(data)[6:])


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_pynetdicom_reads_what_we_write_and_writes_it_alike(primitive: Primitive) -> None:
    ours = b"".join(encode(primitive))
    theirs: Any = PDUS[type(primitive)]()
    theirs.decode(ours)
    again = theirs.encode()
    assert len(again) == len(ours)
    assert decoded(again) == primitive


def test_refused_contexts_we_write_are_read_by_pynetdicom() -> None:
    theirs: Any = pdu.A_ASSOCIATE_AC()
    theirs.decode(b"".join(encode(ACCEPT)))
    assert [(c.context_id, c.result) for c in theirs.presentation_context] == [(1, 0), (3, 3)]
    assert theirs.presentation_context[0].transfer_syntax == IMPLICIT


def user_information_items() -> list[Any]:
    maximum = pdu_primitives.MaximumLengthNotification()
    maximum.maximum_length_received = 16_382
    class_uid = pdu_primitives.ImplementationClassUIDNotification()
    class_uid.implementation_class_uid = REQUESTED.implementation_class_uid
    version = pdu_primitives.ImplementationVersionNameNotification()
    version.implementation_version_name = REQUESTED.implementation_version_name
    window = pdu_primitives.AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked, window.maximum_number_operations_performed = 3, 2
    roles = []
    for uid, scu, scp in ((CT_STORAGE, False, True), (VERIFICATION, True, False)):
        role = pdu_primitives.SCP_SCU_RoleSelectionNegotiation()
        role.sop_class_uid, role.scu_role, role.scp_role = uid, scu, scp
        roles.append(role)
    extended = pdu_primitives.SOPClassExtendedNegotiation()
    extended.sop_class_uid = CT_STORAGE
    extended.service_class_application_information = b"\x02\x00\x03\x00\x01\x00"
    commons = []
    for uid, related in ((CT_STORAGE, [VERIFICATION, CT_STORAGE]), (VERIFICATION, [])):
        common = pdu_primitives.SOPClassCommonExtendedNegotiation()
        common.sop_class_uid, common.service_class_uid = uid, "1.2.840.10008.4.2"
        common.related_general_sop_class_identification = related
        commons.append(common)
    identity = pdu_primitives.UserIdentityNegotiation()
    identity.user_identity_type = 2
    identity.positive_response_requested = True
    identity.primary_field, identity.secondary_field = b"reader", b"secret"
    return [maximum, class_uid, version, window, *roles, extended, *commons, identity]


def contexts() -> list[PresentationContext]:
    first, second = build_context(VERIFICATION, [IMPLICIT]), build_context(CT_STORAGE, [EXPLICIT, IMPLICIT])
    first.context_id, second.context_id = 1, 3
    return [first, second]


def associate_primitive() -> Any:
    primitive = pdu_primitives.A_ASSOCIATE()
    primitive.application_context_name = APPLICATION_CONTEXT
    primitive.calling_ae_title, primitive.called_ae_title = "MODALITY", "HILUM"
    return primitive


def test_request_with_everything_negotiated_by_pynetdicom_is_read() -> None:
    primitive = associate_primitive()
    primitive.user_information = user_information_items()
    primitive.presentation_context_definition_list = contexts()
    theirs = pdu.A_ASSOCIATE_RQ()
    theirs.from_primitive(primitive)
    assert decoded(theirs.encode()) == replace(REQUEST, user_information=REQUESTED)


def test_accept_of_pynetdicom_is_read() -> None:
    primitive = associate_primitive()
    primitive.user_information = user_information_items()[:2]
    accepted, refused = contexts()
    accepted.result, refused.result = 0, 4
    refused.transfer_syntax = [EXPLICIT]
    primitive.presentation_context_definition_results_list = [accepted, refused]
    theirs = pdu.A_ASSOCIATE_AC()
    theirs.from_primitive(primitive)
    assert decoded(theirs.encode()) == replace(
        ACCEPT,
        presentation_contexts=(
            ContextAnswer(1, ContextResult.ACCEPTANCE, IMPLICIT),
            ContextAnswer(3, ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED),
        ),
        user_information=UserInformation(16_382, REQUESTED.implementation_class_uid),
    )
