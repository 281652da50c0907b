"""HTTP requests with as little client work as possible."""

from __future__ import annotations

import http.client
import statistics
import time
from collections.abc import Callable

from bench.peers import Peer

_BOUNDARY = b"bench-boundary-5f2c"


def stow(peer: Peer, files: list[bytes]) -> float:
    """Return the seconds one STOW-RS request with all files takes."""
    parts: list[bytes] = []
    for content in files:
        parts += [b"--" + _BOUNDARY + b"\r\nContent-Type: application/dicom\r\n\r\n", content, b"\r\n"]
    parts.append(b"--" + _BOUNDARY + b"--\r\n")
    connection = http.client.HTTPConnection("127.0.0.1", peer.http_port, timeout=600)
    connection.connect()
    headers = peer.headers | {
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={_BOUNDARY.decode()}',
        "Content-Length": str(sum(map(len, parts))),
        "Accept": "application/dicom+json",
    }
    begun = time.perf_counter()
    connection.putrequest("POST", f"{peer.dicomweb}/studies")
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    for part in parts:
        connection.sock.sendall(part)
    response = connection.getresponse()
    response.read()
    seconds = time.perf_counter() - begun
    connection.close()
    if response.status != 200:
        raise RuntimeError(f"{peer.name} answered STOW-RS with {response.status}")
    return seconds


def get(peer: Peer, path: str, accept: str, *, gzip: bool = False, least_bytes: int = 1) -> float:
    """Return the seconds from the request to the last byte of the answer, which is thrown away."""
    connection = http.client.HTTPConnection("127.0.0.1", peer.http_port, timeout=600)
    connection.connect()
    headers = peer.headers | {"Accept": accept} | ({"Accept-Encoding": "gzip"} if gzip else {})
    buffer = bytearray(1 << 20)
    begun = time.perf_counter()
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    count = 0
    while received := response.readinto(buffer):
        count += received
    seconds = time.perf_counter() - begun
    connection.close()
    if response.status != 200 or count < least_bytes:
        raise RuntimeError(f"{peer.name} answered {path} with {response.status} and {count} bytes")
    return seconds


def median(measure: Callable[[], float], times: int) -> float:
    """Return the median of several measurements."""
    return statistics.median(measure() for _ in range(times))
