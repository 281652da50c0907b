"""`python -m bench.dimse_retrieve`: C-GET and C-MOVE of a study, as it is stored and converted, beside peers.

Hilum, Orthanc and DCMTK's dcmqrscp get the same generated CT series and give it to the same sink, one after the other.
Processor time is that of the peer and its children.
"""

from __future__ import annotations

import argparse
import io
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import imagecodecs
import psutil
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGLSLossless, generate_uid

from bench.dimse_sink import listening_sink, retrieve
from bench.peers import Peer, free_port, hilum, orthanc
from hilum.dicom.samples import ct_series


def make_files(slices: int, side: int) -> tuple[list[bytes], list[bytes]]:
    """Return a series as it is, and another one of the same slices in JPEG-LS."""
    files = list(ct_series(slices, side, side, 1))
    study, series = generate_uid(), generate_uid()
    compressed = []
    for file in files:
        dataset = dcmread(io.BytesIO(file))
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.PixelData = encapsulate([imagecodecs.jpegls_encode(dataset.pixel_array.view("uint16"))])
        dataset["PixelData"].VR = "OB"
        dataset.file_meta.TransferSyntaxUID = JPEGLSLossless
        buffer = io.BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        compressed.append(buffer.getvalue())
    return files, compressed


def study_of(file: bytes) -> str:
    """Return the Study Instance UID."""
    return str(dcmread(io.BytesIO(file), stop_before_pixels=True).StudyInstanceUID)


def processor_time(pid: int) -> float:
    """Return the seconds of processor time a process and its children have used."""
    process = psutil.Process(pid)
    own = process.cpu_times()
    # Children that have ended are in the process's own account.
    return sum(own[:4]) + sum(sum(each.cpu_times()[:2]) for each in process.children(recursive=True))


@contextmanager
def dcmqrscp(folder: Path, sink_port: int) -> Iterator[Peer | None]:
    """Run DCMTK's archive with its data below the folder; None when it is not installed."""
    binary = Path("/usr/bin/dcmqrscp")
    if not binary.exists():
        yield None
        return
    home = folder / "dcmqrscp"
    home.mkdir()
    port = free_port()
    (home / "dcmqrscp.cfg").write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 131072\nMaxAssociations = 16\n"
        f"HostTable BEGIN\nsink = (SINK, 127.0.0.1, {sink_port})\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nDCMQRSCP {home} RW (1000, 10gb) ANY\nAETable END\n"
    )
    process = subprocess.Popen(
        [str(binary), "-c", str(home / "dcmqrscp.cfg")], env={"TCP_NODELAY": "1"}, stderr=subprocess.DEVNULL
    )
    time.sleep(0.5)
    try:
        yield Peer("dcmqrscp", port, "DCMQRSCP", 0, "", {}, process.pid)
    finally:
        process.terminate()
        process.wait()


def send(peer: Peer, folder: Path) -> None:
    """Store all files of a folder by DCMTK's dcmsend, each as it is."""
    subprocess.run(
        ["/usr/bin/dcmsend", "-dn", "-aec", peer.ae_title, "127.0.0.1", str(peer.dicom_port), "+sd", str(folder)],
        check=True, env={"TCP_NODELAY": "1"}, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def measure(peer: Peer, studies: dict[str, str], count: int, times: int) -> dict[str, float]:
    """Return rates in instances/s, and processor time in ms for each instance."""
    rows: dict[str, float] = {}
    for how, study in studies.items():
        for verb, destination in (("C-GET", None), ("C-MOVE", "SINK")):
            seconds, used = [], []
            for _ in range(times):
                before = processor_time(peer.pid)
                elapsed, sink, status = retrieve(peer.dicom_port, peer.ae_title, study, move_to=destination)
                if status != 0 or (destination is None and sink.instances != count):
                    print(f"{peer.name}: {verb} {how}: status {status:04X}, {sink.instances} instances")
                    break
                seconds.append(elapsed)
                used.append(processor_time(peer.pid) - before)
            if seconds:
                rows[f"{verb}, {how}, instances/s"] = count / statistics.median(seconds)
                rows[f"{verb}, {how}, processor ms"] = 1e3 * statistics.median(used) / count
    return rows


def main() -> None:
    """Run the benchmark and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.dimse_retrieve", description=__doc__)
    parser.add_argument("--slices", type=int, default=400)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--associations", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--peers", nargs="*", default=["hilum", "orthanc", "dcmqrscp"])
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="hilum-bench-", dir="/dev/shm"))
    folder.chmod(0o711)
    try:
        run(folder, options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(folder: Path, options: argparse.Namespace) -> None:
    """Measure all peers and print their table."""
    stored, compressed = make_files(options.slices, options.side)
    studies = {"as stored": study_of(stored[0]), "from JPEG-LS": study_of(compressed[0])}
    for name, files in (("stored", stored), ("compressed", compressed)):
        (folder / name).mkdir()
        for number, file in enumerate(files):
            (folder / name / f"{number}.dcm").write_bytes(file)
    results: dict[str, dict[str, float]] = {}
    with listening_sink() as (port, _):
        if "hilum" in options.peers:
            with hilum(folder, 1) as peer:
                for name in ("stored", "compressed"):
                    send(peer, folder / name)
                for count in options.associations:
                    register(folder / "hilum", port, count)
                    rows = measure(peer, studies, options.slices, options.times)
                    results[f"Hilum, {count} association{'s' * (count > 1)} to the destination"] = rows
        if "orthanc" in options.peers:
            with orthanc(folder) as peer:
                if peer is not None:
                    body = f'["SINK", "127.0.0.1", {port}]'.encode()
                    url = f"http://127.0.0.1:{peer.http_port}/modalities/sink"
                    urllib.request.urlopen(urllib.request.Request(url, body, method="PUT"), timeout=10).read()
                    for name in ("stored", "compressed"):
                        send(peer, folder / name)
                    results[peer.name] = measure(peer, studies, options.slices, options.times)
        if "dcmqrscp" in options.peers:
            with dcmqrscp(folder, port) as peer:
                if peer is not None:
                    send(peer, folder / "stored")
                    as_stored = {"as stored": studies["as stored"]}
                    results[peer.name] = measure(peer, as_stored, options.slices, options.times)
    rows = dict.fromkeys(row for each in results.values() for row in each)
    print("| | " + " | ".join(results) + " |\n" + "|---" * (len(results) + 1) + "|")
    for row in rows:
        cells = (f"{each[row]:,.{1 if row.endswith('ms') else 0}f}" if row in each else "" for each in results.values())
        print(f"| {row} | " + " | ".join(cells) + " |")


def register(data: Path, port: int, associations: int) -> None:
    """Let Hilum know the sink."""
    hilum = [sys.executable, "-m", "hilum", "remote"]
    quiet = {"check": False, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([*hilum, "remove", "SINK", "--data", str(data)], **quiet)
    command = ["add", f"SINK@127.0.0.1:{port}", "--max-associations", str(associations), "--data", str(data)]
    subprocess.run([*hilum, *command], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
