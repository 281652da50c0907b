"""A real Hilum in processes of its own, for tests that speak to it from outside."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psutil

PASSWORD = "a-password-for-tests"


class RunningHilum:
    """`hilum serve` on free ports of 127.0.0.1 with a data folder."""

    def __init__(self, data: Path, *options: str, environment: dict[str, str] | None = None) -> None:
        self.data = data
        self._options = options
        self._environment = environment or {}
        self.process: subprocess.Popen[str] | None = None
        self.output: list[str] = []
        self.http_port = 0
        self.dicom_port = 0
        self.dicom_tls_port = 0
        self.ae_title = ""

    @property
    def url(self) -> str:
        """Where the web app is."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def dicomweb(self) -> str:
        """The root of DICOMweb."""
        return f"{self.url}/dicom-web"

    @property
    def authorization(self) -> dict[str, str]:
        """The header by which the administrator signs in."""
        return {"Authorization": "Basic " + b64encode(f"admin:{PASSWORD}".encode()).decode()}

    @property
    def errors(self) -> str:
        """What the processes wrote to their logs so far."""
        return (self.data / "test-errors.log").read_text(errors="replace")

    def start(self, *, http_port: int = 0, dicom_port: int = 0) -> None:
        """Start and wait until it accepts connections."""
        self.data.mkdir(parents=True, exist_ok=True, mode=0o711)
        with (self.data / "test-errors.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "hilum", "serve", "--data", str(self.data)),
                    *("--http-port", str(http_port), "--dicom-port", str(dicom_port), *self._options),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=os.environ | {"HILUM_ADMIN_PASSWORD": PASSWORD, "HILUM_LOG_STYLE": "json"} | self._environment,
            )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output.append(line)
            if line.startswith("ready "):
                break
        else:
            raise AssertionError(f"hilum serve ended before it was ready:\n{''.join(self.output)}\n{self.errors}")
        words = dict(word.split("=", 1) for word in line.split()[1:])
        self.http_port = int(words["http"].rsplit(":", 1)[1])
        self.ae_title, _, address = words.get("dicom", words.get("dicom_tls", "")).partition("@")
        self.dicom_port = int(address.rsplit(":", 1)[1])
        self.dicom_tls_port = int(words["dicom_tls"].rsplit(":", 1)[1]) if "dicom_tls" in words else 0
        threading.Thread(target=self._drain, args=(self.process,), daemon=True).start()

    def _drain(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            self.output.extend(process.stdout)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Stop and return the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(90)

    def workers(self) -> list[psutil.Process]:
        """The worker processes alive now."""
        assert self.process is not None
        found = []
        for child in psutil.Process(self.process.pid).children():
            try:
                if "hilum.app.worker" in child.cmdline():
                    found.append(child)
            except psutil.Error:
                continue
        return found

    def postmaster(self) -> int:
        """The process number of the embedded PostgreSQL."""
        return int((self.data / "postgres" / "data" / "postmaster.pid").read_text().split()[0])

    def client(self) -> httpx2.Client:
        """Return an HTTP client signed in as the administrator."""
        return httpx2.Client(base_url=self.url, headers=self.authorization, timeout=60)

    def hilum(
        self, *arguments: str, timeout: float = 120, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run another verb of the command line on the same data folder where the verb takes one."""
        return subprocess.run(
            [sys.executable, "-m", "hilum", *arguments],
            input=stdin, capture_output=True, text=True, timeout=timeout, check=False,
            env=os.environ | {"HILUM_LOG_STYLE": "json", "HILUM_DATA": str(self.data)} | self._environment,
        )  # fmt: skip


@contextmanager
def running_hilum(*options: str, environment: dict[str, str] | None = None) -> Iterator[RunningHilum]:
    """Run Hilum in a new data folder, which goes away with it."""
    # Not pytest's own folder: the database's user must be able to pass through to its files.
    folder = Path(tempfile.mkdtemp(prefix="hilum-test-"))
    folder.chmod(0o711)
    hilum = RunningHilum(folder / "data", *options, environment=environment)
    try:
        hilum.start()
        yield hilum
    finally:
        if hilum.process is not None and hilum.process.poll() is None:
            hilum.stop()
        shutil.rmtree(folder, ignore_errors=True)
