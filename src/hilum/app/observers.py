"""Feeds the metrics from what services report."""

from __future__ import annotations

from hilum.archive.model import IngestStatus, OriginKind
from hilum.observe.metrics import (
    BYTES_STORED,
    COMMIT_BATCH,
    COMMIT_SECONDS,
    INSTANCES_REFUSED,
    INSTANCES_STORED,
    SIGN_INS,
    STAGING_REPAIRED,
    STORE_SECONDS,
)


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


def count_sign_in(way: str, result: str) -> None:
    """Note one attempt to sign in."""
    SIGN_INS.labels(way, result).inc()
