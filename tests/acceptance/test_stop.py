"""SIGTERM while instances are on their way, and a supervisor killed: what was begun is finished, answered and kept."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from support.instances import ct_slice, data_set_bytes, multipart, part10
from support.running import RunningHilum, running_hilum
from support.wire import WirePeer


@pytest.fixture
def hilum() -> Iterator[RunningHilum]:
    """A Hilum of two workers that the test may stop."""
    with running_hilum("--workers", "2") as running:
        yield running


def _is_there(hilum: RunningHilum, dataset: object, content: bytes) -> bool:
    path = (
        f"/dicom-web/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"  # type: ignore[attr-defined]
        f"/instances/{dataset.SOPInstanceUID}"  # type: ignore[attr-defined]
    )
    with hilum.client() as client:
        answer = client.get(path, headers={"Accept": "application/dicom"})
    return answer.status_code == 200 and data_set_bytes(answer.content) == content


def _has_begun_to_stop(hilum: RunningHilum) -> bool:
    """Nobody accepts connections any more."""
    try:
        socket.create_connection(("127.0.0.1", hilum.dicom_port), timeout=1).close()
    except OSError:
        return True
    return False


def _wait_until(condition: object, *arguments: object) -> None:
    deadline = time.monotonic() + 60
    while not condition(*arguments):  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_is_being_received_when_sigterm_comes_is_finished_answered_and_kept(hilum: RunningHilum) -> None:
    by_dimse, by_http = ct_slice(side=512), ct_slice(side=512)
    body, content_type = multipart([part10(by_http)])
    assert hilum.process is not None
    with WirePeer(hilum) as peer, socket.create_connection(("127.0.0.1", hilum.http_port), timeout=60) as http:
        content = peer.begin(by_dimse)
        peer.send(content[:1000])
        head = (
            f"POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nAuthorization: {hilum.authorization['Authorization']}\r\n"
            f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        http.sendall(head.encode() + body[:1000])
        time.sleep(0.5)
        hilum.process.send_signal(signal.SIGTERM)
        _wait_until(_has_begun_to_stop, hilum)
        for start in range(1000, len(content), 16_000):
            peer.send(content[start : start + 16_000], is_last=start + 16_000 >= len(content))
        assert peer.status() == 0
        http.sendall(body[1000:])
        answer = b""
        while piece := http.recv(65_536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert by_http.SOPInstanceUID.encode() in answer
    assert hilum.process.wait(60) == 0
    hilum.start()
    assert _is_there(hilum, by_dimse, content)
    assert _is_there(hilum, by_http, data_set_bytes(part10(by_http)))


def test_idle_association_does_not_keep_it_from_stopping(hilum: RunningHilum) -> None:
    with WirePeer(hilum) as peer:
        assert peer.is_established
        assert hilum.stop() == 0


def test_workers_finish_and_end_when_the_supervisor_is_killed_and_the_next_start_finds_everything(
    hilum: RunningHilum,
) -> None:
    dataset = ct_slice(side=256)
    workers = hilum.workers()
    postmaster = hilum.postmaster()
    assert hilum.process is not None
    with WirePeer(hilum) as peer:
        content = peer.begin(dataset)
        peer.send(content[:5000])
        time.sleep(0.3)
        os.kill(hilum.process.pid, signal.SIGKILL)
        hilum.process.wait()
        _wait_until(_has_begun_to_stop, hilum)
        peer.send(content[5000:60_000])
        peer.send(content[60_000:], is_last=True)
        assert peer.status() == 0
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert alive == []
    hilum.start()
    assert hilum.postmaster() == postmaster, "the database was not adopted"
    assert _is_there(hilum, dataset, content)
    assert hilum.stop() == 0
    # Its parent is gone: the process may wait for ever to be reaped.
    assert not psutil.pid_exists(postmaster) or psutil.Process(postmaster).status() == psutil.STATUS_ZOMBIE


def test_workers_that_wait_for_their_order_end_when_the_database_does_not_start(tmp_path: Path) -> None:
    """They are begun before the database, to load meanwhile."""
    silent = socket.create_server(("127.0.0.1", 0))  # a database that does not answer, until it is gone
    nowhere = f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/none"
    environment = {
        "HILUM_DATABASE_URL": nowhere, "HILUM_DATABASE_SERVING_URL": nowhere, "HILUM_DATA": str(tmp_path / "data")
    }  # fmt: skip
    serving = subprocess.Popen(
        [sys.executable, "-m", "hilum", "serve", "--http-port", "0", "--dicom-port", "0", "--workers", "2"],
        env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    children: set[psutil.Process] = set()
    while serving.poll() is None:
        with contextlib.suppress(psutil.Error):
            children.update(psutil.Process(serving.pid).children())
        if len(children) == 2:
            silent.close()
        time.sleep(0.02)
    _, said = serving.communicate()
    assert serving.returncode == 1, said
    assert "database" in said.lower()
    assert len(children) == 2
    assert psutil.wait_procs(children, timeout=20)[1] == []


def test_a_worker_without_an_order_ends() -> None:
    done = subprocess.run([sys.executable, "-m", "hilum.app.worker"], stdin=subprocess.DEVNULL, timeout=60, check=False)
    assert done.returncode == 0
