"""The command dictionary of PS3.7 Table E.1-1: which element of group 0000 carries which field of a message."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Form(Enum):
    """How a value of group 0000 is written: the VRs of PS3.5 Table 6.2-1 that occur in it."""

    UI = "UI"
    US = "US"
    AE = "AE"
    LO = "LO"
    AT = "AT"


@dataclass(frozen=True, slots=True)
class CommandElement:
    """One row of the command dictionary; `number` is the element number within group 0000."""

    number: int
    form: Form


GROUP_LENGTH = 0x0000
COMMAND_FIELD = 0x0100
COMMAND_DATA_SET_TYPE = 0x0800
# The value of Command Data Set Type that means "none"; every other value means one follows (PS3.7 §E.1).
NO_DATA_SET = 0x0101

ELEMENTS: dict[str, CommandElement] = {
    "affected_sop_class_uid": CommandElement(0x0002, Form.UI),
    "requested_sop_class_uid": CommandElement(0x0003, Form.UI),
    "message_id": CommandElement(0x0110, Form.US),
    "message_id_being_responded_to": CommandElement(0x0120, Form.US),
    "move_destination": CommandElement(0x0600, Form.AE),
    "priority": CommandElement(0x0700, Form.US),
    "status": CommandElement(0x0900, Form.US),
    "offending_element": CommandElement(0x0901, Form.AT),
    "error_comment": CommandElement(0x0902, Form.LO),
    "error_id": CommandElement(0x0903, Form.US),
    "affected_sop_instance_uid": CommandElement(0x1000, Form.UI),
    "requested_sop_instance_uid": CommandElement(0x1001, Form.UI),
    "event_type_id": CommandElement(0x1002, Form.US),
    "attribute_identifier_list": CommandElement(0x1005, Form.AT),
    "action_type_id": CommandElement(0x1008, Form.US),
    "number_of_remaining_suboperations": CommandElement(0x1020, Form.US),
    "number_of_completed_suboperations": CommandElement(0x1021, Form.US),
    "number_of_failed_suboperations": CommandElement(0x1022, Form.US),
    "number_of_warning_suboperations": CommandElement(0x1023, Form.US),
    "move_originator_application_entity_title": CommandElement(0x1030, Form.AE),
    "move_originator_message_id": CommandElement(0x1031, Form.US),
}
"""Field name to element; the three elements the codec itself writes stand above as constants."""
