"""Latency of ingest: one row and sixteen rows per call, the statement alone and with the making of the rows.

Run: python bench/index_ingest.py [folder]     (the server's folder is made there; /dev/shm shows it without a disk)

The bar: one row in 0.6 to 0.9 ms, sixteen in 1.2 to 1.7 ms, and no more when the archive has grown.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from pydicom.data import get_testdata_file

from hilum.archive.model import BlobRef, DuplicatePolicy, IngestStatus, InstanceDraft, Origin, OriginKind
from hilum.dicom.dictionary import tag_of
from hilum.dicom.header import Header, read_header
from hilum.index.embedded import EmbeddedPostgres
from hilum.index.migrate import migrate
from hilum.index.postgres import PostgresIndex, open_index
from hilum.index.rows import InstanceRow

ROUNDS = 200
CALLS = ((1, 4), (16, 4))


def template() -> Header:
    """Return the header of a real CT slice (257 attributes)."""
    raw = Path(str(get_testdata_file("CT_small.dcm"))).read_bytes()
    return read_header(raw[raw.index(b"\x08\x00\x05\x00CS") :], "1.2.840.10008.1.2.1")


def draft(header: Header, study: str, number: int) -> InstanceDraft:
    """Return one more slice of a study."""
    uids = {"StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.1", "SOPInstanceUID": f"{study}.1.{number}"}
    attributes = header.attributes | {tag_of(k): {"vr": "UI", "Value": [uid]} for k, uid in uids.items()}
    return InstanceDraft(
        Header(header.transfer_syntax_uid, attributes, {}, header.pixel_data, ()),
        BlobRef(hashlib.md5(f"{study}{number}".encode()).hexdigest(), 525_000, 300),
        hashlib.sha256(f"{study}{number}".encode()).digest(),
        Origin(OriginKind.DIMSE, "CT1", "HILUM", "127.0.0.1"),
        datetime.now(UTC),
    )


async def measure(index: PostgresIndex, header: Header, study: str, size: int, workers: int) -> str:
    """Return the latencies of calls with `size` rows, one at a time and several at a time."""
    numbers = iter(range(10**9))

    async def call() -> float:
        drafts = [draft(header, study, next(numbers)) for _ in range(size)]
        started = time.perf_counter()
        outcomes = await index.ingest(1, drafts, DuplicatePolicy.REPLACE)
        elapsed = (time.perf_counter() - started) * 1000
        assert all(outcome.status is IngestStatus.STORED for outcome in outcomes)
        return elapsed

    await call()
    alone = sorted([await call() for _ in range(ROUNDS)])
    started = time.perf_counter()
    for _ in range(ROUNDS // workers):
        await asyncio.gather(*(call() for _ in range(workers)))
    rate = ROUNDS * size / (time.perf_counter() - started)
    drafts = [draft(header, study, next(numbers)) for _ in range(200)]
    started = time.perf_counter()
    for one in drafts:
        _ = InstanceRow(one).values
    making = (time.perf_counter() - started) * 1000 / len(drafts) * size
    return (
        f"{size:3} rows: p50 {alone[ROUNDS // 2]:6.2f} ms  p95 {alone[int(ROUNDS * 0.95)]:6.2f} ms  "
        f"(making the rows {making:5.2f} ms)   {workers} at a time: {rate:8,.0f} rows/s"
    )


async def main(server: EmbeddedPostgres) -> None:
    """Measure twice, the second time with more in the tables."""
    await migrate(server.owner_address())
    header = template()
    async with open_index(server.app_address()) as index:
        for turn in range(3):
            for size, workers in CALLS:
                print(await measure(index, header, f"1.2.{turn}.{size}", size, workers))


if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp(prefix="hilum-bench-", dir=sys.argv[1] if len(sys.argv) > 1 else None))
    folder.chmod(0o755)
    embedded = EmbeddedPostgres(folder)
    embedded.start()
    try:
        asyncio.run(main(embedded))
    finally:
        embedded.stop()
        shutil.rmtree(folder)
