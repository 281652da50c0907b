"""Other archives as prefetch asks them: by C-FIND."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from hilum.app.retrieval import RegisteredArchives
from hilum.archive.model import DicomJson
from hilum.archive.prefetch import PriorStudy
from hilum.archive.query import Level
from hilum.archive.remotes import RemoteAe
from hilum.dicom.dictionary import tag_of
from hilum.dicom.query_keys import identifier_of
from hilum.kernel.limits import MAX_PRIORS_LOOKED_AT

_PATIENT_ID: Final = tag_of("PatientID")
_RETURNED: Final = (
    *("StudyInstanceUID", "IssuerOfPatientID", "PatientBirthDate", "StudyDate"),
    *("ModalitiesInStudy", "StudyDescription", "NumberOfStudyRelatedInstances"),
)


class DimsePriors:
    """Implements `hilum.archive.prefetch.PriorFinder`.

    Args:
        archives: how remotes of the registry are asked.
    """

    def __init__(self, archives: RegisteredArchives) -> None:
        self._archives = archives

    async def studies_of(self, remote: RemoteAe, patient_id: str) -> Sequence[PriorStudy]:
        """Return the studies the remote has of the patient."""
        keys = identifier_of({}, _RETURNED)
        # A wildcard in an identifier that has one by itself is no pattern: it is compared afterwards.
        keys[_PATIENT_ID] = {"vr": "LO", "Value": [patient_id]}
        found: list[PriorStudy] = []
        matches = self._archives.find(remote, keys)
        async with contextlib.aclosing(matches):
            async for match in matches:
                found.append(_prior(match))
                if len(found) == MAX_PRIORS_LOOKED_AT:
                    break
        return found

    async def body_parts_of(self, remote: RemoteAe, study_instance_uid: str) -> Sequence[str]:
        """Return what the study's series say of the body part examined."""
        keys = identifier_of({"StudyInstanceUID": study_instance_uid}, ("SeriesInstanceUID", "BodyPartExamined"))
        matches = self._archives.find(remote, keys, level=Level.SERIES)
        async with contextlib.aclosing(matches):
            return [_text(match, "BodyPartExamined") async for match in matches]


def _prior(match: DicomJson) -> PriorStudy:
    count = _text(match, "NumberOfStudyRelatedInstances")
    return PriorStudy(
        study_instance_uid=_text(match, "StudyInstanceUID"),
        patient_id=_text(match, "PatientID"),
        issuer_of_patient_id=_text(match, "IssuerOfPatientID"),
        patient_birth_date=_text(match, "PatientBirthDate"),
        study_date=_date(_text(match, "StudyDate")),
        modalities=tuple(str(value).strip() for value in _values(match, "ModalitiesInStudy")),
        description=_text(match, "StudyDescription"),
        instance_count=int(count) if count.isdecimal() else None,
    )


def _values(match: DicomJson, keyword: str) -> list[Any]:
    return [value for value in match.get(tag_of(keyword), {}).get("Value", []) if value is not None]


def _text(match: DicomJson, keyword: str) -> str:
    return str(next(iter(_values(match, keyword)), "")).strip()


def _date(text: str) -> date | None:
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return None
