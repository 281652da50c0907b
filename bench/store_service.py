"""What the services cost without doors and without a database: storing, retrieving and metadata of a CT study.

    python -m bench.store_service DIRECTORY [--count 400]

Storing is measured from the last byte of an instance to its answer (latency), and as a whole beside what the disk does
alone in the same run; the index keeps its rows in memory.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import uvloop
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from bench.disk import write_files
from hilum.archive.model import (
    DuplicatePolicy,
    IngestOutcome,
    IngestStatus,
    InstanceDraft,
    Origin,
    OriginKind,
)
from hilum.kernel.clock import SystemClock
from hilum.objectstore import FilesystemStore
from hilum.services.retrieve import RetrieveService
from hilum.services.store import StoreService
from support.fake_index import MemoryIndex, Row
from support.instances import ct_slice, data_set_bytes, part10

_PDU_BYTES = 128 * 1024
_SIDE = 512  # 512 x 512 x 2 bytes: 512 KiB


class BenchIndex(MemoryIndex):
    """Takes drafts without looking for duplicates, so that the index costs nothing."""

    def _ingest_one(self, tenant_id: int, draft: InstanceDraft, policy: DuplicatePolicy) -> IngestOutcome:
        self.rows.append(Row(tenant_id, draft, draft.header.json()))
        return IngestOutcome(IngestStatus.STORED)


async def _store_all(store: StoreService, instances: list[bytes], senders: int) -> tuple[float, list[float]]:
    latencies: list[float] = []

    async def send(mine: list[bytes]) -> None:
        for content in mine:
            intake = store.begin(
                tenant_id=1, transfer_syntax_uid=ExplicitVRLittleEndian, origin=Origin(OriginKind.DIMSE)
            )
            view = memoryview(content)
            for start in range(0, len(content), _PDU_BYTES):
                waiting = intake.write(view[start : start + _PDU_BYTES])
                if waiting is not None:
                    await waiting
            began = time.perf_counter()
            await intake.commit()
            latencies.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(send(instances[sender::senders]) for sender in range(senders)))
    return time.perf_counter() - began, latencies


async def _run(directory: Path, count: int) -> None:
    study, series = generate_uid(), generate_uid()
    template = ct_slice(study=study, series=series, side=_SIDE, seed=1)
    instances = []
    for number in range(count):
        template.SOPInstanceUID, template.InstanceNumber = generate_uid(), number
        instances.append(data_set_bytes(part10(template)))
    for senders in (1, 8):
        alone = count / write_files(directory / f"disk-{os.getpid()}", instances, writers=senders)
        folder = Path(tempfile.mkdtemp(prefix="store-", dir=directory))
        index, blobs = BenchIndex(), FilesystemStore(folder / "blobs")
        store = StoreService(
            index=index,
            blobs=blobs,
            staging_directory=folder / "staging" / "0",
            policy=DuplicatePolicy.REPLACE,
            clock=SystemClock(),
        )
        try:
            took, latencies = await _store_all(store, instances, senders)
            rate = count / took
            print(
                f"store, {senders} senders: {rate:.0f}/s, disk alone {alone:.0f}/s, ratio {rate / alone:.2f}; "
                f"latency median {median(latencies) * 1e3:.2f} ms"
            )
            if senders == 8:
                await _retrieve(RetrieveService(index, blobs), study, series)
        finally:
            await store.close()
            await blobs.close()
            shutil.rmtree(folder)


async def _retrieve(retrieve: RetrieveService, study: str, series: str) -> None:
    for _ in range(2):
        began = time.perf_counter()
        size = 0
        async for _, content in retrieve.part10(await retrieve.instances(1, study)):
            async for chunk in content:
                size += len(chunk)
        took = time.perf_counter() - began
        print(f"retrieve: {size / 1e6:.0f} MB in {took:.3f} s, {size / took / 1e6:.0f} MB/s")
    for words in ("made now", "ready-made"):
        began = time.perf_counter()
        (metadata,) = await retrieve.metadata(1, study, series)
        took = time.perf_counter() - began
        print(f"metadata {words}: {took * 1e3:.1f} ms, {len(metadata.gzip_json)} bytes")


def main() -> None:
    """Print rates, ratios and latencies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--count", type=int, default=400)
    options = parser.parse_args()
    uvloop.run(_run(options.directory, options.count))


if __name__ == "__main__":
    main()
