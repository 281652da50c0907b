"""The answer to a store request: what was stored, what was not, and why (PS3.18 §10.5.3, §I.2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hilum.dicomweb.address import Target
from hilum.dicomweb.answers import attributes_of
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
from hilum.services.store import StoreResult

_PROCESSING_FAILURE = 0x0110
_DUPLICATE = 0x0111
_SOP_CLASS_NOT_SUPPORTED = 0x0122
_NOT_AUTHORIZED = 0x0124
_OUT_OF_RESOURCES = 0xA700
_DATA_SET_MISMATCH = 0xA900
_CANNOT_UNDERSTAND = 0xC000
_TRANSFER_SYNTAX_NOT_SUPPORTED = 0xC122
_WARNING_DATA_SET_MISMATCH = 0xB007

FAILURE_REASON: dict[type[HilumError], int] = {
    LocalProtocolError: _PROCESSING_FAILURE,
    RemoteProtocolError: _PROCESSING_FAILURE,
    InvalidInput: _CANNOT_UNDERSTAND,
    Forbidden: _NOT_AUTHORIZED,
    NotFound: _PROCESSING_FAILURE,
    Conflict: _DUPLICATE,
    Unsupported: _SOP_CLASS_NOT_SUPPORTED,
    LimitExceeded: _OUT_OF_RESOURCES,
    Unavailable: _OUT_OF_RESOURCES,
    CorruptData: _CANNOT_UNDERSTAND,
}
"""The Failure Reason of each family of errors; total."""

_REASON_OF_CODE = {
    "uid-mismatch": _DATA_SET_MISMATCH,
    "unsupported-transfer-syntax": _TRANSFER_SYNTAX_NOT_SUPPORTED,
}


def failure_reason(error: HilumError) -> int:
    """Return the Failure Reason (0008,1197) of an error.

    Reference: PS3.18 Table I.2-2, PS3.7 §C.5
    """
    special = _REASON_OF_CODE.get(error.reason_code)
    if special is not None:
        return special
    return next(FAILURE_REASON[family] for family in type(error).__mro__ if family in FAILURE_REASON)


@dataclass(frozen=True, slots=True)
class Failure:
    """An instance that was not stored. The UIDs are what its file said, None where it did not get that far."""

    error: HilumError
    sop_class_uid: str | None = None
    sop_instance_uid: str | None = None


@dataclass(slots=True)
class StoreReport:
    """What became of the instances of one request, in the order in which it was known."""

    stored: list[StoreResult] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)

    def status(self) -> int:
        """Return the HTTP status.

        When nothing could be stored and only because a part of the system is away, it is 503, so that clients try
        again.

        Reference: PS3.18 Table 10.5.3-1
        """
        if not self.failed:
            return 202 if any(result.damage for result in self.stored) else 200
        if self.stored:
            return 202
        return 503 if all(isinstance(failure.error, Unavailable) for failure in self.failed) else 409

    def data_set(self, base: str) -> dict[str, Any]:
        """Return the store instances response module.

        Reference: PS3.18 §I.2
        """
        studies = {result.study_instance_uid for result in self.stored}
        named = [failure for failure in self.failed if failure.sop_instance_uid]
        unnamed = [failure for failure in self.failed if not failure.sop_instance_uid]
        return attributes_of(
            {
                "RetrieveURL": ("UR", [Target(study).url(base) for study in studies] if len(studies) == 1 else []),
                "FailedSOPSequence": ("SQ", [_failed_item(failure) for failure in named]),
                "ReferencedSOPSequence": ("SQ", [_stored_item(result, base) for result in self.stored]),
                "OtherFailuresSequence": ("SQ", [_failed_item(failure) for failure in unnamed]),
            }
        )


def _stored_item(result: StoreResult, base: str) -> dict[str, Any]:
    target = Target(result.study_instance_uid, result.series_instance_uid, result.sop_instance_uid)
    return attributes_of(
        {
            "ReferencedSOPClassUID": ("UI", [result.sop_class_uid]),
            "ReferencedSOPInstanceUID": ("UI", [result.sop_instance_uid]),
            "RetrieveURL": ("UR", [target.url(base)]),
            "WarningReason": ("US", [_WARNING_DATA_SET_MISMATCH] if result.damage else []),
        }
    )


def _failed_item(failure: Failure) -> dict[str, Any]:
    return attributes_of(
        {
            "ReferencedSOPClassUID": ("UI", [failure.sop_class_uid] if failure.sop_class_uid else []),
            "ReferencedSOPInstanceUID": ("UI", [failure.sop_instance_uid] if failure.sop_instance_uid else []),
            "FailureReason": ("US", [failure_reason(failure.error)]),
            # LO: no more than 64 characters.
            "ErrorComment": ("LO", [failure.error.message[:64]]),
        }
    )
