"""Whom the archive lets in: gathers what is known of a caller and of its user, and lets the policies decide."""

from __future__ import annotations

from hashlib import sha256

from hilum.app.hosts import HostAddresses
from hilum.archive.model import Principal, Tenant
from hilum.kernel.errors import Forbidden, LimitExceeded, Unavailable
from hilum.net.association import Association
from hilum.observe.logs import get_logger
from hilum.policies.admission import CallerAdmission, CallFacts, needs_host
from hilum.policies.user_identity import IdentityFacts, IdentityKind, Proof, decide_proof
from hilum.scp.service import Admission
from hilum.services.identity import IdentityService
from hilum.services.remotes import RemoteService
from hilum.services.web_tokens import WebTokens
from hilum.ul.primitives import AssociateRequest, RejectReason, UserIdentity, UserIdentityType

_log = get_logger("admission")

_KINDS = {
    UserIdentityType.USERNAME: IdentityKind.USERNAME,
    UserIdentityType.USERNAME_AND_PASSCODE: IdentityKind.PASSCODE,
    UserIdentityType.KERBEROS: IdentityKind.KERBEROS,
    UserIdentityType.SAML: IdentityKind.SAML,
    UserIdentityType.JWT: IdentityKind.WEB_TOKEN,
}


class Admittance:
    """Decides about the callers of one worker; made to be the `admit` of an `ArchiveScp`.

    Args:
        callers: decides about application entities.
        remotes: the registry.
        hosts: resolves the registry's host names.
        identity: proves users' passwords.
        web_tokens: proves users' JSON web tokens; None when no issuer is configured.
        requires_identity: whether a caller has to name a user and prove it.
    """

    def __init__(
        self,
        *,
        callers: CallerAdmission,
        remotes: RemoteService,
        hosts: HostAddresses,
        identity: IdentityService,
        web_tokens: WebTokens | None = None,
        requires_identity: bool = False,
    ) -> None:
        self._callers = callers
        self._remotes = remotes
        self._hosts = hosts
        self._identity = identity
        self._web_tokens = web_tokens
        self._requires_identity = requires_identity

    async def __call__(
        self, tenant: Tenant, request: AssociateRequest, association: Association
    ) -> Admission | RejectReason:
        """Return what is known of the caller, or why it is rejected.

        Raises:
            Unavailable: it cannot be told now; the caller may try again.

        Reference: PS3.8 §9.3.4, PS3.7 §D.3.3.7
        """
        connection = association.connection
        remote = await self._remotes.find(tenant.tenant_id, request.calling_ae_title)
        hosts: frozenset[str] = frozenset()
        if remote is not None and remote.host is not None and needs_host(remote):
            hosts = await self._hosts.of(remote.host)
        certificate = connection.peer_certificate
        facts = CallFacts(
            calling_ae_title=request.calling_ae_title,
            peer=connection.peer,
            is_tls=connection.is_tls,
            certificate=sha256(certificate).hexdigest() if certificate else None,
            remote=remote,
            host_addresses=hosts,
        )
        decision = self._callers.decide(facts)
        if not decision.is_admitted:
            self._tell(tenant, request, association, decision.reason)
            return RejectReason.CALLING_AE_TITLE_NOT_RECOGNIZED
        user = request.user_information.user_identity
        proving = decide_proof(
            IdentityFacts(
                kind=_KINDS[user.identity_type] if user else IdentityKind.NONE,
                is_caller_proved=remote is not None and remote.certificate is not None,
                takes_web_tokens=self._web_tokens is not None,
                is_required=self._requires_identity,
            )
        )
        if proving.proof is Proof.NOBODY:
            return Admission(remote)
        try:
            if user is None or proving.proof is Proof.REFUSED:
                raise Forbidden("the user identity is refused", code=proving.reason)
            principal = await self._prove(user, proving.proof, connection.peer)
            if principal.tenant.tenant_id != tenant.tenant_id:
                raise Forbidden("the user belongs to another tenant", code="other-tenant")
        except LimitExceeded as error:
            raise Unavailable(error.message, code=error.reason_code) from error
        except Forbidden as error:
            self._tell(tenant, request, association, error.reason_code)
            # PS3.7 §D.3.3.7 has no reason of its own.
            return RejectReason.ACSE_NO_REASON_GIVEN
        return Admission(remote, principal, response=b"")

    async def _prove(self, user: UserIdentity, proof: Proof, peer: str) -> Principal:
        try:
            primary, secondary = user.primary_field.decode(), user.secondary_field.decode()
        except UnicodeDecodeError as error:
            raise Forbidden("the user identity is not in UTF-8", code="credentials") from error
        if proof is Proof.PASSCODE:
            return await self._identity.by_password(primary, secondary, peer)
        if proof is Proof.WEB_TOKEN and self._web_tokens is not None:
            primary = self._web_tokens.user_of(primary)
        return await self._identity.by_vouched_name(primary)

    def _tell(self, tenant: Tenant, request: AssociateRequest, association: Association, reason: str) -> None:
        _log.warning(
            "caller refused",
            association=association.number,
            tenant=tenant.tenant_id,
            peer=association.connection.peer,
            calling_ae_title=request.calling_ae_title,
            reason=reason,
        )
