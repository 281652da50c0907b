"""What Hilum transcodes is read by DCMTK, Orthanc and pydicom, and no validator finds new faults (PS3.5 §8.2)."""

from __future__ import annotations

import asyncio
import subprocess
import warnings
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.data import get_testdata_files

from hilum.dicom import uids
from hilum.dicom.uids import transfer_syntax
from hilum.kernel.errors import HilumError, Unsupported
from hilum.pixels.description import PixelDescription
from hilum.pixels.encoders import ENCODING_PROFILES, Loss, LossKind, check_encodable
from hilum.services.transcode import TranscodeService
from support.images import ImageKind
from support.peers import orthanc
from support.transcoding import MemoryBlobs, read, transcode, transcoded

KINDS = {
    "grey 6": ImageKind(33, 45, bits_allocated=8, bits_stored=6),
    "grey 8": ImageKind(33, 45, frames=3, bits_allocated=8, bits_stored=8),
    "grey 12": ImageKind(33, 45, frames=2, bits_stored=12),
    "grey 16": ImageKind(33, 45),
    "signed 12": ImageKind(33, 45, bits_stored=12, is_signed=True),
    "signed 16": ImageKind(33, 45, frames=2, is_signed=True),
    "colour": ImageKind(33, 45, frames=2, photometric_interpretation="RGB", bits_allocated=8, bits_stored=8),
    "palette": ImageKind(33, 45, photometric_interpretation="PALETTE COLOR", bits_allocated=8, bits_stored=8),
}
DCMTK: dict[str, list[str]] = {
    uids.JPEG_BASELINE: ["dcmdjpeg"],
    uids.JPEG_EXTENDED: ["dcmdjpeg"],
    uids.JPEG_LOSSLESS: ["dcmdjpeg"],
    uids.JPEG_LOSSLESS_SV1: ["dcmdjpeg"],
    uids.JPEG_LS_LOSSLESS: ["dcmdjpls"],
    uids.JPEG_LS_NEAR_LOSSLESS: ["dcmdjpls"],
    uids.RLE_LOSSLESS: ["dcmdrle"],
    uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: ["dcmconv", "+te"],
    uids.EXPLICIT_VR_BIG_ENDIAN: ["dcmconv", "+te"],
    uids.IMPLICIT_VR_LITTLE_ENDIAN: ["dcmconv", "+te"],
}
# What this version of dicom3tools does not know goes by the name of something it does.
VALIDATED_AS = {
    uids.HTJ2K_LOSSLESS: uids.JPEG_2000_LOSSLESS,
    uids.HTJ2K_LOSSLESS_RPCL: uids.JPEG_2000_LOSSLESS,
    uids.HTJ2K: uids.JPEG_2000,
    uids.JPEG_XL_LOSSLESS: uids.JPEG_LOSSLESS_SV1,
    uids.ENCAPSULATED_UNCOMPRESSED: uids.RLE_LOSSLESS,
    uids.DEFLATED_IMAGE_FRAME: uids.RLE_LOSSLESS,
}
NOT_VALIDATED = {uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, uids.JPEG_XL}
LARGEST_DIFFERENCE = 24
# Orthanc 1.10 decodes these without its GDCM plug-in.
ORTHANC = [
    uids.EXPLICIT_VR_BIG_ENDIAN,
    uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    uids.JPEG_BASELINE,
    uids.JPEG_LOSSLESS_SV1,
    uids.JPEG_LS_LOSSLESS,
    uids.RLE_LOSSLESS,
]


def loss_for(uid: str) -> Loss | None:
    profile = ENCODING_PROFILES.get(uid)
    return Loss(95) if profile is not None and profile.loss is LossKind.ALWAYS else None


def is_held(uid: str, kind: ImageKind) -> bool:
    """Return whether the syntax can hold such images; that others are refused is shown elsewhere."""
    profile = ENCODING_PROFILES.get(uid)
    if profile is None:
        return True
    description = PixelDescription(
        kind.rows,
        kind.columns,
        kind.samples,
        kind.bits_allocated,
        kind.bits_stored,
        kind.bits_stored - 1,
        kind.is_signed,
        kind.photometric_interpretation,
    )
    try:
        check_encodable(uid, profile.fitted(description), loss_for(uid))
    except Unsupported:
        return False
    return True


def held(syntaxes: Iterable[str]) -> list[Any]:
    """Return every syntax with every image it can hold."""
    return [
        pytest.param(uid, name, id=f"{transfer_syntax(uid).keyword}-{name}")
        for uid in sorted(syntaxes)
        for name, kind in KINDS.items()
        if is_held(uid, kind)
    ]


def run(tool: str, *arguments: str) -> str:
    if not Path(f"/usr/bin/{tool}").exists():
        pytest.skip(f"needs {tool}: apt-get install dcmtk dicom3tools")
    done = subprocess.run([f"/usr/bin/{tool}", *arguments], capture_output=True, check=False, timeout=60)
    text = (done.stdout + done.stderr).decode("latin-1")
    assert done.returncode == 0 or tool == "dciodvfy", text
    return text


