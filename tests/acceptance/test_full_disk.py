"""The disk of the blobs runs full: instances are refused as out of resources, nothing is half there, and everything
works again once there is room."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.instances import ct_slice, data_set_bytes, multipart, part10
from support.running import RunningHilum
from support.wire import WirePeer

_OUT_OF_RESOURCES = 0xA700
_DISK = "8m"


@pytest.fixture
def small() -> Iterator[RunningHilum]:
    """A Hilum whose blobs lie on a disk of a few megabytes of their own."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a small disk of its own needs root: sudo pytest tests/acceptance/test_full_disk.py")
    folder = Path(tempfile.mkdtemp(prefix="hilum-disk-"))
    folder.chmod(0o711)
    blobs = folder / "data" / "blobs"
    blobs.mkdir(parents=True)
    (folder / "data").chmod(0o711)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "tmpfs", str(blobs)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        shutil.rmtree(folder)
        pytest.skip(f"a small disk cannot be mounted here ({mounted.stderr.strip()}): docker run --privileged")
    hilum = RunningHilum(folder / "data", "--workers", "2")
    try:
        hilum.start()
        yield hilum
    finally:
        if hilum.process is not None and hilum.process.poll() is None:
            hilum.stop()
        subprocess.run(["umount", str(blobs)], check=True)
        shutil.rmtree(folder, ignore_errors=True)


def _send(hilum: RunningHilum, content_of: object) -> int:
    with WirePeer(hilum) as peer:
        content = peer.begin(content_of)  # type: ignore[arg-type]
        for start in range(0, len(content), 100_000):
            peer.send(content[start : start + 100_000], is_last=start + 100_000 >= len(content))
        return peer.status()


def _stored(hilum: RunningHilum) -> dict[str, str]:
    with hilum.client() as client:
        answer = client.get("/dicom-web/instances", params={"limit": 1000})
        found = answer.json() if answer.status_code == 200 else []
    paths = {}
    for each in found:
        study, series, instance = (each[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018"))
        paths[instance] = f"/dicom-web/studies/{study}/series/{series}/instances/{instance}"
    return paths


def test_full_disk_is_answered_as_such_leaves_nothing_half_and_is_got_over(small: RunningHilum) -> None:
    acknowledged: dict[str, bytes] = {}
    for _ in range(30):  # 500 KB each: some fit
        dataset = ct_slice(side=500)
        status = _send(small, dataset)
        assert status in (0, _OUT_OF_RESOURCES)
        if status:
            break
        acknowledged[dataset.SOPInstanceUID] = data_set_bytes(part10(dataset))
    else:
        raise AssertionError("the disk did not run full")
    assert acknowledged
    refused = [ct_slice(side=500) for _ in range(5)]
    body, content_type = multipart([part10(each) for each in refused])
    with small.client() as client:
        answer = client.post("/dicom-web/studies", content=body, headers={"Content-Type": content_type})
        assert answer.status_code in (503, 507)
        failures = answer.json()["00081198"]["Value"]
        assert [failure["00081197"]["Value"] for failure in failures] == [[_OUT_OF_RESOURCES]] * len(refused)
        paths = _stored(small)
        assert paths.keys() == acknowledged.keys()
        for uid, path in paths.items():
            got = client.get(path, headers={"Accept": "application/dicom"})
            assert data_set_bytes(got.content) == acknowledged[uid]
        assert client.get("/readyz").status_code == 200
    blobs = [path for path in (small.data / "blobs").rglob("*") if path.is_file()]
    assert len(blobs) == len(acknowledged)
    subprocess.run(["mount", "-o", "remount,size=64m", str(small.data / "blobs")], check=True)
    assert _send(small, refused[0]) == 0
    with small.client() as client:
        assert (
            client.post("/dicom-web/studies", content=body, headers={"Content-Type": content_type}).status_code == 200
        )
    assert _stored(small).keys() == acknowledged.keys() | {each.SOPInstanceUID for each in refused}
