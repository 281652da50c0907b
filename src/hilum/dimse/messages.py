"""The messages of PS3.7 as typed values: what a command set says, without its bytes.

Fields carry the names of PS3.7 Table E.1-1 in snake_case; `elements.ELEMENTS` knows their place on the wire.
A string a peer left out is empty, so that the service may refuse it with a status; an optional one is None.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, TypeAlias


class CommandField(IntEnum):
    """Command Field (0000,0100), PS3.7 §E.1."""

    C_STORE_RQ = 0x0001
    C_STORE_RSP = 0x8001
    C_GET_RQ = 0x0010
    C_GET_RSP = 0x8010
    C_FIND_RQ = 0x0020
    C_FIND_RSP = 0x8020
    C_MOVE_RQ = 0x0021
    C_MOVE_RSP = 0x8021
    C_ECHO_RQ = 0x0030
    C_ECHO_RSP = 0x8030
    N_EVENT_REPORT_RQ = 0x0100
    N_EVENT_REPORT_RSP = 0x8100
    N_GET_RQ = 0x0110
    N_GET_RSP = 0x8110
    N_SET_RQ = 0x0120
    N_SET_RSP = 0x8120
    N_ACTION_RQ = 0x0130
    N_ACTION_RSP = 0x8130
    N_CREATE_RQ = 0x0140
    N_CREATE_RSP = 0x8140
    N_DELETE_RQ = 0x0150
    N_DELETE_RSP = 0x8150
    C_CANCEL_RQ = 0x0FFF


class Priority(IntEnum):
    """Priority (0000,0700), PS3.7 §E.1; receivers may ignore it and Hilum does."""

    MEDIUM = 0x0000
    HIGH = 0x0001
    LOW = 0x0002


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An operation or notification asked for; `message_id` names it until its last response."""

    command_field: ClassVar[CommandField]
    data_set_required: ClassVar[bool] = False
    data_set_allowed: ClassVar[bool] = True

    message_id: int
    has_data_set: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """The answer to the request `message_id_being_responded_to`; several come while its status is pending."""

    command_field: ClassVar[CommandField]

    message_id_being_responded_to: int
    status: int
    error_comment: str | None = None
    offending_element: tuple[int, ...] = ()
    has_data_set: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CEchoRequest(Request):
    """PS3.7 §9.3.5.1."""

    command_field: ClassVar[CommandField] = CommandField.C_ECHO_RQ
    data_set_allowed: ClassVar[bool] = False
    affected_sop_class_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CEchoResponse(Response):
    """PS3.7 §9.3.5.2."""

    command_field: ClassVar[CommandField] = CommandField.C_ECHO_RSP
    affected_sop_class_uid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CStoreRequest(Request):
    """PS3.7 §9.3.1.1."""

    command_field: ClassVar[CommandField] = CommandField.C_STORE_RQ
    data_set_required: ClassVar[bool] = True
    has_data_set: bool = True
    affected_sop_class_uid: str
    affected_sop_instance_uid: str
    priority: int = Priority.MEDIUM
    move_originator_application_entity_title: str | None = None
    move_originator_message_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CStoreResponse(Response):
    """PS3.7 §9.3.1.2."""

    command_field: ClassVar[CommandField] = CommandField.C_STORE_RSP
    affected_sop_class_uid: str | None = None
    affected_sop_instance_uid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CFindRequest(Request):
    """PS3.7 §9.3.2.1."""

    command_field: ClassVar[CommandField] = CommandField.C_FIND_RQ
    data_set_required: ClassVar[bool] = True
    has_data_set: bool = True
    affected_sop_class_uid: str
    priority: int = Priority.MEDIUM


@dataclass(frozen=True, slots=True, kw_only=True)
class CFindResponse(Response):
    """PS3.7 §9.3.2.2."""

    command_field: ClassVar[CommandField] = CommandField.C_FIND_RSP
    affected_sop_class_uid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CGetRequest(Request):
    """PS3.7 §9.3.3.1."""

    command_field: ClassVar[CommandField] = CommandField.C_GET_RQ
    data_set_required: ClassVar[bool] = True
    has_data_set: bool = True
    affected_sop_class_uid: str
    priority: int = Priority.MEDIUM


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrieveResponse(Response):
    """What C-GET and C-MOVE responses share: the counts of their sub-operations."""

    affected_sop_class_uid: str | None = None
    number_of_remaining_suboperations: int | None = None
    number_of_completed_suboperations: int | None = None
    number_of_failed_suboperations: int | None = None
    number_of_warning_suboperations: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CGetResponse(RetrieveResponse):
    """PS3.7 §9.3.3.2."""

    command_field: ClassVar[CommandField] = CommandField.C_GET_RSP


