"""What the supervisor tells a worker when it starts it: one line of JSON on the worker's standard input."""

from __future__ import annotations

import socket

import msgspec

from hilum.app.settings import Settings
from hilum.kernel.errors import InvalidInput, Unavailable


class LaunchOrder(msgspec.Struct, kw_only=True):
    """Everything a worker needs to know. `database` is `DatabaseAddress.to_json()` of the serving role.

    `dicom_port` is None when associations without TLS are not taken, `dicom_tls_port` when those with it are not.
    """

    settings: Settings
    database: str
    http_port: int
    dicom_port: int | None
    dicom_tls_port: int | None
    worker: int

    def to_line(self) -> bytes:
        """Return the order as one line."""
        return msgspec.json.encode(self) + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> LaunchOrder:
        """Return the order that `to_line` made.

        Raises:
            InvalidInput: the line is something else.
        """
        try:
            return msgspec.json.decode(line, type=cls)
        except msgspec.DecodeError as error:
            raise InvalidInput("a worker is started by `hilum serve`, not by hand", code="launch-order") from error


def bind_socket(host: str, port: int, *, is_shared: bool) -> socket.socket:
    """Return a TCP socket bound to the address, not yet listening.

    Args:
        host: address or name to listen on.
        port: 0 takes a free one.
        is_shared: several processes bind the same port and the kernel spreads connections (SO_REUSEPORT).

    Raises:
        Unavailable: the address is not this machine's or the port is taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise Unavailable(f"cannot listen on {host}: {error.strerror}", code="listen", host=host, port=port) from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared and hasattr(socket, "SO_REUSEPORT"):
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise Unavailable(
            f"cannot listen on {host} port {port}: {error.strerror}", code="listen", host=host, port=port
        ) from error
    bound.setblocking(False)
    return bound


def reserve_port(host: str, port: int) -> socket.socket:
    """Return a socket that keeps a port for our workers, which bind it too; it never listens.

    Raises:
        Unavailable: another program listens there, another Hilum included: two must not share one port by accident.
    """
    bind_socket(host, port, is_shared=False).close()
    return bind_socket(host, port, is_shared=True)


def port_of(bound: socket.socket) -> int:
    """Return the port a socket is bound to."""
    port: int = bound.getsockname()[1]
    return port
