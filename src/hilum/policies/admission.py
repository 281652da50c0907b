"""Which application entities may open an association (PS3.8 §9.3.4: rejection reasons 3 and 7).

An AE title is not a secret, and an address can be had: what proves a caller is its certificate. A registered AE title
is therefore judged by its entry alone, wherever the call comes from: neither the list of the configuration nor a call
from this machine lets somebody pass under the title of another.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from hilum.archive.model import Permission, Principal
from hilum.archive.remotes import ALL_USES, DimseUse, RemoteAe
from hilum.kernel.errors import InvalidInput
from hilum.policies.authorization import permissions_of

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class AllowedCaller:
    """One entry of the list: an AE title, and optionally the address or network it has to come from."""

    ae_title: str
    network: _Network | None = None

    @classmethod
    def parse(cls, text: str) -> AllowedCaller:
        """Read "AE_TITLE" or "AE_TITLE@address" or "AE_TITLE@network/prefix".

        Raises:
            InvalidInput: the AE title is empty or longer than 16 characters, or the network is none.
        """
        title, at, network = text.partition("@")
        title = title.strip()
        if not title or len(title) > 16:
            raise InvalidInput(f"an AE title has 1 to 16 characters, not {len(title)}", code="ae-title")
        if not at:
            return cls(title)
        try:
            return cls(title, ipaddress.ip_network(network.strip(), strict=False))
        except ValueError as error:
            raise InvalidInput(f"{network!r} is neither an address nor a network", code="network") from error


class AdmissionReason(StrEnum):
    """Why a caller is let in or not."""

    REGISTERED = "registered"
    LISTED = "listed"
    UNKNOWN_ACCEPTED = "unknown-accepted"
    UNKNOWN = "unknown"
    WRONG_ADDRESS = "wrong-address"
    NOT_BY_TLS = "not-by-tls"
    WRONG_CERTIFICATE = "wrong-certificate"


@dataclass(frozen=True, slots=True)
class CallFacts:
    """One caller, as it shows itself.

    `peer` is the address it calls from, `is_tls` whether over TLS, `certificate` the SHA-256 fingerprint of the
    certificate it showed. `remote` is the registry's entry of its AE title and `host_addresses` what the entry's host
    resolves to, when `needs_host` says so.
    """

    calling_ae_title: str
    peer: str
    is_tls: bool = False
    certificate: str | None = None
    remote: RemoteAe | None = None
    host_addresses: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class AdmissionDecision:
    """Whether a caller is let in, and why."""

    is_admitted: bool
    reason: AdmissionReason


def needs_host(remote: RemoteAe) -> bool:
    """Return whether the caller's address is held against the addresses of the entry's host."""
    return remote.network is None and remote.host is not None


@dataclass(frozen=True, slots=True)
class CallerAdmission:
    """Decides whether a caller is let in.

    `accept_unknown` None stands for the safe default: unknown callers are let in from this machine alone.
    """

    allowed: Sequence[AllowedCaller] = ()
    accept_unknown: bool | None = None

    def decide(self, facts: CallFacts) -> AdmissionDecision:
        """Return whether the caller is let in. All refusals look alike to the caller; the reason is for our logs.

        Reference: PS3.8 §9.3.4
        """
        address = _address(facts.peer)
        if facts.remote is not None:
            reason = _mismatch(facts, facts.remote, address)
            return AdmissionDecision(reason is None, reason or AdmissionReason.REGISTERED)
        if address is None:
            return AdmissionDecision(False, AdmissionReason.UNKNOWN)
        for entry in self.allowed:
            if entry.ae_title == facts.calling_ae_title and (entry.network is None or address in entry.network):
                return AdmissionDecision(True, AdmissionReason.LISTED)
        if address.is_loopback if self.accept_unknown is None else self.accept_unknown:
            return AdmissionDecision(True, AdmissionReason.UNKNOWN_ACCEPTED)
        return AdmissionDecision(False, AdmissionReason.UNKNOWN)


def _mismatch(facts: CallFacts, remote: RemoteAe, address: _Address | None) -> AdmissionReason | None:
    if not _is_expected(facts, remote, address):
        return AdmissionReason.WRONG_ADDRESS
    if remote.uses_tls and not facts.is_tls:
        return AdmissionReason.NOT_BY_TLS
    if remote.certificate is not None and facts.certificate != remote.certificate:
        return AdmissionReason.WRONG_CERTIFICATE
    return None


def _is_expected(facts: CallFacts, remote: RemoteAe, address: _Address | None) -> bool:
    if remote.network is not None:
        network = ipaddress.ip_network(remote.network, strict=False)
        # The network of all addresses stands for those of the other family too.
        return network.prefixlen == 0 or (address is not None and address in network)
    if remote.host is not None:
        return address is not None and address in {_address(each) for each in facts.host_addresses}
    return True


def _address(text: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


_NEEDED: dict[DimseUse, Permission] = {
    DimseUse.STORE: Permission.STORE,
    DimseUse.QUERY: Permission.READ,
    DimseUse.RETRIEVE: Permission.READ,
    DimseUse.WORKLIST: Permission.READ,
    DimseUse.PROCEDURE_STEP: Permission.STORE,
    DimseUse.COMMITMENT: Permission.READ,
    DimseUse.WORKITEM: Permission.STORE,
    DimseUse.AVAILABILITY: Permission.STORE,
    DimseUse.STEP_NOTICE: Permission.STORE,
}
"""The permission a user needs for a service; none for what is not named."""


def permitted_uses(remote: RemoteAe | None, principal: Principal | None) -> frozenset[DimseUse]:
    """Return the services a caller may ask for: those its entry allows, of these those its user may use."""
    uses = ALL_USES if remote is None else remote.may_ask
    if principal is None:
        return uses
    permissions = permissions_of(principal)
    return frozenset(use for use in uses if use not in _NEEDED or _NEEDED[use] in permissions)
