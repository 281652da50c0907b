"""What idle associations cost a worker in memory: `python -m bench.idle_associations`, over TCP and over TLS."""

from __future__ import annotations

import argparse
import os
import socket
import ssl
import subprocess
import tempfile
import time
from pathlib import Path

import psutil

from bench.peers import Peer, hilum
from hilum.dicom.sop_classes import STORAGE_SOP_CLASSES
from hilum.dicom.uids import APPLICATION_CONTEXT, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from hilum.ul.codec import encode
from hilum.ul.primitives import AssociateRequest, ProposedContext, UserInformation

_SETTLE_S = 2.0


def tls_files(folder: Path) -> dict[str, str]:
    """Make a certificate and return the settings that listen with it."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-subj", "/CN=bench", "-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")),
        ],
        check=True,
        capture_output=True,
    )
    return {
        "HILUM_DICOM_TLS_ENABLED": "true",
        "HILUM_DICOM_TLS_PORT": str(_free_port()),
        "HILUM_DICOM_TLS_CERTIFICATE": str(folder / "certificate.pem"),
        "HILUM_DICOM_TLS_KEY": str(folder / "key.pem"),
        "HILUM_DICOM_TLS_REQUIRE_CLIENT_CERTIFICATE": "false",
    }


def associate(port: int, called: str, contexts: int, tls: ssl.SSLContext | None) -> socket.socket:
    """Open an association that proposes so many contexts, and leave it."""
    sock = socket.create_connection(("127.0.0.1", port))
    if tls is not None:
        sock = tls.wrap_socket(sock)
    classes = sorted(STORAGE_SOP_CLASSES)
    proposed = tuple(
        ProposedContext(
            2 * number + 1, classes[number % len(classes)], (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
        )
        for number in range(contexts)
    )
    request = AssociateRequest(called, "IDLE", APPLICATION_CONTEXT, proposed, UserInformation(16384, "1.2.3"))
    sock.sendall(b"".join(encode(request)))
    head = _read(sock, 6)
    _read(sock, int.from_bytes(head[2:], "big"))
    if head[0] != 2:
        raise RuntimeError("the association was not accepted")
    return sock


def measure(peer: Peer, port: int, count: int, contexts: int, tls: ssl.SSLContext | None) -> None:
    """Print what the associations add to the proportional set size of the worker."""
    (worker,) = (
        child for child in psutil.Process(peer.pid).children() if "hilum.app.worker" in " ".join(child.cmdline())
    )
    for _ in range(10):
        associate(port, peer.ae_title, contexts, tls).close()
    time.sleep(_SETTLE_S)
    before = worker.memory_full_info().pss
    sockets = [associate(port, peer.ae_title, contexts, tls) for _ in range(count)]
    time.sleep(_SETTLE_S)
    grown = worker.memory_full_info().pss - before
    for sock in sockets:
        sock.close()
    print(
        f"{count} associations of {contexts:3} contexts over {'TLS' if tls else 'TCP'}: {grown / 1e6:5.1f} MB, "
        f"{grown / count / 1e3:.0f} kB each"
    )
    time.sleep(_SETTLE_S)


def _read(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        if not piece:
            raise RuntimeError("the connection was closed")
        data += piece
    return data


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """Run the measurement and print it."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--associations", type=int, default=200)
    count = arguments.parse_args().associations
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        settings = tls_files(Path(folder))
        os.environ |= settings
        # A worker of its own for each row: one that has served before has memory to spare.
        for number, (contexts, tls) in enumerate(((8, None), (30, None), (128, None), (30, trusting))):
            with hilum(Path(folder) / str(number), 1) as peer:
                port = int(settings["HILUM_DICOM_TLS_PORT"]) if tls else peer.dicom_port
                measure(peer, port, count, contexts, tls)


if __name__ == "__main__":
    main()
