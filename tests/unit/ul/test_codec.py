from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from hilum.kernel import limits
from hilum.kernel.errors import InvalidInput, RemoteProtocolError
from hilum.ul.codec import decode, encode
from hilum.ul.items import normalize_ae_title
from hilum.ul.pdu import PduType, check_header
from hilum.ul.primitives import (
    Abort,
    AbortReason,
    AbortSource,
    AssociateAccept,
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
from support.ul import (
    ABORT_PROVIDER_UNEXPECTED,
    ABORT_USER,
    ACCEPT,
    APPLICATION_CONTEXT,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    ASSOCIATE_RQ,
    CT_STORAGE,
    EXPLICIT,
    IMPLICIT,
    P_DATA,
    P_DATA_TF,
    REJECT,
    RELEASE_RP,
    RELEASE_RQ,
    REQUEST,
    RQ_ITEMS,
    VERIFICATION,
    raw_associate,
    raw_item,
    raw_pdu,
    raw_pdv,
    raw_proposed_context,
    raw_user_information,
)


def encoded(primitive: Primitive) -> bytes:
    return b"".join(encode(primitive))


def decoded(pdu: bytes) -> Primitive:
    return decode(PduType(pdu[0]), memoryview(pdu)[6:])


def decoded_request(*items: bytes, **fields: bytes) -> AssociateRequest:
    request = decoded(raw_associate(1, *items, **fields))  # type: ignore[arg-type]
    assert isinstance(request, AssociateRequest)
    return request


def information_of(*sub_items: bytes) -> UserInformation:
    return decoded_request(*RQ_ITEMS[:3], raw_user_information(*sub_items)).user_information


def refusal(pdu: bytes) -> AbortReason:
    """Return the reason of the abort an invalid PDU deserves."""
    with pytest.raises(RemoteProtocolError) as caught:
        decoded(pdu)
    answer = caught.value.answer
    assert isinstance(answer, Abort)
    assert answer.source is AbortSource.SERVICE_PROVIDER
    return answer.reason


class TestLayout:
    """PS3.8 §9.3.2 to §9.3.8"""

    @pytest.mark.parametrize(
        ("primitive", "pdu"),
        [
            (REQUEST, ASSOCIATE_RQ),
            (ACCEPT, ASSOCIATE_AC),
            (REJECT, ASSOCIATE_RJ),
            (P_DATA, P_DATA_TF),
            (ReleaseRequest(), RELEASE_RQ),
            (ReleaseResponse(), RELEASE_RP),
            (Abort(), ABORT_USER),
            (Abort(AbortSource.SERVICE_PROVIDER, AbortReason.UNEXPECTED_PDU), ABORT_PROVIDER_UNEXPECTED),
        ],
    )
    def test_pdu_is_what_the_standard_lays_out_byte_by_byte(self, primitive: Primitive, pdu: bytes) -> None:
        assert encoded(primitive) == pdu
        assert decoded(pdu) == primitive

    def test_all_sub_items_stand_as_the_standard_lays_them_out(self) -> None:
        """PS3.7 Annex D.3.3"""
        uid = VERIFICATION.encode()
        counted_uid = struct.pack(">H", len(uid)) + uid
        information = information_of(
            raw_item(0x53, struct.pack(">HH", 5, 0)),
            raw_item(0x54, counted_uid + b"\x00\x01"),
            raw_item(0x55, b"HILUM_1"),
            raw_item(0x56, counted_uid + b"\x01\x00\x01"),
            raw_item(0x57, counted_uid * 2 + struct.pack(">H", 2 * len(counted_uid)) + counted_uid * 2),
            raw_item(0x58, b"\x02\x01" + b"\x00\x04user" + b"\x00\x04pass"),
            raw_item(0x59, b"\x00\x03yes"),
        )
        assert information == UserInformation(
            max_pdu_length=32_768,
            implementation_class_uid="2.25.77",
            implementation_version_name="HILUM_1",
            async_operations_window=AsyncOperationsWindow(5, 0),
            role_selections=(RoleSelection(VERIFICATION, False, True),),
            extended_negotiations=(ExtendedNegotiation(VERIFICATION, b"\x01\x00\x01"),),
            common_extended_negotiations=(
                CommonExtendedNegotiation(VERIFICATION, VERIFICATION, (VERIFICATION, VERIFICATION)),
            ),
            user_identity=UserIdentity(UserIdentityType.USERNAME_AND_PASSCODE, b"user", b"pass", True),
            user_identity_response=b"yes",
        )
        request = replace(REQUEST, user_information=information)
        assert decoded(encoded(request)) == request

    def test_refused_context_is_written_with_the_transfer_syntax_it_has(self) -> None:
        accept = replace(
            ACCEPT,
            presentation_contexts=(ContextAnswer(1, ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED, EXPLICIT),),
        )
        assert raw_item(0x21, bytes((1, 0, 4, 0)) + raw_item(0x40, EXPLICIT.encode())) in encoded(accept)

    def test_data_of_pdvs_are_neither_copied_in_nor_out(self) -> None:
        payload = bytearray(b"payload")
        buffers = encode(PData((PresentationDataValue(1, False, True, payload),)))
        assert buffers[1] is payload
        body = memoryview(raw_pdv(1, 2, b"payload"))
        p_data = decode(PduType.P_DATA_TF, body)
        assert isinstance(p_data, PData)
        data = p_data.pdvs[0].data
        assert isinstance(data, memoryview)
        assert data.obj is body.obj


class TestTolerance:
    """PS3.8 §9.3.1: what is reserved is not tested; what is unknown is passed over"""

    def test_reserved_bytes_are_not_tested(self) -> None:
        for pdu in (ASSOCIATE_RJ, RELEASE_RQ, RELEASE_RP):
            assert decoded(pdu[:1] + b"\xff" + pdu[2:6] + b"\xff" + pdu[7:]) == decoded(pdu)
        assert decoded(raw_pdu(5, b"\xff" * 4)) == ReleaseRequest()
        marked = bytearray(ASSOCIATE_RQ)
        marked[8:10] = b"\xff\xff"
        marked[42:74] = b"\xff" * 32
        assert decoded(bytes(marked)) == REQUEST

    def test_further_protocol_version_bits_are_ignored(self) -> None:
        assert decoded(raw_associate(1, *RQ_ITEMS, version=0x8003)) == REQUEST

    def test_unknown_items_and_sub_items_are_skipped(self) -> None:
        unknown = raw_item(0x99, b"whatever")
        context = raw_item(
            0x20,
            bytes((1, 0, 0, 0)) + unknown + raw_item(0x30, VERIFICATION.encode()) + raw_item(0x40, IMPLICIT.encode()),
        )
        request = decoded_request(RQ_ITEMS[0], unknown, context, RQ_ITEMS[2], raw_user_information(unknown))
        assert request == REQUEST

    def test_items_may_come_in_any_order(self) -> None:
        assert decoded_request(RQ_ITEMS[3], RQ_ITEMS[1], RQ_ITEMS[2], RQ_ITEMS[0]) == REQUEST

    def test_uids_padded_as_in_data_sets_are_read(self) -> None:
        padded = raw_item(0x10, APPLICATION_CONTEXT.encode() + b"\0")
        assert decoded_request(padded, *RQ_ITEMS[1:]) == REQUEST

    def test_identity_of_an_unknown_type_counts_as_none(self) -> None:
        assert information_of(raw_item(0x58, b"\x09\x01\x00\x00\x00\x00")).user_identity is None

    def test_missing_maximum_length_counts_as_dcmtks_default(self) -> None:
        information = decoded_request(*RQ_ITEMS[:3], raw_item(0x50, b"")).user_information
        assert information == UserInformation(16_384, "")

    def test_version_name_is_cut_and_cleaned(self) -> None:
        assert information_of(raw_item(0x55, b"A\x00\xffB ")).implementation_version_name == "AB"

    def test_titles_of_an_accept_are_not_tested(self) -> None:
        accept = decoded(
            raw_associate(2, raw_user_information(), called=b"\xff" * 16, calling=b"\x00MODALITY".ljust(16))
        )
        assert isinstance(accept, AssociateAccept)
        assert (accept.called_ae_title, accept.calling_ae_title) == ("", "MODALITY")

    def test_transfer_syntax_of_a_refused_context_is_not_tested(self) -> None:
        refused = raw_item(0x21, bytes((1, 0, 1, 0)) + raw_item(0x40, b"\xff\xff"))
        accept = decoded(raw_associate(2, refused, raw_user_information()))
        assert isinstance(accept, AssociateAccept)
        assert accept.presentation_contexts == (ContextAnswer(1, ContextResult.USER_REJECTION),)

    @pytest.mark.parametrize(
        ("codes", "result", "reason"),
        [
            ((1, 1, 4), RejectResult.PERMANENT, RejectReason.NO_REASON_GIVEN),
            ((2, 2, 9), RejectResult.TRANSIENT, RejectReason.ACSE_NO_REASON_GIVEN),
            ((2, 3, 7), RejectResult.TRANSIENT, RejectReason.PRESENTATION_NO_REASON_GIVEN),
            ((0, 9, 9), RejectResult.PERMANENT, RejectReason.NO_REASON_GIVEN),
        ],
    )
    def test_rejection_with_reserved_codes_is_one_without_a_reason(
        self, codes: tuple[int, int, int], result: RejectResult, reason: RejectReason
    ) -> None:
        assert decoded(raw_pdu(3, bytes((0, *codes)))) == AssociateReject(result, reason)

    @pytest.mark.parametrize(
        ("codes", "abort"),
        [
            ((0, 6), Abort()),
            ((1, 1), Abort()),
            ((2, 3), Abort(AbortSource.SERVICE_PROVIDER)),
            ((2, 200), Abort(AbortSource.SERVICE_PROVIDER)),
            ((2, 6), Abort(AbortSource.SERVICE_PROVIDER, AbortReason.INVALID_PDU_PARAMETER_VALUE)),
        ],
    )
    def test_abort_with_reserved_codes_is_one_without_a_reason(self, codes: tuple[int, int], abort: Abort) -> None:
        received = decoded(raw_pdu(7, bytes((0, 0, *codes))))
        assert received == abort
        assert isinstance(received, Abort)
        assert received.by_peer


INVALID_ITEMS = {
    "no application context": RQ_ITEMS[1:],
    "no presentation context": (RQ_ITEMS[0], RQ_ITEMS[3]),
    "no user information": RQ_ITEMS[:3],
    "even context id": (*RQ_ITEMS, raw_proposed_context(2, VERIFICATION, IMPLICIT)),
    "context id zero": (*RQ_ITEMS, raw_proposed_context(0, VERIFICATION, IMPLICIT)),
    "context id used twice": (*RQ_ITEMS, raw_proposed_context(1, CT_STORAGE, EXPLICIT)),
    "context item of two bytes": (*RQ_ITEMS, raw_item(0x20, b"\x05\x00")),
    "context without abstract syntax": (
        *RQ_ITEMS,
        raw_item(0x20, b"\x05\0\0\0" + raw_item(0x40, IMPLICIT.encode())),
    ),
    "abstract syntax of 65 characters": (*RQ_ITEMS, raw_proposed_context(5, "1" * 65, IMPLICIT)),
    "abstract syntax with a line break": (*RQ_ITEMS, raw_proposed_context(5, "1.2\n3", IMPLICIT)),
    "129 transfer syntaxes": (*RQ_ITEMS, raw_proposed_context(5, VERIFICATION, *[IMPLICIT] * 129)),
    "item header cut short": (*RQ_ITEMS, b"\x20\x00\x00"),
    "item beyond the PDU": (*RQ_ITEMS, b"\x20\x00\x00\x05abcd"),
    "sub-item beyond its item": (*RQ_ITEMS, raw_item(0x20, b"\x05\0\0\0" + b"\x30\x00\xff\xff1.2")),
    "too many items": (*RQ_ITEMS, raw_item(0x99, b"") * limits.MAX_ITEMS_PER_FIELD),
    "too many sub-items": (*RQ_ITEMS[:3], raw_user_information(raw_item(0x99, b"") * limits.MAX_ITEMS_PER_FIELD)),
    "maximum length of three bytes": (*RQ_ITEMS[:3], raw_item(0x50, raw_item(0x51, b"\0\0\1"))),
    "maximum length too small": (*RQ_ITEMS[:3], raw_item(0x50, raw_item(0x51, b"\0\0\0\x10"))),
    "window of two bytes": (*RQ_ITEMS[:3], raw_user_information(raw_item(0x53, b"\0\1"))),
    "role selection without roles": (*RQ_ITEMS[:3], raw_user_information(raw_item(0x54, b"\0\x031.2\1"))),
    "role selection with a long UID": (*RQ_ITEMS[:3], raw_user_information(raw_item(0x54, b"\xff\xff1.2\1\1"))),
    "extended negotiation without UID": (*RQ_ITEMS[:3], raw_user_information(raw_item(0x56, b"\0"))),
    "related classes beyond their item": (
        *RQ_ITEMS[:3],
        raw_user_information(raw_item(0x57, b"\0\x011\0\x012\0\x05\0\x091.2")),
    ),
    "identity cut short": (*RQ_ITEMS[:3], raw_user_information(raw_item(0x58, b"\2\0\0\x04user\0\x09pass"))),
    "identity response cut short": (*RQ_ITEMS[:3], raw_user_information(raw_item(0x59, b"\0\x09yes"))),
}


class TestInvalidPdus:
    """PS3.8 §9.3.8, Table 9-26: the abort reason an invalid PDU leads to"""

    @pytest.mark.parametrize("case", sorted(INVALID_ITEMS))
    def test_request_with_invalid_items_is_refused(self, case: str) -> None:
        assert refusal(raw_associate(1, *INVALID_ITEMS[case])) is AbortReason.INVALID_PDU_PARAMETER_VALUE

    @pytest.mark.parametrize(
        "item",
        [
            raw_item(0x21, bytes((2, 0, 3, 0))),
            raw_item(0x21, bytes((1, 0, 5, 0))),
            raw_item(0x21, bytes((1, 0, 0, 0))),
            raw_item(0x21, bytes((1, 0, 3, 0))) * 2,
            raw_item(0x21, b"\1\0"),
        ],
        ids=["even id", "unknown result", "no transfer syntax", "id twice", "cut short"],
    )
    def test_accept_with_invalid_items_is_refused(self, item: bytes) -> None:
        pdu = raw_associate(2, item, raw_user_information())
        assert refusal(pdu) is AbortReason.INVALID_PDU_PARAMETER_VALUE

    def test_accept_without_user_information_is_refused(self) -> None:
        assert refusal(raw_associate(2)) is AbortReason.INVALID_PDU_PARAMETER_VALUE

    def test_items_of_the_other_pdu_are_unexpected(self) -> None:
        answer = raw_item(0x21, bytes((1, 0, 3, 0)))
        assert refusal(raw_associate(1, *RQ_ITEMS, answer)) is AbortReason.UNEXPECTED_PDU_PARAMETER
        assert refusal(raw_associate(2, *RQ_ITEMS)) is AbortReason.UNEXPECTED_PDU_PARAMETER

    @pytest.mark.parametrize("title", [b"HIL\nUM", b"HIL\0UM", b"HIL\\UM", "HÍLUM".encode("latin-1"), b"\x7f"])
    def test_ae_titles_with_other_characters_are_refused(self, title: bytes) -> None:
        for fields in ({"called": title.ljust(16)}, {"calling": title.ljust(16)}):
            pdu = raw_associate(1, *RQ_ITEMS, **fields)  # type: ignore[arg-type]
            assert refusal(pdu) is AbortReason.INVALID_PDU_PARAMETER_VALUE

    def test_request_for_another_protocol_version_is_rejected_whatever_it_holds(self) -> None:
        with pytest.raises(RemoteProtocolError) as caught:
            decoded(raw_associate(1, b"\xff", version=2))
        assert caught.value.answer == AssociateReject(
            RejectResult.PERMANENT, RejectReason.PROTOCOL_VERSION_NOT_SUPPORTED
        )

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"\0\0\0\1\1",
            b"\0\0\0\1\1\2",
            b"\0\0\0\0\1\2",
            b"\0\0\0\x0a\1\2ab",
            b"\xff\xff\xff\xff\1\2ab",
            raw_pdv(1, 2, b"ab") + b"\0\0",
            raw_pdv(1, 0, b""),
            raw_pdv(1, 2, b"") * (limits.MAX_PDVS_PER_PDU + 1),
        ],
        ids=[
            "no PDV",
            "header cut short",
            "length 1",
            "length 0",
            "beyond the PDU",
            "huge",
            "rest",
            "empty",
            "too many",
        ],
    )
    def test_p_data_with_invalid_pdvs_is_refused(self, body: bytes) -> None:
        assert refusal(raw_pdu(4, body)) is AbortReason.INVALID_PDU_PARAMETER_VALUE

    def test_empty_last_fragment_is_taken(self) -> None:
        assert decoded(raw_pdu(4, raw_pdv(1, 2, b""))) == PData((PresentationDataValue(1, False, True, b""),))

    @pytest.mark.parametrize("length", [0, 3, 5, 0xFFFFFFFF])
    def test_header_of_a_fixed_pdu_with_another_length_is_refused(self, length: int) -> None:
        for pdu_type in (3, 5, 6, 7):
            with pytest.raises(RemoteProtocolError):
                check_header(pdu_type, length, 1 << 18)

    def test_header_bounds(self) -> None:
        largest = limits.MAX_ASSOCIATE_PDU_LENGTH_BYTES
        for pdu_type, low, high in ((1, 68, largest), (2, 68, largest), (4, 6, 1 << 18)):
            assert check_header(pdu_type, low, 1 << 18) == check_header(pdu_type, high, 1 << 18) == pdu_type
            for length in (low - 1, high + 1, 0xFFFFFFFF):
                with pytest.raises(RemoteProtocolError):
                    check_header(pdu_type, length, 1 << 18)

    @pytest.mark.parametrize("pdu_type", [0, 8, 0x47, 0xFF])
    def test_unknown_pdu_type_is_unrecognized(self, pdu_type: int) -> None:
        with pytest.raises(RemoteProtocolError) as caught:
            check_header(pdu_type, 4, 1 << 18)
        assert caught.value.answer == Abort(AbortSource.SERVICE_PROVIDER, AbortReason.UNRECOGNIZED_PDU)


