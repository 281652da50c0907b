"""The files a DICOMDIR names (PS3.10 §8.6, PS3.3 Annex F)."""

from __future__ import annotations

from io import BytesIO

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from hilum.kernel.errors import InvalidInput

_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"


def is_dicomdir(media_storage_sop_class_uid: str | None) -> bool:
    """Return whether a file with this Media Storage SOP Class UID is a DICOMDIR and no instance."""
    return media_storage_sop_class_uid == _STORAGE_DIRECTORY


def referenced_files(dicomdir: bytes) -> list[tuple[str, ...]]:
    """Return the Referenced File IDs of all records, each as its path components below the DICOMDIR's folder.

    Components that would leave the folder make a reference invalid; such references are left out.

    Raises:
        InvalidInput: the bytes are no readable DICOMDIR.

    Reference: PS3.3 §F.3.2.2
    """
    try:
        records = dcmread(BytesIO(dicomdir)).get("DirectoryRecordSequence")
    except (InvalidDicomError, OSError, ValueError, KeyError, AttributeError, NotImplementedError) as error:
        raise InvalidInput("the DICOMDIR cannot be read", code="dicomdir") from error
    found: list[tuple[str, ...]] = []
    for record in records or []:
        value = record.get("ReferencedFileID")
        if value is None:
            continue
        components = (value,) if isinstance(value, str) else tuple(str(part) for part in value)
        if components and all(_is_plain(component) for component in components):
            found.append(components)
    return found


def _is_plain(component: str) -> bool:
    return component not in ("", ".", "..") and not set(component) & set("/\\:\0")
