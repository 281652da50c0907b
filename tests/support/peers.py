"""Other implementations as acceptors that keep and answer: DCMTK's dcmqrscp and wlmscpfs, and Orthanc."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from hilum.scu.remote import Remote


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@asynccontextmanager
async def running(port: int, *command: str, cwd: Path) -> AsyncIterator[None]:
    """A peer that listens on the port once this is entered."""
    if not Path(command[0]).exists():
        pytest.skip(f"needs {Path(command[0]).name}: apt-get install dcmtk orthanc")
    log_path = cwd / f"{Path(command[0]).name}.log"
    with log_path.open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, cwd=cwd, stdout=log, stderr=log)
        try:
            async with asyncio.timeout(30):
                while True:
                    assert process.returncode is None, log_path.read_text("latin-1")
                    try:
                        _, writer = await asyncio.open_connection("127.0.0.1", port)
                    except OSError:
                        await asyncio.sleep(0.05)
                    else:
                        writer.close()
                        await writer.wait_closed()
                        break
            yield
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


@asynccontextmanager
async def dcmqrscp(
    folder: Path, files: Sequence[Path], *options: str, destinations: Mapping[str, int] | None = None
) -> AsyncIterator[Remote]:
    """DCMTK's archive with these files in it; it moves to the destinations, AE titles with ports of 127.0.0.1."""
    area = folder / "area"
    area.mkdir()
    port = free_port()
    hosts = "".join(f"{title} = ({title}, 127.0.0.1, {number})\n" for title, number in (destinations or {}).items())
    configuration = folder / "dcmqrscp.cfg"
    configuration.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 65536\nMaxAssociations = 16\n"
        f"HostTable BEGIN\n{hosts}HostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nQRSCP {area} RW (1000, 1024mb) ANY\nAETable END\n"
    )
    if files:
        if not Path("/usr/bin/dcmqridx").exists():
            pytest.skip("needs dcmqridx: apt-get install dcmtk")
        indexing = await asyncio.create_subprocess_exec("/usr/bin/dcmqridx", str(area), *map(str, files))
        assert await indexing.wait() == 0
    async with running(port, "/usr/bin/dcmqrscp", "-c", str(configuration), *options, cwd=folder):
        yield Remote("QRSCP", "127.0.0.1", port)


@asynccontextmanager
async def wlmscpfs(folder: Path, items: Sequence[Dataset]) -> AsyncIterator[Remote]:
    """DCMTK's worklist with these items."""
    worklist = folder / "WORKLIST"
    worklist.mkdir()
    (worklist / "lockfile").touch()
    for number, item in enumerate(items):
        item.save_as(worklist / f"{number}.wl", implicit_vr=False, little_endian=True)
    port = free_port()
    async with running(port, "/usr/bin/wlmscpfs", "-dfp", str(folder), str(port), cwd=folder):
        yield Remote("WORKLIST", "127.0.0.1", port)


@asynccontextmanager
async def orthanc(folder: Path, *, modalities: Mapping[str, int] | None = None) -> AsyncIterator[tuple[Remote, str]]:
    """Debian's Orthanc and the URL of its REST API; it knows these modalities, AE titles with ports of 127.0.0.1."""
    dicom_port, http_port = free_port(), free_port()
    configuration = {
        "Name": "peer",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "DicomPort": dicom_port,
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "DicomAet": "ORTHANC",
        "DicomCheckCalledAet": True,
        "DicomModalities": {title: [title, "127.0.0.1", port] for title, port in (modalities or {}).items()},
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowMove": True,
        "DicomAlwaysAllowGet": True,
        # By default it answers queries in Latin-1, and what that has not is lost.
        "DefaultEncoding": "Utf8",
        "Plugins": [],
    }
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    async with running(dicom_port, "/usr/sbin/Orthanc", str(folder / "orthanc.json"), cwd=folder):
        yield Remote("ORTHANC", "127.0.0.1", dicom_port), f"http://127.0.0.1:{http_port}"
