"""How far storage commitments are, as PostgreSQL counts it."""

from __future__ import annotations

from pydicom.uid import CTImageStorage

from hilum.archive.commitment import (
    Commitment,
    CommitmentDirection,
    CommitmentFailure,
    CommitmentTally,
    InstanceReference,
    Verdict,
)
from hilum.index.embedded import EmbeddedPostgres
from hilum.index.postgres import PostgresIndex
from support.database import new_tenant

FIRST, SECOND = (InstanceReference(CTImageStorage, uid) for uid in ("2.25.1", "2.25.2"))


async def asked(index: PostgresIndex, tenant_id: int) -> Commitment:
    """The same request, each time."""
    return await index.commitments.open(
        tenant_id, CommitmentDirection.WE_COMMIT, "2.25.7", "CT1", "HILUM", [FIRST, SECOND], claim_s=60, delay_s=60
    )


async def tally(index: PostgresIndex, tenant_id: int, commitment: Commitment) -> CommitmentTally | None:
    return (await index.commitments.tallies(tenant_id, [commitment.commitment_id])).get(commitment.commitment_id)


async def test_a_tally_counts_what_is_decided_of_the_latest_request(index: PostgresIndex, tenant_id: int) -> None:
    commitment = await asked(index, tenant_id)
    open_tally = await tally(index, tenant_id, commitment)
    assert open_tally == CommitmentTally(2, 0, 0)
    assert not open_tally.is_decided
    verdicts = [Verdict(FIRST), Verdict(SECOND, CommitmentFailure.NO_SUCH_OBJECT_INSTANCE)]
    await index.commitments.decide(tenant_id, commitment.commitment_id, verdicts)
    decided = await tally(index, tenant_id, commitment)
    assert decided == CommitmentTally(2, 1, 1)
    assert decided.is_decided
    again = await asked(index, tenant_id)
    assert again.commitment_id == commitment.commitment_id
    assert await tally(index, tenant_id, again) == CommitmentTally(2, 0, 0)


async def test_a_tally_is_its_tenants_alone(database: EmbeddedPostgres, index: PostgresIndex, tenant_id: int) -> None:
    commitment = await asked(index, tenant_id)
    other = await new_tenant(database.app_address())
    assert await tally(index, other, commitment) is None
