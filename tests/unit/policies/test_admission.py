"""Which callers are let in, and for what: PS3.8 §9.3.4, PS3.7 §D.3.3.7."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hilum.archive.model import Principal, Role, Tenant
from hilum.archive.remotes import ALL_USES, DimseUse, RemoteAe
from hilum.policies.admission import (
    AdmissionDecision,
    AdmissionReason,
    AllowedCaller,
    CallerAdmission,
    CallFacts,
    needs_host,
    permitted_uses,
)
from hilum.policies.user_identity import IdentityDecision, IdentityFacts, IdentityKind, Proof, decide_proof

OPEN = CallerAdmission((AllowedCaller.parse("CT1"),), True)
"""Lets in whoever is not in the registry, so that a refusal is the registry's."""
SHUT = CallerAdmission((), False)
"""Lets in nobody, so that an admission is the registry's."""

ANYWHERE = RemoteAe(1, 1, "CT1")
BY_HOST = replace(ANYWHERE, host="ct1.example.org", port=104)
BY_NETWORK = replace(BY_HOST, network="192.0.2.0/24")
BY_TLS = replace(ANYWHERE, uses_tls=True)
PINNED = replace(BY_TLS, certificate="ab" * 32)

REGISTERED, WRONG_ADDRESS = AdmissionReason.REGISTERED, AdmissionReason.WRONG_ADDRESS
NOT_BY_TLS, WRONG_CERTIFICATE = AdmissionReason.NOT_BY_TLS, AdmissionReason.WRONG_CERTIFICATE


class TestRegisteredCallers:
    """The registry's entry alone decides, whatever the configuration says of the title."""

    @pytest.mark.parametrize(
        ("remote", "peer", "hosts", "reason"),
        [
            (ANYWHERE, "203.0.113.9", [], REGISTERED),
            (ANYWHERE, "no address", [], REGISTERED),
            (BY_HOST, "198.51.100.4", ["198.51.100.4", "2001:db8::4"], REGISTERED),
            (BY_HOST, "2001:db8:0::4", ["198.51.100.4", "2001:db8::4"], REGISTERED),
            (BY_HOST, "::ffff:198.51.100.4", ["198.51.100.4"], REGISTERED),
            (BY_HOST, "198.51.100.4", ["::ffff:198.51.100.4"], REGISTERED),
            (BY_HOST, "fe80::4%eth0", ["fe80::4"], REGISTERED),
            (BY_HOST, "198.51.100.5", ["198.51.100.4"], WRONG_ADDRESS),
            (BY_HOST, "127.0.0.1", ["198.51.100.4"], WRONG_ADDRESS),
            (BY_HOST, "198.51.100.4", [], WRONG_ADDRESS),
            (BY_HOST, "no address", ["no address"], WRONG_ADDRESS),
            (BY_NETWORK, "192.0.2.77", [], REGISTERED),
            (BY_NETWORK, "::ffff:192.0.2.77", [], REGISTERED),
            (BY_NETWORK, "192.0.3.1", ["192.0.3.1"], WRONG_ADDRESS),
            (BY_NETWORK, "127.0.0.1", [], WRONG_ADDRESS),
            (BY_NETWORK, "2001:db8::1", [], WRONG_ADDRESS),
            (BY_NETWORK, "no address", [], WRONG_ADDRESS),
            (replace(BY_NETWORK, network="2001:db8::/32"), "2001:db8::1", [], REGISTERED),
            (replace(BY_NETWORK, network="192.0.2.4"), "192.0.2.4", [], REGISTERED),
            (replace(BY_NETWORK, network="192.0.2.4"), "192.0.2.5", [], WRONG_ADDRESS),
            (replace(BY_HOST, network="0.0.0.0/0"), "2001:db8::1", [], REGISTERED),
        ],
    )
    def test_the_address_has_to_be_the_network_or_else_the_host(
        self, remote: RemoteAe, peer: str, hosts: list[str], reason: AdmissionReason
    ) -> None:
        admission = SHUT if reason is REGISTERED else OPEN
        facts = CallFacts("CT1", peer, remote=remote, host_addresses=frozenset(hosts))
        assert admission.decide(facts) == AdmissionDecision(reason is REGISTERED, reason)

    @pytest.mark.parametrize(
        ("remote", "is_tls", "certificate", "reason"),
        [
            (ANYWHERE, True, None, REGISTERED),
            (ANYWHERE, True, "cd" * 32, REGISTERED),
            (BY_TLS, True, None, REGISTERED),
            (BY_TLS, False, None, NOT_BY_TLS),
            (PINNED, True, "ab" * 32, REGISTERED),
            (PINNED, True, "cd" * 32, WRONG_CERTIFICATE),
            (PINNED, True, None, WRONG_CERTIFICATE),
            (PINNED, False, None, NOT_BY_TLS),
            (replace(PINNED, network="192.0.2.0/24"), True, "ab" * 32, WRONG_ADDRESS),
        ],
    )
    def test_the_certificate_has_to_be_the_registered_one(
        self, remote: RemoteAe, is_tls: bool, certificate: str | None, reason: AdmissionReason
    ) -> None:
        admission = SHUT if reason is REGISTERED else OPEN
        facts = CallFacts("CT1", "203.0.113.9", is_tls, certificate, remote)
        assert admission.decide(facts) == AdmissionDecision(reason is REGISTERED, reason)

    def test_the_host_is_looked_up_only_where_it_decides(self) -> None:
        assert [needs_host(each) for each in (ANYWHERE, BY_HOST, BY_NETWORK)] == [False, True, False]


