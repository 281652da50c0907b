"""Remote application entities: who may call, whom we may call, and for what."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DimseUse(StrEnum):
    """What one application entity may ask of another; each covers the SOP classes of one service."""

    ECHO = "echo"
    STORE = "store"
    QUERY = "query"
    RETRIEVE = "retrieve"
    WORKLIST = "worklist"
    PROCEDURE_STEP = "procedure-step"
    COMMITMENT = "commitment"
    WORKITEM = "workitem"
    AVAILABILITY = "availability"
    STEP_NOTICE = "step-notice"


ALL_USES: frozenset[DimseUse] = frozenset(DimseUse)
NOTICES: frozenset[DimseUse] = frozenset({DimseUse.AVAILABILITY, DimseUse.STEP_NOTICE})
"""What a remote is told of by itself, and so only if somebody wants it."""
ASKED_BY_DEFAULT: frozenset[DimseUse] = ALL_USES - NOTICES
"""What we may ask of a remote unless its entry says otherwise."""


@dataclass(frozen=True, slots=True)
class RemoteAe:
    """An application entity a tenant knows by its AE title (without padding).

    `host` and `port` say where it listens, None when it only calls. `network` is the address or network it has to call
    from; without it that is `host`, and without that anywhere. `uses_tls` says that associations with it, whoever opens
    them, are by TLS. `certificate` is the SHA-256 fingerprint (lower-case hexadecimal) of the certificate it has to
    show then, whichever way, None for none in particular. `character_set` is a defined term of Specific Character Set
    it prefers in answers; `transfer_syntaxes` the UIDs it wants instances in, best first, empty for as they are stored.
    `may_ask` is what it may ask of us, `may_be_asked` what we may ask of it. `max_associations` bounds how many we
    open to it at a time.
    """

    remote_id: int
    tenant_id: int
    ae_title: str
    host: str | None = None
    port: int | None = None
    network: str | None = None
    uses_tls: bool = False
    certificate: str | None = None
    character_set: str | None = None
    transfer_syntaxes: tuple[str, ...] = ()
    may_ask: frozenset[DimseUse] = ALL_USES
    may_be_asked: frozenset[DimseUse] = ASKED_BY_DEFAULT
    site: str | None = None
    description: str = ""
    max_associations: int = 2
