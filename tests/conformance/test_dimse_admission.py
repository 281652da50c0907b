"""Who is let in, with pynetdicom as caller and the registry and the accounts in PostgreSQL.

PS3.8 §9.3.4, PS3.7 §D.3.3.7.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from pynetdicom import AE
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from pynetdicom.sop_class import CTImageStorage, Verification

from hilum.app.admission import Admittance
from hilum.app.hosts import HostAddresses
from hilum.archive.model import Role, Tenant
from hilum.archive.remotes import DimseUse, RemoteAe
from hilum.index.embedded import EmbeddedPostgres
from hilum.index.postgres import PostgresIndex, open_index
from hilum.kernel.clock import SystemClock
from hilum.kernel.limits import MAX_SIGN_IN_FAILURES
from hilum.net.tls import TlsFiles, TlsIdentity
from hilum.policies.admission import CallerAdmission
from hilum.services.identity import IdentityService
from hilum.services.remotes import RemoteService
from hilum.services.web_tokens import WebTokens
from support.calling import Rejection, call
from support.certificates import Authority, Issued
from support.database import new_tenant
from support.dimse import MemoryStore, archive_scp, running_archive

_names = itertools.count(1)
ISSUER, PASSWORD = "https://issuer.example.org", "right horse battery"
KERBEROS, SAML = 3, 4
SUCCESS = 0

PERMANENT, TRANSIENT = 1, 2
SERVICE_USER, ACSE, PRESENTATION = 1, 2, 3
UNKNOWN_CALLER = (PERMANENT, SERVICE_USER, 3)
REFUSED_USER = (PERMANENT, ACSE, 1)
TRY_AGAIN = (TRANSIENT, PRESENTATION, 1)


@dataclass
class Answer:
    """What a caller is told: a rejection, or which contexts are accepted and the answer to its user identity."""

    rejection: Rejection | None = None
    accepted: frozenset[str] = frozenset()
    identity_response: bytes | None = None


def associate(
    port: int, *, user: UserIdentityNegotiation | None = None, context: ssl.SSLContext | None = None
) -> Answer:
    entity = AE("CT1")
    entity.add_requested_context(Verification)
    entity.add_requested_context(CTImageStorage)
    association = call(
        entity, port, "HILUM", ext_neg=[user] if user else None, tls_args=(context, "127.0.0.1") if context else None
    )
    if isinstance(association, tuple):
        return Answer(association)
    response = association.acceptor.user_identity
    association.release()
    return Answer(
        accepted=frozenset(each.abstract_syntax for each in association.accepted_contexts),
        identity_response=response.server_response if response is not None else None,
    )


def user_identity(
    kind: int, primary: str | bytes, secondary: str | None = None, *, wants_response: bool = True
) -> UserIdentityNegotiation:
    item = UserIdentityNegotiation()
    item.user_identity_type = kind
    item.primary_field = primary.encode() if isinstance(primary, str) else primary
    if secondary is not None:
        item.secondary_field = secondary.encode()
    item.positive_response_requested = wants_response
    return item


@dataclass
class House:
    """The registry and accounts of one tenant, and how callers are let in."""

    index: PostgresIndex
    remotes: RemoteService
    identity: IdentityService
    tenant: Tenant

    async def register(self, **fields: Any) -> RemoteAe:
        return await self.remotes.save(replace(RemoteAe(0, self.tenant.tenant_id, "CT1"), **fields))

    async def user(self, role: Role, tenant_id: int | None = None) -> str:
        name = f"caller-{next(_names)}"
        await self.identity.create_user(name, PASSWORD, frozenset({role}), tenant_id or self.tenant.tenant_id)
        return name

    async def call(
        self,
        *,
        user: UserIdentityNegotiation | None = None,
        own: TlsIdentity | None = None,
        context: ssl.SSLContext | None = None,
        accept_unknown: bool | None = None,
        **options: Any,
    ) -> Answer:
        """Let CT1 call once."""
        admit = Admittance(
            callers=CallerAdmission(accept_unknown=accept_unknown),
            remotes=self.remotes,
            hosts=HostAddresses(SystemClock()),
            identity=self.identity,
            **options,
        )

        async def tenant_of(_title: str) -> Tenant | None:
            return self.tenant

        scp = archive_scp(MemoryStore(), tenant_of=tenant_of, admit=admit)
        async with running_archive(answering=scp, tls=own.server_context() if own else None) as archive:
            return await asyncio.to_thread(associate, archive.port, user=user, context=context)


@pytest.fixture
async def house(database: EmbeddedPostgres) -> AsyncIterator[House]:
    tenant_id = await new_tenant(database.app_address())
    async with open_index(database.app_address()) as index:
        identity = IdentityService(index.accounts, SystemClock())
        try:
            yield House(index, RemoteService(index.remotes, index.notices), identity, Tenant(tenant_id, "a tenant"))
        finally:
            identity.close()


EVERYTHING = Answer(accepted=frozenset({Verification, CTImageStorage}))
REJECTED = Answer(UNKNOWN_CALLER)


class TestRegistry:
    """PS3.8 §9.3.4: the caller's AE title and address."""

    async def test_a_stranger_is_let_in_from_this_machine_alone_and_only_by_default(self, house: House) -> None:
        assert await house.call() == EVERYTHING
        assert await house.call(accept_unknown=False) == REJECTED

    async def test_a_registered_caller_is_let_in_where_strangers_are_not(self, house: House) -> None:
        await house.register()
        assert await house.call(accept_unknown=False) == EVERYTHING
        await house.remotes.remove(house.tenant.tenant_id, "CT1")
        assert await house.call(accept_unknown=False) == REJECTED

    async def test_a_registered_caller_from_elsewhere_is_rejected_where_strangers_are_let_in(
        self, house: House
    ) -> None:
        entry = await house.register(network="192.0.2.0/24")
        assert await house.call(accept_unknown=True) == REJECTED
        entry = await house.remotes.save(replace(entry, network="127.0.0.0/8"))
        assert await house.call(accept_unknown=False) == EVERYTHING
        entry = await house.remotes.save(replace(entry, network=None, host="192.0.2.4", port=104))
        assert await house.call(accept_unknown=True) == REJECTED
        await house.remotes.save(replace(entry, host="localhost"))
        assert await house.call(accept_unknown=False) == EVERYTHING

    async def test_a_host_that_has_no_address_rejects_its_caller(self, house: House) -> None:
        await house.register(host="no-such-host.invalid", port=104)
        # Without any name server this cannot be told, and the caller may try again.
        assert (await house.call(accept_unknown=True)).rejection in (UNKNOWN_CALLER, TRY_AGAIN)

    async def test_only_the_services_registered_are_offered(self, house: House) -> None:
        await house.register(may_ask=frozenset({DimseUse.ECHO}))
        assert (await house.call()).accepted == {Verification}

    async def test_the_entry_of_another_tenant_says_nothing(self, house: House, database: EmbeddedPostgres) -> None:
        other = await new_tenant(database.app_address())
        await house.remotes.save(RemoteAe(0, other, "CT1"))
        assert await house.call(accept_unknown=False) == REJECTED

    async def test_a_caller_may_try_again_when_the_registry_does_not_answer(self, house: House) -> None:
        await house.index.close()
        assert (await house.call()).rejection == TRY_AGAIN


