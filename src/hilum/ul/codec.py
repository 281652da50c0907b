"""The seven PDUs: bodies of received PDUs to primitives, primitives to bytes.

Reference: PS3.8 §9.3.2 to §9.3.8
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

from hilum.kernel import limits
from hilum.kernel.errors import InvalidInput, RemoteProtocolError
from hilum.ul import items
from hilum.ul.pdu import (
    AE_TITLE_LENGTH,
    ASSOCIATE_FIXED_LENGTH,
    FIXED_PDU_LENGTH,
    P_DATA_HEADER,
    PDU_HEADER,
    PDV_COMMAND,
    PDV_HEADER,
    PDV_LAST,
    PROTOCOL_VERSION,
    ItemType,
    PduType,
    violation,
)
from hilum.ul.primitives import (
    Abort,
    AbortReason,
    AbortSource,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    Buffer,
    ContextAnswer,
    PData,
    PresentationDataValue,
    Primitive,
    ProposedContext,
    RejectReason,
    RejectResult,
    RejectSource,
    ReleaseRequest,
    ReleaseResponse,
    UserInformation,
)
from hilum.ul.user_information import read_user_information, write_user_information

_INVALID = AbortReason.INVALID_PDU_PARAMETER_VALUE
_U16 = struct.Struct(">H")
_TITLES_OFFSET = 4
_SOURCE_DEFAULTS: Final = {
    RejectSource.SERVICE_USER: RejectReason.NO_REASON_GIVEN,
    RejectSource.SERVICE_PROVIDER_ACSE: RejectReason.ACSE_NO_REASON_GIVEN,
    RejectSource.SERVICE_PROVIDER_PRESENTATION: RejectReason.PRESENTATION_NO_REASON_GIVEN,
}


# --- decoding --------------------------------------------------------------------------------------------------


def decode(pdu_type: PduType, body: memoryview) -> Primitive:
    """Return what a PDU says.

    Args:
        pdu_type: its type, as `pdu.check_header` gave it.
        body: the bytes after the 6-byte header, all of them. PDVs of the result are views into it.

    Raises:
        RemoteProtocolError: the PDU is invalid; `answer` is the abort that tells why, or the rejection of a request
            for another version of the protocol.

    Reference: PS3.8 §9.3
    """
    match pdu_type:
        case PduType.P_DATA_TF:
            return decode_p_data(body)
        case PduType.ASSOCIATE_RQ:
            return _decode_request(body)
        case PduType.ASSOCIATE_AC:
            return _decode_accept(body)
        case PduType.ASSOCIATE_RJ:
            return _decode_reject(body)
        case PduType.RELEASE_RQ:
            return ReleaseRequest()
        case PduType.RELEASE_RP:
            return ReleaseResponse()
        case PduType.ABORT:
            return _decode_abort(body)


def decode_p_data(body: memoryview) -> PData:
    """Return the PDVs of a P-DATA-TF PDU as views into `body`.

    An empty fragment is taken only as the last one of a message part, where some senders put it.

    Raises:
        RemoteProtocolError: there is no PDV, one reaches beyond the PDU, is empty for nothing, or there are more than
            the bound allows.

    Reference: PS3.8 §9.3.5, Annex E.2
    """
    end = len(body)
    offset = 0
    pdvs: list[PresentationDataValue] = []
    while end - offset >= 6:  # PDV_HEADER.size
        length, context_id, control = PDV_HEADER.unpack_from(body, offset)
        following = offset + 4 + length
        if length < 2 or following > end:
            raise violation(_INVALID, "PDV length does not fit the PDU", length=length, remaining=end - offset)
        if length == 2 and not control & PDV_LAST:
            raise violation(_INVALID, "empty PDV that is not the last fragment")
        pdvs.append(
            PresentationDataValue(
                context_id, bool(control & PDV_COMMAND), bool(control & PDV_LAST), body[offset + 6 : following]
            )
        )
        offset = following
        if len(pdvs) > limits.MAX_PDVS_PER_PDU:
            raise violation(_INVALID, f"more than {limits.MAX_PDVS_PER_PDU} PDVs in a PDU")
    if offset != end or not pdvs:
        raise violation(_INVALID, "PDV header cut short", remaining=end - offset)
    return PData(tuple(pdvs))


def _decode_request(body: memoryview) -> AssociateRequest:
    _check_fixed_part(body)
    (version,) = _U16.unpack_from(body)
    if not version & PROTOCOL_VERSION:
        # Another version may look different from here on, so nothing more is read.
        raise RemoteProtocolError(
            "the request is for another version of the protocol",
            answer=AssociateReject(RejectResult.PERMANENT, RejectReason.PROTOCOL_VERSION_NOT_SUPPORTED),
            code="protocol-version-not-supported",
            version=version,
        )
    called, calling = (items.read_ae_title(title) for title in _titles(body))
    name: str | None = None
    contexts: dict[int, ProposedContext] = {}
    information: UserInformation | None = None
    for item_type, item in items.read_items(body[ASSOCIATE_FIXED_LENGTH:]):
        if item_type == ItemType.PRESENTATION_CONTEXT_RQ:
            context = items.read_proposed_context(item)
            if context.context_id in contexts:
                raise violation(_INVALID, "presentation context id used twice", context_id=context.context_id)
            contexts[context.context_id] = context
        elif item_type == ItemType.APPLICATION_CONTEXT:
            name = items.read_application_context(item)
        elif item_type == ItemType.USER_INFORMATION:
            information = read_user_information(item)
        elif item_type == ItemType.PRESENTATION_CONTEXT_AC:
            raise violation(AbortReason.UNEXPECTED_PDU_PARAMETER, "request with an item that belongs to an accept")
    if not name or not contexts or information is None:
        raise violation(_INVALID, "request without an application context, a presentation context or user information")
    return AssociateRequest(called, calling, name, tuple(contexts.values()), information)


def _decode_accept(body: memoryview) -> AssociateAccept:
    _check_fixed_part(body)
    called, calling = (items.read_echoed_ae_title(title) for title in _titles(body))
    name = ""
    answers: dict[int, ContextAnswer] = {}
    information: UserInformation | None = None
    for item_type, item in items.read_items(body[ASSOCIATE_FIXED_LENGTH:]):
        if item_type == ItemType.PRESENTATION_CONTEXT_AC:
            answer = items.read_context_answer(item)
            if answer.context_id in answers:
                raise violation(_INVALID, "presentation context id used twice", context_id=answer.context_id)
            answers[answer.context_id] = answer
        elif item_type == ItemType.APPLICATION_CONTEXT:
            name = items.read_application_context(item)
        elif item_type == ItemType.USER_INFORMATION:
            information = read_user_information(item)
        elif item_type == ItemType.PRESENTATION_CONTEXT_RQ:
            raise violation(AbortReason.UNEXPECTED_PDU_PARAMETER, "accept with an item that belongs to a request")
    if information is None:
        raise violation(_INVALID, "accept without user information")
    return AssociateAccept(called, calling, name, tuple(answers.values()), information)


def _check_fixed_part(body: memoryview) -> None:
    if len(body) < ASSOCIATE_FIXED_LENGTH:
        raise violation(_INVALID, "A-ASSOCIATE PDU cut short", length=len(body))


def _titles(body: memoryview) -> tuple[memoryview, memoryview]:
    middle = _TITLES_OFFSET + AE_TITLE_LENGTH
    return body[_TITLES_OFFSET:middle], body[middle : middle + AE_TITLE_LENGTH]


def _four_bytes(body: memoryview) -> tuple[int, int, int]:
    if len(body) != FIXED_PDU_LENGTH:
        raise violation(_INVALID, "PDU of fixed length has another", length=len(body))
    return body[1], body[2], body[3]


def _decode_reject(body: memoryview) -> AssociateReject:
    result_code, source_code, reason_code = _four_bytes(body)
    # A rejection is one whatever its codes say: reserved ones are read as "no reason given", never answered.
    result = RejectResult.TRANSIENT if result_code == RejectResult.TRANSIENT else RejectResult.PERMANENT
    try:
        source = RejectSource(source_code)
    except ValueError:
        source = RejectSource.SERVICE_USER
    try:
        return AssociateReject(result, RejectReason((source, reason_code)))
    except ValueError:
        return AssociateReject(result, _SOURCE_DEFAULTS[source])


def _decode_abort(body: memoryview) -> Abort:
    _, source_code, reason_code = _four_bytes(body)
    if source_code != AbortSource.SERVICE_PROVIDER:
        return Abort(by_peer=True)  # The reason of a service user's abort has no meaning.
    try:
        reason = AbortReason(reason_code)
    except ValueError:
        reason = AbortReason.NOT_SPECIFIED
    return Abort(AbortSource.SERVICE_PROVIDER, reason, by_peer=True)


# --- encoding --------------------------------------------------------------------------------------------------


def encode(primitive: Primitive) -> list[Buffer]:
    """Return the PDU of a primitive as buffers to be written one after the other; data of PDVs are not copied.

    Raises:
        InvalidInput: a value does not fit its field.

    Reference: PS3.8 §9.3
    """
    match primitive:
        case PData():
            return encode_p_data(primitive)
        case AssociateRequest():
            contexts = b"".join(map(items.write_proposed_context, primitive.presentation_contexts))
            return [_encode_associate(PduType.ASSOCIATE_RQ, primitive, contexts)]
        case AssociateAccept():
            contexts = b"".join(map(items.write_context_answer, primitive.presentation_contexts))
            return [_encode_associate(PduType.ASSOCIATE_AC, primitive, contexts)]
        case AssociateReject(result, reason):
            return [_encode_fixed(PduType.ASSOCIATE_RJ, 0, result, reason.source, reason.code)]
        case ReleaseRequest():
            return [_encode_fixed(PduType.RELEASE_RQ)]
        case ReleaseResponse():
            return [_encode_fixed(PduType.RELEASE_RP)]
        case Abort(source, reason):
            return [_encode_fixed(PduType.ABORT, 0, 0, source, reason)]


def p_data_length(primitive: PData) -> int:
    """Return the PDU-length a P-DATA-TF PDU would have: what the receiver's maximum length bounds."""
    return sum(PDV_HEADER.size + len(pdv.data) for pdv in primitive.pdvs)


