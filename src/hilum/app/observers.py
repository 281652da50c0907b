"""Feeds the metrics from what services report."""

from __future__ import annotations

from collections.abc import Iterable

from hilum.archive.forwarding import ForwardState
from hilum.archive.jobs import Job
from hilum.archive.model import IngestStatus, OriginKind
from hilum.observe.metrics import (
    BYTES_STORED,
    COMMIT_BATCH,
    COMMIT_SECONDS,
    FORWARD_HELD,
    FORWARD_PENDING,
    FORWARDED,
    FORWARDED_BYTES,
    INSTANCES_REFUSED,
    INSTANCES_STORED,
    JOB_SECONDS,
    JOBS,
    SIGN_INS,
    STAGING_REPAIRED,
    STORE_SECONDS,
)
from hilum.services.forwarding import DestinationStatus


class StoreMetrics:
    """Implements `services.store.StoreObserver`. Labels are looked up once: that takes as long as counting."""

    def __init__(self) -> None:
        self._stored = {
            (origin, status): INSTANCES_STORED.labels(origin.value, status.value)
            for origin in OriginKind
            for status in IngestStatus
        }
        self._bytes = {origin: BYTES_STORED.labels(origin.value) for origin in OriginKind}
        self._seconds = {origin: STORE_SECONDS.labels(origin.value) for origin in OriginKind}

    def stored(self, origin: OriginKind, status: IngestStatus, size_bytes: int, duration_s: float) -> None:
        """An instance was answered with success."""
        self._stored[origin, status].inc()
        self._bytes[origin].inc(size_bytes)
        self._seconds[origin].observe(duration_s)

    def refused(self, origin: OriginKind, reason_code: str) -> None:
        """An instance was answered with a failure."""
        INSTANCES_REFUSED.labels(origin.value, reason_code).inc()

    def committed(self, instance_count: int, duration_s: float) -> None:
        """The index took a batch."""
        COMMIT_BATCH.observe(instance_count)
        COMMIT_SECONDS.observe(duration_s)

    def repaired(self, kept_count: int, removed_count: int) -> None:
        """Interrupted stores were settled."""
        STAGING_REPAIRED.labels("kept").inc(kept_count)
        STAGING_REPAIRED.labels("removed").inc(removed_count)


class JobMetrics:
    """Implements `jobs.worker.JobObserver`."""

    def ended(self, job: Job, result: str, duration_s: float) -> None:
        """A try has ended."""
        JOBS.labels(job.kind, result).inc()
        JOB_SECONDS.labels(job.kind).observe(duration_s)


class ForwardMetrics:
    """Implements `services.forward_sending.ForwardObserver`. Destinations are those of the registry."""

    def forwarded(self, destination: str, result: str, size_bytes: int) -> None:
        """An instance was sent, has failed, or is to be sent again."""
        FORWARDED.labels(destination, result).inc()
        if result == "sent":
            FORWARDED_BYTES.labels(destination).inc(size_bytes)


def show_destinations(found: Iterable[DestinationStatus]) -> None:
    """Show how destinations stand now."""
    for each in found:
        FORWARD_HELD.labels(each.destination).set(1 if each.is_held else 2 if each.rests_until else 0)
        for state in (ForwardState.WAITING, ForwardState.SENDING, ForwardState.FAILED):
            FORWARD_PENDING.labels(each.destination, state.value).set(each.instances.get(state, 0))


def count_sign_in(way: str, result: str) -> None:
    """Note one attempt to sign in."""
    SIGN_INS.labels(way, result).inc()
