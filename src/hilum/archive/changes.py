"""What happened to instances, as the change feed tells it, and the outbox from which it is handed on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class InstanceChange:
    """One row of the change feed; `action` is "created", "replaced" or "deleted"."""

    tenant_id: int
    action: str
    instance_key: int
    version: int
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    occurred_at: datetime


ChangeConsumer: TypeAlias = Callable[[int, Sequence[InstanceChange]], Awaitable[None]]
"""Hears of changes of one tenant, in order. It may hear of one twice (a worker is killed in the middle), never of none:
what it raises lets the same changes come again.
"""


class Outbox(Protocol):
    """The changes nobody has been told of yet, of all tenants."""

    async def hand_on(self, consume: ChangeConsumer, count: int) -> int:
        """Hand on up to `count` changes, oldest first, and forget them once `consume` has returned.

        One process in the cluster does so at a time; the others get 0, as when there is nothing.

        Raises:
            Unavailable: the database does not answer.
        """
        ...
