"""`python -m bench.dimse_send`: a stored series sent to a fast receiver, beside Orthanc and DCMTK's senders.

All send the same files to the same receiver, which drops what comes. Hilum and Orthanc send what they have stored, in
memory; DCMTK sends files. Hilum is timed around the sending of an open archive, Orthanc around its REST call, DCMTK's
programs around their whole life, which is a few hundredths of a second longer than their sending.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from bench.dimse_retrieve import make_files, send, study_of
from bench.dimse_sink import Sink, listening_sink
from bench.peers import Peer, orthanc
from hilum.app.loop import run
from hilum.app.settings import load_settings
from hilum.archive.remotes import RemoteAe
from hilum.cli.archive import import_, opened


def send_stored(
    results: multiprocessing.Queue, data: str, study: str, port: int, associations: int, times: int
) -> None:
    """Send a study of Hilum's archive again and again; puts the seconds each time took."""

    async def work() -> list[float]:
        seconds = []
        async with opened(load_settings(None, overrides={"data": data})) as archive:
            tenant_id = archive.tenant.tenant_id
            remote = RemoteAe(0, tenant_id, "SINK", "127.0.0.1", port, max_associations=associations)
            instances = await archive.retrieve.instances(tenant_id, study)
            for _ in range(times):
                begun = time.perf_counter()
                async for sent in archive.sender.send(remote, instances, calling_ae_title="HILUM"):
                    assert sent.status == 0, sent
                seconds.append(time.perf_counter() - begun)
        return seconds

    results.put(run(work()))


def timed(sink: Sink, count: int, times: int, work: Callable[[], object]) -> list[float]:
    """Return the seconds the work took each time, once it is sure that everything arrived."""
    seconds = []
    for _ in range(times):
        before, begun = sink.instances, time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
        assert sink.instances - before == count, "not everything arrived"
    return seconds


def measure_hilum(folder: Path, study: str, port: int, options: argparse.Namespace) -> dict[str, list[float]]:
    """Return Hilum's times by number of associations."""
    data = folder / "hilum"
    import_(folder / "files", data=data)
    rows = {}
    for associations in options.associations:
        results: multiprocessing.Queue = multiprocessing.get_context("spawn").Queue()
        process = multiprocessing.get_context("spawn").Process(
            target=send_stored, args=(results, str(data), study, port, associations, options.times)
        )
        process.start()
        rows[f"Hilum, {associations} association{'s' * (associations > 1)}"] = results.get(timeout=300)
        process.join()
    return rows


def measure_orthanc(peer: Peer, study: str, sink: Sink, port: int, count: int, times: int) -> list[float]:
    """Return Orthanc's times."""

    def ask(path: str, body: object, method: str = "POST") -> bytes:
        request = urllib.request.Request(
            f"http://127.0.0.1:{peer.http_port}{path}", json.dumps(body).encode(), method=method
        )
        with urllib.request.urlopen(request, timeout=300) as answer:
            content: bytes = answer.read()
        return content

    ask("/modalities/sink", ["SINK", "127.0.0.1", port], "PUT")
    (found,) = json.loads(ask("/tools/find", {"Level": "Study", "Query": {"StudyInstanceUID": study}}))
    return timed(sink, count, times, lambda: ask("/modalities/sink/store", {"Resources": [found], "Synchronous": True}))


def main() -> None:
    """Run the benchmark and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.dimse_send", description=__doc__)
    parser.add_argument("--slices", type=int, default=400)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--associations", type=int, nargs="*", default=[1, 2])
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="hilum-bench-", dir="/dev/shm"))
    folder.chmod(0o711)
    try:
        stored, _ = make_files(options.slices, options.side)
        (folder / "files").mkdir()
        for number, file in enumerate(stored):
            (folder / "files" / f"{number}.dcm").write_bytes(file)
        with listening_sink() as (port, sink):
            study, size_bytes = study_of(stored[0]), sum(map(len, stored))
            rows = measure_hilum(folder, study, port, options)
            with orthanc(folder) as peer:
                if peer is not None:
                    send(peer, folder / "files")
                    rows["Orthanc"] = measure_orthanc(peer, study, sink, port, options.slices, options.times)
            for program, *more in (("storescu", "--propose-little", "+sd"), ("dcmsend", "+sd")):
                if Path(f"/usr/bin/{program}").exists():
                    command = [f"/usr/bin/{program}", "-aec", "SINK", *more[:-1], "127.0.0.1", str(port)]
                    command += [more[-1], str(folder / "files")]
                    rows[program] = timed(
                        sink, options.slices, options.times,
                        lambda command=command: subprocess.run(
                            command, check=True, stdout=subprocess.DEVNULL, env={"TCP_NODELAY": "1"}
                        ),
                    )  # fmt: skip
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("| sender | instances/s | MB/s |\n|---|---|---|")
    for name, seconds in rows.items():
        median = statistics.median(seconds)
        print(f"| {name} | {options.slices / median:,.0f} | {size_bytes / median / 1e6:,.0f} |")


if __name__ == "__main__":
    main()
