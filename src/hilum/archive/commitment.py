"""Storage commitment: who asked whom to answer for which instances, and what the answer was (PS3.4 Annex J)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Protocol

from hilum.archive.model import BlobRef
from hilum.archive.remotes import RemoteAe


class CommitmentDirection(StrEnum):
    """Who answers for the instances."""

    WE_COMMIT = "we-commit"
    """A remote asked us."""
    THEY_COMMIT = "they-commit"
    """We asked a remote."""


class CommitmentFailure(IntEnum):
    """Why an instance is not committed: values of Failure Reason (PS3.3 §C.14.1.1)."""

    PROCESSING_FAILURE = 0x0110
    NO_SUCH_OBJECT_INSTANCE = 0x0112
    CLASS_INSTANCE_CONFLICT = 0x0119
    REFERENCED_SOP_CLASS_NOT_SUPPORTED = 0x0122
    DUPLICATE_TRANSACTION_UID = 0x0131
    RESOURCE_LIMITATION = 0x0213


@dataclass(frozen=True, slots=True)
class InstanceReference:
    """An instance as another application entity names it."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer for one instance; `failure_reason` is None when it is committed."""

    reference: InstanceReference
    failure_reason: int | None = None


@dataclass(frozen=True, slots=True)
class Commitment:
    """One transaction. `verdicts` is None until there is an answer.

    `sent_at` is when the other side heard of it: of our answer, or of our request.
    """

    commitment_id: int
    tenant_id: int
    direction: CommitmentDirection
    transaction_uid: str
    remote_ae_title: str
    own_ae_title: str
    references: tuple[InstanceReference, ...]
    requested_at: datetime
    verdicts: tuple[Verdict, ...] | None = None
    sent_at: datetime | None = None

    @property
    def failures(self) -> tuple[Verdict, ...]:
        """The instances that are not committed, as far as there is an answer."""
        return tuple(verdict for verdict in self.verdicts or () if verdict.failure_reason is not None)


@dataclass(frozen=True, slots=True)
class CommitmentTally:
    """How many instances a transaction is about, and of how many it is decided which way."""

    instance_count: int
    committed_count: int
    failed_count: int

    @property
    def is_decided(self) -> bool:
        """Whether there is an answer for each."""
        return self.committed_count + self.failed_count >= self.instance_count


@dataclass(frozen=True, slots=True)
class KeptInstance:
    """What the archive has to find again to answer for an instance; `digest` is the data set's."""

    sop_class_uid: str
    blob: BlobRef
    digest: bytes


class Commitments(Protocol):
    """Transactions kept; every call is about one tenant. All raise Unavailable."""

    async def open(
        self,
        tenant_id: int,
        direction: CommitmentDirection,
        transaction_uid: str,
        remote_ae_title: str,
        own_ae_title: str,
        references: Sequence[InstanceReference],
        *,
        claim_s: float,
        delay_s: float,
    ) -> Commitment:
        """Keep a new transaction, and with it, in one database transaction, the job of kind `COMMITMENT_JOB`.

        The caller has a claim on the transaction for `claim_s`; the job runs after `delay_s` and heeds it. The same
        request again is answered once more: it takes the place of the earlier one.

        Raises:
            Conflict: code "duplicate-transaction": the same application entity used the UID for other instances.
        """
        ...

    async def find(self, tenant_id: int, commitment_id: int) -> Commitment | None:
        """Return a transaction."""
        ...

    async def find_request(self, tenant_id: int, remote_ae_title: str, transaction_uid: str) -> Commitment | None:
        """Return the transaction in which we asked that remote."""
        ...

    async def recent(self, tenant_id: int, limit: int) -> list[Commitment]:
        """Return transactions, newest first, without references and verdicts of each instance."""
        ...

    async def tallies(self, tenant_id: int, commitment_ids: Sequence[int]) -> Mapping[int, CommitmentTally]:
        """Return how far the transactions are, by id."""
        ...

    async def claim(self, tenant_id: int, commitment_id: int, seconds: float) -> bool:
        """Let nobody else work on the transaction for so long; False when somebody does."""
        ...

    async def give_up_claim(self, tenant_id: int, commitment_id: int) -> None:
        """Let others work on it."""
        ...

    async def decide(self, tenant_id: int, commitment_id: int, verdicts: Sequence[Verdict]) -> None:
        """Keep the answer."""
        ...

    async def note_sent(self, tenant_id: int, commitment_id: int) -> None:
        """Note that the other side has heard."""
        ...

    async def kept(self, tenant_id: int, sop_instance_uids: Collection[str]) -> Mapping[str, KeptInstance]:
        """Return what is there of these instances, by SOP Instance UID."""
        ...

    async def committed_elsewhere(
        self, tenant_id: int, sop_instance_uids: Collection[str]
    ) -> Mapping[str, frozenset[str]]:
        """Return the remotes that have committed themselves to an instance as it is here now, by SOP Instance UID."""
        ...


COMMITMENT_JOB = "commitment"
"""The kind of the jobs that carry a transaction to its end; the payload is {"commitment_id": id}."""


class CommitmentSender(Protocol):
    """How the other side hears of a transaction."""

    async def report(self, remote: RemoteAe, commitment: Commitment) -> None:
        """Return when the remote has taken our answer.

        Raises:
            Unavailable: it cannot be reached now, or takes no answers now.
            Forbidden, Unsupported, InvalidInput: it cannot be told at all.
        """
        ...

    async def request(self, remote: RemoteAe, commitment: Commitment, taken: Callable[[], Awaitable[None]]) -> None:
        """Call `taken` when the remote has taken our request, and give it some time to answer at once.

        Raises:
            Unavailable: it cannot be reached now.
            Forbidden, Unsupported, InvalidInput: it does not commit itself to what we ask.
        """
        ...
