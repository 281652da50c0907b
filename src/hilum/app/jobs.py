"""One worker's share of the durable jobs: its catalogue, the loop that does them, and the relay of the outbox."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
from collections.abc import Sequence

from hilum.app.archive import Archive
from hilum.app.observers import ForwardMetrics, JobMetrics, show_destinations
from hilum.app.remotes import echo_with
from hilum.app.settings import Settings
from hilum.archive.changes import InstanceChange
from hilum.archive.commitment import COMMITMENT_JOB
from hilum.index.address import DatabaseAddress
from hilum.index.pool import TenantPool
from hilum.jobs.catalogue import Catalogue, JobKind
from hilum.jobs.relay import OutboxRelay
from hilum.jobs.retry import RetryRule
from hilum.jobs.worker import JobWorker
from hilum.kernel.clock import SystemClock
from hilum.kernel.errors import HilumError
from hilum.kernel.limits import (
    DATABASE_WRITE_TIMEOUT_S,
    DESTINATIONS_SHOWN_INTERVAL_S,
    JOB_CONNECTIONS,
    RETENTION_INTERVAL_S,
)
from hilum.observe.logs import get_logger
from hilum.queue.connections import SETTINGS
from hilum.queue.leases import PostgresLeases
from hilum.queue.outbox import PostgresOutbox
from hilum.services import availability, prefetch, step_notices
from hilum.services.forward_sending import ForwardSender
from hilum.services.forwarding import SEND, STABLE
from hilum.services.pulling import PULL

_log = get_logger("jobs")

# A modality that has not taken an answer in about two weeks will not miss it.
_FOR_DAYS = RetryRule(attempts=340, first_delay_s=5.0, longest_delay_s=3600.0)

# Whoever waits for a study is told within minutes that it does not come, and may try again.
_WHILE_WANTED = RetryRule(attempts=5, first_delay_s=5.0, longest_delay_s=120.0)

# Steps are scheduled days before, or minutes.
_BEFORE_THE_PATIENT = RetryRule(attempts=100, first_delay_s=5.0, longest_delay_s=600.0)


def job_kinds(settings: Settings, archive: Archive) -> list[JobKind]:
    """Return every kind of job and who does it."""
    sending = ForwardSender(
        store=archive.forward_store,
        remotes=archive.remotes,
        sender=archive.sender,
        reach=echo_with(settings),
        calling_ae_title=settings.dicom.ae_title,
        observer=ForwardMetrics(),
    )
    # What is to be sent must arrive, however long the destination is away.
    for_ever = RetryRule(
        attempts=None,
        first_delay_s=settings.forwarding.retry_s,
        longest_delay_s=max(settings.forwarding.retry_s, settings.forwarding.longest_retry_s),
    )
    return [
        JobKind(SEND, sending.send_study, for_ever),
        JobKind(COMMITMENT_JOB, archive.commitment.run_job, _FOR_DAYS),
        JobKind(STABLE, archive.forwarding.study_is_stable, for_ever),
        JobKind(availability.STUDY, archive.availability.study_is_there, for_ever),
        JobKind(availability.NOTIFY, archive.availability.tell, _FOR_DAYS),
        JobKind(step_notices.NOTIFY, archive.step_notices.tell, _FOR_DAYS),
        JobKind(PULL, archive.pulling.run, _WHILE_WANTED),
        JobKind(prefetch.PLAN, archive.prefetch.plan, _BEFORE_THE_PATIENT),
        JobKind(prefetch.FIND, archive.prefetch.find, _BEFORE_THE_PATIENT),
    ]


class Jobs:
    """What runs of them in this process; `worker` says what it is doing."""

    def __init__(self, worker: JobWorker, relay: OutboxRelay, pool: TenantPool, archive: Archive) -> None:
        self.worker = worker
        self._relay = relay
        self._pool = pool
        worker.start()
        relay.start()
        self._duties = [asyncio.create_task(_show_destinations(archive)), asyncio.create_task(_forget_ended(archive))]

    async def close(self, drain_s: float) -> None:
        """Begin nothing more, and give what is under way this time to end; other workers go on with the rest."""
        for duty in self._duties:
            duty.cancel()
        await asyncio.wait(self._duties)
        await self._relay.close()
        status = self.worker.status()
        _log.info("finishing jobs", worker=status.name, state=status.state, count=len(status.jobs))
        await self.worker.close(drain_s)
        await self._pool.close()


async def start_jobs(settings: Settings, archive: Archive, address: DatabaseAddress, worker: int) -> Jobs:
    """Begin to do jobs.

    Raises:
        Unavailable: the database does not answer.
    """
    timeout_ms = str(int(DATABASE_WRITE_TIMEOUT_S * 1000))
    pool = TenantPool(address, JOB_CONNECTIONS, SETTINGS | {"statement_timeout": timeout_ms})
    await pool.open()
    jobs = JobWorker(
        PostgresLeases(pool),
        Catalogue(job_kinds(settings, archive)),
        name=f"{socket.gethostname()}/{worker}/{os.getpid()}",
        clock=SystemClock(),
        observer=JobMetrics(),
    )
    archive.notices.subscribe("jobs", jobs.note)

    async def hear(tenant_id: int, changes: Sequence[InstanceChange]) -> None:
        await archive.forwarding.route(tenant_id, changes)
        await archive.availability.note(tenant_id, changes)

    return Jobs(jobs, OutboxRelay(PostgresOutbox(pool), hear), pool, archive)


async def _show_destinations(archive: Archive) -> None:
    """Keep the metrics of destinations true."""
    while True:
        with contextlib.suppress(HilumError):
            show_destinations(await archive.forwarding.status(archive.tenant.tenant_id))
        await asyncio.sleep(DESTINATIONS_SHOWN_INTERVAL_S)


async def _forget_ended(archive: Archive) -> None:
    """Forget what ended long ago, now and then; workers begin at different times."""
    while True:
        await asyncio.sleep(RETENTION_INTERVAL_S * random.uniform(0.01, 1))
        try:
            await archive.retention.sweep()
        except HilumError as error:
            _log.warning("what ended long ago cannot be removed", exc=error)
