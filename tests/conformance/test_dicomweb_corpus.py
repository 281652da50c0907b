"""Real files of many makers: what was stored comes back, described and in frames."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pydicom
import pytest
from pydicom.encaps import generate_frames

from hilum.dicom.part10 import read_file_meta
from hilum.kernel.limits import FILE_META_PREFIX_BYTES
from support.dicomweb import data_set_of, parts_of, stow
from support.running import RunningHilum

FILES_PER_REQUEST = 40
STORED = "multipart/related; type=application/octet-stream; transfer-syntax=*"
# Deflated data sets are compared as a whole only; big endian words are compared in the unit tests.
UNCOMPARED = ("1.2.840.10008.1.2.1.99",)


@pytest.fixture(scope="module")
def client(hilum: RunningHilum) -> Iterator[httpx2.Client]:
    with hilum.client() as opened:
        yield opened


@pytest.fixture(scope="module")
def stored(client: httpx2.Client, corpus: Path) -> dict[str, bytes]:
    """File by URL of the instance; what shares a SOP Instance UID with other content is left out."""
    files: dict[str, bytes] = {}
    doubtful: set[str] = set()
    batch: list[bytes] = []
    for path in sorted(corpus.rglob("*")):
        if not path.is_file() or "broken" in path.parts or path.stat().st_size > 8_000_000:
            continue
        content = path.read_bytes()
        if content[128:132] == b"DICM":
            batch.append(content)
    for start in range(0, len(batch), FILES_PER_REQUEST):
        some = batch[start : start + FILES_PER_REQUEST]
        response = stow(client, some)
        assert response.status_code in (200, 202)
        urls = {item["00081155"]["Value"][0]: item["00081190"]["Value"][0] for item in referenced(response.json())}
        for content in some:
            uid = read_file_meta(content[:FILE_META_PREFIX_BYTES]).media_storage_sop_instance_uid or ""
            if uid in urls:
                if files.get(urls[uid], content) != content:
                    doubtful.add(urls[uid])
                files[urls[uid]] = content
    return {url: content for url, content in files.items() if url not in doubtful}


def referenced(report: dict[str, Any]) -> list[dict[str, Any]]:
    return list(report.get("00081199", {"Value": []})["Value"])


def test_data_sets_come_back_byte_for_byte(client: httpx2.Client, stored: dict[str, bytes]) -> None:
    assert len(stored) > 300
    different = []
    for url, content in stored.items():
        response = client.get(url, headers={"Accept": "application/dicom"})
        if response.status_code != 200 or not content.endswith(data_set_of(response.content)):
            different.append(url)
    assert different == []


def test_metadata_of_every_instance_is_the_json_model(client: httpx2.Client, stored: dict[str, bytes]) -> None:
    for series in {url.rpartition("/instances/")[0] for url in stored}:
        response = client.get(f"{series}/metadata")
        assert response.status_code == 200
        for attributes in response.json():
            assert attributes["00080018"]["Value"]
            assert all(len(tag) == 8 and len(element["vr"]) == 2 for tag, element in attributes.items())
            assert list(attributes) == sorted(attributes)


def test_frames_equal_those_of_the_files(client: httpx2.Client, stored: dict[str, bytes]) -> None:
    compared = 0
    for url, content in stored.items():
        frame = first_frame(content)
        if frame is None:
            continue
        ((_, answered),) = parts_of(client.get(f"{url}/frames/1", headers={"Accept": STORED}))
        assert answered.rstrip(b"\0") == frame.rstrip(b"\0"), url
        compared += 1
    assert compared > 200


def first_frame(content: bytes) -> bytes | None:
    """Return the first frame as pydicom finds it; None where it does not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = pydicom.dcmread(io.BytesIO(content))
            syntax = dataset.file_meta.TransferSyntaxUID
            count = int(dataset.get("NumberOfFrames", 1) or 1)
            if syntax in UNCOMPARED or "PixelData" not in dataset or dataset.BitsAllocated == 1:
                return None
            if dataset["PixelData"].is_undefined_length:
                return next(generate_frames(dataset.PixelData, number_of_frames=count))
            bits = dataset.Rows * dataset.Columns * dataset.get("SamplesPerPixel", 1) * dataset.BitsAllocated
            if dataset.PhotometricInterpretation == "YBR_FULL_422" or len(dataset.PixelData) < bits // 8 * count:
                return None
            return bytes(dataset.PixelData[: bits // 8])
        except Exception:  # noqa: BLE001  pydicom's errors on odd files have no common family
            return None
