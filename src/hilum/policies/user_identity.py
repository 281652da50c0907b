"""What has to be proved of the user a caller names (PS3.7 §D.3.3.7)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum


class IdentityKind(StrEnum):
    """In which way a caller names its user."""

    NONE = "none"
    USERNAME = "username"
    PASSCODE = "passcode"
    KERBEROS = "kerberos"
    SAML = "saml"
    WEB_TOKEN = "web-token"  # noqa: S105 - no secret


class Proof(Enum):
    """What is done about the user before the caller is let in."""

    NOBODY = "nobody"
    """The caller is let in as an application entity; a name it gave counts for nothing."""
    ACCOUNT = "account"
    """The name has to be an account's; that it is rightly given is vouched for by the caller's certificate."""
    PASSCODE = "passcode"
    """Name and passcode have to fit together."""
    WEB_TOKEN = "web-token"  # noqa: S105 - no secret
    """The token has to be a valid one of our issuer."""
    REFUSED = "refused"
    """The caller is rejected."""


@dataclass(frozen=True, slots=True)
class IdentityFacts:
    """How a user is named.

    `is_caller_proved` says that the caller has shown the certificate its entry names, `takes_web_tokens` that an issuer
    is configured, `is_required` that nobody may call without a user.
    """

    kind: IdentityKind
    is_caller_proved: bool = False
    takes_web_tokens: bool = False
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class IdentityDecision:
    """What has to be proved, and why the caller is rejected where it is."""

    proof: Proof
    reason: str = ""


def decide_proof(facts: IdentityFacts) -> IdentityDecision:
    """Return what has to be proved of the user.

    A name alone proves nothing, unless the application entity that gives it has proved itself by its certificate;
    elsewhere it is let pass as if it had not been given, and not confirmed either.

    Reference: PS3.7 §D.3.3.7
    """
    match facts.kind:
        case IdentityKind.PASSCODE:
            return IdentityDecision(Proof.PASSCODE)
        case IdentityKind.USERNAME if facts.is_caller_proved:
            return IdentityDecision(Proof.ACCOUNT)
        case IdentityKind.WEB_TOKEN if facts.takes_web_tokens:
            return IdentityDecision(Proof.WEB_TOKEN)
        case IdentityKind.WEB_TOKEN:
            return IdentityDecision(Proof.REFUSED, "web-tokens-not-configured")
        case IdentityKind.KERBEROS | IdentityKind.SAML:
            return IdentityDecision(Proof.REFUSED, f"{facts.kind}-not-supported")
        case IdentityKind.NONE if facts.is_required:
            return IdentityDecision(Proof.REFUSED, "user-identity-required")
        case IdentityKind.USERNAME if facts.is_required:
            return IdentityDecision(Proof.REFUSED, "user-name-without-proof")
    return IdentityDecision(Proof.NOBODY)
