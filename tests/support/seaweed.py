"""A real S3 service on free ports of this machine, for the time of a test run."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

BUCKET = "instances"
_ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "testkey", "AWS_SECRET_ACCESS_KEY": "testsecret", "AWS_REGION": "us-east-1"}
_START_S = 40.0


@dataclass(frozen=True)
class S3Service:
    """Where the service is, and what its clients need in the environment."""

    endpoint: str
    environment: dict[str, str]


def find_weed() -> str | None:
    """Return the SeaweedFS program of this environment or of the machine."""
    beside = Path(sys.executable).parent / "weed"
    return str(beside) if beside.exists() else shutil.which("weed")


@contextmanager
def running_s3(weed: str) -> Iterator[S3Service]:
    """Yield an S3 service with one empty bucket; it is stopped and its files are removed afterwards."""
    s3, *others = _free_ports(5)
    options = [
        f"-{name}={port}"
        for name, port in zip(("master.port", "volume.port", "filer.port", "admin.port"), others, strict=True)
    ]
    with tempfile.TemporaryDirectory(prefix="seaweed-") as folder:
        process = subprocess.Popen(
            [
                weed,
                "mini",
                f"-dir={folder}",
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
                f"-s3.port={s3}",
                *options,
                "-admin.ui=false",
                "-webdav=false",
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
            ],
            env={**os.environ, **_ENVIRONMENT, "S3_BUCKET": BUCKET},
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait(f"http://127.0.0.1:{s3}", process)
            yield S3Service(f"http://127.0.0.1:{s3}", _ENVIRONMENT)
        finally:
            process.kill()  # it takes long to stop by itself, and nothing of it is kept
            process.wait()


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"weed ended with {process.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except urllib.error.HTTPError as error:
            error.close()
            return  # it answers, if only that we may not
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("weed did not answer in time")


def _free_ports(count: int) -> list[int]:
    """Return ports that are free, and so are those 10,000 above them, which SeaweedFS takes for gRPC."""
    ports: list[int] = []
    with ExitStack() as held:
        while len(ports) < count:
            one = held.enter_context(socket.socket())
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            if port + 10_000 > 65_535:
                continue
            try:
                held.enter_context(socket.socket()).bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            ports.append(port)
    return ports