def encode_p_data(primitive: PData) -> list[Buffer]:
    """Return a P-DATA-TF PDU; the caller has held its length against the receiver's maximum.

    Reference: PS3.8 §9.3.5
    """
    first, *others = primitive.pdvs
    buffers: list[Buffer] = [
        P_DATA_HEADER.pack(
            PduType.P_DATA_TF,
            p_data_length(primitive),
            len(first.data) + 2,
            first.context_id,
            _control_header(first),
        ),
        first.data,
    ]
    for pdv in others:
        buffers.append(PDV_HEADER.pack(len(pdv.data) + 2, pdv.context_id, _control_header(pdv)))
        buffers.append(pdv.data)
    return buffers


def encode_fragments(context_id: int, fragments: Iterable[tuple[bool, Buffer]]) -> list[Buffer]:
    """Return a P-DATA-TF PDU for each fragment, which is a whole command set (True) or data set (False).

    Reference: PS3.8 §9.3.5, Annex E.2
    """
    buffers: list[Buffer] = []
    for is_command, data in fragments:
        size = len(data)
        control = PDV_COMMAND | PDV_LAST if is_command else PDV_LAST
        buffers.append(P_DATA_HEADER.pack(PduType.P_DATA_TF, size + PDV_HEADER.size, size + 2, context_id, control))
        buffers.append(data)
    return buffers


