"""Bytes and time between one socket and one `AssociationCore`: the only place where an association touches asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from mmap import mmap
from typing import Protocol, cast

from hilum.kernel.errors import HilumError, LimitExceeded, LocalProtocolError, RemoteProtocolError, Unavailable
from hilum.kernel.files import FileRange
from hilum.kernel.limits import (
    ARTIM_TIMEOUT_S,
    FILE_PIECE_BYTES,
    IDLE_TIMEOUT_S,
    MESSAGE_PROGRESS_BYTES,
    MESSAGE_PROGRESS_TIMEOUT_S,
    PROMPT_ACKNOWLEDGEMENT_BYTES,
    RECEIVE_BUFFER_BYTES,
    WRITE_TIMEOUT_S,
)
from hilum.net.files import FileChannel
from hilum.ul.core import AssociationCore, Role
from hilum.ul.primitives import NEED_DATA, Abort, Buffer, ConnectionClosed, Event, Primitive

# Linux only.
_QUICK_ACK: int | None = getattr(socket, "TCP_QUICKACK", None)


class Patience(Enum):
    """What a user of a connection waits for, and with it how long silence is borne."""

    IDLE = "idle"
    """Nothing is under way: the idle timeout holds."""
    RECEIVING = "receiving"
    """A message has begun: it has to go on."""
    WORKING = "working"
    """An answer is owed or awaited: silence is no fault of the peer's."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a peer may take, in seconds; see `kernel.limits` for the reasons."""

    artim_s: float = ARTIM_TIMEOUT_S
    idle_s: float = IDLE_TIMEOUT_S
    progress_s: float = MESSAGE_PROGRESS_TIMEOUT_S
    write_s: float = WRITE_TIMEOUT_S

    @property
    def check_interval_s(self) -> float:
        """How often silence is looked at: often enough that a timeout is late by a quarter at most."""
        return min(self.idle_s, self.progress_s, self.write_s) / 4


class ReceiveBuffer:
    """The memory all connections of one event loop read into, so that an idle one holds none.

    What was read is used up before the next read, by this or any other connection; a user that has to wait takes the
    memory along and the loop gets new one. It comes from the system and goes back there: on the heap, each piece that
    is given away would leave behind a hole of pages in use, into which the buffers of TLS connections grow.
    """

    __slots__ = ("_size_bytes", "view")

    def __init__(self, size_bytes: int = RECEIVE_BUFFER_BYTES) -> None:
        self._size_bytes = size_bytes
        self.view = memoryview(mmap(-1, size_bytes))

    def give_away(self) -> None:
        """Leave the present memory to whoever holds views of it."""
        self.view = memoryview(mmap(-1, self._size_bytes))


class ConnectionUser(Protocol):
    """What a connection's events mean to the layer above."""

    def receive(self, event: Event) -> Awaitable[None] | None:
        """Act on an event. When an awaitable is returned, nothing more is read until it is done.

        Views in the event live until this method, or the awaitable, has returned.
        """
        ...

    def end(self, error: BaseException | None) -> None:
        """Note that the association is over. Comes once; `error` is the cause when this side ended it."""
        ...

    def patience(self) -> Patience:
        """Return what is being waited for."""
        ...

    def leave(self) -> None:
        """End the association in order as soon as nothing is under way."""
        ...

    async def tasks_done(self) -> None:
        """Wait for work that outlives the connection."""
        ...


