"""Upper layer test material: PDUs written byte by byte, without the codec under test, and cores in a wanted state."""

from __future__ import annotations

import struct

from hilum.ul.core import AssociationCore, Role
from hilum.ul.primitives import (
    NEED_DATA,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ContextAnswer,
    ContextResult,
    Event,
    PData,
    PresentationDataValue,
    ProposedContext,
    RejectReason,
    RejectResult,
    ReleaseRequest,
    ReleaseResponse,
    UserInformation,
)

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
VERIFICATION = "1.2.840.10008.1.1"
CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
IMPLEMENTATION = "2.25.77"
MAX_PDU_LENGTH = 32_768


def raw_item(item_type: int, content: bytes) -> bytes:
    return struct.pack(">BBH", item_type, 0, len(content)) + content


def raw_pdu(pdu_type: int, body: bytes) -> bytes:
    return struct.pack(">BBI", pdu_type, 0, len(body)) + body


def raw_pdv(context_id: int, control: int, data: bytes) -> bytes:
    return struct.pack(">IBB", len(data) + 2, context_id, control) + data


def raw_user_information(*sub_items: bytes) -> bytes:
    return raw_item(
        0x50,
        raw_item(0x51, struct.pack(">I", MAX_PDU_LENGTH))
        + raw_item(0x52, IMPLEMENTATION.encode())
        + b"".join(sub_items),
    )


def raw_proposed_context(context_id: int, abstract_syntax: str, *transfer_syntaxes: str) -> bytes:
    return raw_item(
        0x20,
        bytes((context_id, 0, 0, 0))
        + raw_item(0x30, abstract_syntax.encode())
        + b"".join(raw_item(0x40, syntax.encode()) for syntax in transfer_syntaxes),
    )


def raw_associate(
    pdu_type: int,
    *items: bytes,
    called: bytes = b"HILUM".ljust(16),
    calling: bytes = b"MODALITY".ljust(16),
    version: int = 1,
) -> bytes:
    return raw_pdu(pdu_type, struct.pack(">HH", version, 0) + called + calling + bytes(32) + b"".join(items))


RQ_ITEMS = (
    raw_item(0x10, APPLICATION_CONTEXT.encode()),
    raw_proposed_context(1, VERIFICATION, IMPLICIT),
    raw_proposed_context(3, CT_STORAGE, EXPLICIT, IMPLICIT),
    raw_user_information(),
)
ASSOCIATE_RQ = raw_associate(1, *RQ_ITEMS)
ASSOCIATE_AC = raw_associate(
    2,
    raw_item(0x10, APPLICATION_CONTEXT.encode()),
    raw_item(0x21, bytes((1, 0, 0, 0)) + raw_item(0x40, IMPLICIT.encode())),
    raw_item(0x21, bytes((3, 0, 3, 0)) + raw_item(0x40, b"")),
    raw_user_information(),
)
ASSOCIATE_RJ = bytes.fromhex("03 00 00000004 00 01 01 07")
P_DATA_TF = raw_pdu(4, raw_pdv(1, 0x03, b"\x01\x02\x03\x04"))
RELEASE_RQ = bytes.fromhex("05 00 00000004 00000000")
RELEASE_RP = bytes.fromhex("06 00 00000004 00000000")
ABORT_USER = bytes.fromhex("07 00 00000004 00 00 00 00")
ABORT_PROVIDER_UNEXPECTED = bytes.fromhex("07 00 00000004 00 00 02 02")
UNKNOWN_PDU = bytes.fromhex("44 00 00000004 00000000")

INFORMATION = UserInformation(max_pdu_length=MAX_PDU_LENGTH, implementation_class_uid=IMPLEMENTATION)
REQUEST = AssociateRequest(
    called_ae_title="HILUM",
    calling_ae_title="MODALITY",
    application_context_name=APPLICATION_CONTEXT,
    presentation_contexts=(
        ProposedContext(1, VERIFICATION, (IMPLICIT,)),
        ProposedContext(3, CT_STORAGE, (EXPLICIT, IMPLICIT)),
    ),
    user_information=INFORMATION,
)
ACCEPT = AssociateAccept(
    called_ae_title="HILUM",
    calling_ae_title="MODALITY",
    application_context_name=APPLICATION_CONTEXT,
    presentation_contexts=(
        ContextAnswer(1, ContextResult.ACCEPTANCE, IMPLICIT),
        ContextAnswer(3, ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED),
    ),
    user_information=INFORMATION,
)
REJECT = AssociateReject(RejectResult.PERMANENT, RejectReason.CALLED_AE_TITLE_NOT_RECOGNIZED)
P_DATA = PData((PresentationDataValue(1, True, True, b"\x01\x02\x03\x04"),))


def events_of(core: AssociationCore) -> list[Event]:
    """Take all waiting events."""
    events: list[Event] = []
    while (event := core.next_event()) is not NEED_DATA:
        events.append(event)
    return events


def sent_by(core: AssociationCore) -> bytes:
    return b"".join(core.data_to_send())


def received(core: AssociationCore, data: bytes, now: float = 0.0) -> list[Event]:
    core.receive_data(data, now)
    return events_of(core)


def established(role: Role) -> AssociationCore:
    core = AssociationCore(role, now=0.0)
    if role is Role.REQUESTOR:
        core.send(REQUEST, 0.0)
        received(core, ASSOCIATE_AC)
    else:
        received(core, ASSOCIATE_RQ)
        core.send(ACCEPT, 0.0)
    sent_by(core)
    return core


def core_in(state: int, role: Role | None = None) -> AssociationCore:
    """Return a core brought to a state of PS3.8 §9.2.1 over the wire, with nothing left to send or to report."""
    role = role or (Role.REQUESTOR if state in (1, 5, 9, 11) else Role.ACCEPTOR)
    if state in (1, 2):
        core = AssociationCore(role, now=0.0)
    elif state in (3, 13):
        core = AssociationCore(role, now=0.0)
        received(core, ASSOCIATE_RQ)
        if state == 13:
            core.send(REJECT, 0.0)
    elif state == 5:
        core = AssociationCore(role, now=0.0)
        core.send(REQUEST, 0.0)
    else:
        core = established(role)
        if state == 8:
            received(core, RELEASE_RQ)
        elif state != 6:
            core.send(ReleaseRequest(), 0.0)
            if state != 7:
                received(core, RELEASE_RQ)
            if state == 11:
                core.send(ReleaseResponse(), 0.0)
            elif state == 12:
                received(core, RELEASE_RP)
    sent_by(core)
    assert core.state == state
    return core
