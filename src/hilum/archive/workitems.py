"""Workitems (unified procedure steps): what they are, the states they go through, who is told, where they are kept."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Final, Protocol

from hilum.archive.identifiers import matching_keys
from hilum.archive.model import DicomJson
from hilum.archive.query import Match
from hilum.dicom.matching import matches_all


class WorkitemState(StrEnum):
    """Procedure Step State (0074,1000), PS3.3 §C.30.1."""

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"


class WorkitemProblem(StrEnum):
    """Why something cannot be done to a workitem: the codes of the errors the service raises."""

    DUPLICATE = "workitem-exists"
    FINAL = "workitem-final"
    TRANSACTION = "workitem-transaction"
    IN_PROGRESS = "workitem-in-progress"
    TO_SCHEDULED = "workitem-to-scheduled"
    REQUIREMENTS = "workitem-requirements"
    UNKNOWN = "no-such-workitem"
    UNKNOWN_RECEIVER = "unknown-receiver"
    NOT_SCHEDULED = "workitem-not-scheduled"
    NOT_IN_PROGRESS = "workitem-not-in-progress"
    COMPLETED = "workitem-completed"
    PERFORMER = "performer-unreachable"
    INAPPROPRIATE = "inappropriate-action"


class WorkitemWarning(StrEnum):
    """What a caller is told although, or because, nothing is wrong."""

    MODIFIED = "created-with-modifications"
    ALREADY_CANCELED = "already-canceled"
    ALREADY_COMPLETED = "already-completed"


class WorkitemAct(StrEnum):
    """The events of the state table that a caller brings about."""

    CREATE = "create"
    PERFORM = "change to IN PROGRESS"
    SCHEDULE = "change to SCHEDULED"
    COMPLETE = "change to COMPLETED"
    CANCEL = "change to CANCELED"
    REQUEST_CANCEL = "request cancel"


@dataclass(frozen=True, slots=True)
class Transition:
    """One cell of the state table: the state that follows, or the answer in its place.

    `is_checked`: the state follows only when the requirements for it are met.
    """

    state: WorkitemState | None = None
    problem: WorkitemProblem | None = None
    warning: WorkitemWarning | None = None
    is_checked: bool = False


_SCHEDULED = Transition(WorkitemState.SCHEDULED)
_IN_PROGRESS = Transition(WorkitemState.IN_PROGRESS)
_COMPLETED = Transition(WorkitemState.COMPLETED, is_checked=True)
_CANCELED = Transition(WorkitemState.CANCELED, is_checked=True)
_CANCELED_BY_REQUEST = Transition(WorkitemState.CANCELED)
_ASK_PERFORMER = Transition()
_DUPLICATE, _FINAL, _TRANSACTION, _BUSY, _TO_SCHEDULED, _UNKNOWN, _NOT_YET, _ALREADY = (
    Transition(problem=problem)
    for problem in (
        WorkitemProblem.DUPLICATE,
        WorkitemProblem.FINAL,
        WorkitemProblem.TRANSACTION,
        WorkitemProblem.IN_PROGRESS,
        WorkitemProblem.TO_SCHEDULED,
        WorkitemProblem.UNKNOWN,
        WorkitemProblem.NOT_IN_PROGRESS,
        WorkitemProblem.COMPLETED,
    )
)
_WAS_CANCELED = Transition(warning=WorkitemWarning.ALREADY_CANCELED)
_WAS_COMPLETED = Transition(warning=WorkitemWarning.ALREADY_COMPLETED)

# Columns: without the right transaction UID or not; then no workitem, SCHEDULED, IN PROGRESS, COMPLETED, CANCELED.
# Where the transaction UID plays no part, both rows are the same. Of a SCHEDULED workitem, which has none yet, every
# one is right.
_ROWS: Final[tuple[tuple[WorkitemAct, bool, tuple[Transition, ...]], ...]] = (
    (WorkitemAct.CREATE, True, (_SCHEDULED, _DUPLICATE, _DUPLICATE, _DUPLICATE, _DUPLICATE)),
    (WorkitemAct.CREATE, False, (_SCHEDULED, _DUPLICATE, _DUPLICATE, _DUPLICATE, _DUPLICATE)),
    (WorkitemAct.PERFORM, True, (_UNKNOWN, _IN_PROGRESS, _BUSY, _FINAL, _FINAL)),
    (WorkitemAct.PERFORM, False, (_UNKNOWN, _TRANSACTION, _TRANSACTION, _TRANSACTION, _TRANSACTION)),
    (WorkitemAct.SCHEDULE, True, (_UNKNOWN, _TO_SCHEDULED, _TO_SCHEDULED, _TO_SCHEDULED, _TO_SCHEDULED)),
    (WorkitemAct.SCHEDULE, False, (_UNKNOWN, _TO_SCHEDULED, _TO_SCHEDULED, _TO_SCHEDULED, _TO_SCHEDULED)),
    (WorkitemAct.COMPLETE, True, (_UNKNOWN, _NOT_YET, _COMPLETED, _WAS_COMPLETED, _FINAL)),
    (WorkitemAct.COMPLETE, False, (_UNKNOWN, _TRANSACTION, _TRANSACTION, _TRANSACTION, _TRANSACTION)),
    (WorkitemAct.CANCEL, True, (_UNKNOWN, _NOT_YET, _CANCELED, _FINAL, _WAS_CANCELED)),
    (WorkitemAct.CANCEL, False, (_UNKNOWN, _TRANSACTION, _TRANSACTION, _TRANSACTION, _TRANSACTION)),
    (WorkitemAct.REQUEST_CANCEL, True, (_UNKNOWN, _CANCELED_BY_REQUEST, _ASK_PERFORMER, _ALREADY, _WAS_CANCELED)),
    (WorkitemAct.REQUEST_CANCEL, False, (_UNKNOWN, _CANCELED_BY_REQUEST, _ASK_PERFORMER, _ALREADY, _WAS_CANCELED)),
)
_COLUMNS: Final[tuple[WorkitemState | None, ...]] = (None, *WorkitemState)

TRANSITIONS: Final[Mapping[tuple[WorkitemAct, bool, WorkitemState | None], Transition]] = MappingProxyType(
    {
        (act, has_transaction, state): cell
        for act, has_transaction, cells in _ROWS
        for state, cell in zip(_COLUMNS, cells, strict=True)
    }
)
"""PS3.4 Table CC.1.1-2: by what is asked, whether the right transaction UID came with it, and the state (None: the
workitem is not there)."""


class WorkitemEventType(IntEnum):
    """Event Type ID of a notification, PS3.4 Table CC.2.4-1."""

    STATE_REPORT = 1
    CANCEL_REQUESTED = 2
    PROGRESS_REPORT = 3
    SCP_STATUS_CHANGE = 4
    ASSIGNED = 5


@dataclass(frozen=True, slots=True)
class WorkitemReport:
    """What subscribers are told: the event and its information."""

    event_type: WorkitemEventType
    information: DicomJson = field(repr=False)


@dataclass(frozen=True, slots=True)
class Workitem:
    """One unified procedure step.

    `attributes` hold everything but the transaction UID, state and UIDs included. `performer` is the application
    entity that took it IN PROGRESS. `version` counts its changes, so that none is lost when two come at once.
    """

    sop_instance_uid: str
    state: WorkitemState
    attributes: DicomJson = field(repr=False)
    transaction_uid: str | None = field(default=None, repr=False)
    performer: str | None = None
    version: int = 1


@dataclass(frozen=True, slots=True)
class GlobalSubscription:
    """An application entity that is subscribed to each new workitem, or with keys to each that matches them."""

    subscriber: str
    has_deletion_lock: bool
    keys: DicomJson | None = field(default=None, repr=False)

    def concerns(self, attributes: DicomJson) -> bool:
        """Return whether a workitem of these attributes is one of those subscribed to."""
        return matches_all(attributes, [(match.path, match.condition) for match in matching_keys(self.keys or {})])


@dataclass(frozen=True, slots=True)
class WorkitemEvent:
    """A notification for one subscriber that waits to be delivered."""

    event_id: int
    sop_instance_uid: str
    report: WorkitemReport
    created_at: datetime


@dataclass(frozen=True, slots=True)
class WorkitemQuery:
    """A search: what has to match, the most results (None: all), how many to pass over."""

    matches: tuple[Match, ...]
    limit: int | None
    offset: int = 0


class Workitems(Protocol):
    """Where workitems, subscriptions and undelivered events are kept. Every call is about one tenant.

    All methods raise Unavailable when the database does not answer. Reports become events of every subscriber of the
    workitem, in the same transaction as the change they tell of.
    """

    async def create(self, tenant_id: int, workitem: Workitem, reports: Sequence[WorkitemReport]) -> bool:
        """Keep a new workitem, subscribe the global subscribers it concerns; False when the UID is taken."""
        ...

    async def find(self, tenant_id: int, sop_instance_uid: str) -> Workitem | None:
        """Return the workitem, or None."""
        ...

    async def forget_ended(self, tenant_id: int, before: datetime, limit: int) -> int:
        """Forget up to `limit` workitems that came to a final state before that and have no deletion lock.

        Returns how many they were.
        """
        ...

    async def replace(self, tenant_id: int, workitem: Workitem, reports: Sequence[WorkitemReport]) -> bool:
        """Keep the changed workitem as its next version; False when `workitem.version` is the current one no more."""
        ...

    async def report(self, tenant_id: int, sop_instance_uid: str, reports: Sequence[WorkitemReport]) -> None:
        """Tell the workitem's subscribers of something that changes nothing."""
        ...

    def search(self, tenant_id: int, query: WorkitemQuery) -> AsyncGenerator[DicomJson]:
        """Yield the attributes of matching workitems from a cursor (flat memory), earliest scheduled start first."""
        ...

    async def is_subscribed(self, tenant_id: int, sop_instance_uid: str, subscriber: str) -> bool:
        """Return whether the application entity is told of the workitem's events."""
        ...

    async def subscribe(
        self, tenant_id: int, sop_instance_uid: str, subscriber: str, *, has_deletion_lock: bool, report: WorkitemReport
    ) -> bool:
        """Subscribe to one workitem, in place of an earlier subscription, and tell the subscriber how it stands.

        False when there is no such workitem.
        """
        ...

    async def unsubscribe(self, tenant_id: int, sop_instance_uid: str, subscriber: str) -> bool:
        """End the subscription, deletion lock and undelivered events included; False without such a workitem."""
        ...

    async def subscribe_globally(self, tenant_id: int, subscription: GlobalSubscription) -> None:
        """Subscribe to all matching workitems, those that are there and those to come.

        With a deletion lock the subscriber is told how each stands that is there.
        """
        ...

    async def suspend(self, tenant_id: int, subscriber: str) -> None:
        """End a global subscription: nothing of workitems to come, all else stays."""
        ...

    async def unsubscribe_globally(self, tenant_id: int, subscriber: str) -> None:
        """End every subscription of the application entity; undelivered events are dropped."""
        ...

    async def announce(self, report: WorkitemReport) -> None:
        """Tell every subscriber, of all tenants, something that is about no single workitem."""
        ...

    async def waiting_subscribers(self) -> list[tuple[int, str, bool]]:
        """Return tenants and subscribers that have events and are not being served.

        The third says whether the subscriber rests: it could not be reached, and it is not time to try again.
        """
        ...

    async def lease_events(self, tenant_id: int, subscriber: str, lease_s: float, limit: int) -> list[WorkitemEvent]:
        """Return a subscriber's oldest events, whose delivery is the caller's alone for a time; [] if it is not."""
        ...

    async def delivered(self, tenant_id: int, subscriber: str, event_ids: Sequence[int]) -> None:
        """Forget events; the lease begins anew."""
        ...

    async def give_up_events(self, tenant_id: int, subscriber: str, before: datetime) -> None:
        """Forget a subscriber's events that are older."""
        ...

    async def end_lease(self, tenant_id: int, subscriber: str, *, failed: bool) -> None:
        """Give the delivery free; after a failure not before a time that grows with each one in a row."""
        ...