@dataclass
class Wire:
    """Certificates for both ends."""

    own: TlsIdentity
    modality: Issued
    authority: Authority

    def context(self, issued: Issued | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        if issued is not None:
            context.load_cert_chain(issued.certificate, issued.key)
        return context


@pytest.fixture
def wire(tmp_path: Path) -> Wire:
    authority = Authority(tmp_path)
    ours = authority.issue("hilum")
    files = TlsFiles(ours.certificate, ours.key, authority.certificate)
    return Wire(TlsIdentity(files, requires_peer_certificate=False), authority.issue("modality"), authority)


class TestCertificates:
    """The registry names the certificate a caller has to show."""

    async def test_the_registered_certificate_is_needed(self, house: House, wire: Wire) -> None:
        await house.register(uses_tls=True, certificate=wire.modality.fingerprint)
        right = wire.context(wire.modality)
        assert await house.call(own=wire.own, context=right, accept_unknown=False) == EVERYTHING
        for other in (wire.authority.issue("another"), None):
            assert await house.call(own=wire.own, context=wire.context(other), accept_unknown=True) == REJECTED
        assert await house.call(accept_unknown=True) == REJECTED

    async def test_a_caller_registered_for_tls_is_rejected_without(self, house: House, wire: Wire) -> None:
        await house.register(uses_tls=True)
        assert await house.call(accept_unknown=True) == REJECTED
        assert await house.call(own=wire.own, context=wire.context(None), accept_unknown=False) == EVERYTHING


class TestUserIdentity:
    """PS3.7 §D.3.3.7."""

    async def test_name_and_passcode_that_fit_are_confirmed(self, house: House) -> None:
        user = user_identity(2, await house.user(Role.CONTRIBUTOR), PASSWORD)
        assert await house.call(user=user) == replace(EVERYTHING, identity_response=b"")

    async def test_no_confirmation_is_sent_where_none_was_asked_for(self, house: House) -> None:
        user = user_identity(2, await house.user(Role.CONTRIBUTOR), PASSWORD, wants_response=False)
        assert await house.call(user=user) == EVERYTHING

    async def test_a_reader_may_not_store(self, house: House) -> None:
        user = user_identity(2, await house.user(Role.READER), PASSWORD)
        assert (await house.call(user=user)).accepted == {Verification}

    async def test_name_and_passcode_that_do_not_fit_are_refused(self, house: House) -> None:
        name = await house.user(Role.CONTRIBUTOR)
        for user in (user_identity(2, name, "wrong"), user_identity(2, "nobody", PASSWORD)):
            assert (await house.call(user=user)).rejection == REFUSED_USER

    async def test_a_user_of_another_tenant_is_refused(self, house: House, database: EmbeddedPostgres) -> None:
        name = await house.user(Role.ADMINISTRATOR, await new_tenant(database.app_address()))
        assert (await house.call(user=user_identity(2, name, PASSWORD))).rejection == REFUSED_USER

    async def test_who_guesses_too_often_is_sent_away_for_a_while(self, house: House) -> None:
        name = await house.user(Role.CONTRIBUTOR)
        for _ in range(MAX_SIGN_IN_FAILURES):
            await house.call(user=user_identity(2, name, "wrong"))
        assert (await house.call(user=user_identity(2, name, PASSWORD))).rejection == TRY_AGAIN

    async def test_who_names_no_user_is_refused_where_one_is_required(self, house: House) -> None:
        name = await house.user(Role.CONTRIBUTOR)
        assert (await house.call(requires_identity=True)).rejection == REFUSED_USER
        assert (await house.call(user=user_identity(1, name), requires_identity=True)).rejection == REFUSED_USER
        answer = await house.call(user=user_identity(2, name, PASSWORD), requires_identity=True)
        assert answer.accepted == EVERYTHING.accepted

    async def test_a_name_without_proof_counts_for_nothing(self, house: House) -> None:
        await house.register()
        reader = await house.user(Role.READER)
        for name in (reader, "nobody"):
            assert await house.call(user=user_identity(1, name)) == EVERYTHING

    async def test_a_name_vouched_for_by_a_callers_registered_certificate_counts(
        self, house: House, wire: Wire
    ) -> None:
        await house.register(uses_tls=True, certificate=wire.modality.fingerprint)
        way = {"own": wire.own, "context": wire.context(wire.modality), "requires_identity": True}
        user = user_identity(1, await house.user(Role.READER))
        assert await house.call(user=user, **way) == Answer(accepted=frozenset({Verification}), identity_response=b"")
        assert (await house.call(user=user_identity(1, "nobody"), **way)).rejection == REFUSED_USER

    async def test_a_certificate_the_registry_does_not_name_vouches_for_nobody(self, house: House, wire: Wire) -> None:
        await house.register(uses_tls=True)
        user = user_identity(1, await house.user(Role.READER))
        assert await house.call(user=user, own=wire.own, context=wire.context(wire.modality)) == EVERYTHING

    @pytest.mark.parametrize("kind", [KERBEROS, SAML])
    async def test_kerberos_and_saml_are_refused(self, house: House, kind: int) -> None:
        await house.register()
        assert (await house.call(user=user_identity(kind, b"ticket"))).rejection == REFUSED_USER


class TestWebTokens:
    """PS3.7 §D.3.3.7, RFC 7519."""

    @pytest.fixture
    def key(self) -> ECKey:
        return ECKey.generate_key("P-256", {"kid": "first"})

    @pytest.fixture
    def tokens(self, key: ECKey, tmp_path: Path) -> WebTokens:
        file = tmp_path / "keys.json"
        file.write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
        return WebTokens(file, issuer=ISSUER, audience="hilum", user_claim="sub", clock=SystemClock())

    def token(self, key: ECKey, name: str, **claims: Any) -> str:
        expires = int((SystemClock().now() + timedelta(hours=1)).timestamp())
        body = {"iss": ISSUER, "aud": "hilum", "sub": name, "exp": expires} | claims
        return jwt.encode({"alg": "ES256", "kid": key.kid}, body, key)

    async def test_a_token_of_the_issuer_is_confirmed_and_its_users_roles_hold(
        self, house: House, key: ECKey, tokens: WebTokens
    ) -> None:
        user = user_identity(5, self.token(key, await house.user(Role.READER)))
        answer = await house.call(user=user, web_tokens=tokens, requires_identity=True)
        assert answer == Answer(accepted=frozenset({Verification}), identity_response=b"")

    async def test_tokens_that_are_not_the_issuers_for_us_and_now_are_refused(
        self, house: House, key: ECKey, tokens: WebTokens
    ) -> None:
        name = await house.user(Role.CONTRIBUTOR)
        past = int((SystemClock().now() - timedelta(hours=1)).timestamp())
        stranger = ECKey.generate_key("P-256", {"kid": "first"})
        wrong = [
            self.token(stranger, name),
            self.token(key, name, iss="https://elsewhere.example.org"),
            self.token(key, name, aud="others"),
            self.token(key, name, exp=past),
            self.token(key, "nobody"),
            "no token",
        ]
        for token in wrong:
            assert (await house.call(user=user_identity(5, token), web_tokens=tokens)).rejection == REFUSED_USER

    async def test_tokens_are_refused_where_no_issuer_is_configured(self, house: House, key: ECKey) -> None:
        user = user_identity(5, self.token(key, await house.user(Role.CONTRIBUTOR)))
        assert (await house.call(user=user)).rejection == REFUSED_USER
