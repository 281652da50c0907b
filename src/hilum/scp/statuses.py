"""The tables that project errors of the services to DIMSE statuses, one for each kind of service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from hilum.archive.workitems import WorkitemProblem
from hilum.dicom.dictionary import tag_of
from hilum.dimse import status
from hilum.kernel.errors import (
    Conflict,
    CorruptData,
    Forbidden,
    HilumError,
    InvalidInput,
    LimitExceeded,
    LocalProtocolError,
    NotFound,
    RemoteProtocolError,
    Unavailable,
    Unsupported,
)


@dataclass(frozen=True, slots=True)
class StatusTable:
    """What one service answers to errors: by family, and by code where a family's status would not tell enough."""

    families: Mapping[type[HilumError], int]
    codes: Mapping[str, int]


_GENERAL: Final[Mapping[type[HilumError], int]] = MappingProxyType(
    {
        LocalProtocolError: status.PROCESSING_FAILURE,
        RemoteProtocolError: status.PROCESSING_FAILURE,
        InvalidInput: status.PROCESSING_FAILURE,
        Forbidden: status.NOT_AUTHORIZED,
        NotFound: status.PROCESSING_FAILURE,
        Conflict: status.PROCESSING_FAILURE,
        Unsupported: status.PROCESSING_FAILURE,
        LimitExceeded: status.PROCESSING_FAILURE,
        Unavailable: status.RESOURCE_LIMITATION,
        CorruptData: status.PROCESSING_FAILURE,
    }
)


def status_table(families: Mapping[type[HilumError], int], codes: Mapping[str, int] | None = None) -> StatusTable:
    """Return the table of a service that differs from PS3.7 Annex C in these rows."""
    return StatusTable(MappingProxyType({**_GENERAL, **families}), MappingProxyType(dict(codes or {})))


STORE_STATUSES: Final = status_table(
    {
        InvalidInput: status.CANNOT_UNDERSTAND,
        Conflict: status.DUPLICATE_SOP_INSTANCE,
        Unsupported: status.SOP_CLASS_NOT_SUPPORTED,
        Unavailable: status.OUT_OF_RESOURCES,
        CorruptData: status.CANNOT_UNDERSTAND,
    },
    {"uid-mismatch": status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS},
)
"""C-STORE (PS3.4 Table B.2-1, PS3.7 §9.1.1.1.9)."""

FIND_STATUSES: Final = status_table(
    {
        InvalidInput: status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS,
        Unsupported: status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS,
        LimitExceeded: status.OUT_OF_RESOURCES,
        Unavailable: status.OUT_OF_RESOURCES,
        NotFound: status.CANNOT_UNDERSTAND,
        Conflict: status.CANNOT_UNDERSTAND,
        CorruptData: status.CANNOT_UNDERSTAND,
        LocalProtocolError: status.CANNOT_UNDERSTAND,
        RemoteProtocolError: status.CANNOT_UNDERSTAND,
    }
)
"""C-FIND (PS3.4 Table C.4-1, Table K.4-1)."""

RETRIEVE_STATUSES: Final = status_table(
    {
        InvalidInput: status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS,
        Unsupported: status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS,
        LimitExceeded: status.CANNOT_COUNT_MATCHES,
        Unavailable: status.CANNOT_COUNT_MATCHES,
        NotFound: status.CANNOT_UNDERSTAND,
        Conflict: status.CANNOT_UNDERSTAND,
        CorruptData: status.CANNOT_UNDERSTAND,
        LocalProtocolError: status.CANNOT_UNDERSTAND,
        RemoteProtocolError: status.CANNOT_UNDERSTAND,
    },
    {
        "unknown-move-destination": status.MOVE_DESTINATION_UNKNOWN,
        "no-frames": status.NO_FRAMES_FOUND,
        "frames-indivisible": status.CANNOT_CREATE_OBJECT,
        "frames-unreadable": status.CANNOT_EXTRACT_FRAMES,
        "frames-without-times": status.NOT_TIME_BASED,
        "frame-list": status.INVALID_FRAME_REQUEST,
    },
)
"""C-MOVE and C-GET before the first sub-operation (PS3.4 Tables C.4-2, C.4-3, Y.4-1, Y.4-2 and Z.4-1)."""

