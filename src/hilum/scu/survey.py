"""What will come when a study is asked for: its SOP classes, so that few presentation contexts serve it well."""

from __future__ import annotations

import contextlib
from typing import Any, Final

from hilum.archive.model import DicomJson
from hilum.archive.query import Level
from hilum.dicom.dictionary import tag_of
from hilum.dicom.modalities import sop_classes_of_modalities
from hilum.dicom.query_keys import identifier_of
from hilum.kernel.errors import HilumError
from hilum.kernel.limits import MAX_SURVEYED_SERIES
from hilum.scu.query import find
from hilum.scu.remote import Remote

_SOP_CLASSES_IN_STUDY: Final = tag_of("SOPClassesInStudy")
_SOP_CLASS_UID: Final = tag_of("SOPClassUID")
_SERIES_UID: Final = tag_of("SeriesInstanceUID")
_MODALITY: Final = tag_of("Modality")


async def sop_classes_of_study(
    remote: Remote, study_instance_uid: str, series_instance_uid: str | None = None, *, calling_ae_title: str
) -> tuple[str, ...]:
    """Return the SOP classes a study, or one of its series, probably has; () when the remote does not tell enough.

    Many remotes do not know what is in a study as a whole: then the first instance of each series is looked at, which
    misses what a series holds besides, and where not even that has a SOP class, the modalities are.

    Reference: PS3.4 §C.6.2.1
    """
    study = {"StudyInstanceUID": study_instance_uid}
    try:
        if series_instance_uid is None:
            keys = identifier_of(study, ("SOPClassesInStudy",))
            matches = [match async for match in find(remote, keys, calling_ae_title=calling_ae_title)]
            told = [str(uid) for match in matches for uid in _values(match, _SOP_CLASSES_IN_STUDY)]
            if told:
                return tuple(dict.fromkeys(told))
        keys = identifier_of(study | {"SeriesInstanceUID": series_instance_uid or ""}, ("Modality",))
        series = [match async for match in find(remote, keys, calling_ae_title=calling_ae_title, level=Level.SERIES)]
        found: dict[str, None] = {}
        for each in series[:MAX_SURVEYED_SERIES]:
            sop_class_uid = await _first_sop_class(remote, study, each, calling_ae_title)
            if sop_class_uid is None:
                break
            found[sop_class_uid] = None
        else:
            if len(series) <= MAX_SURVEYED_SERIES:
                return tuple(found)
        modalities = [str(modality) for match in series for modality in _values(match, _MODALITY)[:1] or ("",)]
        return sop_classes_of_modalities(modalities)
    except HilumError:
        return ()


async def _first_sop_class(
    remote: Remote, study: dict[str, str], series: DicomJson, calling_ae_title: str
) -> str | None:
    """Return the SOP class of a series' first instance, None when it is not told."""
    keys = study | {"SeriesInstanceUID": "".join(_values(series, _SERIES_UID))}
    identifier = identifier_of(keys, ("SOPInstanceUID", "SOPClassUID"))
    instances = find(remote, identifier, calling_ae_title=calling_ae_title, level=Level.INSTANCE)
    async with contextlib.aclosing(instances):
        async for match in instances:
            return next(iter(_values(match, _SOP_CLASS_UID)), None)
    return None


def _values(match: DicomJson, tag: str) -> list[Any]:
    values: list[Any] = match.get(tag, {}).get("Value", [])
    return values
