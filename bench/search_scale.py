"""`python -m bench.search_scale 1000 1000000`: searches over the wire in a small and in a large archive.

`hilum serve` with one worker is asked by C-FIND and by QIDO-RS for studies that are there. The bar: p95 in the large
archive is at most 1.5 times that in the small one, by patient, date, modality and accession number. A C-FIND has no
limit, so what is measured is the time to its first answer; by patient and by accession number all answers come with it.
QIDO-RS is asked for 25 studies. Filling a million studies takes minutes: `--keep FOLDER` keeps the archives.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import shutil
import statistics
import tempfile
import time
import urllib.parse
from pathlib import Path

from bench.dimse_query import PLAIN, find
from bench.filled_archive import keep_filled
from bench.peers import Peer, hilum

ROUNDS = 60
Keys = dict[str, str]


class Qido:
    """One kept connection to the archive's QIDO-RS."""

    def __init__(self, peer: Peer) -> None:
        self._path = f"{peer.dicomweb}/studies"
        self._headers = peer.headers | {"Accept": "application/dicom+json"}
        self._connection = http.client.HTTPConnection("127.0.0.1", peer.http_port)

    def search(self, **keys: str) -> list[dict]:
        """Return the studies that match, at most 25."""
        self._connection.request(
            "GET", f"{self._path}?{urllib.parse.urlencode({'limit': '25', **keys})}", headers=self._headers
        )
        response = self._connection.getresponse()
        content = response.read()
        assert response.status in (200, 204), (response.status, content)
        return json.loads(content) if content else []


def questions(qido: Qido, studies: int) -> dict[str, list[Keys]]:
    """Return what is asked, each kind with values that vary, taken from studies that are there."""
    chosen = random.Random(7)
    some = [qido.search(PatientID=f"P{chosen.randint(1, studies // 2)}")[0] for _ in range(ROUNDS)]

    def taken(*tags: str) -> list[tuple[str, ...]]:
        return [tuple(study[tag]["Value"][0] for tag in tags) for study in some]

    dated = taken("00080020", "00080061")
    names = [name["Alphabetic"] for (name,) in taken("00100010")]
    return {
        "patient ID": [{"PatientID": p} for (p,) in taken("00100020")],
        "accession number": [{"AccessionNumber": a} for (a,) in taken("00080050")],
        "date": [{"StudyDate": date} for date, _ in dated],
        "modality": [{"ModalitiesInStudy": modality} for _, modality in dated],
        "modality and date": [{"ModalitiesInStudy": m, "StudyDate": d} for d, m in dated],
        "modality and month": [{"ModalitiesInStudy": m, "StudyDate": f"{d[:6]}01-{d}"} for d, m in dated],
        "name": [{"PatientName": name} for name in names],
        "beginning of a name": [
            {"PatientName": name["Alphabetic"].split()[0][:-1] + "*"} for (name,) in taken("00100010")
        ],
        "no key": [{} for _ in some],
    }


def measure(peer: Peer, studies: int) -> dict[str, list[float]]:
    """Return times in milliseconds by what was asked and how."""
    qido = Qido(peer)
    results: dict[str, list[float]] = {}
    for kind, asked in questions(qido, studies).items():
        for keys in asked[:10]:
            qido.search(**keys)
        by_find, by_qido = [], []
        for keys in asked:
            begin = time.perf_counter()
            assert qido.search(**keys), (kind, keys)
            by_qido.append((time.perf_counter() - begin) * 1e3)
        for keys in asked:
            # The one before was cancelled in the middle; this one lets the archive come to rest.
            find(peer, PLAIN, PatientID="P1")
            _, pending, first, _ = find(peer, PLAIN, enough=1, **keys)
            assert pending, (kind, keys)
            by_find.append(first * 1e3)
        results |= {f"{kind}, C-FIND": by_find, f"{kind}, QIDO-RS": by_qido}
    return results


def main() -> None:
    """Run the benchmark and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.search_scale", description=__doc__)
    parser.add_argument("studies", type=int, nargs="*", default=[1000, 1_000_000])
    parser.add_argument("--keep", type=Path, help="folder of archives that were, and stay, filled")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    folder = options.keep or Path(tempfile.mkdtemp(prefix="hilum-bench-"))
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    try:
        results: dict[int, dict[str, list[list[float]]]] = {}
        for studies in options.studies:
            keep_filled(folder / str(studies) / "hilum", studies)
        for _ in range(options.runs):
            for studies in options.studies:
                with hilum(folder / str(studies), 1) as peer:
                    for kind, measured in measure(peer, studies).items():
                        results.setdefault(studies, {}).setdefault(kind, []).append(measured)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print("| p50 / p95, ms | " + " | ".join(f"{n:,} studies" for n in results) + " | p95 ratio |")
    print("|---" * (len(results) + 2) + "|")
    for kind in results[options.studies[0]]:
        p95s, cells = [], []
        for each in results.values():
            ordered = [sorted(times) for times in each[kind]]
            p50 = statistics.median(times[len(times) // 2] for times in ordered)
            p95s.append(statistics.median(times[int(len(times) * 0.95)] for times in ordered))
            cells.append(f"{p50:.1f} / {p95s[-1]:.1f}")
        print(f"| {kind} | {' | '.join(cells)} | {p95s[-1] / p95s[0]:.1f} |")


if __name__ == "__main__":
    main()
