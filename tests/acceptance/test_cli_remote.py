"""The command line as it speaks with remote archives: find, get, move, and send of what is stored."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from hilum.scu.remote import Remote
from support.dimse import running_archive
from support.instances import ct_slice, data_set_bytes, part10
from support.peers import dcmqrscp, free_port
from support.running import RunningHilum

STUDY = "1.2.3.4.5"


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two series of one study with a name that is not ASCII."""
    paths = []
    for number in range(6):
        path = tmp_path / f"{number}.dcm"
        slice_ = ct_slice(
            study=STUDY, series=f"{STUDY}.{number % 2}", number=number, side=16, patient_name="Müller^Änne"
        )
        path.write_bytes(part10(slice_))
        paths.append(path)
    return paths


@pytest.fixture
async def remote(tmp_path: Path, files: list[Path], hilum: RunningHilum) -> AsyncIterator[Remote]:
    """DCMTK's archive, which holds the study and knows Hilum."""
    async with dcmqrscp(tmp_path, files, destinations={hilum.ae_title: hilum.dicom_port}) as running:
        yield running


async def call(hilum: RunningHilum, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a verb beside the peers of this event loop."""
    return await asyncio.to_thread(hilum.hilum, *arguments)


def address(remote: Remote) -> str:
    return f"{remote.ae_title}@{remote.host}:{remote.port}"


async def test_find_shows_a_table_and_prints_json(hilum: RunningHilum, remote: Remote) -> None:
    shown = await call(hilum, "find", address(remote), "-k", "PatientName=M*")
    assert shown.returncode == 0, shown.stderr
    assert "Müller^Änne" in shown.stdout
    assert "1 found" in shown.stdout
    found = await call(hilum, "find", address(remote), "--level", "series", "-k", f"StudyInstanceUID={STUDY}", "--json")
    series = json.loads(found.stdout)
    assert sorted(each["0020000E"]["Value"][0] for each in series) == [f"{STUDY}.0", f"{STUDY}.1"]
    nothing = await call(hilum, "find", address(remote), "--level", "patient", "-k", "PatientID=NOBODY")
    assert (nothing.returncode, nothing.stdout.strip()) == (0, "nothing found")
    limited = await call(
        hilum, "find", address(remote), "--level", "series", "-k", f"StudyInstanceUID={STUDY}", "--limit", "1", "--json"
    )
    assert len(json.loads(limited.stdout)) == 1
    assert "stopped after 1" in limited.stderr


async def test_get_brings_a_study_into_the_archive_or_a_folder(
    hilum: RunningHilum, remote: Remote, files: list[Path], tmp_path: Path
) -> None:
    expected = sorted(data_set_bytes(path.read_bytes()) for path in files)
    got = await call(hilum, "get", address(remote), "--study", STUDY, "--folder", str(tmp_path / "in"))
    assert (got.returncode, got.stdout.splitlines()[0]) == (0, f"6 received from {address(remote)}"), got.stderr
    assert sorted(data_set_bytes(path.read_bytes()) for path in (tmp_path / "in").iterdir()) == expected

    one_series = await call(hilum, "get", address(remote), "--study", STUDY, "--series", f"{STUDY}.1")
    assert "3 received" in one_series.stdout, one_series.stderr
    await call(hilum, "remote", "add", address(remote))
    got = await call(hilum, "get", remote.ae_title, "--study", STUDY)
    assert "6 received" in got.stdout, got.stderr
    with hilum.client() as client:
        counted = client.get("/dicom-web/studies", params={"StudyInstanceUID": STUDY, "includefield": "00201208"})
        assert counted.json()[0]["00201208"]["Value"] == [6]

    # And out again: to a receiver that keeps what it gets in memory.
    async with running_archive() as receiver:
        sent = await call(hilum, "send", "--study", STUDY, "--to", f"HILUM@127.0.0.1:{receiver.port}")
        assert "6 stored" in sent.stdout, sent.stderr
        assert sorted(bytes(each.content) for each in receiver.store.instances) == expected
    absent = await call(hilum, "send", "--study", "1.9.9", "--to", f"HILUM@127.0.0.1:{free_port()}")
    assert absent.returncode == 1
    assert "no such study" in absent.stdout


async def test_move_lets_the_remote_send_and_tells_what_it_answers(hilum: RunningHilum, remote: Remote) -> None:
    moved = await call(hilum, "move", address(remote), "--to", hilum.ae_title, "--study", STUDY)
    assert (moved.returncode, "6 sent" in moved.stdout) == (0, True), moved.stderr
    unknown = await call(hilum, "move", address(remote), "--to", "NOBODY", "--study", STUDY)
    assert unknown.returncode == 1
    assert "destination unknown" in unknown.stderr


async def test_what_is_wrong_is_said(hilum: RunningHilum, remote: Remote) -> None:
    for arguments, code, words in (
        (("find", "NOT-REGISTERED"), 1, "is not registered"),
        (("find", address(remote), "-k", "PatientNam=X"), 2, "PatientNam"),
        (("find", f"NOBODY@127.0.0.1:{remote.port}"), 1, "rejected the association"),
        (("find", address(remote), "--limit", "0"), 2, "--limit"),
        (("get", address(remote), "--study", STUDY, "--instance", "1.2"), 2, "--series"),
        (("send", "--to", address(remote)), 2, "files or folders"),
    ):
        done = await call(hilum, *arguments)
        assert done.returncode == code, (arguments, done.stderr)
        assert words in done.stderr, arguments


async def test_one_hilum_gives_to_another_what_it_holds_byte_for_byte(
    hilum: RunningHilum, files: list[Path], tmp_path: Path
) -> None:
    jpeg_2000 = Path(str(get_testdata_file("JPEG2000.dcm")))
    assert (await call(hilum, "import", str(jpeg_2000), *map(str, files))).returncode == 0
    title = f"{hilum.ae_title}@127.0.0.1:{hilum.dicom_port}"
    for study, sources in (
        (STUDY, files),
        (str(dcmread(jpeg_2000, stop_before_pixels=True).StudyInstanceUID), [jpeg_2000]),
    ):
        folder = tmp_path / study
        got = await call(hilum, "get", title, "--study", study, "--folder", str(folder), "--way", "get")
        assert got.returncode == 0, got.stderr
        arrived = {str(dcmread(path).SOPInstanceUID): data_set_bytes(path.read_bytes()) for path in folder.iterdir()}
        for source in sources:
            content = data_set_bytes(source.read_bytes())
            assert arrived[str(dcmread(source).SOPInstanceUID)] == content + bytes(len(content) % 2)
