"""Storage commitment: we answer for instances after having looked at their bytes, and ask others to do the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from blake3 import blake3

from hilum.archive.commitment import (
    Commitment,
    CommitmentDirection,
    CommitmentFailure,
    Commitments,
    CommitmentSender,
    CommitmentTally,
    InstanceReference,
    KeptInstance,
    Verdict,
)
from hilum.archive.jobs import Again, Job
from hilum.archive.model import DicomJson, StoredInstance
from hilum.archive.ports import BlobStore
from hilum.archive.remotes import RemoteAe
from hilum.dicom.commitment import CommitmentMessage, write_commitment
from hilum.kernel.errors import CorruptData, InvalidInput, LimitExceeded, NotFound, Unavailable
from hilum.kernel.ids import new_uid
from hilum.kernel.limits import COMMITMENT_CLAIM_S, COMMITMENT_GRACE_S, MAX_COMMITMENT_INSTANCES
from hilum.observe.logs import get_logger
from hilum.services.remotes import RemoteService

_log = get_logger("commitment")

_AT_A_TIME: Final = 4


class CommitmentService:
    """Keeps transactions, answers for what is here, and hears what others answer for.

    Args:
        commitments: where transactions are kept.
        blobs: where the bytes are.
        remotes: the registry.
        sender: tells the other side.
    """

    def __init__(
        self, commitments: Commitments, blobs: BlobStore, remotes: RemoteService, sender: CommitmentSender
    ) -> None:
        self._commitments = commitments
        self._blobs = blobs
        self._remotes = remotes
        self._sender = sender

    async def accept(
        self,
        tenant_id: int,
        transaction_uid: str,
        remote_ae_title: str,
        own_ae_title: str,
        references: Sequence[InstanceReference],
    ) -> Commitment:
        """Keep the request of a remote; from now on it will be answered, whatever happens to this process.

        The caller answers by `answer_here`; when it does not come to that, the queue takes over.

        Raises:
            InvalidInput: no instances are named.
            LimitExceeded: more than `limits.MAX_COMMITMENT_INSTANCES`.
            Conflict: the remote used the UID for other instances.

        Reference: PS3.4 §J.3.2
        """
        _check_count(references)
        return await self._commitments.open(
            tenant_id,
            CommitmentDirection.WE_COMMIT,
            transaction_uid,
            remote_ae_title,
            own_ae_title,
            references,
            claim_s=COMMITMENT_CLAIM_S,
            delay_s=COMMITMENT_GRACE_S,
        )

    async def answer_here(self, commitment: Commitment, tell: Callable[[Commitment], Awaitable[None]]) -> None:
        """Answer a request just accepted by `tell`; when that fails, the queue tells the remote on its own.

        Raises:
            HilumError: as `tell` does, or the index or the store do not answer.
        """
        try:
            decided = await self._decide(commitment)
            await tell(decided)
            await self._commitments.note_sent(commitment.tenant_id, commitment.commitment_id)
        finally:
            await self._commitments.give_up_claim(commitment.tenant_id, commitment.commitment_id)

    async def ask(
        self, tenant_id: int, remote: RemoteAe, own_ae_title: str, instances: Sequence[StoredInstance]
    ) -> Commitment:
        """Keep a request to a remote, which the queue carries there; the answer comes to `hear`.

        Raises:
            InvalidInput, LimitExceeded: as `accept`.
        """
        references = [InstanceReference(each.sop_class_uid, each.sop_instance_uid) for each in instances]
        _check_count(references)
        return await self._commitments.open(
            tenant_id,
            CommitmentDirection.THEY_COMMIT,
            new_uid(),
            remote.ae_title,
            own_ae_title,
            references,
            claim_s=0.0,
            delay_s=0.0,
        )

    async def hear(self, tenant_id: int, remote_ae_title: str, answer: CommitmentMessage) -> None:
        """Keep a remote's answer to what we asked. Coming twice does no harm.

        Raises:
            NotFound: we asked that remote nothing under this UID.

        Reference: PS3.4 §J.3.3
        """
        commitment = await self._commitments.find_request(tenant_id, remote_ae_title, answer.transaction_uid)
        if commitment is None:
            raise NotFound("there is no such storage commitment request", code="no-such-transaction")
        verdicts = [Verdict(InstanceReference(*each)) for each in answer.instances]
        verdicts += [Verdict(InstanceReference(*each), reason) for *each, reason in answer.failures]
        await self._commitments.decide(tenant_id, commitment.commitment_id, verdicts)

    async def find(self, tenant_id: int, commitment_id: int) -> Commitment:
        """Return a transaction.

        Raises:
            NotFound: there is none of that id.
        """
        commitment = await self._commitments.find(tenant_id, commitment_id)
        if commitment is None:
            raise NotFound("there is no such storage commitment", code="no-such-transaction")
        return commitment

    async def recent(self, tenant_id: int, limit: int = 100) -> list[Commitment]:
        """Return transactions, newest first, without what they say of each instance."""
        return await self._commitments.recent(tenant_id, limit)

    async def tallies(self, tenant_id: int, commitments: Sequence[Commitment]) -> Mapping[int, CommitmentTally]:
        """Return how far the transactions are, by id."""
        return await self._commitments.tallies(tenant_id, [each.commitment_id for each in commitments])

    async def committed_elsewhere(
        self, tenant_id: int, instances: Sequence[StoredInstance]
    ) -> Mapping[str, frozenset[str]]:
        """Return which remotes have committed themselves to each instance as it is here now, by SOP Instance UID."""
        return await self._commitments.committed_elsewhere(tenant_id, [each.sop_instance_uid for each in instances])

    async def run_job(self, job: Job) -> Again | None:
        """Carry a transaction to its end; the handler of jobs of kind `COMMITMENT_JOB`."""
        commitment_id = job.payload["commitment_id"]
        if not isinstance(commitment_id, int):
            raise InvalidInput("the job names no transaction", code="job-payload")
        commitment = await self._commitments.find(job.tenant_id, commitment_id)
        if commitment is None or commitment.sent_at is not None:
            return None
        if not await self._commitments.claim(job.tenant_id, commitment_id, COMMITMENT_CLAIM_S):
            return Again(COMMITMENT_GRACE_S)
        try:
            remote = await self._remotes.find(job.tenant_id, commitment.remote_ae_title)
            if remote is None:
                # It may be registered later, so this is tried again for as long as jobs are.
                raise Unavailable("the application entity is not registered", code="no-such-remote")

            async def heard() -> None:
                await self._commitments.note_sent(job.tenant_id, commitment_id)

            if commitment.direction is CommitmentDirection.WE_COMMIT:
                await self._sender.report(remote, await self._decide(commitment))
                await heard()
            else:
                await self._sender.request(remote, commitment, heard)
        finally:
            await self._commitments.give_up_claim(job.tenant_id, commitment_id)
        return None

    async def _decide(self, commitment: Commitment) -> Commitment:
        """Return the transaction with our answer, which is kept."""
        tenant_id, references = commitment.tenant_id, commitment.references
        kept = await self._commitments.kept(tenant_id, {each.sop_instance_uid for each in references})
        slots = asyncio.Semaphore(_AT_A_TIME)

        async def judge(reference: InstanceReference) -> Verdict:
            async with slots:
                return Verdict(reference, await self._fault(reference, kept.get(reference.sop_instance_uid)))

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(judge(reference)) for reference in references]
        verdicts = [task.result() for task in tasks]
        await self._commitments.decide(tenant_id, commitment.commitment_id, verdicts)
        return await self.find(tenant_id, commitment.commitment_id)

    async def _fault(self, reference: InstanceReference, kept: KeptInstance | None) -> int | None:
        """Return why we cannot answer for an instance, None when its bytes are there as they came."""
        if kept is None:
            return CommitmentFailure.NO_SUCH_OBJECT_INSTANCE
        if kept.sop_class_uid != reference.sop_class_uid:
            return CommitmentFailure.CLASS_INSTANCE_CONFLICT
        digest = blake3()
        try:
            async for chunk in self._blobs.stream(kept.blob.key, kept.blob.data_set_offset):
                digest.update(chunk)
        except (NotFound, CorruptData) as error:
            _log.error("the bytes of an instance are gone", blob=kept.blob.key, exc=error)
            return CommitmentFailure.PROCESSING_FAILURE
        if digest.digest() != kept.digest:
            _log.error("the bytes of an instance have changed", blob=kept.blob.key)
            return CommitmentFailure.PROCESSING_FAILURE
        return None


def result_data_set(commitment: Commitment) -> DicomJson:
    """Return our answer as it is sent.

    Reference: PS3.4 Table J.3-2
    """
    return write_commitment(
        commitment.transaction_uid,
        [_pair(each) for each in commitment.verdicts or () if each.failure_reason is None],
        [(*_pair(each), each.failure_reason or 0) for each in commitment.failures],
        commitment.own_ae_title,
    )


def request_data_set(commitment: Commitment) -> DicomJson:
    """Return our request as it is sent.

    Reference: PS3.4 Table J.3-1
    """
    pairs = [(each.sop_class_uid, each.sop_instance_uid) for each in commitment.references]
    return write_commitment(commitment.transaction_uid, pairs)


def _pair(verdict: Verdict) -> tuple[str, str]:
    return verdict.reference.sop_class_uid, verdict.reference.sop_instance_uid


def _check_count(references: Sequence[InstanceReference]) -> None:
    if not references:
        raise InvalidInput("no instances are named", code="missing-value", attribute="ReferencedSOPSequence")
    if len(references) > MAX_COMMITMENT_INSTANCES:
        raise LimitExceeded(
            f"a storage commitment is limited to {MAX_COMMITMENT_INSTANCES} instances",
            code="too-many-instances",
            limit=MAX_COMMITMENT_INSTANCES,
        )
