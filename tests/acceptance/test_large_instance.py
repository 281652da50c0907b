"""An instance of four gigabytes goes in and comes out again while the worker's memory stays flat.

The file to send is sparse: it takes no room on the disk, and what Hilum keeps of it takes all.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from hilum.dicom.part10 import read_file_meta
from support.dicomweb import BOUNDARY, STOW_TYPE
from support.instances import ct_slice, part10
from support.running import RunningHilum, running_hilum

MIB = 1024 * 1024
SIDE = 1000
FRAME_BYTES = 2 * SIDE * SIDE
FRAMES = 2000
# What one request may hold, whatever the instance's size: a few pieces on their way, and buffers of libraries.
MOST_GROWTH_BYTES = 160 * MIB
STORESCU = Path("/usr/bin/storescu")


@pytest.fixture(scope="module")
def hilum() -> Iterator[RunningHilum]:
    with running_hilum() as running:
        free = shutil.disk_usage(running.data).free
        if free < 12 * 1024 * MIB:
            pytest.skip(f"needs 12 GiB where temporary files are, there are {free // MIB:,} MiB: set TMPDIR")
        yield running


def write_sparse(path: Path, sop_instance_uid: str) -> None:
    """Write a multi-frame CT of 4 GB whose frames are zero but for the first, the middle and the last."""
    dataset = ct_slice(side=SIDE)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = sop_instance_uid
    dataset.NumberOfFrames = FRAMES
    file = part10(dataset)
    at = file.rindex(b"\xe0\x7f\x10\x00OW\0\0")
    with path.open("wb") as target:
        target.write(file[:at] + b"\xe0\x7f\x10\x00OW\0\0" + (FRAMES * FRAME_BYTES).to_bytes(4, "little"))
        begin = target.tell()
        for index in (0, FRAMES // 2, FRAMES - 1):
            target.seek(begin + index * FRAME_BYTES)
            target.write(frame(index))
        target.truncate(begin + FRAMES * FRAME_BYTES)


def frame(index: int) -> bytes:
    """Return the bytes of a frame that is not zero."""
    return hashlib.sha256(bytes((index % 251,))).digest() * (FRAME_BYTES // 32)


def data_set_digest(chunks: Iterator[bytes]) -> tuple[str, int]:
    """Return digest and length of what follows the file meta information."""
    first = next(chunks)
    rest = first[read_file_meta(first).data_set_offset :]
    digest, size = hashlib.blake2b(rest), len(rest)
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size


def chunks_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(MIB):
            yield chunk


@contextmanager
def flat_memory(hilum: RunningHilum) -> Iterator[None]:
    """Watch the anonymous memory of the workers; it must not grow by more than a bound."""
    (worker,) = hilum.workers()
    before = anonymous_bytes(worker)
    peak = before
    is_over = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not is_over.wait(0.02):
            peak = max(peak, anonymous_bytes(worker))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield
    finally:
        is_over.set()
        watching.join()
    assert peak - before < MOST_GROWTH_BYTES, f"grew by {(peak - before) / MIB:.0f} MiB"


def anonymous_bytes(process: psutil.Process) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon:"))


@pytest.fixture(scope="module")
def large(hilum: RunningHilum, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file, sent by DCMTK."""
    if not STORESCU.exists():
        pytest.skip("DCMTK is not installed: apt-get install dcmtk")
    path = tmp_path_factory.mktemp("large") / "large.dcm"
    write_sparse(path, "1.2.826.0.1.3680043.9.7433.4000.1")
    with flat_memory(hilum):
        subprocess.run(
            [STORESCU, "--max-send-pdu", "131072", "-aec", hilum.ae_title, "127.0.0.1", str(hilum.dicom_port), path],
            check=True, capture_output=True, timeout=300,
        )  # fmt: skip
    return path


def instance_path(hilum: RunningHilum) -> str:
    with hilum.client() as client:
        (found,) = client.get("/dicom-web/instances?limit=2").json()
    study, series, instance = (found[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018"))
    return f"/dicom-web/studies/{study}/series/{series}/instances/{instance}"


def test_what_storescu_sent_comes_out_by_wado_rs_byte_for_byte(hilum: RunningHilum, large: Path) -> None:
    with (
        hilum.client() as client,
        flat_memory(hilum),
        client.stream("GET", instance_path(hilum), headers={"Accept": "application/dicom"}) as answer,
    ):
        assert answer.status_code == 200
        assert data_set_digest(answer.iter_bytes(MIB)) == data_set_digest(chunks_of(large))


def test_a_frame_is_one_range_read_wherever_it_lies(hilum: RunningHilum, large: Path) -> None:
    path = instance_path(hilum)
    accept = {"Accept": "application/octet-stream; transfer-syntax=*"}
    with hilum.client() as client, flat_memory(hilum):
        for index in (0, FRAMES // 2, FRAMES - 1):
            answer = client.get(f"{path}/frames/{index + 1}", headers=accept)
            assert answer.status_code == 200
            assert answer.content == frame(index)
        rendered = client.get(f"{path}/frames/{FRAMES}/rendered", headers={"Accept": "image/jpeg"})
        assert rendered.status_code == 200
        assert client.get(f"{path}/metadata").json()[0]["00280008"]["Value"] == [FRAMES]


def test_stow_rs_takes_it_in_flat_memory_too(hilum: RunningHilum, large: Path) -> None:
    head = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()

    def body() -> Iterator[bytes]:
        yield head
        yield from chunks_of(large)
        yield f"\r\n--{BOUNDARY}--\r\n".encode()

    with hilum.client() as client, flat_memory(hilum):
        answer = client.post("/dicom-web/studies", content=body(), headers={"Content-Type": STOW_TYPE}, timeout=300)
    assert answer.status_code == 200
    # The same bytes again: nothing is kept twice.
    for _ in range(100):
        if sum(blob.stat().st_size for blob in (hilum.data / "blobs").rglob("*.dcm")) < 1.5 * large.stat().st_size:
            break
        time.sleep(0.1)
    else:
        raise AssertionError("the superfluous blob stays")
