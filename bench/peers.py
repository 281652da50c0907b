"""Starts and stops what is measured: Hilum, Orthanc, nginx; each on free ports of 127.0.0.1, in its own folder."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PASSWORD = "benchmark-password"


@dataclass(frozen=True)
class Peer:
    """A running archive."""

    name: str
    dicom_port: int
    ae_title: str
    http_port: int
    dicomweb: str
    headers: dict[str, str] = field(default_factory=dict)
    pid: int = 0


def free_port() -> int:
    """Return a TCP port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _stop(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def hilum(folder: Path, workers: int) -> Iterator[Peer]:
    """Run Hilum with its data below the folder."""
    process = subprocess.Popen(
        [
            sys.executable, "-m", "hilum", "serve", "--data", str(folder / "hilum"), "--http-port", "0",
            "--dicom-port", "0", "--workers", str(workers),
        ],
        stdout=subprocess.PIPE, text=True,
        env=os.environ | {"HILUM_ADMIN_PASSWORD": PASSWORD, "HILUM_LOG_LEVEL": "warning"},
    )  # fmt: skip
    try:
        for line in process.stdout:
            if line.startswith("ready "):
                break
        else:
            raise RuntimeError("hilum serve ended before it was ready")
        http_port = int(line.split()[1].rsplit(":", 1)[1])
        dicom_port = int(line.split()[2].rsplit(":", 1)[1])
        authorization = "Basic " + b64encode(f"admin:{PASSWORD}".encode()).decode()
        yield Peer(
            f"Hilum ({workers} worker{'s' * (workers > 1)})", dicom_port, "HILUM", http_port, "/dicom-web",
            {"Authorization": authorization}, process.pid,
        )  # fmt: skip
    finally:
        _stop(process)
        process.stdout.close()


@contextmanager
def orthanc(folder: Path) -> Iterator[Peer | None]:
    """Run Debian's Orthanc with its data below the folder; None when it is not installed."""
    binary = shutil.which("Orthanc") or ("/usr/sbin/Orthanc" if Path("/usr/sbin/Orthanc").exists() else None)
    if binary is None:
        yield None
        return
    home = folder / "orthanc"
    home.mkdir(parents=True)
    http_port, dicom_port = free_port(), free_port()
    plugins = [str(path) for path in Path("/usr/share/orthanc/plugins").glob("libOrthancDicomWeb*")]
    (home / "orthanc.json").write_text(
        json.dumps(
            {
                "Name": "bench", "StorageDirectory": str(home / "storage"), "IndexDirectory": str(home / "index"),
                "HttpPort": http_port, "DicomPort": dicom_port, "DicomAet": "ORTHANC", "RemoteAccessAllowed": False,
                "AuthenticationEnabled": False, "DicomAlwaysAllowStore": True, "Plugins": plugins[:1],
                "LimitFindResults": 0, "HttpThreadsCount": 50, "DicomThreadsCount": 16,
                "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
            }
        )
    )  # fmt: skip
    log = (home / "log").open("wb")
    process = subprocess.Popen(
        [binary, str(home / "orthanc.json")], stdout=log, stderr=log, env=os.environ | {"TCP_NODELAY": "1"}
    )
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{http_port}/system", timeout=2).read()
                break
            except OSError:
                time.sleep(0.1)
        else:
            raise RuntimeError("Orthanc does not answer")
        yield Peer("Orthanc", dicom_port, "ORTHANC", http_port, "/dicom-web", {}, process.pid)
    finally:
        _stop(process)
        log.close()


@contextmanager
def nginx(folder: Path, content: Path) -> Iterator[int | None]:
    """Serve one file's folder by nginx; yields the port, or None when nginx is not installed."""
    binary = shutil.which("nginx") or ("/usr/sbin/nginx" if Path("/usr/sbin/nginx").exists() else None)
    if binary is None:
        yield None
        return
    home = folder / "nginx"
    home.mkdir(parents=True)
    port = free_port()
    (home / "nginx.conf").write_text(
        f"daemon off; pid {home}/pid; error_log {home}/error; worker_processes 1; events {{}}\n"
        + ("user root;\n" if os.geteuid() == 0 else "")
        + "http { access_log off; sendfile on; tcp_nopush on;"
        f" client_body_temp_path {home}/b; proxy_temp_path {home}/p;"
        f" fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;"
        f" server {{ listen 127.0.0.1:{port}; root {content.parent}; }} }}\n"
    )
    process = subprocess.Popen([binary, "-c", str(home / "nginx.conf"), "-p", str(home)], stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
    finally:
        _stop(process)
