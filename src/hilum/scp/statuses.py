"""The one table that projects errors of the services to DIMSE statuses, and says the rest in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

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

STORE_STATUSES: Final[Mapping[type[HilumError], int]] = MappingProxyType(
    {
        LocalProtocolError: status.PROCESSING_FAILURE,
        RemoteProtocolError: status.PROCESSING_FAILURE,
        InvalidInput: status.CANNOT_UNDERSTAND,
        Forbidden: status.NOT_AUTHORIZED,
        NotFound: status.PROCESSING_FAILURE,
        Conflict: status.DUPLICATE_SOP_INSTANCE,
        Unsupported: status.SOP_CLASS_NOT_SUPPORTED,
        LimitExceeded: status.PROCESSING_FAILURE,
        Unavailable: status.OUT_OF_RESOURCES,
        CorruptData: status.CANNOT_UNDERSTAND,
    }
)
"""What C-STORE answers to each family of errors (PS3.4 Table B.2-1, PS3.7 §9.1.1.1.9)."""

_STORE_STATUSES_OF_CODES: Final[Mapping[str, int]] = MappingProxyType(
    {"uid-mismatch": status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS}
)
"""Cases a family's own status would not tell apart."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a response with an error says."""

    status: int
    error_comment: str
    offending_element: tuple[int, ...] = ()


def store_refusal(error: HilumError) -> Refusal:
    """Return what C-STORE answers to an error: status, Error Comment, and Offending Element where one is known.

    Reference: PS3.4 §B.2.3, PS3.7 §9.1.1.1.9, Annex C
    """
    code = _STORE_STATUSES_OF_CODES.get(error.reason_code)
    if code is None:
        code = next(STORE_STATUSES[family] for family in type(error).__mro__ if family in STORE_STATUSES)
    return Refusal(code, error.message, _offending_element(error.facts.get("attribute")))


def _offending_element(attribute: object) -> tuple[int, ...]:
    """Return the tag of the attribute an error names by its keyword."""
    if not isinstance(attribute, str):
        return ()
    try:
        return (int(tag_of(attribute), 16),)
    except (HilumError, ValueError):
        return ()
