"""Status codes as data: what a number in (0000,0900) means for a service.

References: PS3.7 Annex C (every service), PS3.4 Table B.2-1 (storage), C.4-1, C.4-2, C.4-3 (query/retrieve),
Table K.4-1 (worklist), Table F.7.2 (MPPS), Table CC.2 (UPS).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final


class StatusCategory(Enum):
    """The five classes of status (PS3.7 §C.1 to C.5)."""

    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"
    CANCEL = "cancel"
    PENDING = "pending"


@dataclass(frozen=True, slots=True)
class StatusRow:
    """The codes `first` to `last` and what they mean."""

    first: int
    last: int
    category: StatusCategory
    meaning: str


SUCCESS: Final = 0x0000
NO_SUCH_ATTRIBUTE: Final = 0x0105
INVALID_ATTRIBUTE_VALUE: Final = 0x0106
ATTRIBUTE_LIST_ERROR: Final = 0x0107
PROCESSING_FAILURE: Final = 0x0110
DUPLICATE_SOP_INSTANCE: Final = 0x0111
NO_SUCH_SOP_INSTANCE: Final = 0x0112
NO_SUCH_EVENT_TYPE: Final = 0x0113
NO_SUCH_ARGUMENT: Final = 0x0114
INVALID_ARGUMENT_VALUE: Final = 0x0115
ATTRIBUTE_VALUE_OUT_OF_RANGE: Final = 0x0116
INVALID_SOP_INSTANCE: Final = 0x0117
NO_SUCH_SOP_CLASS: Final = 0x0118
CLASS_INSTANCE_CONFLICT: Final = 0x0119
MISSING_ATTRIBUTE: Final = 0x0120
MISSING_ATTRIBUTE_VALUE: Final = 0x0121
SOP_CLASS_NOT_SUPPORTED: Final = 0x0122
NO_SUCH_ACTION_TYPE: Final = 0x0123
NOT_AUTHORIZED: Final = 0x0124
DUPLICATE_INVOCATION: Final = 0x0210
UNRECOGNIZED_OPERATION: Final = 0x0211
MISTYPED_ARGUMENT: Final = 0x0212
RESOURCE_LIMITATION: Final = 0x0213
OUT_OF_RESOURCES: Final = 0xA700
CANNOT_COUNT_MATCHES: Final = 0xA701
CANNOT_PERFORM_SUBOPERATIONS: Final = 0xA702
MOVE_DESTINATION_UNKNOWN: Final = 0xA801
DATA_SET_DOES_NOT_MATCH_SOP_CLASS: Final = 0xA900
NO_FRAMES_FOUND: Final = 0xAA00
CANNOT_CREATE_OBJECT: Final = 0xAA01
CANNOT_EXTRACT_FRAMES: Final = 0xAA02
NOT_TIME_BASED: Final = 0xAA03
INVALID_FRAME_REQUEST: Final = 0xAA04
COERCION_OF_DATA_ELEMENTS: Final = 0xB000
SUBOPERATIONS_WITH_FAILURES: Final = 0xB000
RESPONSE_LIMIT_REACHED: Final = 0xB001
ELEMENTS_DISCARDED: Final = 0xB006
DATA_SET_DOES_NOT_MATCH_SOP_CLASS_WARNING: Final = 0xB007
CANNOT_UNDERSTAND: Final = 0xC000
OPTIONAL_ATTRIBUTES_NOT_SUPPORTED: Final = 0x0001
WORKITEM_CREATED_WITH_MODIFICATIONS: Final = 0xB300
WORKITEM_ALREADY_CANCELED: Final = 0xB304
WORKITEM_ALREADY_COMPLETED: Final = 0xB306
WORKITEM_NO_LONGER_UPDATABLE: Final = 0xC300
WORKITEM_WRONG_TRANSACTION_UID: Final = 0xC301
WORKITEM_ALREADY_IN_PROGRESS: Final = 0xC302
WORKITEM_SCHEDULED_BY_CREATION_ONLY: Final = 0xC303
WORKITEM_FINAL_STATE_REQUIREMENTS: Final = 0xC304
NO_SUCH_WORKITEM: Final = 0xC307
RECEIVING_AE_TITLE_UNKNOWN: Final = 0xC308
WORKITEM_NOT_CREATED_AS_SCHEDULED: Final = 0xC309
WORKITEM_NOT_IN_PROGRESS: Final = 0xC310
WORKITEM_IS_COMPLETED: Final = 0xC311
PERFORMER_UNREACHABLE: Final = 0xC312
ACTION_NOT_APPROPRIATE: Final = 0xC314
CANCEL: Final = 0xFE00
PENDING: Final = 0xFF00
PENDING_WITH_UNSUPPORTED_KEYS: Final = 0xFF01


def _row(code: int, category: StatusCategory, meaning: str, last: int | None = None) -> StatusRow:
    return StatusRow(code, code if last is None else last, category, meaning)


_S, _W, _F = StatusCategory.SUCCESS, StatusCategory.WARNING, StatusCategory.FAILURE
_C, _P = StatusCategory.CANCEL, StatusCategory.PENDING

GENERAL: Final[tuple[StatusRow, ...]] = (
    _row(SUCCESS, _S, "success"),
    _row(NO_SUCH_ATTRIBUTE, _F, "no such attribute"),
    _row(INVALID_ATTRIBUTE_VALUE, _F, "invalid attribute value"),
    _row(ATTRIBUTE_LIST_ERROR, _W, "attribute list error"),
    _row(PROCESSING_FAILURE, _F, "processing failure"),
    _row(DUPLICATE_SOP_INSTANCE, _F, "duplicate SOP instance"),
    _row(NO_SUCH_SOP_INSTANCE, _F, "no such SOP instance"),
    _row(NO_SUCH_EVENT_TYPE, _F, "no such event type"),
    _row(NO_SUCH_ARGUMENT, _F, "no such argument"),
    _row(INVALID_ARGUMENT_VALUE, _F, "invalid argument value"),
    _row(ATTRIBUTE_VALUE_OUT_OF_RANGE, _W, "attribute value out of range"),
    _row(INVALID_SOP_INSTANCE, _F, "invalid SOP instance"),
    _row(NO_SUCH_SOP_CLASS, _F, "no such SOP class"),
    _row(CLASS_INSTANCE_CONFLICT, _F, "class-instance conflict"),
    _row(MISSING_ATTRIBUTE, _F, "missing attribute"),
    _row(MISSING_ATTRIBUTE_VALUE, _F, "missing attribute value"),
    _row(SOP_CLASS_NOT_SUPPORTED, _F, "refused: SOP class not supported"),
    _row(NO_SUCH_ACTION_TYPE, _F, "no such action type"),
    _row(NOT_AUTHORIZED, _F, "refused: not authorized"),
    _row(DUPLICATE_INVOCATION, _F, "duplicate invocation"),
    _row(UNRECOGNIZED_OPERATION, _F, "unrecognized operation"),
    _row(MISTYPED_ARGUMENT, _F, "mistyped argument"),
    _row(RESOURCE_LIMITATION, _F, "resource limitation"),
    _row(CANCEL, _C, "terminated by a cancel request"),
)
"""PS3.7 Annex C: what any service may answer."""

STORAGE: Final[tuple[StatusRow, ...]] = (
    _row(OUT_OF_RESOURCES, _F, "refused: out of resources", 0xA7FF),
    _row(DATA_SET_DOES_NOT_MATCH_SOP_CLASS, _F, "data set does not match SOP class", 0xA9FF),
    _row(CANNOT_UNDERSTAND, _F, "cannot understand", 0xCFFF),
    _row(COERCION_OF_DATA_ELEMENTS, _W, "coercion of data elements"),
    _row(ELEMENTS_DISCARDED, _W, "elements discarded"),
    _row(DATA_SET_DOES_NOT_MATCH_SOP_CLASS_WARNING, _W, "data set does not match SOP class"),
)
"""PS3.4 Table B.2-1."""

QUERY: Final[tuple[StatusRow, ...]] = (
    _row(OUT_OF_RESOURCES, _F, "refused: out of resources"),
    _row(0xA900, _F, "identifier does not match SOP class"),
    _row(0xC000, _F, "unable to process", 0xCFFF),
    _row(RESPONSE_LIMIT_REACHED, _W, "response limit reached, a further request may return more"),
    _row(PENDING, _P, "matches are continuing"),
    _row(PENDING_WITH_UNSUPPORTED_KEYS, _P, "matches are continuing, some optional keys are not supported"),
)
"""PS3.4 Table C.4-1 (C-FIND of query/retrieve) and Table K.4-1 (worklist)."""

RETRIEVE: Final[tuple[StatusRow, ...]] = (
    _row(CANNOT_COUNT_MATCHES, _F, "refused: out of resources, cannot count the matches"),
    _row(CANNOT_PERFORM_SUBOPERATIONS, _F, "refused: out of resources, cannot perform sub-operations"),
    _row(MOVE_DESTINATION_UNKNOWN, _F, "refused: move destination unknown"),
    _row(0xA900, _F, "identifier does not match SOP class"),
    _row(NO_FRAMES_FOUND, _F, "none of the requested frames was found in the SOP instance"),
    _row(CANNOT_CREATE_OBJECT, _F, "unable to create new object for this SOP class"),
    _row(CANNOT_EXTRACT_FRAMES, _F, "unable to extract frames"),
    _row(NOT_TIME_BASED, _F, "time-based request received for an object that is not time-based"),
    _row(INVALID_FRAME_REQUEST, _F, "invalid request"),
    _row(0xC000, _F, "unable to process", 0xCFFF),
    _row(SUBOPERATIONS_WITH_FAILURES, _W, "sub-operations complete, one or more failures"),
    _row(PENDING, _P, "sub-operations are continuing"),
)
"""PS3.4 Table C.4-2 (C-MOVE) and Table C.4-3 (C-GET)."""

PROCEDURE_STEP: Final[tuple[StatusRow, ...]] = (
    _row(OPTIONAL_ATTRIBUTES_NOT_SUPPORTED, _W, "requested optional attributes are not supported"),
    _row(WORKITEM_CREATED_WITH_MODIFICATIONS, _W, "the UPS was created with modifications"),
    _row(0xB301, _W, "deletion lock not granted"),
    _row(WORKITEM_ALREADY_CANCELED, _W, "the UPS is already in the requested state of CANCELED"),
    _row(0xB305, _W, "coerced invalid values to valid values"),
    _row(WORKITEM_ALREADY_COMPLETED, _W, "the UPS is already in the requested state of COMPLETED"),
    _row(WORKITEM_NO_LONGER_UPDATABLE, _F, "the UPS may no longer be updated"),
    _row(WORKITEM_WRONG_TRANSACTION_UID, _F, "the correct transaction UID was not provided"),
    _row(WORKITEM_ALREADY_IN_PROGRESS, _F, "the UPS is already IN PROGRESS"),
    _row(WORKITEM_SCHEDULED_BY_CREATION_ONLY, _F, "the UPS may only become SCHEDULED via N-CREATE"),
    _row(WORKITEM_FINAL_STATE_REQUIREMENTS, _F, "the UPS has not met final state requirements"),
    _row(NO_SUCH_WORKITEM, _F, "specified SOP instance UID does not exist or is not a UPS instance"),
    _row(RECEIVING_AE_TITLE_UNKNOWN, _F, "receiving AE title is unknown to this SCP"),
    _row(WORKITEM_NOT_CREATED_AS_SCHEDULED, _F, "the provided value of UPS state was not SCHEDULED"),
    _row(WORKITEM_NOT_IN_PROGRESS, _F, "the UPS is not yet IN PROGRESS"),
    _row(WORKITEM_IS_COMPLETED, _F, "the UPS is already COMPLETED"),
    _row(PERFORMER_UNREACHABLE, _F, "the performer cannot be contacted"),
    _row(0xC313, _F, "performer chooses not to cancel"),
    _row(ACTION_NOT_APPROPRIATE, _F, "specified action not appropriate for specified instance"),
    _row(0xC315, _F, "SCP does not support event reports"),
)
"""PS3.4 Table CC.2 (UPS) and §F.7 (MPPS)."""


def is_pending(code: int) -> bool:
    """Whether more responses to the same request follow."""
    return code in (PENDING, PENDING_WITH_UNSUPPORTED_KEYS)


def describe_status(code: int, service: tuple[StatusRow, ...] = ()) -> StatusRow:
    """Return the row `code` has in the table of its `service`, else in the general one, else by its range.

    Reference: PS3.7 Annex C
    """
    for row in (*service, *GENERAL):
        if row.first <= code <= row.last:
            return row
    return StatusRow(code, code, _category_by_range(code), "no meaning known for this code")


def _category_by_range(code: int) -> StatusCategory:
    """Return the class PS3.7 §C gives to codes of a range, even to those without a meaning of their own."""
    if is_pending(code):
        return _P
    if code == 0x0001 or code >> 12 == 0xB:
        return _W
    return _F
