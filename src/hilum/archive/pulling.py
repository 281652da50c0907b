"""Instances brought in from remote archives: what is wanted, how far it is, and the port that fetches it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from hilum.archive.jobs import JobState
from hilum.archive.query import Level
from hilum.archive.remotes import RemoteAe


class Way(StrEnum):
    """How instances come."""

    AUTO = "auto"
    """By C-GET, or by C-MOVE from remotes that do not serve that."""
    GET = "get"
    MOVE = "move"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A study, one of its series, or one instance."""

    study_instance_uid: str
    series_instance_uid: str | None = None
    sop_instance_uid: str | None = None

    @property
    def level(self) -> Level:
        """What is named."""
        if self.sop_instance_uid is not None:
            return Level.INSTANCE
        return Level.STUDY if self.series_instance_uid is None else Level.SERIES

    @property
    def keys(self) -> dict[str, str]:
        """The unique keys, by keyword."""
        keys = {
            "StudyInstanceUID": self.study_instance_uid,
            "SeriesInstanceUID": self.series_instance_uid,
            "SOPInstanceUID": self.sop_instance_uid,
        }
        return {key: uid for key, uid in keys.items() if uid is not None}


@dataclass(frozen=True, slots=True)
class RetrieveProgress:
    """How far a remote has got, by its own counts; `remaining` is None as long as it does not say.

    With the final response comes its `status`, and the UIDs of what failed as far as the remote names them.
    """

    completed: int = 0
    failed: int = 0
    warning: int = 0
    remaining: int | None = None
    status: int | None = None
    failed_instances: tuple[str, ...] = ()


class RemoteArchive(Protocol):
    """Remote archives as a service sees them; both raise Forbidden or InvalidInput where the registry gives no way."""

    async def count_instances(self, remote: RemoteAe, wanted: Wanted) -> int | None:
        """Return how many instances the remote has of what is wanted, None when it does not say.

        Raises:
            NotFound: it has nothing of it.
            Unavailable, Unsupported: it cannot be asked.
        """
        ...

    def pull(self, remote: RemoteAe, wanted: Wanted, way: Way) -> AsyncGenerator[RetrieveProgress, None]:
        """Yield how the remote gets on with giving us what is wanted; closed early, it is cancelled.

        Raises:
            Unavailable, Unsupported: it does not give it.
        """
        ...


@dataclass(frozen=True, slots=True)
class Pull:
    """How a pull stands. `received_count` is how many of the wanted instances are here now, wherever from."""

    pull_id: int
    remote: str
    wanted: Wanted
    way: Way
    state: JobState
    attempt: int
    expected_count: int | None
    received_count: int
    created_at: datetime
    finished_at: datetime | None
    error_code: str | None
    error: str | None
