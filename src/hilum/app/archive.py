"""One archive opened for use: every service wired to the index and the blob store. Workers and CLI verbs share it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from hilum.app.observers import StoreMetrics, count_sign_in
from hilum.app.prefetch import DimsePriors
from hilum.app.remotes import dial_with
from hilum.app.retrieval import RegisteredArchives
from hilum.app.settings import Settings
from hilum.app.tenancy import own_tenant
from hilum.archive.forwarding import ForwardStore
from hilum.archive.jobs import JobQueue
from hilum.archive.model import DuplicatePolicy, Tenant
from hilum.archive.ports import Accounts, InstanceIndex, Notices
from hilum.archive.pulling import Wanted
from hilum.archive.sending import Transcoder
from hilum.archive.workitems import Workitems
from hilum.dicom.commitment import CommitmentMessage
from hilum.index.address import DatabaseAddress
from hilum.index.postgres import open_index
from hilum.kernel.clock import SystemClock
from hilum.kernel.ids import new_blob_name
from hilum.kernel.limits import AVAILABILITY_QUIET_S
from hilum.objectstore import FilesystemStore, ObjectStore, open_object_store
from hilum.queue.jobs import PostgresJobs
from hilum.queue.turns import PostgresTurns
from hilum.scu.availability import RemoteAvailability
from hilum.scu.commitment import RemoteCommitment
from hilum.scu.sender import RemoteSender
from hilum.scu.step_notices import RemoteStepNotices
from hilum.services.availability import AvailabilityService
from hilum.services.commitment import CommitmentService
from hilum.services.extraction import ExtractionService
from hilum.services.forwarding import ForwardService
from hilum.services.identity import IdentityService
from hilum.services.outgoing import OutgoingTranscoder
from hilum.services.prefetch import PrefetchService
from hilum.services.procedure_steps import ProcedureStepService
from hilum.services.pulling import PullService
from hilum.services.remotes import RemoteService
from hilum.services.render import RenderService
from hilum.services.retention import Keeping, RetentionService
from hilum.services.retrieve import RetrieveService
from hilum.services.search import SearchService
from hilum.services.settle import SettleService
from hilum.services.step_notices import StepNoticeService
from hilum.services.store import StoreResult, StoreService
from hilum.services.transcode import TranscodeService
from hilum.services.workitems import WorkitemService
from hilum.services.worklist import WorklistService


@dataclass(frozen=True, slots=True)
class Archive:
    """The services of one open archive, and the tenant of this installation."""

    index: InstanceIndex
    accounts: Accounts
    identity: IdentityService
    store: StoreService
    retrieve: RetrieveService
    search: SearchService
    render: RenderService
    transcode: TranscodeService
    outgoing: Transcoder
    remotes: RemoteService
    sender: RemoteSender
    extraction: ExtractionService
    worklist: WorklistService
    procedure_steps: ProcedureStepService
    step_notices: StepNoticeService
    workitems: WorkitemService
    workitem_store: Workitems
    retention: RetentionService
    availability: AvailabilityService
    commitment: CommitmentService
    notices: Notices
    jobs: JobQueue
    forwarding: ForwardService
    forward_store: ForwardStore
    remote_archives: RegisteredArchives
    pulling: PullService
    prefetch: PrefetchService
    tenant: Tenant


@asynccontextmanager
async def open_archive(settings: Settings, address: DatabaseAddress) -> AsyncIterator[Archive]:
    """Yield the archive whose database answers at the address; at the end what is in flight is finished.

    Raises:
        Unavailable: database or storage do not answer.
    """
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        index = await stack.enter_async_context(open_index(address))
        blobs = _open_blobs(settings)
        stack.push_async_callback(blobs.close)
        identity = IdentityService(
            index.accounts,
            clock,
            session_lifetime=timedelta(hours=settings.auth.session_hours),
            observe=count_sign_in,
        )
        stack.callback(identity.close)
        retrieve = RetrieveService(index, blobs)
        render = RenderService(index=index, retrieve=retrieve)
        stack.callback(render.close)
        transcode = TranscodeService(blobs, spool_directory=settings.data_directory)
        stack.callback(transcode.close)
        settle = SettleService(index, clock, settings.ingest.settle_s)
        stack.push_async_callback(settle.close)

        def settle_later(tenant_id: int, result: StoreResult) -> None:
            settle.note(tenant_id, result.study_instance_uid, result.series_instance_uid)

        store = StoreService(
            index=index,
            blobs=blobs,
            staging_directory=settings.data_directory / "staging" / new_blob_name(),
            policy=DuplicatePolicy(settings.ingest.duplicates),
            clock=clock,
            observe=StoreMetrics(),
            on_stored=settle_later,
        )
        stack.push_async_callback(store.close)
        await store.start()
        remotes = RemoteService(index.remotes, index.notices)
        jobs = PostgresJobs(index.connections)
        dial = dial_with(settings)
        remote_archives = RegisteredArchives(dial, store, settings.dicom.ae_title)

        async def hear(tenant_id: int, remote_ae_title: str, answer: CommitmentMessage) -> None:
            await commitment.hear(tenant_id, remote_ae_title, answer)

        commitment = CommitmentService(
            index.commitments, blobs, remotes, RemoteCommitment(dial, settings.dicom.ae_title, hear)
        )
        outgoing = OutgoingTranscoder(transcode)
        availability = AvailabilityService(
            index=index,
            steps=index.procedure_steps,
            remotes=remotes,
            queue=jobs,
            notifier=RemoteAvailability(dial, settings.dicom.ae_title),
            quiet_s=AVAILABILITY_QUIET_S,
            retrieve_ae_title=settings.dicom.ae_title,
        )
        step_notices = StepNoticeService(remotes, jobs, RemoteStepNotices(dial, settings.dicom.ae_title))
        pulling = PullService(queue=jobs, index=index, remotes=remotes, archive=remote_archives)

        async def pull_prior(tenant_id: int, source: str, study_instance_uid: str) -> None:
            await pulling.order(tenant_id, source, Wanted(study_instance_uid), priority=-1)

        prefetch = PrefetchService(
            rules=index.prefetch,
            queue=jobs,
            worklist=index.worklist,
            index=index,
            remotes=remotes,
            finder=DimsePriors(remote_archives),
            pull=pull_prior,
            clock=clock,
        )
        yield Archive(
            index=index,
            accounts=index.accounts,
            identity=identity,
            store=store,
            retrieve=retrieve,
            search=SearchService(index),
            render=render,
            transcode=transcode,
            remotes=remotes,
            outgoing=outgoing,
            extraction=ExtractionService(blobs, transcode),
            sender=RemoteSender(retrieve, dial, outgoing, PostgresTurns(index.connections, clock)),
            worklist=WorklistService(index.worklist, clock, when_scheduled=prefetch.when_scheduled),
            procedure_steps=ProcedureStepService(
                index.procedure_steps, clock, availability.when_step_ended, step_notices.when_heard
            ),
            step_notices=step_notices,
            availability=availability,
            workitems=WorkitemService(index.workitems, remotes, clock),
            workitem_store=index.workitems,
            retention=RetentionService(
                index.accounts,
                clock,
                [
                    Keeping("worklist", index.worklist, settings.worklist.keep_ended_days),
                    Keeping("workitem", index.workitems, settings.workitems.keep_ended_days),
                ],
            ),
            commitment=commitment,
            notices=index.notices,
            jobs=jobs,
            forwarding=ForwardService(store=index.forwarding, queue=jobs, remotes=remotes, clock=clock),
            forward_store=index.forwarding,
            remote_archives=remote_archives,
            pulling=pulling,
            prefetch=prefetch,
            tenant=await own_tenant(settings, index.accounts),
        )


def _open_blobs(settings: Settings) -> FilesystemStore | ObjectStore:
    storage = settings.storage
    if storage.url:
        return open_object_store(storage.url, endpoint=storage.endpoint, allow_http=storage.allow_http)
    return FilesystemStore(settings.data_directory / "blobs")
