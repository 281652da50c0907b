"""The command line as a person uses it, against a real archive."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from support.instances import ct_slice, part10
from support.running import RunningHilum


def _verb(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hilum", *arguments], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A folder with two instances of one study, one in a ZIP archive, and two files that are no instances."""
    first = ct_slice(number=1)
    second = ct_slice(study=first.StudyInstanceUID, series=first.SeriesInstanceUID, number=2)
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "1.dcm").write_bytes(part10(first))
    with zipfile.ZipFile(folder / "rest.zip", "w") as archive:
        archive.writestr("2.dcm", part10(second))
    (folder / "notes.txt").write_text("no image")
    (folder / "empty").touch()
    return folder


def test_help_names_every_verb() -> None:
    shown = _verb("--help").stdout
    for verb in ("serve", "import", "demo", "send", "echo", "find", "get", "move", "token", "user"):
        assert verb in shown


def test_unknown_setting_ends_with_code_2_and_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "hilum.toml").write_text("[dicom]\nae_titel = 'X'\n")
    done = _verb("serve", "--config", str(tmp_path / "hilum.toml"), "--data", str(tmp_path / "data"))
    assert done.returncode == 2
    assert "dicom.ae_title" in done.stderr


def test_serving_without_authentication_beyond_loopback_is_refused(tmp_path: Path) -> None:
    (tmp_path / "hilum.toml").write_text("[auth]\nenabled = false\n")
    done = _verb("serve", "--config", str(tmp_path / "hilum.toml"), "--host", "0.0.0.0", "--data", str(tmp_path / "d"))
    assert done.returncode == 2
    assert "refusing to listen" in done.stderr
    assert not (tmp_path / "d").exists()


def test_taken_port_is_named(hilum: RunningHilum, tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = _verb("serve", "--data", str(tmp_path / "data"), "--http-port", str(port), "--dicom-port", "0")
    assert done.returncode == 1
    assert f"port {port}" in done.stderr


def test_second_server_on_the_same_port_is_refused(hilum: RunningHilum, tmp_path: Path) -> None:
    done = _verb("serve", "--data", str(tmp_path / "data"), "--http-port", str(hilum.http_port), "--dicom-port", "0")
    assert done.returncode == 1
    assert f"port {hilum.http_port}" in done.stderr


def test_import_beside_a_running_server_stores_reports_and_can_be_run_again(hilum: RunningHilum, study: Path) -> None:
    done = hilum.hilum("import", str(study))
    assert done.returncode == 1  # two files were refused
    assert "2  stored" in done.stdout
    assert "notes.txt" in done.stdout
    assert "empty" in done.stdout
    again = hilum.hilum("import", str(study))
    assert "2  there already" in again.stdout
    assert "0  stored" in again.stdout


def test_token_created_beside_a_running_server_is_accepted_by_it_until_revoked(hilum: RunningHilum) -> None:
    import httpx2

    secret = hilum.hilum("token", "create", "robot", "--days", "1").stdout.strip()
    headers = {"Authorization": f"Bearer {secret}"}
    assert httpx2.get(f"{hilum.url}/api/session", headers=headers).json()["user"]["name"] == "admin"
    listed = hilum.hilum("token", "list").stdout
    assert "robot" in listed
    assert secret not in listed
    token_id = next(line for line in listed.splitlines() if "robot" in line).split("│")[1].strip()
    assert hilum.hilum("token", "revoke", token_id).returncode == 0
    assert httpx2.get(f"{hilum.url}/api/session", headers=headers).status_code == 401


def test_echo_and_send_reach_the_server(hilum: RunningHilum, study: Path) -> None:
    address = f"{hilum.ae_title}@127.0.0.1:{hilum.dicom_port}"
    echoed = _verb("echo", address)
    assert echoed.returncode == 0, echoed.stderr
    sent = _verb("send", str(study), "--to", address)
    assert "2" in sent.stdout
    assert sent.returncode == 1  # two files are no instances
    refused = _verb("echo", f"NOBODY@127.0.0.1:{hilum.dicom_port}")
    assert refused.returncode == 1
    assert "called ae title not recognized" in refused.stderr