@dataclass(frozen=True, slots=True, kw_only=True)
class CMoveRequest(Request):
    """PS3.7 §9.3.4.1."""

    command_field: ClassVar[CommandField] = CommandField.C_MOVE_RQ
    data_set_required: ClassVar[bool] = True
    has_data_set: bool = True
    affected_sop_class_uid: str
    priority: int = Priority.MEDIUM
    move_destination: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CMoveResponse(RetrieveResponse):
    """PS3.7 §9.3.4.2."""

    command_field: ClassVar[CommandField] = CommandField.C_MOVE_RSP


@dataclass(frozen=True, slots=True, kw_only=True)
class CCancelRequest:
    """C-CANCEL of FIND, GET or MOVE: names the request it ends and gets no response of its own.

    PS3.7 §9.3.2.3.
    """

    command_field: ClassVar[CommandField] = CommandField.C_CANCEL_RQ

    message_id_being_responded_to: int
    has_data_set: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NEventReportRequest(Request):
    """PS3.7 §10.3.1.1."""

    command_field: ClassVar[CommandField] = CommandField.N_EVENT_REPORT_RQ
    affected_sop_class_uid: str
    affected_sop_instance_uid: str
    event_type_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalizedResponse(Response):
    """What the responses of the DIMSE-N services share."""

    error_id: int | None = None
    affected_sop_class_uid: str | None = None
    affected_sop_instance_uid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NEventReportResponse(NormalizedResponse):
    """PS3.7 §10.3.1.2."""

    command_field: ClassVar[CommandField] = CommandField.N_EVENT_REPORT_RSP
    event_type_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NGetRequest(Request):
    """PS3.7 §10.3.2.1."""

    command_field: ClassVar[CommandField] = CommandField.N_GET_RQ
    data_set_allowed: ClassVar[bool] = False
    requested_sop_class_uid: str
    requested_sop_instance_uid: str
    attribute_identifier_list: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NGetResponse(NormalizedResponse):
    """PS3.7 §10.3.2.2."""

    command_field: ClassVar[CommandField] = CommandField.N_GET_RSP
    attribute_identifier_list: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NSetRequest(Request):
    """PS3.7 §10.3.3.1."""

    command_field: ClassVar[CommandField] = CommandField.N_SET_RQ
    data_set_required: ClassVar[bool] = True
    has_data_set: bool = True
    requested_sop_class_uid: str
    requested_sop_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NSetResponse(NormalizedResponse):
    """PS3.7 §10.3.3.2."""

    command_field: ClassVar[CommandField] = CommandField.N_SET_RSP
    attribute_identifier_list: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NActionRequest(Request):
    """PS3.7 §10.3.4.1."""

    command_field: ClassVar[CommandField] = CommandField.N_ACTION_RQ
    requested_sop_class_uid: str
    requested_sop_instance_uid: str
    action_type_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NActionResponse(NormalizedResponse):
    """PS3.7 §10.3.4.2."""

    command_field: ClassVar[CommandField] = CommandField.N_ACTION_RSP
    action_type_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NCreateRequest(Request):
    """PS3.7 §10.3.5.1."""

    command_field: ClassVar[CommandField] = CommandField.N_CREATE_RQ
    affected_sop_class_uid: str
    affected_sop_instance_uid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NCreateResponse(NormalizedResponse):
    """PS3.7 §10.3.5.2."""

    command_field: ClassVar[CommandField] = CommandField.N_CREATE_RSP
    attribute_identifier_list: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NDeleteRequest(Request):
    """PS3.7 §10.3.6.1."""

    command_field: ClassVar[CommandField] = CommandField.N_DELETE_RQ
    data_set_allowed: ClassVar[bool] = False
    requested_sop_class_uid: str
    requested_sop_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NDeleteResponse(NormalizedResponse):
    """PS3.7 §10.3.6.2."""

    command_field: ClassVar[CommandField] = CommandField.N_DELETE_RSP


Message: TypeAlias = Request | Response | CCancelRequest

MESSAGES: dict[CommandField, type[Request] | type[Response] | type[CCancelRequest]] = {
    message.command_field: message
    for message in (
        CEchoRequest,
        CEchoResponse,
        CStoreRequest,
        CStoreResponse,
        CFindRequest,
        CFindResponse,
        CGetRequest,
        CGetResponse,
        CMoveRequest,
        CMoveResponse,
        CCancelRequest,
        NEventReportRequest,
        NEventReportResponse,
        NGetRequest,
        NGetResponse,
        NSetRequest,
        NSetResponse,
        NActionRequest,
        NActionResponse,
        NCreateRequest,
        NCreateResponse,
        NDeleteRequest,
        NDeleteResponse,
    )
}
"""Every message of PS3.7 §9.3 and §10.3 by its command field."""

RESPONSES: dict[CommandField, type[Response]] = {
    field: next(
        message
        for response_field, message in MESSAGES.items()
        if response_field == field | 0x8000 and issubclass(message, Response)
    )
    for field, request in MESSAGES.items()
    if issubclass(request, Request)
}
"""The response that belongs to each request."""
