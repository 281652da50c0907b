"""How PDUs and items are laid out: type codes, headers, and what the six bytes of a header already decide.

Reference: PS3.8 §9.3
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final

from hilum.kernel import limits
from hilum.kernel.errors import RemoteProtocolError
from hilum.ul.primitives import Abort, AbortReason, AbortSource

PDU_HEADER: Final = struct.Struct(">BxI")
"""PDU-type, reserved, PDU-length: the bytes that follow the header."""
ITEM_HEADER: Final = struct.Struct(">BxH")
"""Item-type, reserved, item-length: the bytes that follow the header."""
PDV_HEADER: Final = struct.Struct(">IBB")
"""Item-length (counting the two bytes after it), presentation context id, message control header."""
P_DATA_HEADER: Final = struct.Struct(">BxIIBB")
"""The header of a P-DATA-TF PDU and of its first PDV."""

ASSOCIATE_FIXED_LENGTH: Final = 68
"""Bytes of an A-ASSOCIATE-RQ or -AC between the PDU header and the first item."""
FIXED_PDU_LENGTH: Final = 4
"""PDU-length of A-ASSOCIATE-RJ, A-RELEASE-RQ, A-RELEASE-RP and A-ABORT."""
PROTOCOL_VERSION: Final = 1
"""Bit 0 set: version 1, the only one there is. Other bits may be set beside it."""
AE_TITLE_LENGTH: Final = 16

PDV_COMMAND: Final = 0x01
"""Message control header, bit 0: the fragment belongs to a command set (PS3.8 §E.2)."""
PDV_LAST: Final = 0x02
"""Message control header, bit 1: the fragment is the last one."""


class PduType(IntEnum):
    """First byte of every PDU.

    Reference: PS3.8 §9.3.1
    """

    ASSOCIATE_RQ = 0x01
    ASSOCIATE_AC = 0x02
    ASSOCIATE_RJ = 0x03
    P_DATA_TF = 0x04
    RELEASE_RQ = 0x05
    RELEASE_RP = 0x06
    ABORT = 0x07


class ItemType(IntEnum):
    """First byte of every item and sub-item.

    Reference: PS3.8 §9.3.2, §9.3.3 and Annex D; PS3.7 Annex D.3.3
    """

    APPLICATION_CONTEXT = 0x10
    PRESENTATION_CONTEXT_RQ = 0x20
    PRESENTATION_CONTEXT_AC = 0x21
    ABSTRACT_SYNTAX = 0x30
    TRANSFER_SYNTAX = 0x40
    USER_INFORMATION = 0x50
    MAXIMUM_LENGTH = 0x51
    IMPLEMENTATION_CLASS_UID = 0x52
    ASYNC_OPERATIONS_WINDOW = 0x53
    ROLE_SELECTION = 0x54
    IMPLEMENTATION_VERSION_NAME = 0x55
    EXTENDED_NEGOTIATION = 0x56
    COMMON_EXTENDED_NEGOTIATION = 0x57
    USER_IDENTITY_RQ = 0x58
    USER_IDENTITY_AC = 0x59


def violation(reason: AbortReason, message: str, **facts: int) -> RemoteProtocolError:
    """Return the error for a PDU that breaks PS3.8; its answer is the service provider's abort with `reason`."""
    return RemoteProtocolError(
        message,
        answer=Abort(AbortSource.SERVICE_PROVIDER, reason, detail=message),
        code=reason.name.lower().replace("_", "-"),
        **facts,
    )


def check_header(pdu_type: int, length: int, max_p_data_length: int) -> PduType:
    """Return the type of a PDU whose header may be believed; nothing of its body need have arrived.

    Args:
        pdu_type: first byte of the header.
        length: PDU-length, the bytes that follow the header.
        max_p_data_length: largest P-DATA-TF accepted.

    Raises:
        RemoteProtocolError: the type is unknown or the length impossible or beyond its bound.

    Reference: PS3.8 §9.3.1
    """
    try:
        known = PduType(pdu_type)
    except ValueError:
        raise violation(AbortReason.UNRECOGNIZED_PDU, f"unknown PDU type 0x{pdu_type:02x}", pdu_type=pdu_type) from None
    if known is PduType.P_DATA_TF:
        lowest, highest = PDV_HEADER.size, max_p_data_length
    elif known is PduType.ASSOCIATE_RQ or known is PduType.ASSOCIATE_AC:
        lowest, highest = ASSOCIATE_FIXED_LENGTH, limits.MAX_ASSOCIATE_PDU_LENGTH_BYTES
    else:
        lowest = highest = FIXED_PDU_LENGTH
    if not lowest <= length <= highest:
        raise violation(
            AbortReason.INVALID_PDU_PARAMETER_VALUE,
            f"PDU of type 0x{pdu_type:02x} with length {length}, allowed are {lowest} to {highest}",
            pdu_type=pdu_type,
            length=length,
        )
    return known
