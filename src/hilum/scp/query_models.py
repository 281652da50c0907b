"""The information models of queries, and what of a query is agreed on with the association."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from hilum.archive.query import Level
from hilum.dicom.uids import MODALITY_WORKLIST_FIND, PATIENT_ROOT_FIND, PATIENT_STUDY_ONLY_FIND, STUDY_ROOT_FIND
from hilum.ul.primitives import AssociateRequest, ExtendedNegotiation

FIND_MODELS: Final[Mapping[str, tuple[Level, ...]]] = MappingProxyType(
    {
        PATIENT_ROOT_FIND: (Level.PATIENT, Level.STUDY, Level.SERIES, Level.INSTANCE),
        STUDY_ROOT_FIND: (Level.STUDY, Level.SERIES, Level.INSTANCE),
        PATIENT_STUDY_ONLY_FIND: (Level.PATIENT, Level.STUDY),
    }
)
"""The levels of each information model that is served by C-FIND, by SOP class. Reference: PS3.4 §C.6"""

LEVEL_NAMES: Final[Mapping[str, Level]] = MappingProxyType(
    {"PATIENT": Level.PATIENT, "STUDY": Level.STUDY, "SERIES": Level.SERIES, "IMAGE": Level.INSTANCE}
)
"""Values of Query/Retrieve Level. Reference: PS3.4 §C.6.1.1.1"""


@dataclass(frozen=True, slots=True)
class QueryOptions:
    """What the requestor may count on beyond the baseline, in the order of the bytes that negotiate it.

    `relational`: keys of any level, and no unique keys needed. `moments`: a date and its time are matched as one.
    `fuzzy`: person names by the beginnings of their words. `zones`: times are meant, and answered, in the zone the
    request names.

    Reference: PS3.4 §C.5.1.1
    """

    relational: bool = False
    moments: bool = False
    fuzzy: bool = False
    zones: bool = False


_OPTION_COUNT: Final = 4


def answer_options(proposed: ExtendedNegotiation) -> ExtendedNegotiation | None:
    """Return the answer to an extended negotiation of a query model: yes to what was asked of the four options.

    Conversion of enhanced multi-frame images, the fifth, is not done, and what comes behind is not known. The answer is
    as long as the proposal, at least one byte.

    Reference: PS3.4 §C.5.1.1
    """
    if proposed.sop_class_uid not in FIND_MODELS:
        return None
    asked = proposed.application_information
    known = bytes(byte == 1 for byte in asked[:_OPTION_COUNT])
    return ExtendedNegotiation(proposed.sop_class_uid, known.ljust(max(1, len(asked)), b"\0"))


def answer_worklist_options(proposed: ExtendedNegotiation) -> ExtendedNegotiation | None:
    """Return the answer to an extended negotiation of the modality worklist: yes to fuzzy names and to time zones.

    The first two bytes are 1 whatever was proposed: a worklist has one level, and matches its moments as such. The
    answer has three bytes at least, and else is as long as the proposal.

    Reference: PS3.4 §K.5.1
    """
    if proposed.sop_class_uid != MODALITY_WORKLIST_FIND:
        return None
    asked = proposed.application_information
    known = b"\1\1" + bytes(byte == 1 for byte in asked[2:_OPTION_COUNT])
    return ExtendedNegotiation(proposed.sop_class_uid, known.ljust(max(3, len(asked)), b"\0"))


def agreed_options(request: AssociateRequest, sop_class_uid: str) -> QueryOptions:
    """Return what an association request asked for and was granted, for one model or for the worklist."""
    for each in request.user_information.extended_negotiations:
        if each.sop_class_uid == sop_class_uid:
            asked = (byte == 1 for byte in each.application_information[:_OPTION_COUNT].ljust(_OPTION_COUNT, b"\0"))
            return QueryOptions(*asked)
    return QueryOptions()
