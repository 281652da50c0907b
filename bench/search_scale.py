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
from contextlib import ExitStack
from pathlib import Path

from bench.dimse_query import PLAIN, find
from bench.filled_archive import keep_filled
from bench.peers import Peer, hilum

ROUNDS = 60
WARM_UP = 10
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


def measure(peers: dict[int, Peer]) -> dict[str, dict[int, list[float]]]:
    """Return times in milliseconds by what was asked and how, and by archive.

    The archives are asked in turns, so that what else the machine does meets them alike.
    """
    qidos = {studies: Qido(peer) for studies, peer in peers.items()}
    asked = {studies: questions(qido, studies) for studies, qido in qidos.items()}
    results: dict[str, dict[int, list[float]]] = {}
    for kind in next(iter(asked.values())):
        by_find = results.setdefault(f"{kind}, C-FIND", {studies: [] for studies in peers})
        by_qido = results.setdefault(f"{kind}, QIDO-RS", {studies: [] for studies in peers})
        for round_ in range(-WARM_UP, ROUNDS):
            for studies, peer in peers.items():
                keys = asked[studies][kind][round_]
                begin = time.perf_counter()
                assert qidos[studies].search(**keys), (kind, keys)
                by_qido[studies].append((time.perf_counter() - begin) * 1e3)
                _, pending, first, _ = find(peer, PLAIN, enough=1, **keys)
                assert pending, (kind, keys)
                by_find[studies].append(first * 1e3)
                # The one before was cancelled in the middle; this one lets the archive come to rest.
                find(peer, PLAIN, PatientID="P1")
    return {kind: {n: times[WARM_UP:] for n, times in each.items()} for kind, each in results.items()}


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
    runs = []
    try:
        for studies in options.studies:
            keep_filled(folder / str(studies) / "hilum", studies)
        for _ in range(options.runs):
            with ExitStack() as stack:
                peers = {n: stack.enter_context(hilum(folder / str(n), 1)) for n in options.studies}
                runs.append(measure(peers))
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print("| p50 / p95, ms | " + " | ".join(f"{n:,} studies" for n in options.studies) + " | p95 ratio |")
    print("|---" * (len(options.studies) + 2) + "|")
    for kind in runs[0]:
        p95s, cells = [], []
        for studies in options.studies:
            ordered = [sorted(run[kind][studies]) for run in runs]
            p50 = statistics.median(times[len(times) // 2] for times in ordered)
            p95s.append(statistics.median(times[int(len(times) * 0.95)] for times in ordered))
            cells.append(f"{p50:.1f} / {p95s[-1]:.1f}")
        print(f"| {kind} | {' | '.join(cells)} | {p95s[-1] / p95s[0]:.1f} |")


if __name__ == "__main__":
    main()
