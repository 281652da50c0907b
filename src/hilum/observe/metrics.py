"""Every metric of Hilum, declared once. Labels never carry patient data, and never anything a peer can choose freely.

With several workers the values of all of them are summed: the supervisor sets PROMETHEUS_MULTIPROC_DIR before a
worker starts, and each scrape collects from that folder.
"""

from __future__ import annotations

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

INSTANCES_STORED = Counter(
    "hilum_instances_stored_total", "Instances answered with success, by door and outcome.", ["origin", "status"]
)
INSTANCES_REFUSED = Counter(
    "hilum_instances_refused_total", "Instances answered with a failure, by door and error code.", ["origin", "code"]
)
BYTES_STORED = Counter("hilum_stored_bytes_total", "Bytes of data sets answered with success.", ["origin"])
STORE_SECONDS = Histogram(
    "hilum_store_seconds", "From the first byte of an instance to its answer.", ["origin"], buckets=_SECONDS
)
COMMIT_BATCH = Histogram(
    "hilum_commit_batch_instances", "Instances written to the index in one transaction.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
)  # fmt: skip
COMMIT_SECONDS = Histogram("hilum_commit_seconds", "One transaction of the index.", buckets=_SECONDS)
ASSOCIATIONS = Gauge("hilum_open_associations", "Associations open now.", multiprocess_mode="livesum")
ASSOCIATIONS_TOTAL = Counter(
    "hilum_associations_total", "Associations by what happened: accepted, rejected, released, ...", ["result"]
)
HTTP_REQUESTS = Counter("hilum_http_requests_total", "HTTP requests answered.", ["route", "method", "status"])
HTTP_SECONDS = Histogram(
    "hilum_http_request_seconds", "From the request's head to the end of the answer.", ["route"], buckets=_SECONDS
)
SIGN_INS = Counter("hilum_sign_ins_total", "Attempts to sign in by way and result.", ["way", "result"])
STAGING_REPAIRED = Counter(
    "hilum_staging_repaired_total", "Interrupted stores cleaned up, by what was done.", ["result"]
)
JOBS = Counter("hilum_jobs_total", "Tries of jobs that have ended, by kind and result.", ["kind", "result"])
JOB_SECONDS = Histogram(
    "hilum_job_seconds", "One try of a job.", ["kind"], buckets=(0.01, 0.1, 0.5, 1, 5, 15, 60, 300, 1800)
)
FORWARDED = Counter(
    "hilum_forwarded_instances_total", "Instances sent, given up or to be sent again.", ["destination", "result"]
)
FORWARDED_BYTES = Counter("hilum_forwarded_bytes_total", "Bytes of instances a destination has taken.", ["destination"])
FORWARD_PENDING = Gauge(
    "hilum_forward_pending_instances", "Instances that are not sent (yet), by their state.",
    ["destination", "state"], multiprocess_mode="mostrecent",
)  # fmt: skip
FORWARD_HELD = Gauge(
    "hilum_forward_held", "Whether a destination is held (1) or rests because it did not answer (2).", ["destination"],
    multiprocess_mode="mostrecent",
)  # fmt: skip


def forget_process(pid: int, folder: str) -> None:
    """The gauges of a process that has ended count no more; its counters stay."""
    multiprocess.mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]


def render_metrics() -> tuple[bytes, str]:
    """Return the exposition text of all workers and its media type."""
    registry: CollectorRegistry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST
