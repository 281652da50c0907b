"""The registry of remotes as a person edits it, by API and command line, and what it does in all workers at once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2
import pytest
from pynetdicom import AE
from pynetdicom.sop_class import Verification

from support.calling import Rejection, call
from support.certificates import Authority, Issued
from support.running import RunningHilum, running_hilum

WORKERS = 2
UNKNOWN_CALLER = (1, 1, 3)


@pytest.fixture(scope="module")
def issued() -> Iterator[tuple[Authority, Issued]]:
    """An authority and our certificate, where the server's processes can read them."""
    with TemporaryDirectory(prefix="hilum-test-") as folder:
        authority = Authority(Path(folder))
        yield authority, authority.issue("hilum")


@pytest.fixture(scope="module")
def hilum(issued: tuple[Authority, Issued]) -> Iterator[RunningHilum]:
    """Hilum with a port for TLS beside the plain one."""
    with running_hilum("--workers", str(WORKERS), environment=tls_settings(*issued)) as running:
        yield running


def tls_settings(authority: Authority, own: Issued) -> dict[str, str]:
    return {
        "HILUM_DICOM_TLS_ENABLED": "true",
        "HILUM_DICOM_TLS_PORT": "0",
        "HILUM_DICOM_TLS_CERTIFICATE": str(own.certificate),
        "HILUM_DICOM_TLS_KEY": str(own.key),
        "HILUM_DICOM_TLS_CA": str(authority.certificate),
    }


@pytest.fixture
def client(hilum: RunningHilum) -> Iterator[httpx2.Client]:
    """The administrator, with an empty registry."""
    with hilum.client() as client:
        yield client
        for remote in client.get("/api/remotes").json()["remotes"]:
            assert client.delete(f"/api/remotes/{remote['ae_title']}").status_code == 204


def answer(hilum: RunningHilum, calling: str) -> Rejection | None:
    """Call once; None when let in, or the rejection."""
    entity = AE(calling)
    entity.add_requested_context(Verification)
    answered = call(entity, hilum.dicom_port, hilum.ae_title)
    if isinstance(answered, tuple):
        return answered
    answered.release()
    return None


def until_all_workers_answer(hilum: RunningHilum, calling: str, wanted: Rejection | None) -> None:
    """Wait until a dozen calls in a row, which reach all workers, are answered so."""
    deadline = time.monotonic() + 20
    while not all(answer(hilum, calling) == wanted for _ in range(6 * WORKERS)):
        assert time.monotonic() < deadline


def test_an_entry_is_made_read_changed_and_removed(client: httpx2.Client) -> None:
    entry = {"ae_title": "CT1", "host": "ct1.example.org", "port": 104, "may_ask": ["store"], "site": "North"}
    created = client.post("/api/remotes", json=entry)
    assert created.status_code == 201
    kept = created.json()
    assert kept.items() >= entry.items()
    assert kept["network"] is None
    assert "query" in kept["may_be_asked"]
    assert client.get("/api/remotes").json() == {"remotes": [kept]}
    changed = client.put("/api/remotes/CT1", json=kept | {"ae_title": "CT/1", "network": "192.0.2.77/24"})
    assert changed.json() == kept | {"ae_title": "CT/1", "network": "192.0.2.0/24"}
    assert client.get("/api/remotes/CT/1").json() == changed.json()
    assert client.get("/api/remotes/CT1").status_code == 404
    assert client.delete("/api/remotes/CT/1").status_code == 204
    assert client.delete("/api/remotes/CT/1").status_code == 404


@pytest.mark.parametrize(
    ("entry", "status", "detail"),
    [
        ({"ae_title": "CT1"}, 409, "CT1"),
        ({"ae_title": "SEVENTEEN_LETTERS"}, 400, "ae_title"),
        ({"ae_title": "X", "port": 104}, 400, "port"),
        ({"ae_title": "X", "certificate": "ab" * 32}, 400, "uses_tls"),
        ({"ae_title": "X", "may_ask": ["everything"]}, 400, "may_ask"),
        ({"ae_title": "X", "max_associations": 0}, 400, "max_associations"),
        ({}, 400, "ae_title"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_its_reason(
    client: httpx2.Client, entry: dict[str, object], status: int, detail: str
) -> None:
    assert client.post("/api/remotes", json={"ae_title": "CT1"}).status_code == 201
    refused = client.post("/api/remotes", json=entry)
    assert refused.status_code == status
    assert detail in refused.json()["detail"]
    assert [each["ae_title"] for each in client.get("/api/remotes").json()["remotes"]] == ["CT1"]


def test_a_reader_looks_and_does_not_change(hilum: RunningHilum, client: httpx2.Client) -> None:
    assert client.post("/api/remotes", json={"ae_title": "CT1"}).status_code == 201
    password = hilum.hilum("user", "create", "remote-reader", "--role", "reader").stdout.strip()
    with httpx2.Client(base_url=hilum.url, auth=("remote-reader", password), timeout=30) as reader:
        assert reader.get("/api/remotes").status_code == 200
        assert reader.get("/api/remotes/CT1").status_code == 200
        changes: list[Callable[[], httpx2.Response]] = [
            lambda: reader.post("/api/remotes", json={"ae_title": "CT2"}),
            lambda: reader.put("/api/remotes/CT1", json={"ae_title": "CT1"}),
            lambda: reader.delete("/api/remotes/CT1"),
            lambda: reader.post("/api/remotes/CT1/echo"),
        ]
        assert [change().status_code for change in changes] == [403] * 4


def test_a_change_is_in_force_in_all_workers_at_once(hilum: RunningHilum, client: httpx2.Client) -> None:
    until_all_workers_answer(hilum, "CT1", None)  # a stranger on this machine
    entry = {"ae_title": "CT1", "network": "192.0.2.0/24"}
    assert client.post("/api/remotes", json=entry).status_code == 201
    until_all_workers_answer(hilum, "CT1", UNKNOWN_CALLER)
    assert client.put("/api/remotes/CT1", json=entry | {"network": "127.0.0.1"}).status_code == 200
    until_all_workers_answer(hilum, "CT1", None)
    assert hilum.hilum("remote", "change", "CT1", "--network", "192.0.2.1").returncode == 0
    until_all_workers_answer(hilum, "CT1", UNKNOWN_CALLER)
    assert hilum.hilum("remote", "remove", "CT1").returncode == 0
    until_all_workers_answer(hilum, "CT1", None)


def test_why_a_caller_was_rejected_stands_in_the_log(hilum: RunningHilum, client: httpx2.Client) -> None:
    assert client.post("/api/remotes", json={"ae_title": "LOGGED", "network": "192.0.2.0/24"}).status_code == 201
    until_all_workers_answer(hilum, "LOGGED", UNKNOWN_CALLER)
    lines = [line for line in hilum.errors.splitlines() if '"LOGGED"' in line and "wrong-address" in line]
    assert lines


def test_the_command_line_does_all_of_it(hilum: RunningHilum, client: httpx2.Client) -> None:
    def verb(*words: str) -> subprocess.CompletedProcess[str]:
        return hilum.hilum("remote", *words)

    here = f"{hilum.ae_title}@127.0.0.1:{hilum.dicom_port}"
    added = verb("add", here, "--site", "[b]N[/]", "--may-ask", "echo", "--max-associations", "3")
    assert added.returncode == 0, added.stderr
    assert "[b]N[/]" in added.stdout
    assert "[b]N[/]" in verb("list").stdout
    assert "answered in" in verb("echo", hilum.ae_title).stdout
    shown = verb("change", hilum.ae_title, "--site", "", "--empty-may-ask", "--ae-title", "OTHER").stdout
    assert "OTHER" in shown
    assert "nothing" in shown
    assert "3 at a time" in shown
    assert "[b]" not in shown
    assert client.get("/api/remotes/OTHER").json()["max_associations"] == 3
    for words, reason in (
        (("add", "OTHER"), "registered already"),
        (("add", "X", "--network", "nowhere"), "network"),
        (("show", "NOBODY"), "not registered"),
    ):
        failed = verb(*words)
        assert failed.returncode == 1, failed.stdout
        assert reason in failed.stderr
    assert verb("remove", "OTHER").returncode == 0


def test_a_registered_remote_is_called_over_tls_and_its_certificate_looked_at(
    hilum: RunningHilum, client: httpx2.Client, issued: tuple[Authority, Issued]
) -> None:
    """It calls itself, and so is both ends: what it shows has to be what the registry says."""
    entry = {
        "ae_title": hilum.ae_title,
        "host": "127.0.0.1",
        "port": hilum.dicom_tls_port,
        "uses_tls": True,
        "certificate": issued[1].fingerprint,
    }
    assert client.post("/api/remotes", json=entry).status_code == 201
    assert client.post(f"/api/remotes/{hilum.ae_title}/echo").json()["seconds"] > 0
    echoed = hilum.hilum("remote", "echo", hilum.ae_title)
    assert echoed.returncode == 0, echoed.stderr
    assert client.put(f"/api/remotes/{hilum.ae_title}", json=entry | {"certificate": "ab" * 32}).status_code == 200
    refused = client.post(f"/api/remotes/{hilum.ae_title}/echo")
    assert refused.status_code == 503
    assert "certificate" in refused.json()["detail"]


def test_an_echo_that_is_not_answered_says_why(client: httpx2.Client) -> None:
    assert client.post("/api/remotes", json={"ae_title": "AWAY", "host": "127.0.0.1", "port": 1}).status_code == 201
    assert client.post("/api/remotes", json={"ae_title": "MUTE"}).status_code == 201
    away = client.post("/api/remotes/AWAY/echo")
    assert (away.status_code, away.json()["detail"]) == (503, "cannot connect to 127.0.0.1 port 1")
    assert client.post("/api/remotes/MUTE/echo").status_code == 400
    assert client.post("/api/remotes/NOBODY/echo").status_code == 404


def test_without_a_plain_port_tls_is_the_only_way_in(issued: tuple[Authority, Issued]) -> None:
    settings = tls_settings(*issued) | {"HILUM_DICOM_PLAIN": "false"}
    with running_hilum(environment=settings) as hilum:
        assert hilum.dicom_port == hilum.dicom_tls_port != 0
        with hilum.client() as client:
            assert client.get("/api/session").json()["dicom_port"] == hilum.dicom_tls_port
        here = f"{hilum.ae_title}@127.0.0.1:{hilum.dicom_tls_port}"
        assert hilum.hilum("echo", here).returncode == 1
        assert hilum.hilum("remote", "add", here, "--tls").returncode == 0
        echoed = hilum.hilum("remote", "echo", hilum.ae_title)
        assert echoed.returncode == 0, echoed.stderr


def test_serving_does_not_begin_with_tls_files_that_cannot_be_used(
    issued: tuple[Authority, Issued], tmp_path: Path
) -> None:
    settings = tls_settings(*issued) | {"HILUM_DICOM_TLS_KEY": "/no/such/key.pem", "HILUM_DATA": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-m", "hilum", "serve", "--http-port", "0", "--dicom-port", "0"],
        capture_output=True, text=True, timeout=120, check=False, env=os.environ | settings,
    )  # fmt: skip
    assert ended.returncode == 1
    assert "/no/such/key.pem" in ended.stderr
