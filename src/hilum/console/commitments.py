"""Storage commitment under /api/commitments: what remotes asked of us, and what we ask of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from hilum.archive.commitment import Commitment, CommitmentDirection, CommitmentTally
from hilum.archive.model import Permission
from hilum.console.access import allowed
from hilum.console.problems import problems
from hilum.kernel.errors import NotFound
from hilum.services.commitment import CommitmentService
from hilum.services.remotes import RemoteService
from hilum.services.retrieve import RetrieveService


@dataclass(frozen=True, slots=True)
class CommitmentServices:
    """What this part of the API needs."""

    commitment: CommitmentService
    remotes: RemoteService
    retrieve: RetrieveService
    ae_title: str


class CommitmentRequest(BaseModel):
    """What a remote is to commit itself to: a study, a series or an instance of ours."""

    remote: str = Field(description="AE title in the registry.")
    study_instance_uid: str
    series_instance_uid: str | None = None
    sop_instance_uid: str | None = None


class CommitmentEntry(BaseModel):
    """One transaction."""

    id: int
    direction: CommitmentDirection
    transaction_uid: str
    remote: str
    requested_at: datetime
    sent_at: datetime | None = Field(description="When the other side heard of our request or our answer.")
    instance_count: int
    is_decided: bool
    committed_count: int
    failed_count: int


class FailedInstance(BaseModel):
    """An instance nobody answers for."""

    sop_class_uid: str
    sop_instance_uid: str
    failure_reason: int = Field(description="PS3.3 C.14.1.1: 0x0112 no such instance, 0x0110 processing failure, ...")


class CommitmentDetails(CommitmentEntry):
    """One transaction with its answer."""

    failures: list[FailedInstance]


class CommitmentList(BaseModel):
    """The latest transactions, newest first."""

    commitments: list[CommitmentEntry]


def commitment_routes(services: CommitmentServices) -> APIRouter:
    """Return the routes, to be included in the console API."""
    routes = APIRouter(prefix="/commitments", tags=["commitments"])

    @routes.get("", responses=problems(401, 403))
    async def list_commitments(request: Request) -> CommitmentList:
        """List the latest transactions."""
        tenant_id = allowed(request, Permission.ADMINISTER).tenant.tenant_id
        found = await services.commitment.recent(tenant_id)
        tallies = await services.commitment.tallies(tenant_id, found)
        return CommitmentList(commitments=[_entry(each, tallies[each.commitment_id]) for each in found])

    @routes.get("/{commitment_id}", responses=problems(401, 403, 404))
    async def read_commitment(commitment_id: int, request: Request) -> CommitmentDetails:
        """Return one transaction with its answer."""
        return _details(
            await services.commitment.find(allowed(request, Permission.ADMINISTER).tenant.tenant_id, commitment_id)
        )

    @routes.post("", status_code=202, responses=problems(400, 401, 403, 404, 503))
    async def ask_for_commitment(wanted: CommitmentRequest, request: Request) -> CommitmentDetails:
        """Ask a remote to commit itself to instances it has got from us; the answer comes later."""
        tenant_id = allowed(request, Permission.ADMINISTER).tenant.tenant_id
        remote = await services.remotes.find(tenant_id, wanted.remote)
        if remote is None:
            raise NotFound("this AE title is not registered", code="no-such-remote")
        instances = await services.retrieve.instances(
            tenant_id, wanted.study_instance_uid, wanted.series_instance_uid, wanted.sop_instance_uid
        )
        return _details(await services.commitment.ask(tenant_id, remote, services.ae_title, instances))

    return routes


def _entry(commitment: Commitment, tally: CommitmentTally) -> CommitmentEntry:
    return CommitmentEntry(
        id=commitment.commitment_id,
        direction=commitment.direction,
        transaction_uid=commitment.transaction_uid,
        remote=commitment.remote_ae_title,
        requested_at=commitment.requested_at,
        sent_at=commitment.sent_at,
        instance_count=tally.instance_count,
        is_decided=tally.is_decided,
        committed_count=tally.committed_count,
        failed_count=tally.failed_count,
    )


def _details(commitment: Commitment) -> CommitmentDetails:
    failed = len(commitment.failures)
    tally = CommitmentTally(len(commitment.references), len(commitment.verdicts or ()) - failed, failed)
    return CommitmentDetails(
        **_entry(commitment, tally).model_dump(),
        failures=[
            FailedInstance(
                sop_class_uid=each.reference.sop_class_uid,
                sop_instance_uid=each.reference.sop_instance_uid,
                failure_reason=each.failure_reason or 0,
            )
            for each in commitment.failures
        ],
    )
