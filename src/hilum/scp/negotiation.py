"""What the archive agrees to when an association is asked for: titles, SOP classes, transfer syntaxes, windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hilum.dicom.uids import (
    APPLICATION_CONTEXT,
    CT_IMAGE_STORAGE,
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    STORAGE_SOP_CLASSES,
    TRANSFER_SYNTAXES,
    VERIFICATION,
)
from hilum.kernel.limits import MAX_OPERATIONS_PERFORMED, MAX_PDU_LENGTH_BYTES
from hilum.ul.negotiation import AcceptorPolicy, TransferSyntaxRule
from hilum.ul.primitives import AssociateRequest, AsyncOperationsWindow, ExtendedNegotiation, RejectReason

# What a data set of an association cannot be in: whole files and messages of other kinds, and live video.
_NO_DATA_SETS = ("RFC2557MIMEEncapsulation", "XMLEncoding", "Papyrus3ImplicitVRLittleEndian", "SMPTE")
STORAGE_TRANSFER_SYNTAXES = frozenset(
    syntax.uid for syntax in TRANSFER_SYNTAXES.values() if not syntax.keyword.startswith(_NO_DATA_SETS)
)
"""The transfer syntaxes an instance may come in: all that encode a data set."""

# The arcs below which the standard names its UIDs, and its composite storage SOP classes.
_DICOM_ARC = APPLICATION_CONTEXT.removesuffix("3.1.1.1")
_STORAGE_ARC = CT_IMAGE_STORAGE.removesuffix("2")
# What stands below the storage arc and is none: protocol approval and inventory queries, repository query.
_OTHER_SERVICES = frozenset(
    _STORAGE_ARC + arc for arc in ("200.4", "200.5", "200.6", "201.2", "201.3", "201.4", "201.5", "201.6")
)

# Level 2 (full) storage, bit preserving digital signatures, no coercion (PS3.4 §B.3.1, Table B.3-2).
_STORAGE_LEVELS = bytes((2, 0, 3, 0, 0, 0))


@dataclass(frozen=True, slots=True)
class ScpSettings:
    """What the person who runs the archive may choose."""

    accept_unknown_sop_classes: bool = True
    transfer_syntax_order: Sequence[str] = ()
    max_pdu_length_bytes: int = MAX_PDU_LENGTH_BYTES


def is_storage(abstract_syntax: str, *, accept_unknown: bool = True) -> bool:
    """Return whether the UID names a storage SOP class, or may name one: private ones, and ones newer than this code.

    Reference: PS3.4 §B.5
    """
    if abstract_syntax in STORAGE_SOP_CLASSES:
        return True
    if not accept_unknown or abstract_syntax in _OTHER_SERVICES:
        return False
    return abstract_syntax.startswith(_STORAGE_ARC) or not abstract_syntax.startswith(_DICOM_ARC)


class ArchivePolicy(AcceptorPolicy):
    """The archive's answer to one association request, once it is known who asks whom.

    Reference: PS3.8 §7.1.1, PS3.4 §B.3
    """

    implementation_class_uid = IMPLEMENTATION_CLASS_UID
    implementation_version_name = IMPLEMENTATION_VERSION_NAME
    async_operations_window = AsyncOperationsWindow(MAX_OPERATIONS_PERFORMED, 1)

    def __init__(self, settings: ScpSettings, *, is_called_known: bool, is_calling_known: bool) -> None:
        self._settings = settings
        self._is_called_known = is_called_known
        self._is_calling_known = is_calling_known
        self.max_pdu_length = settings.max_pdu_length_bytes

    def rejection(self, request: AssociateRequest) -> RejectReason | None:
        """Return why the request as a whole is refused, None if it is welcome."""
        if request.application_context_name != APPLICATION_CONTEXT:
            return RejectReason.APPLICATION_CONTEXT_NOT_SUPPORTED
        if not self._is_called_known:
            return RejectReason.CALLED_AE_TITLE_NOT_RECOGNIZED
        if not self._is_calling_known:
            return RejectReason.CALLING_AE_TITLE_NOT_RECOGNIZED
        return None

    def transfer_syntax_rule(self, request: AssociateRequest, abstract_syntax: str) -> TransferSyntaxRule | None:
        """Return which transfer syntaxes will do for an abstract syntax, None if it is not served."""
        if abstract_syntax == VERIFICATION:
            return TransferSyntaxRule(STORAGE_TRANSFER_SYNTAXES)
        if is_storage(abstract_syntax, accept_unknown=self._settings.accept_unknown_sop_classes):
            return TransferSyntaxRule(STORAGE_TRANSFER_SYNTAXES, self._settings.transfer_syntax_order)
        return None

    def extended_negotiation(
        self, request: AssociateRequest, proposed: ExtendedNegotiation
    ) -> ExtendedNegotiation | None:
        """Tell a storage SCU how instances are kept: whole, and byte for byte."""
        if proposed.sop_class_uid not in STORAGE_SOP_CLASSES:
            return None
        return ExtendedNegotiation(proposed.sop_class_uid, _STORAGE_LEVELS)