def encode_fragment_head(context_id: int, size_bytes: int, *, is_last: bool) -> bytes:
    """Return the bytes before a data set's fragment that has a P-DATA-TF PDU of its own.

    Reference: PS3.8 §9.3.5, Annex E.2
    """
    control = PDV_LAST if is_last else 0
    return P_DATA_HEADER.pack(PduType.P_DATA_TF, size_bytes + PDV_HEADER.size, size_bytes + 2, context_id, control)


def _control_header(pdv: PresentationDataValue) -> int:
    return (PDV_COMMAND if pdv.is_command else 0) | (PDV_LAST if pdv.is_last else 0)


def _encode_fixed(pdu_type: PduType, *content: int) -> bytes:
    return PDU_HEADER.pack(pdu_type, FIXED_PDU_LENGTH) + bytes(content or FIXED_PDU_LENGTH)


def _encode_associate(pdu_type: PduType, primitive: AssociateRequest | AssociateAccept, contexts: bytes) -> bytes:
    ids = [context.context_id for context in primitive.presentation_contexts]
    if not 0 < len(set(ids)) == len(ids):
        raise InvalidInput("presentation contexts need an id each, and there has to be one", count=len(ids))
    write_title = items.write_ae_title if pdu_type is PduType.ASSOCIATE_RQ else items.write_echoed_ae_title
    content = b"".join(
        (
            _U16.pack(PROTOCOL_VERSION),
            bytes(2),
            write_title(primitive.called_ae_title),
            write_title(primitive.calling_ae_title),
            bytes(32),
            items.write_application_context(primitive.application_context_name),
            contexts,
            write_user_information(primitive.user_information),
        )
    )
    return PDU_HEADER.pack(pdu_type, len(content)) + content
