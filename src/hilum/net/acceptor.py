"""Listening: from a TCP connection to an association, within bounds, and the way down again."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence

from hilum.kernel.errors import LimitExceeded, Unavailable
from hilum.kernel.limits import LISTEN_BACKLOG, SPARE_CONNECTIONS, TLS_HANDSHAKE_TIMEOUT_S
from hilum.net.association import Answering, Association, Welcome
from hilum.net.connection import Connection, ReceiveBuffer, Timeouts
from hilum.net.reports import Observer, observe_nothing
from hilum.ul.core import Role
from hilum.ul.primitives import AssociateReject, AssociateRequest, RejectReason, RejectResult

# How long an abort may take to leave.
_LAST_WORDS_S = 1.0


class Acceptor:
    """Accepts associations on one or more listening sockets of this process.

    Args:
        answering: decides about requests and serves what it accepted.
        timeouts: how long peers may take.
        max_associations: how many are served at a time. Requests above that are rejected as a matter of a moment;
            connections far above are closed unheard.
        observer: is told how associations begin and end.
    """

    def __init__(
        self,
        answering: Answering,
        *,
        max_associations: int,
        timeouts: Timeouts | None = None,
        observer: Observer = observe_nothing,
    ) -> None:
        self._answering = answering
        self._timeouts = timeouts or Timeouts()
        self._max_associations = max_associations
        self._observer = observer
        self._buffer = ReceiveBuffer()
        self._servers: list[asyncio.Server] = []
        self._open: set[Connection] = set()

    @property
    def connection_count(self) -> int:
        """How many connections are open now."""
        return len(self._open)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens: address and port of each socket."""
        return [each.getsockname()[:2] for server in self._servers for each in server.sockets]

    async def listen(
        self, host: str, port: int, *, reuse_port: bool = False, tls: ssl.SSLContext | None = None
    ) -> None:
        """Begin to accept on an address; port 0 takes a free one, `reuse_port` lets several processes share it.

        Args:
            tls: the server context when TLS is spoken there.

        Raises:
            Unavailable: the address is in use or not this machine's.
        """
        try:
            server = await asyncio.get_running_loop().create_server(
                self._connection, host, port, reuse_port=reuse_port or None, backlog=LISTEN_BACKLOG, ssl=tls,
                ssl_handshake_timeout=TLS_HANDSHAKE_TIMEOUT_S if tls else None,
            )  # fmt: skip
        except OSError as error:
            raise Unavailable(f"cannot listen on {host} port {port}", code="listen", host=host, port=port) from error
        self._servers.append(server)

    async def listen_on(self, sockets: Sequence[socket.socket], tls: ssl.SSLContext | None = None) -> None:
        """Begin to accept on bound sockets, for example inherited ones; with `tls` TLS is spoken there."""
        loop = asyncio.get_running_loop()
        for each in sockets:
            self._servers.append(
                await loop.create_server(
                    self._connection, sock=each, backlog=LISTEN_BACKLOG, ssl=tls,
                    ssl_handshake_timeout=TLS_HANDSHAKE_TIMEOUT_S if tls else None,
                )
            )  # fmt: skip

    async def close(self, grace_s: float) -> None:
        """Stop accepting, let what is being received be finished and answered, release, and after the grace abort."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        connections = list(self._open)
        if not connections:
            return
        for connection in connections:
            if connection.is_ended:
                connection.close()
            else:
                connection.user.leave()
        waiting = {asyncio.ensure_future(each.closed()) for each in connections}
        _, late = await asyncio.wait(waiting, timeout=grace_s)
        if late:
            for connection in list(self._open):
                connection.abort(LimitExceeded("the grace of the shutdown is over", code="shutdown"))
                connection.close()
            # A peer that takes nothing any more is not waited for.
            _, late = await asyncio.wait(late, timeout=_LAST_WORDS_S)
            for each in late:
                each.cancel()
        # What was received whole is still being kept, and what was not is being discarded.
        finishing = {asyncio.ensure_future(each.user.tasks_done()) for each in connections}
        _, late = await asyncio.wait(finishing, timeout=max(grace_s, _LAST_WORDS_S))
        for each in late:
            each.cancel()

    async def answer(self, association: Association, request: AssociateRequest) -> Welcome | AssociateReject:
        """Return the answer to a request: no when there are too many, else what the service says."""
        if len(self._open) > self._max_associations:
            return AssociateReject(RejectResult.TRANSIENT, RejectReason.LOCAL_LIMIT_EXCEEDED)
        return await self._answering.answer(association, request)

    def _connection(self) -> Connection:
        association = Association(Role.ACCEPTOR, self._observer, self)
        connection = Connection(
            Role.ACCEPTOR,
            association,
            self._buffer,
            self._timeouts,
            self._open,
            self._max_associations + SPARE_CONNECTIONS,
        )
        association.attach(connection)
        return connection
