"""Stores the sample studies that `hilum demo` shows to a new user."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from io import BytesIO

from hilum.app.importing import PARALLEL, ImportReport, store_stream
from hilum.archive.model import Origin, OriginKind
from hilum.dicom.samples import sample_studies
from hilum.services.store import StoreService


async def store_samples(
    store: StoreService, tenant_id: int, *, small: bool, progress: Callable[[ImportReport], None]
) -> ImportReport:
    """Make the sample studies in a thread and store them as they come."""
    report = ImportReport()
    samples = sample_studies(small=small)
    lock = asyncio.Lock()
    origin = Origin(OriginKind.DEMO)

    async def work() -> None:
        while True:
            async with lock:
                sample = await asyncio.to_thread(next, samples, None)
            if sample is None:
                return
            result = await store_stream(store, tenant_id, BytesIO(sample.part10), origin)
            if result is not None:
                report.by_status[result.status] += 1
                report.size_bytes += len(sample.part10)
                report.studies.add(result.study_instance_uid)
            progress(report)

    await asyncio.gather(*(work() for _ in range(PARALLEL)))
    return report
