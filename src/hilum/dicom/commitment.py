"""The data sets of Storage Commitment: which instances are meant, and what became of them.

Reference: PS3.4 §J.3, PS3.3 §C.14
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hilum.dicom.dictionary import tag_of
from hilum.dicom.elements import Attributes
from hilum.dicom.uids import is_valid_uid
from hilum.kernel.errors import InvalidInput

_TRANSACTION_UID: Final = tag_of("TransactionUID")
_REFERENCED_SOP_SEQUENCE: Final = tag_of("ReferencedSOPSequence")
_FAILED_SOP_SEQUENCE: Final = tag_of("FailedSOPSequence")
_FAILURE_REASON: Final = tag_of("FailureReason")
_REFERENCED_SOP_CLASS_UID: Final = tag_of("ReferencedSOPClassUID")
_REFERENCED_SOP_INSTANCE_UID: Final = tag_of("ReferencedSOPInstanceUID")
_RETRIEVE_AE_TITLE: Final = tag_of("RetrieveAETitle")
_UNKNOWN_FAILURE: Final = 0x0110


@dataclass(frozen=True, slots=True)
class CommitmentMessage:
    """A request (no failures then) or its result: (SOP class, SOP instance) of each, with the reason of a failure."""

    transaction_uid: str
    instances: tuple[tuple[str, str], ...]
    failures: tuple[tuple[str, str, int], ...] = ()


def read_commitment(attributes: Attributes) -> CommitmentMessage:
    """Return what a request or a result says.

    Raises:
        InvalidInput: code "missing-attribute" or "invalid-uid"; the fact `attribute` names it.

    Reference: PS3.4 Table J.3-1, Table J.3-2
    """
    transaction_uid = _uid(attributes, _TRANSACTION_UID, "TransactionUID")
    return CommitmentMessage(
        transaction_uid,
        tuple(_reference(item) for item in _items(attributes, _REFERENCED_SOP_SEQUENCE)),
        tuple((*_reference(item), _reason(item)) for item in _items(attributes, _FAILED_SOP_SEQUENCE)),
    )


def write_commitment(
    transaction_uid: str,
    instances: Iterable[tuple[str, str]],
    failures: Sequence[tuple[str, str, int]] = (),
    retrieve_ae_title: str | None = None,
) -> Attributes:
    """Return the data set of a request, or of a result when an AE title to retrieve from is given."""
    committed = [_item(*each) for each in instances]
    attributes: Attributes = {_TRANSACTION_UID: {"vr": "UI", "Value": [transaction_uid]}}
    if retrieve_ae_title is not None:
        attributes[_RETRIEVE_AE_TITLE] = {"vr": "AE", "Value": [retrieve_ae_title]}
    if failures:
        attributes[_FAILED_SOP_SEQUENCE] = {
            "vr": "SQ",
            "Value": [
                _item(sop_class_uid, sop_instance_uid) | {_FAILURE_REASON: {"vr": "US", "Value": [reason]}}
                for sop_class_uid, sop_instance_uid, reason in failures
            ],
        }
    if committed:
        attributes[_REFERENCED_SOP_SEQUENCE] = {"vr": "SQ", "Value": committed}
    return attributes


def _item(sop_class_uid: str, sop_instance_uid: str) -> Attributes:
    return {
        _REFERENCED_SOP_CLASS_UID: {"vr": "UI", "Value": [sop_class_uid]},
        _REFERENCED_SOP_INSTANCE_UID: {"vr": "UI", "Value": [sop_instance_uid]},
    }


def _items(attributes: Attributes, tag: str) -> list[Any]:
    return [item for item in attributes.get(tag, {}).get("Value") or [] if item]


def _reference(item: Attributes) -> tuple[str, str]:
    return (
        _uid(item, _REFERENCED_SOP_CLASS_UID, "ReferencedSOPClassUID"),
        _uid(item, _REFERENCED_SOP_INSTANCE_UID, "ReferencedSOPInstanceUID"),
    )


def _reason(item: Attributes) -> int:
    values = item.get(_FAILURE_REASON, {}).get("Value") or []
    return values[0] if values and isinstance(values[0], int) else _UNKNOWN_FAILURE


def _uid(attributes: Attributes, tag: str, keyword: str) -> str:
    values = attributes.get(tag, {}).get("Value") or []
    if not values:
        raise InvalidInput(f"{keyword} is missing", code="missing-attribute", attribute=keyword)
    if len(values) > 1 or not isinstance(values[0], str) or not is_valid_uid(values[0]):
        raise InvalidInput(f"{keyword} is no UID", code="invalid-uid", attribute=keyword)
    return values[0]
