"""The information models of Query/Retrieve and the worklist: which SOP class asks which question at which level."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from hilum.archive.query import Level
from hilum.dicom.uids import (
    MODALITY_WORKLIST_FIND,
    PATIENT_ROOT_FIND,
    PATIENT_ROOT_GET,
    PATIENT_ROOT_MOVE,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
)
from hilum.ul.primitives import ExtendedNegotiation


class InformationModel(StrEnum):
    """Where the hierarchy begins (PS3.4 §C.3); the worklist has none (PS3.4 Annex K)."""

    PATIENT = "patient"
    STUDY = "study"
    WORKLIST = "worklist"


FIND: Final = {
    InformationModel.PATIENT: PATIENT_ROOT_FIND,
    InformationModel.STUDY: STUDY_ROOT_FIND,
    InformationModel.WORKLIST: MODALITY_WORKLIST_FIND,
}
MOVE: Final = {InformationModel.PATIENT: PATIENT_ROOT_MOVE, InformationModel.STUDY: STUDY_ROOT_MOVE}
GET: Final = {InformationModel.PATIENT: PATIENT_ROOT_GET, InformationModel.STUDY: STUDY_ROOT_GET}

LEVEL_NAMES: Final = {
    Level.PATIENT: "PATIENT",
    Level.STUDY: "STUDY",
    Level.SERIES: "SERIES",
    Level.INSTANCE: "IMAGE",
}
"""Values of Query/Retrieve Level (0008,0052)."""


def extensions(sop_class_uid: str, *, is_relational: bool = False, is_fuzzy: bool = False) -> ExtendedNegotiation:
    """Return what is asked for beyond a plain hierarchical query; a remote may grant less and then answers plainly.

    Combined date-time matching changes the meaning of plain queries and is not asked for.

    Reference: PS3.4 §C.5.1.1, §C.5.2.1, §C.5.3.1
    """
    is_query = sop_class_uid in FIND.values()
    information = (is_relational, False, is_fuzzy) if is_query else (is_relational,)
    return ExtendedNegotiation(sop_class_uid, bytes(information))
