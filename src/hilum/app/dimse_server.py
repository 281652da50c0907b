"""One worker's DIMSE listener: the acceptor of `net` with the archive's services behind it."""

from __future__ import annotations

import socket
from pathlib import Path

from hilum.app.admission import Admittance
from hilum.app.archive import Archive
from hilum.app.hosts import HostAddresses
from hilum.app.settings import Settings
from hilum.app.tls import tls_identity
from hilum.kernel.clock import SystemClock
from hilum.net.acceptor import Acceptor
from hilum.net.connection import Timeouts
from hilum.policies.admission import AllowedCaller, CallerAdmission
from hilum.scp.calls import DimseService
from hilum.scp.commitment import StorageCommitmentService
from hilum.scp.composite import CompositeGetService, CompositeMoveService
from hilum.scp.find import FindService, FindSettings
from hilum.scp.get import GetService, SubOperationContexts
from hilum.scp.move import MoveService
from hilum.scp.negotiation import ScpSettings
from hilum.scp.procedure_step import PerformedProcedureStepService
from hilum.scp.reports import observe_associations
from hilum.scp.service import ArchiveScp
from hilum.scp.store import StorageService
from hilum.scp.verification import VerificationService
from hilum.scp.workitem_subscribers import PresentSubscribers
from hilum.scp.workitems import UnifiedProcedureStepService
from hilum.scp.worklist import ModalityWorklistService
from hilum.services.web_tokens import WebTokens


async def start_dimse(
    settings: Settings,
    archive: Archive,
    plain: socket.socket | None,
    tls: socket.socket | None,
    subscribers: PresentSubscribers | None = None,
) -> Acceptor:
    """Accept associations on the bound sockets; `close` of the acceptor finishes what is being received.

    Args:
        subscribers: learns who can be told of workitem events over an association of its own.

    Raises:
        InvalidInput: a file of the TLS settings or of the web tokens' keys cannot be used.
    """
    dicom = settings.dicom
    admit = Admittance(
        callers=CallerAdmission(
            [AllowedCaller.parse(entry) for entry in dicom.allowed_callers], dicom.accept_unknown_callers
        ),
        remotes=archive.remotes,
        hosts=HostAddresses(SystemClock()),
        identity=archive.identity,
        web_tokens=_web_tokens(settings),
        requires_identity=dicom.require_user_identity,
    )
    scp = ArchiveScp(
        services=dimse_services(settings, archive, subscribers),
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
    if plain is not None:
        await acceptor.listen_on([plain])
    if tls is not None:
        await acceptor.listen_on([tls], tls_identity(settings).server_context())
    return acceptor


def dimse_services(
    settings: Settings, archive: Archive, subscribers: PresentSubscribers | None = None
) -> list[DimseService]:
    """Return what is served to callers, in the order in which a SOP class is offered to each."""
    dicom = settings.dicom
    storage = ScpSettings(
        accept_unknown_sop_classes=dicom.accept_unknown_sop_classes,
        transfer_syntax_order=tuple(dicom.transfer_syntax_order),
    )
    # Storage comes last: it takes SOP classes nobody knows. Behind it is only what serves those who may not store.
    return [
        VerificationService(),
        FindService(
            archive.search,
            FindSettings(
                max_results=dicom.max_query_results,
                always_relational=dicom.relational_queries == "always",
            ),
        ),
        GetService(archive.retrieve, archive.outgoing),
        CompositeGetService(archive.retrieve, archive.extraction, archive.outgoing),
        MoveService(archive.retrieve, archive.remotes.find, archive.sender),
        CompositeMoveService(archive.retrieve, archive.remotes.find, archive.sender, archive.extraction),
        ModalityWorklistService(archive.worklist),
        PerformedProcedureStepService(archive.procedure_steps),
        UnifiedProcedureStepService(archive.workitems, subscribers or PresentSubscribers()),
        StorageCommitmentService(archive.commitment),
        StorageService(archive.store, storage),
        SubOperationContexts(storage),
    ]


def _web_tokens(settings: Settings) -> WebTokens | None:
    tokens = settings.auth.web_tokens
    if not tokens.keys:
        return None
    return WebTokens(
        Path(tokens.keys).expanduser(),
        issuer=tokens.issuer,
        audience=tokens.audience,
        user_claim=tokens.user_claim,
        clock=SystemClock(),
    )