class TestUnregisteredCallers:
    """The list of the configuration, then its word on unknown callers."""

    @pytest.mark.parametrize(
        ("accept_unknown", "peer", "is_admitted"),
        [
            (None, "127.0.0.1", True),
            (None, "::1", True),
            (None, "::ffff:127.0.0.1", True),
            (None, "10.0.0.1", False),
            (None, "no address", False),
            (True, "10.0.0.1", True),
            (True, "no address", False),
            (False, "127.0.0.1", False),
        ],
    )
    def test_strangers_are_let_in_from_this_machine_alone_unless_set(
        self, accept_unknown: bool | None, peer: str, is_admitted: bool
    ) -> None:
        decision = CallerAdmission(accept_unknown=accept_unknown).decide(CallFacts("ANY", peer))
        reason = AdmissionReason.UNKNOWN_ACCEPTED if is_admitted else AdmissionReason.UNKNOWN
        assert decision == AdmissionDecision(is_admitted, reason)

    @pytest.mark.parametrize(
        ("title", "peer", "is_admitted"),
        [
            ("CT1", "10.1.2.3", True),
            ("CT1", "::ffff:10.1.2.3", True),
            ("CT1", "10.2.2.3", False),
            ("MR1", "192.168.0.1", True),
            ("mr1", "192.168.0.1", False),
        ],
    )
    def test_listed_callers_are_let_in_from_their_networks(self, title: str, peer: str, is_admitted: bool) -> None:
        admission = CallerAdmission([AllowedCaller.parse("CT1@10.1.0.0/16"), AllowedCaller.parse("MR1")], False)
        reason = AdmissionReason.LISTED if is_admitted else AdmissionReason.UNKNOWN
        assert admission.decide(CallFacts(title, peer)) == AdmissionDecision(is_admitted, reason)


def _user(*roles: Role) -> Principal:
    return Principal(1, "someone", Tenant(1, "default"), frozenset(roles))


_READ = {DimseUse.ECHO, DimseUse.QUERY, DimseUse.RETRIEVE, DimseUse.WORKLIST, DimseUse.COMMITMENT}


@pytest.mark.parametrize(
    ("remote", "principal", "uses"),
    [
        (None, None, ALL_USES),
        (None, _user(Role.READER), _READ),
        (None, _user(Role.CONTRIBUTOR), ALL_USES),
        (None, _user(Role.ADMINISTRATOR), ALL_USES),
        (None, _user(), {DimseUse.ECHO}),
        (replace(ANYWHERE, may_ask=frozenset({DimseUse.STORE})), None, {DimseUse.STORE}),
        (replace(ANYWHERE, may_ask=frozenset({DimseUse.STORE})), _user(Role.READER), set()),
        (replace(ANYWHERE, may_ask=frozenset({DimseUse.STORE})), _user(Role.CONTRIBUTOR), {DimseUse.STORE}),
    ],
)
def test_a_caller_may_use_what_both_its_entry_and_its_user_may(
    remote: RemoteAe | None, principal: Principal | None, uses: set[DimseUse]
) -> None:
    assert permitted_uses(remote, principal) == uses


NOBODY, ACCOUNT, PASSCODE, TOKEN, REFUSED = Proof.NOBODY, Proof.ACCOUNT, Proof.PASSCODE, Proof.WEB_TOKEN, Proof.REFUSED


@pytest.mark.parametrize(
    ("kind", "is_required", "is_caller_proved", "takes_web_tokens", "proof", "reason"),
    [
        (IdentityKind.NONE, False, False, False, NOBODY, ""),
        (IdentityKind.NONE, False, True, True, NOBODY, ""),
        (IdentityKind.NONE, True, True, True, REFUSED, "user-identity-required"),
        (IdentityKind.USERNAME, False, False, False, NOBODY, ""),
        (IdentityKind.USERNAME, True, False, True, REFUSED, "user-name-without-proof"),
        (IdentityKind.USERNAME, False, True, False, ACCOUNT, ""),
        (IdentityKind.USERNAME, True, True, False, ACCOUNT, ""),
        (IdentityKind.PASSCODE, False, False, False, PASSCODE, ""),
        (IdentityKind.PASSCODE, True, True, True, PASSCODE, ""),
        (IdentityKind.WEB_TOKEN, False, True, False, REFUSED, "web-tokens-not-configured"),
        (IdentityKind.WEB_TOKEN, True, False, True, TOKEN, ""),
        (IdentityKind.KERBEROS, False, True, True, REFUSED, "kerberos-not-supported"),
        (IdentityKind.SAML, False, True, True, REFUSED, "saml-not-supported"),
    ],
)
def test_what_is_proved_of_a_user(
    kind: IdentityKind, is_required: bool, is_caller_proved: bool, takes_web_tokens: bool, proof: Proof, reason: str
) -> None:
    facts = IdentityFacts(kind, is_caller_proved, takes_web_tokens, is_required)
    assert decide_proof(facts) == IdentityDecision(proof, reason)
