"""One worker's DIMSE listener: the acceptor of `net` with the archive's services behind it."""

from __future__ import annotations

import socket

from hilum.app.archive import Archive
from hilum.app.settings import Settings
from hilum.archive.model import Tenant
from hilum.net.acceptor import Acceptor
from hilum.net.association import Association
from hilum.net.connection import Timeouts
from hilum.policies.admission import AllowedCaller, CallerAdmission
from hilum.scp.negotiation import ScpSettings
from hilum.scp.reports import observe_associations
from hilum.scp.service import Admission, ArchiveScp
from hilum.scp.store import StorageService
from hilum.scp.verification import VerificationService
from hilum.ul.primitives import AssociateRequest, RejectReason


async def start_dimse(settings: Settings, archive: Archive, listening: socket.socket) -> Acceptor:
    """Accept associations on the bound socket; `close` of the acceptor finishes what is being received."""
    dicom = settings.dicom
    admission = CallerAdmission(
        [AllowedCaller.parse(entry) for entry in dicom.allowed_callers], dicom.accept_unknown_callers
    )
    storage = ScpSettings(
        accept_unknown_sop_classes=dicom.accept_unknown_sop_classes,
        transfer_syntax_order=tuple(dicom.transfer_syntax_order),
    )

    async def admit(_tenant: Tenant, request: AssociateRequest, association: Association) -> Admission | RejectReason:
        if admission.is_known(request.calling_ae_title, association.connection.peer):
            return Admission()
        return RejectReason.CALLING_AE_TITLE_NOT_RECOGNIZED

    scp = ArchiveScp(
        # Storage comes last: it takes SOP classes nobody knows.
        services=[VerificationService(), StorageService(archive.store, storage)],
        tenant_of=archive.accounts.tenant_of_ae_title,
        admit=admit,
        max_pdu_length_bytes=dicom.max_pdu_length_bytes,
    )
    acceptor = Acceptor(
        scp,
        max_associations=dicom.max_associations,
        timeouts=Timeouts(idle_s=dicom.idle_timeout_s),
        observer=observe_associations,
    )
    await acceptor.listen_on([listening])
    return acceptor