class TestAeTitles:
    """PS3.8 Table 9-11"""

    def test_padding_is_stripped_and_put_back(self) -> None:
        request = decoded_request(*RQ_ITEMS, called=b"  HILUM".ljust(16), calling=b"A B".ljust(16, b"\0"))
        assert (request.called_ae_title, request.calling_ae_title) == ("HILUM", "A B")
        assert encoded(request)[10:42] == b"HILUM".ljust(16) + b"A B".ljust(16)

    def test_blank_title_of_a_request_is_left_to_the_policy_and_echoed(self) -> None:
        request = decoded_request(*RQ_ITEMS, calling=b" " * 16)
        assert request.calling_ae_title == ""
        assert encoded(replace(ACCEPT, calling_ae_title=""))[26:42] == b" " * 16

    @pytest.mark.parametrize("title", ["", "   ", "A" * 17, "A\\B", "A\tB", "Ä"])
    def test_titles_of_our_own_are_checked(self, title: str) -> None:
        with pytest.raises(InvalidInput):
            normalize_ae_title(title)
        with pytest.raises(InvalidInput):
            encode(replace(REQUEST, called_ae_title=title))


def information(**changes: object) -> AssociateRequest:
    return replace(REQUEST, user_information=replace(REQUEST.user_information, **changes))  # type: ignore[arg-type]


