"""Fuzz the upper layer: any bytes in any state, in any chunks; only documented errors may escape.

Run: python fuzz/ul_codec.py -runs=20000
"""

from __future__ import annotations

import sys
from dataclasses import replace

import atheris

with atheris.instrument_imports(include=["hilum"]):
    from hilum.kernel.errors import HilumError, InvalidInput, RemoteProtocolError
    from hilum.ul.codec import decode, encode
    from hilum.ul.core import AssociationCore, Role
    from hilum.ul.pdu import PduType
    from hilum.ul.primitives import (
        NEED_DATA,
        Abort,
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

INFORMATION = UserInformation(32_768, "2.25.1")
REQUEST = AssociateRequest("B", "A", "2.25.2", (ProposedContext(1, "2.25.3", ("2.25.4",)),), INFORMATION)
ACCEPT = AssociateAccept("B", "A", "2.25.2", (ContextAnswer(1, ContextResult.ACCEPTANCE, "2.25.4"),), INFORMATION)
SENDABLE = (
    REQUEST,
    ACCEPT,
    PData((PresentationDataValue(1, True, True, b"ab"),)),
    ReleaseRequest(),
    ReleaseResponse(),
    Abort(),
)
REQUEST_PDU, ACCEPT_PDU = b"".join(encode(REQUEST)), b"".join(encode(ACCEPT))
EVERY_SUB_ITEM = UserInformation(
    max_pdu_length=16_384,
    implementation_class_uid="2.25.1",
    implementation_version_name="FUZZ",
    async_operations_window=AsyncOperationsWindow(2, 2),
    role_selections=(RoleSelection("2.25.3", True, True),),
    extended_negotiations=(ExtendedNegotiation("2.25.3", b"\1\1"),),
    common_extended_negotiations=(CommonExtendedNegotiation("2.25.3", "2.25.5", ("2.25.6",)),),
    user_identity=UserIdentity(UserIdentityType.USERNAME_AND_PASSCODE, b"user", b"pass", True),
    user_identity_response=b"yes",
)
VALID_PDUS = [
    b"".join(encode(primitive))
    for primitive in (
        *SENDABLE,
        replace(REQUEST, user_information=EVERY_SUB_ITEM),
        replace(ACCEPT, user_information=EVERY_SUB_ITEM),
        AssociateReject(RejectResult.TRANSIENT, RejectReason.TEMPORARY_CONGESTION),
    )
]


def damaged_pdu(provider: atheris.FuzzedDataProvider) -> bytes:
    """Return a valid PDU with some bytes of its body changed."""
    pdu = bytearray(VALID_PDUS[provider.ConsumeIntInRange(0, len(VALID_PDUS) - 1)])
    for _ in range(provider.ConsumeIntInRange(0, 4)):
        pdu[provider.ConsumeIntInRange(6, len(pdu) - 1)] = provider.ConsumeIntInRange(0, 255)
    return bytes(pdu)


def fuzz_codec(provider: atheris.FuzzedDataProvider) -> None:
    """What decodes is written again; what is written decodes to the same."""
    if provider.ConsumeBool():
        pdu = damaged_pdu(provider)
        pdu_type, body = PduType(pdu[0]), pdu[6:]
    else:
        pdu_type = PduType(provider.ConsumeIntInRange(1, 7))
        body = provider.ConsumeBytes(provider.remaining_bytes())
    try:
        primitive = decode(pdu_type, memoryview(body))
    except RemoteProtocolError as error:
        assert isinstance(error.answer, Abort | AssociateReject)
        return
    try:
        pdu = b"".join(encode(primitive))
    except InvalidInput:
        return  # Peers are read more leniently than we write: a blank title, a missing implementation class UID.
    assert decode(pdu_type, memoryview(pdu)[6:]) == primitive


def fuzz_core(provider: atheris.FuzzedDataProvider) -> None:
    """No order of bytes, requests, time and end makes a core raise anything but the families."""
    role = Role.REQUESTOR if provider.ConsumeBool() else Role.ACCEPTOR
    core = AssociationCore(role, now=0.0)
    if provider.ConsumeBool():
        if role is Role.REQUESTOR:
            core.send(REQUEST, 0.0)
            core.receive_data(ACCEPT_PDU, 0.0)
            core.next_event()
        else:
            core.receive_data(REQUEST_PDU, 0.0)
            core.next_event()
            core.send(ACCEPT, 0.0)
    now = 0.0
    while provider.remaining_bytes():
        match provider.ConsumeIntInRange(0, 7):
            case 0:
                try:
                    core.send(SENDABLE[provider.ConsumeIntInRange(0, len(SENDABLE) - 1)], now)
                except HilumError:
                    pass
            case 1:
                now += provider.ConsumeIntInRange(0, 40)
                core.handle_deadline(now)
            case 2:
                core.receive_eof(now)
            case 3:
                core.receive_data(damaged_pdu(provider), now)
            case _:
                core.receive_data(provider.ConsumeBytes(provider.ConsumeIntInRange(0, 300)), now)
        while core.next_event() is not NEED_DATA:
            pass
        core.data_to_send()


def fuzz_one(data: bytes) -> None:
    """Entry point of the fuzzer."""
    provider = atheris.FuzzedDataProvider(data)
    if provider.ConsumeBool():
        fuzz_codec(provider)
    else:
        fuzz_core(provider)


if __name__ == "__main__":
    atheris.Setup(sys.argv, fuzz_one)
    atheris.Fuzz()