@pytest.mark.parametrize(("uid", "name"), held(DCMTK))
def test_dcmtk_decodes_the_same_samples(uid: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "made.dcm").write_bytes(transcode(KINDS[name].file(), uid, loss=loss_for(uid)))
    tool, *options = DCMTK[uid]
    run(tool, *options, str(tmp_path / "made.dcm"), str(tmp_path / "decoded.dcm"))
    decoded = read((tmp_path / "decoded.dcm").read_bytes())
    pixels = KINDS[name].pixels()
    difference = np.abs(decoded.pixel_array.reshape(pixels.shape).astype(int) - pixels).max()
    assert difference <= (LARGEST_DIFFERENCE if loss_for(uid) else 0)


@pytest.mark.parametrize(("uid", "name"), held({*DCMTK, *ENCODING_PROFILES} - NOT_VALIDATED))
def test_dciodvfy_finds_no_new_errors(uid: str, name: str, tmp_path: Path) -> None:
    file = transcode(KINDS[name].file(), uid, loss=loss_for(uid))
    if uid in VALIDATED_AS:
        dataset = read(file)
        dataset.file_meta.TransferSyntaxUID = VALIDATED_AS[uid]
        buffer = BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        file = buffer.getvalue()
    errors = []
    for content in (KINDS[name].file(), file):
        (tmp_path / "checked.dcm").write_bytes(content)
        lines = run("dciodvfy", str(tmp_path / "checked.dcm")).splitlines()
        errors.append({line for line in lines if line.startswith("Error")})
    assert errors[1] <= errors[0]


async def test_orthanc_shows_what_was_transcoded(tmp_path: Path) -> None:
    shown = 0
    async with orthanc(tmp_path) as (_, url), httpx2.AsyncClient(base_url=url, timeout=60) as client:
        for name in ("grey 8", "signed 16", "colour"):
            for uid in ORTHANC:
                kind = KINDS[name]
                if not is_held(uid, kind):
                    continue
                file = await transcoded(kind.file(), uid, loss=loss_for(uid))
                stored = (await client.post("/instances", content=file)).json()
                path = "image-int16" if kind.is_signed else "preview"
                answer = await client.get(f"/instances/{stored['ID']}/frames/0/{path}", headers={"Accept": "image/png"})
                assert answer.status_code == 200, (name, uid, answer.text)
                picture = np.asarray(Image.open(BytesIO(answer.content))).astype(int)
                if kind.is_signed:
                    picture = picture.astype(np.uint16).view(np.int16).astype(int)
                expected = kind.pixels()[0].reshape(picture.shape)
                assert np.abs(picture - expected).max() <= (LARGEST_DIFFERENCE if loss_for(uid) else 0), (name, uid)
                shown += 1
    assert shown >= 15


def files_with_pixels(corpus: Path | None) -> list[Path]:
    paths = [Path(path) for path in get_testdata_files() if path.endswith(".dcm")]
    if corpus is not None:
        paths += [path for path in sorted(corpus.rglob("*")) if path.is_file() and "broken" not in path.parts]
    return paths


def values_of(dataset: pydicom.Dataset) -> NDArray[Any]:
    return np.asarray(dataset.pixel_array)


async def test_real_files_decode_as_pydicom_decodes_them_and_survive_encoding(corpus: Path) -> None:
    """Every file of pydicom and the corpus: decoded by Hilum as by pydicom; encoded and decoded again, the same."""
    compared = encoded = 0
    blobs = MemoryBlobs()
    service = TranscodeService(blobs, thread_count=2)
    targets = [uids.HTJ2K_LOSSLESS_RPCL, uids.JPEG_LS_LOSSLESS, uids.RLE_LOSSLESS, uids.EXPLICIT_VR_BIG_ENDIAN]
    try:
        for number, path in enumerate(files_with_pixels(corpus)):
            if path.stat().st_size > 3_000_000:
                continue
            blobs.blobs.clear()
            try:
                file = await asyncio.to_thread(path.read_bytes)
                instance = blobs.keep(file)
                plain = b"".join([piece async for piece in service.part10(instance, uids.EXPLICIT_VR_LITTLE_ENDIAN)])
            except HilumError:
                continue
            if not 0 < instance.frame_count <= 20:
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    expected = values_of(read(file))
                except Exception:  # noqa: BLE001  pydicom has no decoder, or the file is broken by design
                    continue
                found = values_of(read(plain))
                if transfer_syntax(instance.transfer_syntax_uid).is_lossy:
                    assert np.abs(found.astype(float) - expected).max() <= 1, path
                else:
                    assert np.array_equal(found, expected), path
                compared += 1
                try:
                    way = blobs.keep(
                        b"".join([piece async for piece in service.part10(instance, targets[number % len(targets)])])
                    )
                except HilumError as error:
                    assert error.reason_code == "cannot-encode", path
                    continue
                back = b"".join([piece async for piece in service.part10(way, uids.EXPLICIT_VR_LITTLE_ENDIAN)])
                again = values_of(read(back))
                assert np.array_equal(again, found), path
                encoded += 1
    finally:
        service.close()
    assert compared > 300
    assert encoded > 250
