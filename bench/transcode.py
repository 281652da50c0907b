"""Frames per second into each transfer syntax: Hilum's service, DCMTK's tools, and WADO-RS beside Orthanc.

Run: python -m bench.transcode [--frames 60]. The service and DCMTK get one multi-frame instance; over WADO-RS each peer
gives the same series once as stored and once in other transfer syntaxes. Threads, not processes, do the work: the
`alone` column is one thread, `all` one for each processor, `lag` the longest time the event loop stood still meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.uid import generate_uid

from bench.__main__ import Series
from bench.http_load import get, median, stow
from bench.peers import Peer, hilum, orthanc
from bench.render import slice_of_a_body
from hilum.dicom import uids
from hilum.dicom.samples import ct_series
from hilum.dicom.uids import transfer_syntax
from hilum.services.transcode import TranscodeService

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.transcoding import MemoryBlobs

TARGETS = (
    uids.EXPLICIT_VR_BIG_ENDIAN,
    uids.RLE_LOSSLESS,
    uids.JPEG_LOSSLESS_SV1,
    uids.JPEG_LS_LOSSLESS,
    uids.HTJ2K_LOSSLESS,
    uids.HTJ2K_LOSSLESS_RPCL,
    uids.JPEG_2000_LOSSLESS,
    uids.JPEG_XL_LOSSLESS,
)
DCMTK = {
    uids.RLE_LOSSLESS: ("/usr/bin/dcmcrle",),
    uids.JPEG_LOSSLESS_SV1: ("/usr/bin/dcmcjpeg", "+e1"),
    uids.JPEG_LS_LOSSLESS: ("/usr/bin/dcmcjpls",),
}
OVER_HTTP = (uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.JPEG_LOSSLESS_SV1, uids.JPEG_LS_LOSSLESS, uids.HTJ2K_LOSSLESS_RPCL)


def multi_frame(frames: int) -> bytes:
    """Return an instance of many CT slices, 12 bits unsigned."""
    dataset = dcmread(BytesIO(next(iter(ct_series(1, 512, 512, 1)))))
    body = np.clip(slice_of_a_body().astype(np.int32) + 1024, 0, 4095).astype(np.uint16)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.Rows = dataset.Columns = 512
    dataset.NumberOfFrames = frames
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, 0
    dataset.PixelData = b"".join(np.roll(body, index, 1).tobytes() for index in range(frames))
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


async def rate(
    file: bytes, source: str | None, target: str, frames: int, threads: int | None
) -> tuple[float, float, int]:
    """Return frames per second, the longest pause of the event loop in ms, and the size of the result."""
    blobs = MemoryBlobs()
    service = TranscodeService(blobs, thread_count=threads)
    instance = blobs.keep(file)
    if source is not None:
        pieces = [piece async for piece in service.part10(instance, source)]
        instance = blobs.keep(b"".join(pieces))
    pause, last = 0.0, time.perf_counter()
    begun = last
    task = asyncio.ensure_future(service.data_set(instance, target))
    while not task.done():
        await asyncio.sleep(0.001)
        now = time.perf_counter()
        pause, last = max(pause, now - last), now
    size = len(await task)
    service.close()
    return frames / (last - begun), pause * 1e3, size


def rate_of_tool(command: tuple[str, ...], file: Path, folder: Path, frames: int) -> float | None:
    """Return frames per second of one run of a DCMTK tool."""
    if not Path(command[0]).exists():
        return None
    begun = time.perf_counter()
    subprocess.run([*command, str(file), str(folder / "out.dcm")], check=True, capture_output=True)
    return frames / (time.perf_counter() - begun)


def over_http(peer: Peer, series: Series) -> dict[str, float | None]:
    """Return slices per second by WADO-RS of the whole series for each transfer syntax; None if it refuses."""
    stow(peer, series.files)
    time.sleep(3)
    rates: dict[str, float | None] = {}
    for uid in OVER_HTTP:
        accept = f'multipart/related; type="application/dicom"; transfer-syntax={uid}'
        try:
            seconds = median(lambda: get(peer, f"{peer.dicomweb}{series.path}", accept), 3)  # noqa: B023
        except (OSError, RuntimeError, AssertionError) as error:
            print(f"{peer.name} {transfer_syntax(uid).keyword}: {error}", file=sys.stderr)
            rates[uid] = None
        else:
            rates[uid] = len(series.files) / seconds
    return rates


def main() -> None:
    """Print the tables."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--frames", type=int, default=60)
    arguments.add_argument("--only-service", action="store_true")
    options = arguments.parse_args()
    frames = options.frames
    file = multi_frame(frames)
    print("| frames/s of 512 x 512, 12 bits | encode, alone | all | lag, ms | decode, all | ratio | DCMTK |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)  # PostgreSQL may run as a user of its own
        path = Path(folder) / "in.dcm"
        path.write_bytes(file)
        for uid in TARGETS:
            alone, _, size = asyncio.run(rate(file, None, uid, frames, 1))
            both, lag, _ = asyncio.run(rate(file, None, uid, frames, None))
            back, back_lag, _ = asyncio.run(rate(file, uid, uids.EXPLICIT_VR_LITTLE_ENDIAN, frames, None))
            tool = rate_of_tool(DCMTK[uid], path, Path(folder), frames) if uid in DCMTK else None
            print(
                f"| {transfer_syntax(uid).keyword} | {alone:.0f} | {both:.0f} | {max(lag, back_lag):.0f} | {back:.0f} "
                f"| {len(file) / size:.2f} | {f'{tool:.0f}' if tool else ''} |"
            )
        if options.only_service:
            return
        series = Series(100, 512, 7)
        rows = {}
        with hilum(Path(folder), 1) as peer:
            rows["Hilum"] = over_http(peer, series)
        with orthanc(Path(folder)) as other:
            if other is not None:
                rows["Orthanc"] = over_http(other, series)
    print(
        "\n| WADO-RS of 100 slices, slices/s | " + " | ".join(transfer_syntax(uid).keyword for uid in OVER_HTTP) + " |"
    )
    print("|---|" + "---|" * len(OVER_HTTP))
    for name, found in rows.items():
        print(f"| {name} | " + " | ".join(f"{value:.0f}" if value else "refused" for value in found.values()) + " |")


if __name__ == "__main__":
    main()
