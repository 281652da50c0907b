"""What an association tells the logs and the metrics: how it began and how it ended, never what it carried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias


class Outcome(Enum):
    """A turn in the life of an association; every connection ends with one of `REJECTED` to `LOST`."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    """Answered with A-ASSOCIATE-RJ."""
    RELEASED = "released"
    """Ended as it should."""
    ABORTED_BY_PEER = "aborted-by-peer"
    """Ended by an A-ABORT of the peer."""
    ABORTED = "aborted"
    """Ended by this side: a violation, a timeout, a failure of ours, a shutdown. `error` says which."""
    LOST = "lost"
    """The peer closed the connection without a word."""
    FAILED = "failed"
    """Work that went on after the association's end failed; this is no end of its own."""


@dataclass(frozen=True, slots=True)
class Report:
    """One turn of one association. The titles are empty until the peer has said them; `was_accepted` tells of an end
    whether `ACCEPTED` came before it.
    """

    outcome: Outcome
    association: int
    peer: str
    calling_ae_title: str = ""
    called_ae_title: str = ""
    received_bytes: int = 0
    duration_s: float = 0.0
    was_accepted: bool = False
    reason: str = ""
    error: BaseException | None = None


Observer: TypeAlias = Callable[[Report], None]


def observe_nothing(report: Report) -> None:
    """Drop the report."""
