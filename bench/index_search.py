"""Latency of searches in a small and in a large archive: p95 by patient, name, date, accession number, modality.

Run: python -m bench.index_search [small] [large]     (numbers of studies; 1,000 and 200,000 by default)

The rows are made inside the server, two series with two instances per study; the server is an embedded one in a
temporary folder. The bar: p95 in the large archive is at most 1.5 times that in the small one.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import asyncpg

from bench.filled_archive import FAMILIES, days, fill
from hilum.archive.query import Level, Match, Query
from hilum.dicom.dictionary import path_of, vr_of
from hilum.dicom.matching import parse_condition
from hilum.index.embedded import EmbeddedPostgres
from hilum.index.migrate import migrate
from hilum.index.postgres import PostgresIndex, open_index

ROUNDS = 60


async def new_tenant(server: EmbeddedPostgres, studies: int) -> int:
    """Make a tenant with so many studies."""
    owner = await asyncpg.connect(**server.owner_address().connect_arguments())
    tenant_id = int(await owner.fetchval("INSERT INTO tenant (name) VALUES ($1) RETURNING tenant_id", str(studies)))
    await owner.close()
    await fill(server, tenant_id, studies)
    return tenant_id


def questions(tenant_id: int, studies: int) -> dict[str, list[tuple[Level, dict[str, str]]]]:
    """Return what is asked, each kind with values that vary."""
    rng = random.Random(7)

    def day(number: int) -> str:
        return f"{date(2026, 1, 1) - timedelta(number % days(studies)):%Y%m%d}"

    def one(make: object) -> list[tuple[Level, dict[str, str]]]:
        return [(Level.STUDY, make(rng.randint(1, studies // 2))) for _ in range(ROUNDS)]  # type: ignore[operator]

    return {
        "no key, newest first": one(lambda n: {}),
        "patient id": one(lambda n: {"PatientID": f"P{n}"}),
        "name prefix, rare": one(lambda n: {"PatientName": f"{FAMILIES[n % 10]}{n % 4096:03x}*"}),
        "name prefix, common": one(lambda n: {"PatientName": f"{FAMILIES[n % 10]}*"}),
        "name anywhere": one(lambda n: {"PatientName": f"*{n % 65536:04x}*"}),
        "date": one(lambda n: {"StudyDate": day(n)}),
        "date range": one(lambda n: {"StudyDate": f"{day(n)[:4]}0101-{day(n)}"}),
        "accession number": one(lambda n: {"AccessionNumber": f"A{n}0"}),
        "modality, common": one(lambda n: {"ModalitiesInStudy": "CT"}),
        "modality, rare": one(lambda n: {"ModalitiesInStudy": "XA"}),
        "modality and date": one(lambda n: {"ModalitiesInStudy": "MR", "StudyDate": f"{day(n)[:6]}01-{day(n)}"}),
        "study uid": one(lambda n: {"StudyInstanceUID": f"1.2.{tenant_id}.{n}.0"}),
        "series of a study": [
            (Level.SERIES, {"StudyInstanceUID": f"1.2.{tenant_id}.{rng.randint(1, studies // 2)}.0"})
            for _ in range(ROUNDS)
        ],
    }


async def measure(
    index: PostgresIndex, tenant_id: int, asked: list[tuple[Level, dict[str, str]]]
) -> tuple[float, float, float]:
    """Return median and p95 in milliseconds, and how many answers came on average."""
    times, answers = [], 0
    for level, keys in asked:
        matches = tuple(Match(path_of(k), parse_condition(vr_of(path_of(k)[-1]), v)) for k, v in keys.items())
        query = Query(level, matches, limit=25)
        started = time.perf_counter()
        answers += len([row async for row in index.search(tenant_id, query)])
        times.append((time.perf_counter() - started) * 1000)
    times.sort()
    return times[len(times) // 2], times[int(len(times) * 0.95)], answers / len(asked)


async def main(server: EmbeddedPostgres, sizes: list[int]) -> None:
    """Fill, ask, print."""
    await migrate(server.owner_address())
    results: dict[str, list[tuple[float, float, float]]] = {}
    async with open_index(server.app_address()) as index:
        for size in sizes:
            tenant_id = await new_tenant(server, size)
            for kind, asked in questions(tenant_id, size).items():
                await measure(index, tenant_id, asked[:5])
                results.setdefault(kind, []).append(await measure(index, tenant_id, asked))
    print(f"{'':24}" + "".join(f"{size:>12,} p50    p95  found" for size in sizes) + "   p95 ratio")
    for kind, measured in results.items():
        columns = "".join(f"{p50:16.2f} {p95:6.2f} {found:6.1f}" for p50, p95, found in measured)
        print(f"{kind:24}{columns} {measured[-1][1] / measured[0][1]:9.2f}")


if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp(prefix="hilum-bench-"))
    folder.chmod(0o755)
    embedded = EmbeddedPostgres(folder)
    embedded.start()
    try:
        asyncio.run(main(embedded, [int(a) for a in sys.argv[1:]] or [1_000, 200_000]))
    finally:
        embedded.stop()
        shutil.rmtree(folder)
