"""Which UIDs name storage SOP classes, what instances and messages may be encoded in, and what may be chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hilum.dicom.uids import (
    APPLICATION_CONTEXT,
    CT_IMAGE_STORAGE,
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    STORAGE_SOP_CLASSES,
    TRANSFER_SYNTAXES,
)
from hilum.ul.negotiation import TransferSyntaxRule

# What a data set of an association cannot be in: whole files and messages of other kinds, and live video.
_NO_DATA_SETS = ("RFC2557MIMEEncapsulation", "XMLEncoding", "Papyrus3ImplicitVRLittleEndian", "SMPTE")
STORAGE_TRANSFER_SYNTAXES = frozenset(
    syntax.uid for syntax in TRANSFER_SYNTAXES.values() if not syntax.keyword.startswith(_NO_DATA_SETS)
)
"""The transfer syntaxes an instance may come in: all that encode a data set."""

MESSAGE_RULE = TransferSyntaxRule(
    frozenset(
        {
            IMPLICIT_VR_LITTLE_ENDIAN,
            EXPLICIT_VR_LITTLE_ENDIAN,
            EXPLICIT_VR_BIG_ENDIAN,
            DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
        }
    )
)
"""What the identifiers and attribute lists of messages may be encoded in: nothing in them needs more."""

# The arcs below which the standard names its UIDs, and its composite storage SOP classes.
_DICOM_ARC = APPLICATION_CONTEXT.removesuffix("3.1.1.1")
_STORAGE_ARC = CT_IMAGE_STORAGE.removesuffix("2")
# What stands below the storage arc and is none: protocol approval and inventory queries, repository query.
_OTHER_SERVICES = frozenset(
    _STORAGE_ARC + arc for arc in ("200.4", "200.5", "200.6", "201.2", "201.3", "201.4", "201.5", "201.6")
)


@dataclass(frozen=True, slots=True)
class ScpSettings:
    """What the person who runs the archive may choose about Storage."""

    accept_unknown_sop_classes: bool = True
    transfer_syntax_order: Sequence[str] = ()


def is_storage(abstract_syntax: str, *, accept_unknown: bool = True) -> bool:
    """Return whether the UID names a storage SOP class, or may name one: private ones, and ones newer than this code.

    Reference: PS3.4 §B.5
    """
    if abstract_syntax in STORAGE_SOP_CLASSES:
        return True
    if not accept_unknown or abstract_syntax in _OTHER_SERVICES:
        return False
    return abstract_syntax.startswith(_STORAGE_ARC) or not abstract_syntax.startswith(_DICOM_ARC)