class TestOwnMistakes:
    @pytest.mark.parametrize(
        "primitive",
        [
            replace(REQUEST, presentation_contexts=()),
            replace(REQUEST, presentation_contexts=REQUEST.presentation_contexts * 2),
            replace(REQUEST, presentation_contexts=(ProposedContext(2, VERIFICATION, (IMPLICIT,)),)),
            replace(REQUEST, presentation_contexts=(ProposedContext(257, VERIFICATION, (IMPLICIT,)),)),
            replace(REQUEST, presentation_contexts=(ProposedContext(1, "", (IMPLICIT,)),)),
            replace(REQUEST, presentation_contexts=(ProposedContext(1, VERIFICATION, ("1 2",)),)),
            replace(REQUEST, presentation_contexts=(ProposedContext(1, VERIFICATION, (IMPLICIT,) * 4000),)),
            replace(ACCEPT, presentation_contexts=(ContextAnswer(1, ContextResult.ACCEPTANCE),)),
            replace(REQUEST, application_context_name="1" * 65),
            information(max_pdu_length=1 << 32),
            information(max_pdu_length=-1),
            information(implementation_class_uid=""),
            information(implementation_version_name="HILUM_OF_THE_LONG_NAME"),
            information(implementation_version_name=""),
            information(async_operations_window=AsyncOperationsWindow(1, 1 << 16)),
            information(user_identity=UserIdentity(UserIdentityType.SAML, bytes(1 << 16))),
            information(user_identity=UserIdentity(UserIdentityType.SAML, bytes((1 << 16) - 1))),
            information(extended_negotiations=(ExtendedNegotiation("", b""),)),
        ],
    )
    def test_values_that_do_not_fit_their_field_are_refused(self, primitive: Primitive) -> None:
        with pytest.raises(InvalidInput):
            encode(primitive)