NORMALIZED_STATUSES: Final = status_table(
    {
        InvalidInput: status.INVALID_ATTRIBUTE_VALUE,
        NotFound: status.NO_SUCH_SOP_INSTANCE,
        Conflict: status.DUPLICATE_SOP_INSTANCE,
        CorruptData: status.INVALID_ATTRIBUTE_VALUE,
    },
    {"missing-attribute": status.MISSING_ATTRIBUTE, "missing-value": status.MISSING_ATTRIBUTE_VALUE},
)
"""N-CREATE, N-SET, N-GET, N-ACTION, N-EVENT-REPORT, N-DELETE (PS3.7 §10.1, Annex C)."""

WORKITEM_STATUSES: Final = status_table(
    NORMALIZED_STATUSES.families,
    {
        **NORMALIZED_STATUSES.codes,
        "invalid-uid": status.INVALID_SOP_INSTANCE,
        "invalid-argument": status.INVALID_ARGUMENT_VALUE,
        "missing-keys": status.INVALID_ARGUMENT_VALUE,
        "bad-query-value": status.INVALID_ARGUMENT_VALUE,
        "no-such-sop-class": status.NO_SUCH_SOP_CLASS,
        "no-such-action": status.NO_SUCH_ACTION_TYPE,
        WorkitemProblem.DUPLICATE: status.DUPLICATE_SOP_INSTANCE,
        WorkitemProblem.FINAL: status.WORKITEM_NO_LONGER_UPDATABLE,
        WorkitemProblem.TRANSACTION: status.WORKITEM_WRONG_TRANSACTION_UID,
        WorkitemProblem.IN_PROGRESS: status.WORKITEM_ALREADY_IN_PROGRESS,
        WorkitemProblem.TO_SCHEDULED: status.WORKITEM_SCHEDULED_BY_CREATION_ONLY,
        WorkitemProblem.REQUIREMENTS: status.WORKITEM_FINAL_STATE_REQUIREMENTS,
        WorkitemProblem.UNKNOWN: status.NO_SUCH_WORKITEM,
        WorkitemProblem.UNKNOWN_RECEIVER: status.RECEIVING_AE_TITLE_UNKNOWN,
        WorkitemProblem.NOT_SCHEDULED: status.WORKITEM_NOT_CREATED_AS_SCHEDULED,
        WorkitemProblem.NOT_IN_PROGRESS: status.WORKITEM_NOT_IN_PROGRESS,
        WorkitemProblem.COMPLETED: status.WORKITEM_IS_COMPLETED,
        WorkitemProblem.PERFORMER: status.PERFORMER_UNREACHABLE,
        WorkitemProblem.INAPPROPRIATE: status.ACTION_NOT_APPROPRIATE,
    },
)
"""N-CREATE, N-SET, N-GET and N-ACTION of unified procedure steps (PS3.4 Annex CC)."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a response with an error says."""

    status: int
    error_comment: str
    offending_element: tuple[int, ...] = ()


def refusal(error: HilumError, table: StatusTable) -> Refusal:
    """Return what a service answers to an error: status, Error Comment, and Offending Element where one is known.

    Reference: PS3.7 Annex C
    """
    code = table.codes.get(error.reason_code)
    if code is None:
        code = next(table.families[family] for family in type(error).__mro__ if family in table.families)
    return Refusal(code, error.message, _offending_element(error.facts.get("attribute")))


def _offending_element(attribute: object) -> tuple[int, ...]:
    """Return the tag of the attribute an error names by its keyword."""
    if not isinstance(attribute, str):
        return ()
    try:
        return (int(tag_of(attribute), 16),)
    except (HilumError, ValueError):
        return ()
