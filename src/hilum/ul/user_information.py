"""The user information item and its sub-items: bytes to values and back.

Reference: PS3.8 Annex D; PS3.7 Annex D.3.3
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from hilum.kernel import limits
from hilum.kernel.errors import InvalidInput
from hilum.ul.items import Fields, counted, read_items, read_uid, uid_bytes, write_item
from hilum.ul.pdu import ItemType, violation
from hilum.ul.primitives import (
    AbortReason,
    AsyncOperationsWindow,
    CommonExtendedNegotiation,
    ExtendedNegotiation,
    RoleSelection,
    UserIdentity,
    UserIdentityType,
    UserInformation,
)

_INVALID = AbortReason.INVALID_PDU_PARAMETER_VALUE
_U32 = struct.Struct(">I")
_TWO_U16 = struct.Struct(">HH")
_VERSION_NAME_LENGTH = 16


def read_user_information(content: memoryview) -> UserInformation:
    """Return the user information of a request or an accept.

    A sub-item that may stand once and stands twice counts as it stands last. An identity of a type this side does not
    know counts as none. A missing maximum length counts as DCMTK's default.

    Raises:
        RemoteProtocolError: a sub-item known here is cut short or holds an impossible value.

    Reference: PS3.8 Annex D, PS3.7 Annex D.3.3
    """
    max_pdu_length = limits.DEFAULT_PEER_PDU_LENGTH_BYTES
    class_uid, version_name = "", None
    window: AsyncOperationsWindow | None = None
    roles: list[RoleSelection] = []
    extended: list[ExtendedNegotiation] = []
    common: list[CommonExtendedNegotiation] = []
    identity: UserIdentity | None = None
    identity_response: bytes | None = None
    for item_type, item in read_items(content):
        if item_type == ItemType.MAXIMUM_LENGTH:
            (max_pdu_length,) = _U32.unpack(Fields(item, "maximum length sub-item").take(4))
            if 0 < max_pdu_length < limits.MIN_PEER_PDU_LENGTH_BYTES:
                raise violation(_INVALID, "maximum length is too small to work with", length=max_pdu_length)
        elif item_type == ItemType.IMPLEMENTATION_CLASS_UID:
            class_uid = read_uid(item, "implementation class UID")
        elif item_type == ItemType.IMPLEMENTATION_VERSION_NAME:
            # Longer names than the 16 characters allowed are in the wild; the name decides nothing.
            text = bytes(item[: 4 * _VERSION_NAME_LENGTH]).decode("ascii", "ignore")
            version_name = "".join(c for c in text if c.isprintable()).strip()
        elif item_type == ItemType.ASYNC_OPERATIONS_WINDOW:
            fields = Fields(item, "asynchronous operations window sub-item")
            window = AsyncOperationsWindow(*_TWO_U16.unpack(fields.take(4)))
        elif item_type == ItemType.ROLE_SELECTION:
            fields = Fields(item, "role selection sub-item")
            uid = fields.uid()
            scu_role, scp_role = fields.take(2)
            roles.append(RoleSelection(uid, scu_role == 1, scp_role == 1))
        elif item_type == ItemType.EXTENDED_NEGOTIATION:
            fields = Fields(item, "extended negotiation sub-item")
            extended.append(ExtendedNegotiation(fields.uid(), bytes(fields.rest())))
        elif item_type == ItemType.COMMON_EXTENDED_NEGOTIATION:
            common.append(_read_common_extended_negotiation(item))
        elif item_type == ItemType.USER_IDENTITY_RQ:
            identity = _read_user_identity(item)
        elif item_type == ItemType.USER_IDENTITY_AC:
            identity_response = bytes(Fields(item, "user identity sub-item").counted())
    return UserInformation(
        max_pdu_length=max_pdu_length,
        implementation_class_uid=class_uid,
        implementation_version_name=version_name,
        async_operations_window=window,
        role_selections=tuple(roles),
        extended_negotiations=tuple(extended),
        common_extended_negotiations=tuple(common),
        user_identity=identity,
        user_identity_response=identity_response,
    )


def _read_common_extended_negotiation(item: memoryview) -> CommonExtendedNegotiation:
    fields = Fields(item, "common extended negotiation sub-item")
    sop_class_uid, service_class_uid = fields.uid(), fields.uid()
    related = Fields(fields.counted(), "related general SOP class identification")
    uids: list[str] = []
    while related.rest():
        uids.append(related.uid())
    return CommonExtendedNegotiation(sop_class_uid, service_class_uid, tuple(uids))


def _read_user_identity(item: memoryview) -> UserIdentity | None:
    fields = Fields(item, "user identity sub-item")
    code, response_requested = fields.take(2)
    primary, secondary = bytes(fields.counted()), bytes(fields.counted())
    try:
        identity_type = UserIdentityType(code)
    except ValueError:
        return None
    return UserIdentity(identity_type, primary, secondary, response_requested == 1)


def write_user_information(information: UserInformation) -> bytes:
    """Return the user information item.

    Raises:
        InvalidInput: a value does not fit its field.
    """
    if not 0 <= information.max_pdu_length <= 0xFFFFFFFF:
        raise InvalidInput("the maximum PDU length has 32 bits", length=information.max_pdu_length)
    class_uid = uid_bytes(information.implementation_class_uid, "implementation class UID")
    parts = [
        write_item(ItemType.MAXIMUM_LENGTH, _U32.pack(information.max_pdu_length)),
        write_item(ItemType.IMPLEMENTATION_CLASS_UID, class_uid),
    ]
    if (window := information.async_operations_window) is not None:
        if not (0 <= window.max_invoked <= 0xFFFF and 0 <= window.max_performed <= 0xFFFF):
            raise InvalidInput("the asynchronous operations window has two numbers of 16 bits")
        content = _TWO_U16.pack(window.max_invoked, window.max_performed)
        parts.append(write_item(ItemType.ASYNC_OPERATIONS_WINDOW, content))
    for role in information.role_selections:
        uid = uid_bytes(role.sop_class_uid, "SOP class of a role selection")
        content = counted(uid, "SOP class UID") + bytes((role.scu_role, role.scp_role))
        parts.append(write_item(ItemType.ROLE_SELECTION, content))
    if (name := information.implementation_version_name) is not None:
        if not 0 < len(name) <= _VERSION_NAME_LENGTH or not name.isascii() or not name.isprintable():
            raise InvalidInput("an implementation version name has 1 to 16 printable ASCII characters")
        parts.append(write_item(ItemType.IMPLEMENTATION_VERSION_NAME, name.encode("ascii")))
    for negotiation in information.extended_negotiations:
        uid = uid_bytes(negotiation.sop_class_uid, "SOP class of an extended negotiation")
        content = counted(uid, "SOP class UID") + negotiation.application_information
        parts.append(write_item(ItemType.EXTENDED_NEGOTIATION, content))
    parts.extend(_write_common_extended_negotiations(information.common_extended_negotiations))
    if (identity := information.user_identity) is not None:
        content = bytes((identity.identity_type, identity.positive_response_requested))
        content += counted(identity.primary_field, "primary field of the user identity")
        content += counted(identity.secondary_field, "secondary field of the user identity")
        parts.append(write_item(ItemType.USER_IDENTITY_RQ, content))
    if (response := information.user_identity_response) is not None:
        parts.append(write_item(ItemType.USER_IDENTITY_AC, counted(response, "server response")))
    return write_item(ItemType.USER_INFORMATION, b"".join(parts))


def _write_common_extended_negotiations(negotiations: Iterable[CommonExtendedNegotiation]) -> Iterator[bytes]:
    for negotiation in negotiations:
        related = b"".join(
            counted(uid_bytes(uid, "related general SOP class"), "SOP class UID")
            for uid in negotiation.related_general_sop_class_uids
        )
        yield write_item(
            ItemType.COMMON_EXTENDED_NEGOTIATION,
            counted(uid_bytes(negotiation.sop_class_uid, "SOP class"), "SOP class UID")
            + counted(uid_bytes(negotiation.service_class_uid, "service class"), "service class UID")
            + counted(related, "related general SOP class identification"),
        )
