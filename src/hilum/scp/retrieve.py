"""What C-MOVE and C-GET share: the information models, and the instances an identifier names.

Reference: PS3.4 §C.4.2, §C.4.3, §C.5, §C.6
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol

from hilum.archive.model import DicomJson, StoredInstance
from hilum.archive.query import InstanceSelection, Level
from hilum.dicom.data_sets import read_data_set
from hilum.dicom.dictionary import keyword_of, tag_of
from hilum.dicom.levels import UNIQUE_KEYS
from hilum.dicom.uids import (
    PATIENT_ROOT_GET,
    PATIENT_ROOT_MOVE,
    PATIENT_STUDY_ONLY_GET,
    PATIENT_STUDY_ONLY_MOVE,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
)
from hilum.kernel.errors import InvalidInput
from hilum.kernel.limits import MAX_UID_LENGTH
from hilum.scp.calls import Call
from hilum.ul.primitives import AssociateRequest, ExtendedNegotiation

_PATIENT_ROOT: Final = (Level.PATIENT, Level.STUDY, Level.SERIES, Level.INSTANCE)
_STUDY_ROOT: Final = (Level.STUDY, Level.SERIES, Level.INSTANCE)
_PATIENT_STUDY_ONLY: Final = (Level.PATIENT, Level.STUDY)

MOVE_MODELS: Final[Mapping[str, tuple[Level, ...]]] = MappingProxyType(
    {
        PATIENT_ROOT_MOVE: _PATIENT_ROOT,
        STUDY_ROOT_MOVE: _STUDY_ROOT,
        PATIENT_STUDY_ONLY_MOVE: _PATIENT_STUDY_ONLY,
    }
)
"""The levels of each information model that is served by C-MOVE, by SOP class. Reference: PS3.4 §C.6"""

GET_MODELS: Final[Mapping[str, tuple[Level, ...]]] = MappingProxyType(
    {
        PATIENT_ROOT_GET: _PATIENT_ROOT,
        STUDY_ROOT_GET: _STUDY_ROOT,
        PATIENT_STUDY_ONLY_GET: _PATIENT_STUDY_ONLY,
    }
)
"""The same for C-GET."""

_LEVELS: Final = {
    "PATIENT": Level.PATIENT,
    "STUDY": Level.STUDY,
    "SERIES": Level.SERIES,
    "IMAGE": Level.INSTANCE,
}
_QUERY_RETRIEVE_LEVEL: Final = tag_of("QueryRetrieveLevel")
_ISSUER_OF_PATIENT_ID: Final = tag_of("IssuerOfPatientID")
_UID_CHARACTERS: Final = frozenset("0123456789.")


class InstanceArchive(Protocol):
    """What retrieval needs of the service that reads the archive."""

    async def select(self, tenant_id: int, selection: InstanceSelection) -> list[StoredInstance]:
        """Return the instances that unique keys name, in the order of reading; [] for none.

        Raises LimitExceeded when there are more than one retrieval may name.
        """
        ...


def answer_relational(models: Mapping[str, object], proposed: ExtendedNegotiation) -> ExtendedNegotiation | None:
    """Return the answer to an extended negotiation: relational retrieval as proposed, nothing is converted.

    Reference: PS3.4 §C.5.2.1, §C.5.3.1
    """
    if proposed.sop_class_uid not in models:
        return None
    # Byte 1 relational retrieval, byte 2 conversion of enhanced multi-frame images.
    is_relational = proposed.application_information[:1] == b"\1"
    answer = bytes((is_relational, 0))[: max(1, len(proposed.application_information))]
    return ExtendedNegotiation(proposed.sop_class_uid, answer)


def is_relational(request: AssociateRequest, sop_class_uid: str) -> bool:
    """Return whether relational retrieval was agreed on, which is whenever it was proposed."""
    return any(
        each.sop_class_uid == sop_class_uid and each.application_information[:1] == b"\1"
        for each in request.user_information.extended_negotiations
    )


def requested_selection(call: Call, models: Mapping[str, tuple[Level, ...]], identifier: bytes) -> InstanceSelection:
    """Return the instances an identifier names.

    Raises:
        InvalidInput: a key is missing, has a value it may not have, or does not belong to the level.
        CorruptData, LimitExceeded: the identifier cannot be read.

    Reference: PS3.4 §C.4.2.1.4, §C.4.2.2, §C.4.3.1.3
    """
    keys = read_data_set(identifier, call.transfer_syntax)
    relational = is_relational(call.association.request, call.abstract_syntax)
    return selection_of(keys, models[call.abstract_syntax], is_relational=relational)


def selection_of(keys: DicomJson, levels: Sequence[Level], *, is_relational: bool) -> InstanceSelection:
    """Return the instances the unique keys of an identifier name in a model of these levels.

    The key of the level asked for has one value, or with UIDs several. Each level above has exactly one, and in a
    relational retrieval may have none. The levels below have none. Other keys say nothing.

    Raises:
        InvalidInput: the keys are not so.

    Reference: PS3.4 §C.4.2.2.1, §C.4.2.2.2, §C.4.2.3
    """
    level = _level(keys, levels)
    found: dict[Level, tuple[str, ...]] = {}
    for each in levels:
        values = _values(keys, UNIQUE_KEYS[each])
        keyword = keyword_of(UNIQUE_KEYS[each])
        if each > level and values:
            raise InvalidInput(f"{keyword} is below the level", code="unexpected-key", attribute=keyword)
        is_optional = each > level or (each < level and is_relational)
        if not values and not is_optional:
            raise InvalidInput(f"{keyword} is missing", code="missing-key", attribute=keyword)
        if len(values) > 1 and (each < level or each is Level.PATIENT):
            raise InvalidInput(f"{keyword} has several values", code="several-values", attribute=keyword)
        if each is not Level.PATIENT and not all(map(_is_plausible, values)):
            raise InvalidInput(f"{keyword} is no UID", code="invalid-uid", attribute=keyword)
        found[each] = values
    patient_ids = found.get(Level.PATIENT, ())
    return InstanceSelection(
        patient_id=patient_ids[0] if patient_ids else None,
        issuer_of_patient_id=next(iter(_values(keys, _ISSUER_OF_PATIENT_ID)), None) if patient_ids else None,
        study_instance_uids=found.get(Level.STUDY, ()),
        series_instance_uids=found.get(Level.SERIES, ()),
        sop_instance_uids=found.get(Level.INSTANCE, ()),
    )


def _level(keys: DicomJson, levels: Sequence[Level]) -> Level:
    values = _values(keys, _QUERY_RETRIEVE_LEVEL)
    if not values:
        raise InvalidInput("QueryRetrieveLevel is missing", code="missing-key", attribute="QueryRetrieveLevel")
    level = _LEVELS.get(values[0]) if len(values) == 1 else None
    if level is None or level not in levels:
        raise InvalidInput(
            "QueryRetrieveLevel is none of this information model", code="invalid-level", attribute="QueryRetrieveLevel"
        )
    return level


def _values(keys: DicomJson, tag: str) -> tuple[str, ...]:
    values = keys.get(tag, {}).get("Value", ())
    return tuple(text for value in values if value is not None and (text := str(value).strip(" \0")))


def _is_plausible(uid: str) -> bool:
    """Return whether a UID can be one that was stored; wildcards and what is longer are none."""
    return len(uid) <= MAX_UID_LENGTH and _UID_CHARACTERS.issuperset(uid)
