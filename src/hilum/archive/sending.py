"""Instances on their way to another application entity: what became of each, and the ports that send and convert."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from hilum.archive.model import StoredInstance
from hilum.archive.remotes import RemoteAe


class SendState(Enum):
    """What became of an instance."""

    STORED = "stored"
    """The remote has it; with a warning the reason says which."""
    REFUSED = "refused"
    """The remote answered with a failure, or accepts neither the SOP class nor any syntax it could be sent in."""
    FAILED = "failed"
    """No answer could be had, or the instance could not be read."""


@dataclass(frozen=True, slots=True)
class InstanceSent:
    """The answer for one instance; `status` is the remote's, None when there was none.

    `reason` is fit for a log or a report: it says nothing of the patient, nor anything the remote wrote.
    """

    instance: StoredInstance
    state: SendState
    status: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class MoveOriginator:
    """Whose C-MOVE makes this side send: its AE title, and the message id of its request (PS3.7 §9.1.1.1.6)."""

    ae_title: str
    message_id: int


def never() -> bool:
    """Do not stop."""
    return False


class Turns(Protocol):
    """Turns at remotes, so that all workers together send over no more associations than `max_associations`."""

    def wait(
        self, remote: RemoteAe, is_wanted: Callable[[], bool]
    ) -> AbstractAsyncContextManager[Callable[[], bool] | None]:
        """Enter with what tells that the turn is over, once it has come; with None when it is wanted no more.

        Turns come first come, first served, and end with the context. One that is over is to be ended soon: others
        wait. All raise Unavailable.
        """
        ...


class InstanceSender(Protocol):
    """Sends stored instances to other application entities."""

    def send(
        self,
        remote: RemoteAe,
        instances: Sequence[StoredInstance],
        *,
        calling_ae_title: str,
        originator: MoveOriginator | None = None,
        priority: int = 0,
        transfer_syntax_uid: str | None = None,
        associations: int | None = None,
        max_bytes_per_s: float | None = None,
        is_stopped: Callable[[], bool] = never,
    ) -> AsyncGenerator[InstanceSent, None]:
        """Yield what became of each instance, each exactly once and in any order; nothing is raised for a remote.

        Closing the iterator early stops what has not begun: close it (`contextlib.aclosing`) when leaving it before
        its end. An instance goes as it is stored unless the remote does not take that syntax, or wants another.

        Args:
            remote: where to; without host and port everything fails.
            instances: what to send.
            calling_ae_title: who we say we are.
            originator: who asked for it by C-MOVE, told to the remote.
            priority: as in `dimse.messages.Priority`.
            transfer_syntax_uid: what to send in if the remote takes it, in place of what it prefers.
            associations: how many to use at a time; None for as many as the remote allows, which are never exceeded,
                whoever sends. Where others are sending, these wait for their turn.
            max_bytes_per_s: how much to send in a second over all of them together.
            is_stopped: asked before each instance. Once it says so nothing more begins, and the iterator ends with the
                answer of the last that has.
        """
        ...


class InstanceSource(Protocol):
    """Gives instances that are made of stored ones as they leave: they are nowhere else."""

    def can(self, transfer_syntax_uid: str, target_transfer_syntax_uid: str) -> bool:
        """Return whether instances of the one syntax can be had in the other."""
        ...

    async def data_set(
        self, instance: StoredInstance, transfer_syntax_uid: str | None = None
    ) -> bytes | AsyncGenerator[bytes, None]:
        """Return the data set in that syntax, or in the instance's own, of even length. Who gets a generator closes it.

        Raises:
            Unsupported: it cannot be had in that syntax.
            HilumError: what it is made of cannot be read.
        """
        ...


class Transcoder(Protocol):
    """Makes another transfer syntax of a stored instance that is sent."""

    def can(self, transfer_syntax_uid: str, target_transfer_syntax_uid: str) -> bool:
        """Return whether instances of the one syntax may become the other."""
        ...

    async def data_set(self, instance: StoredInstance, transfer_syntax_uid: str) -> bytes | AsyncGenerator[bytes, None]:
        """Return the whole data set in that syntax, its header changed to fit, of even length.

        Who gets a generator closes it. One comes with large instances, if they were looked up with their frame index.

        Raises:
            Unsupported: these pixels cannot be had in that syntax.
            HilumError: they cannot be read.
        """
        ...
