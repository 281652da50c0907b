"""`python -m bench`: Hilum beside Orthanc, nginx and the disk itself, one run, ratios.

Every peer gets the same generated CT series from the same sender, one peer after the other, in fresh folders on the
same storage. Times are medians; what counts is the ratio.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from io import BytesIO
from pathlib import Path

from pydicom import dcmread

from bench.dimse_sender import Instance, send_all
from bench.disk import write_files
from bench.http_load import get, median, stow
from bench.peers import Peer, hilum, nginx, orthanc
from hilum.dicom.part10 import read_file_meta
from hilum.dicom.samples import ct_series

_MULTIPART = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_OCTETS = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'


class Series:
    """A generated series in the forms the loads need."""

    def __init__(self, slices: int, side: int, seed: int) -> None:
        self.files = list(ct_series(slices, side, side, seed))
        self.instances: list[Instance] = []
        for content in self.files:
            meta = read_file_meta(content)
            self.instances.append(Instance(meta.media_storage_sop_instance_uid or "", content[meta.data_set_offset :]))
        first = dcmread(BytesIO(self.files[0]), stop_before_pixels=True)
        self.study, self.series = str(first.StudyInstanceUID), str(first.SeriesInstanceUID)
        self.path = f"/studies/{self.study}/series/{self.series}"
        self.size = sum(map(len, self.files))


def measure(peer: Peer, series: list[Series], many: Series, times: int) -> dict[str, float]:
    """Return what each row of the table took: rates in instances/s, times in ms."""
    one, eight, stowed = series
    rows: dict[str, float] = {}
    count = len(one.instances)
    rows["C-STORE, 1 association, instances/s"] = count / send_all(
        "127.0.0.1", peer.dicom_port, peer.ae_title, one.instances, 1
    )
    rows["C-STORE, 8 associations, instances/s"] = count / send_all(
        "127.0.0.1", peer.dicom_port, peer.ae_title, eight.instances, 8
    )
    rows["STOW-RS, instances/s"] = count / stow(peer, stowed.files)
    for start in range(0, len(many.files), 250):
        stow(peer, many.files[start : start + 250])
    time.sleep(8)  # what a quiet series is prepared for happens now, at every peer
    root = peer.dicomweb
    rows["WADO-RS study, MB/s"] = (
        one.size
        / 1e6
        / median(lambda: get(peer, f"{root}/studies/{one.study}", _MULTIPART, least_bytes=one.size), times)
    )
    rows[f"/metadata of {len(many.files)} instances, ms"] = 1e3 * median(
        lambda: get(peer, f"{root}{many.path}/metadata", "application/dicom+json"), times
    )
    rows[f"/metadata of {len(many.files)} instances, gzip, ms"] = 1e3 * median(
        lambda: get(peer, f"{root}{many.path}/metadata", "application/dicom+json", gzip=True), times
    )
    rows[f"QIDO-RS {count} instances, ms"] = 1e3 * median(
        lambda: get(peer, f"{root}{one.path}/instances?limit={count}", "application/dicom+json"), times
    )
    rows["QIDO-RS studies, ms"] = 1e3 * median(
        lambda: get(peer, f"{root}/studies?limit=100", "application/dicom+json"), times
    )
    middle = f"{root}{one.path}/instances/{one.instances[count // 2].sop_instance_uid}"
    rows["one frame, ms"] = 1e3 * median(lambda: get(peer, f"{middle}/frames/1", _OCTETS), 5 * times)
    rows["one rendered JPEG, ms"] = 1e3 * median(lambda: get(peer, f"{middle}/rendered", "image/jpeg"), 5 * times)
    return rows


def main() -> None:
    """Run the benchmark and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--storage", choices=("memory", "disk", "both"), default="both")
    parser.add_argument("--slices", type=int, default=400)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    options = parser.parse_args()
    print("making series ...", flush=True)
    series = [Series(options.slices, 512, seed) for seed in (1, 2, 3)]
    many = Series(1000, 64, 4)
    kinds = ("memory", "disk") if options.storage == "both" else (options.storage,)
    for kind in kinds:
        base = Path("/dev/shm") if kind == "memory" else Path(tempfile.gettempdir())
        folder = Path(tempfile.mkdtemp(prefix="hilum-bench-", dir=base))
        folder.chmod(0o711)
        try:
            run(kind, folder, series, many, options)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def run(kind: str, folder: Path, series: list[Series], many: Series, options: argparse.Namespace) -> None:
    """Measure all peers on one kind of storage and print their table."""
    results: dict[str, dict[str, float]] = {}
    for workers in options.workers:
        with hilum(folder / f"w{workers}", workers) as peer:
            results[peer.name] = measure(peer, series, many, options.times)
    with orthanc(folder) as peer:
        if peer is not None:
            results[peer.name] = measure(peer, series, many, options.times)
    raw = measure_floor(folder, series[0], options)
    print(f"\nstorage: {kind}; {options.slices} CT slices of {series[0].size / options.slices / 1024:.0f} KiB\n")
    names = list(results)
    header = ["", *names, *(f"{name} / Orthanc" for name in names if "Orthanc" in results and name != "Orthanc")]
    print("| " + " | ".join(header) + " |\n" + "|---" * len(header) + "|")
    for row in results[names[0]]:
        cells = [row, *(f"{results[name][row]:,.1f}" for name in names)]
        if "Orthanc" in results:
            for name in names:
                if name != "Orthanc":
                    ratio = results[name][row] / results["Orthanc"][row]
                    cells.append(f"{1 / ratio if row.endswith('ms') else ratio:.2f} x")
        print("| " + " | ".join(cells) + " |")
    print()
    for name, value in raw.items():
        print(f"{name}: {value:,.1f}")


def measure_floor(folder: Path, series: Series, options: argparse.Namespace) -> dict[str, float]:
    """Return what storage and network give without an archive: durable writes, and nginx serving the same bytes."""
    floor: dict[str, float] = {}
    for writers in (1, 8):
        seconds = write_files(folder / f"floor{writers}", series.files, writers=writers)
        floor[f"the disk itself, {writers} writer(s), write, rename, 3 fsyncs, files/s"] = len(series.files) / seconds
    content = folder / "www" / "study.bin"
    content.parent.mkdir()
    content.parent.chmod(0o755)
    content.write_bytes(b"".join(series.files))
    with nginx(folder, content) as port:
        if port is not None:
            peer = Peer("nginx", 0, "", port, "")
            floor["nginx serving the same bytes, MB/s"] = (
                series.size
                / 1e6
                / median(lambda: get(peer, "/study.bin", "*/*", least_bytes=series.size), options.times)
            )
    return floor


if __name__ == "__main__":
    main()