class Connection(asyncio.BufferedProtocol):
    """One TCP or TLS connection that carries one association.

    Args:
        role: whether this side opened it.
        user: whom its events are for.
        buffer: where it reads into, shared by all of one event loop.
        timeouts: how long the peer may take.
        others: the open connections of the same owner, this one among them while it is open.
        max_others: above that many it is closed unheard.
    """

    def __init__(
        self,
        role: Role,
        user: ConnectionUser,
        buffer: ReceiveBuffer,
        timeouts: Timeouts,
        others: set[Connection] | None = None,
        max_others: int | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._role = role
        self.user = user
        self._others = set() if others is None else others
        self._max_others = max_others
        self._buffer = buffer
        self._timeouts = timeouts
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._waiting: asyncio.Task[None] | None = None
        self._socket: socket.socket | None = None
        self._writable: asyncio.Future[None] | None = None
        self._artim: asyncio.TimerHandle | None = None
        self._check: asyncio.TimerHandle | None = None
        self._ended = False
        self._closing = False
        self.received_bytes = 0
        self._last_received = self._write_progress_at = self._window_start = self._loop.time()
        self._window_bytes = 0
        self._unsent_bytes = 0
        self._channel: FileChannel | None = None
        self._is_held = False

    # --- asyncio's side ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the core: from here on ARTIM runs."""
        self._transport = cast(asyncio.Transport, transport)
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            # Responses are small and awaited: they must not sit behind Nagle's algorithm.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket = sock
        self.core = AssociationCore(self._role, now=self._loop.time(), artim_timeout_s=self._timeouts.artim_s)
        self._check = self._loop.call_later(self._timeouts.check_interval_s, self._check_progress)
        self._others.add(self)
        if self._max_others is not None and len(self._others) > self._max_others:
            self._closing = True
            self._transport.abort()
        self._arm_artim()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the loop reads into."""
        return self._buffer.view

    def buffer_updated(self, nbytes: int) -> None:
        """Hand what was read to the core and on."""
        self._last_received = self._loop.time()
        self.received_bytes += nbytes
        self.core.receive_data(self._buffer.view[:nbytes], self._last_received)
        self._pump()
        if nbytes < PROMPT_ACKNOWLEDGEMENT_BYTES and not self._closing and self._is_more_expected():
            self._acknowledge_at_once()
        if self._waiting is not None:
            # What is unread stays in the core as views, and the one who waits may hold some too.
            self._buffer.give_away()

    def _is_more_expected(self) -> bool:
        """Return whether the peer has to send more before this side does, whose data would carry the acknowledgement.

        The responses to our own requests come in two pieces too.
        """
        return self.user.patience() is not Patience.WORKING or self.core.is_mid_pdu

    def _acknowledge_at_once(self) -> None:
        """Let a peer go on that has Nagle's algorithm on and a short piece to send: it waits for our acknowledgement,
        which the system would hold back for 40 ms. The system forgets the wish with every read.
        """
        if _QUICK_ACK is not None and self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)

    def eof_received(self) -> bool:
        """Note that the peer closed; asyncio then closes this side."""
        return False

    def pause_writing(self) -> None:
        """Make `drained` wait."""
        if self._writable is None:
            self._writable = self._loop.create_future()
            self._write_progress_at = self._loop.time()
            self._unsent_bytes = self._transport.get_write_buffer_size()

    def resume_writing(self) -> None:
        """Let `drained` go on."""
        if self._writable is not None:
            self._writable.set_result(None)
            self._writable = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the core see the end; what was received before is still delivered."""
        self.resume_writing()
        self._closing = True
        if self._channel is not None:
            self._channel.close()
        self._others.discard(self)
        if self._check is not None:
            self._check.cancel()
        self.core.receive_eof(self._loop.time())
        if self._waiting is None:
            self._pump()
        if not self._closed.done():
            self._closed.set_result(None)

    # --- the user's side ---------------------------------------------------------------------------------------

    @property
    def peer(self) -> str:
        """The peer's address without port; empty when the transport has none."""
        name = self._transport.get_extra_info("peername")
        return str(name[0]) if isinstance(name, tuple) else ""

    @property
    def is_tls(self) -> bool:
        """Whether the bytes go over TLS."""
        return self._transport.get_extra_info("ssl_object") is not None

    @property
    def peer_certificate(self) -> bytes | None:
        """The certificate the peer has shown over TLS, as DER; None for none."""
        tls = self._transport.get_extra_info("ssl_object")
        return tls.getpeercert(binary_form=True) if tls is not None else None

    @property
    def is_ended(self) -> bool:
        """Whether the association is over."""
        return self._ended or self._closing

    def send(self, *primitives: Primitive) -> None:
        """Write the PDUs of the primitives, together.

        Raises:
            LocalProtocolError: the core's state does not allow it.
        """
        for primitive in primitives:
            self.core.send(primitive, self._loop.time())
        self._flush()

    def send_fragments(self, context_id: int, fragments: Sequence[tuple[bool, Buffer]]) -> None:
        """Write many P-DATA-TF PDUs together; see `AssociationCore.send_fragments`.

        Raises:
            LocalProtocolError: the core's state does not allow it.
        """
        self.core.send_fragments(context_id, fragments, self._loop.time())
        self._flush()

    @property
    def takes_files(self) -> bool:
        """Whether `send_file` can be used: not over TLS, and not on every system."""
        return FileChannel.is_possible(self._transport)

    async def send_file(
        self, context_id: int, command: Iterable[Primitive], content: FileRange, fragment_bytes: int
    ) -> None:
        """Write a command set and its whole data set, a range of a file that does not pass through this process.

        What this side sends meanwhile, an abort that is, goes out between two PDUs.

        Raises:
            LocalProtocolError: the core's state does not allow it.
            CorruptData: the file ends before the range does.
            Unavailable: the association has ended, or the file cannot be read.
        """
        if self._channel is None:
            self._channel = FileChannel(self._transport, self.pause_writing, self.resume_writing)
        channel, descriptor = self._channel, content.file.descriptor
        offset, end = content.offset, content.offset + content.length
        loaded = offset
        while offset < end:
            if offset >= loaded:
                loaded = min(offset + max(FILE_PIECE_BYTES // fragment_bytes, 1) * fragment_bytes, end)
                await content.file.load(offset, loaded - offset)
            with contextlib.suppress(ConnectionError):
                await channel.emptied(self.drained)
            if self.is_ended or self._transport.is_closing():
                raise Unavailable("the association has ended", code="association-ended")
            size = min(fragment_bytes, end - offset)
            for primitive in command:
                self.core.send(primitive, self._loop.time())
            command = ()
            head = self.core.fragment_head(context_id, size, is_last=offset + size == end)
            head = b"".join((*self.core.data_to_send(), head))
            self._is_held = True
            try:
                await channel.send(descriptor, offset, size, head=head)
            except BaseException as error:
                # The PDU is not whole: nothing can follow it, not even an abort.
                self._transport.abort()
                if isinstance(error, ConnectionError):
                    raise Unavailable("the association has ended", code="association-ended") from error
                raise
            finally:
                self._is_held = False
            offset += size
            self._flush()

    async def drained(self) -> None:
        """Wait until the peer has taken enough for more to be written.

        Raises:
            Unavailable: the connection is closed.
        """
        if self._writable is not None:
            await self._writable
        if self._closing:
            raise Unavailable("the association has ended", code="association-ended")

    def abort(self, error: BaseException | None = None) -> None:
        """Send the abort the error carries, or a plain one, and let the association end."""
        answer = error.answer if isinstance(error, RemoteProtocolError) else None
        try:
            self.core.send(answer if isinstance(answer, Abort) else Abort(), self._loop.time())
        except LocalProtocolError:
            pass  # The core is past the point where an abort has a meaning; it closes by itself.
        self._flush()
        self._end(error)

    def close(self) -> None:
        """Close the connection without a word: it never became an association, or the peer deserves no more."""
        self._end(None)
        self._close_transport()

    async def closed(self) -> None:
        """Wait until the connection is gone."""
        await asyncio.shield(self._closed)

    # --- between them ------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Let the user have the core's events until none is left or the user has to wait."""
        core, user = self.core, self.user
        while self._waiting is None:
            event = core.next_event()
            if event is NEED_DATA:
                break
            try:
                waiting = user.receive(event)
            except Exception as error:  # noqa: BLE001 - the connection's task: whatever fails ends this association alone
                self.abort(error)
                continue
            if isinstance(event, Abort):
                self._end(None)
            if isinstance(event, ConnectionClosed):
                self._flush()
                self._end(None)
                self._close_transport()
                break
            if waiting is not None:
                self._transport.pause_reading()
                self._waiting = self._loop.create_task(self._wait(waiting))
        self._flush()

    async def _wait(self, waiting: Awaitable[None]) -> None:
        """Wait for the user, then read on."""
        try:
            await waiting
        except Exception as error:  # noqa: BLE001 - the connection's task: whatever fails ends this association alone
            self.abort(error)
        self._waiting = None
        # Time spent here is not the peer's.
        self._last_received = self._window_start = self._loop.time()
        self._pump()
        if self._waiting is None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _flush(self) -> None:
        if not self._is_held:
            buffers = self.core.data_to_send()
            if buffers and not self._transport.is_closing():
                self._transport.writelines(buffers)
        self._arm_artim()

    def _end(self, error: BaseException | None) -> None:
        if not self._ended:
            self._ended = True
            self.user.end(error)

    def _close_transport(self) -> None:
        """Close once everything is written, or after the write timeout without."""
        if not self._closing:
            self._closing = True
            if not self._transport.is_closing():
                self._transport.close()
            if not self._closed.done():
                timer = self._loop.call_later(self._timeouts.write_s, self._transport.abort)
                self._closed.add_done_callback(lambda _: timer.cancel())
        if self._artim is not None:
            self._artim.cancel()
            self._artim = None

    # --- time --------------------------------------------------------------------------------------------------

    def _arm_artim(self) -> None:
        deadline = self.core.next_deadline()
        if self._artim is not None:
            if deadline == self._artim.when():
                return
            self._artim.cancel()
            self._artim = None
        if deadline is not None and not self._closing:
            self._artim = self._loop.call_at(deadline, self._artim_due)

    def _artim_due(self) -> None:
        self._artim = None
        # Timers may ring a tick early; the core compares exactly.
        deadline = self.core.next_deadline()
        self.core.handle_deadline(max(self._loop.time(), deadline or 0.0))
        if self._waiting is None:
            self._pump()
        else:
            self._arm_artim()

    def _check_progress(self) -> None:
        """Look, now and then, whether the peer lets things stand still."""
        now = self._loop.time()
        self._check = self._loop.call_later(self._timeouts.check_interval_s, self._check_progress)
        error = self._stalled(now)
        if error is not None:
            self.abort(error)

    def _stalled(self, now: float) -> HilumError | None:
        """Return what the peer let stand still for too long, if it did."""
        if self._writable is not None:
            unsent = self._transport.get_write_buffer_size()
            if unsent < self._unsent_bytes:
                self._write_progress_at = now
            self._unsent_bytes = unsent
            if now - self._write_progress_at >= self._timeouts.write_s:
                self._transport.abort()
                return LimitExceeded("the peer does not read what it asked for", code="write-timeout")
        patience = self.user.patience()
        if self._ended or self._waiting is not None or patience is Patience.WORKING:
            self._start_window(now)
        elif patience is Patience.IDLE:
            self._start_window(now)
            if now - self._last_received >= self._timeouts.idle_s:
                return LimitExceeded("nothing was received for too long", code="idle-timeout")
        elif self.received_bytes - self._window_bytes >= MESSAGE_PROGRESS_BYTES:
            self._start_window(now)
        elif now - self._window_start >= self._timeouts.progress_s:
            return LimitExceeded("a message was begun and does not go on", code="progress-timeout")
        return None

    def _start_window(self, now: float) -> None:
        self._window_start = now
        self._window_bytes = self.received_bytes
