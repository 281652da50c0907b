"""Workitems: unified procedure steps are created, changed, taken, finished, canceled, found and watched.

One service for the DIMSE doors (PS3.4 Annex CC) and UPS-RS (PS3.18 §11). Errors carry the codes of `WorkitemProblem`,
from which each door makes its own statuses.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

from hilum.archive.identifiers import matching_keys
from hilum.archive.model import DicomJson
from hilum.archive.remotes import RemoteAe
from hilum.archive.workitems import (
    TRANSITIONS,
    GlobalSubscription,
    Transition,
    Workitem,
    WorkitemAct,
    WorkitemProblem,
    WorkitemQuery,
    Workitems,
    WorkitemState,
    WorkitemWarning,
)
from hilum.dicom.uids import UPS_FILTERED_GLOBAL_SUBSCRIPTION, UPS_GLOBAL_SUBSCRIPTION, is_valid_uid
from hilum.kernel.clock import Clock
from hilum.kernel.errors import Conflict, HilumError, InvalidInput, LimitExceeded, NotFound, Unavailable
from hilum.kernel.ids import new_uid
from hilum.kernel.limits import MAX_QUERY_OFFSET, MAX_QUERY_RESULTS, WORKITEM_CHANGE_ATTEMPTS
from hilum.policies import workitems as rules

GLOBAL_SUBSCRIPTIONS: Final = frozenset({UPS_GLOBAL_SUBSCRIPTION, UPS_FILTERED_GLOBAL_SUBSCRIPTION})

_ACTS: Final[Mapping[WorkitemState, WorkitemAct]] = {
    WorkitemState.SCHEDULED: WorkitemAct.SCHEDULE,
    WorkitemState.IN_PROGRESS: WorkitemAct.PERFORM,
    WorkitemState.COMPLETED: WorkitemAct.COMPLETE,
    WorkitemState.CANCELED: WorkitemAct.CANCEL,
}
_PROBLEMS: Final[Mapping[WorkitemProblem, tuple[type[HilumError], str]]] = {
    WorkitemProblem.DUPLICATE: (Conflict, "there is a workitem of this UID already"),
    WorkitemProblem.FINAL: (Conflict, "the workitem may no longer be updated"),
    WorkitemProblem.TRANSACTION: (Conflict, "the correct transaction UID was not provided"),
    WorkitemProblem.IN_PROGRESS: (Conflict, "the workitem is already IN PROGRESS"),
    WorkitemProblem.TO_SCHEDULED: (Conflict, "a workitem becomes SCHEDULED only when it is created"),
    WorkitemProblem.UNKNOWN: (NotFound, "there is no such workitem"),
    WorkitemProblem.UNKNOWN_RECEIVER: (NotFound, "the receiving AE title is not known here"),
    WorkitemProblem.NOT_IN_PROGRESS: (Conflict, "the workitem is not yet IN PROGRESS"),
    WorkitemProblem.COMPLETED: (Conflict, "the workitem is already COMPLETED"),
    WorkitemProblem.PERFORMER: (Conflict, "the performer is not subscribed and cannot be told"),
    WorkitemProblem.INAPPROPRIATE: (Conflict, "this cannot be done to this instance"),
}


class RemoteFinder(Protocol):
    """Who is known by an AE title."""

    async def find(self, tenant_id: int, ae_title: str) -> RemoteAe | None:
        """Return the application entity of that title, or None."""
        ...


@dataclass(frozen=True, slots=True)
class Written:
    """A workitem as it stands after a request, and what the caller has to be told with the success."""

    workitem: Workitem
    warning: WorkitemWarning | None = None


class WorkitemService:
    """Keeps to the state table and the attribute requirements of PS3.4 Annex CC, whichever door asks.

    Args:
        workitems: where they are kept, with the events for subscribers that each change makes.
        remotes: who may be subscribed.
    """

    def __init__(self, workitems: Workitems, remotes: RemoteFinder, clock: Clock) -> None:
        self._workitems = workitems
        self._remotes = remotes
        self._clock = clock

    # --- workitems -----------------------------------------------------------------------------------------------

    async def create_workitem(
        self, tenant_id: int, attributes: DicomJson, sop_instance_uid: str | None = None
    ) -> Written:
        """Keep a new workitem; without a UID it gets one.

        Raises:
            InvalidInput: the UID is none, or the attributes are not those of a workitem.
            Conflict: there is one of this UID, or it is to begin in another state than SCHEDULED.
            Unavailable: the database does not answer.
        """
        uid = sop_instance_uid or new_uid()
        if not is_valid_uid(uid) or uid in GLOBAL_SUBSCRIPTIONS:
            raise InvalidInput("the SOP Instance UID cannot be one of a workitem", code="invalid-uid")
        change = rules.created(uid, attributes, self._clock.now())
        if not await self._workitems.create(tenant_id, change.workitem, change.reports):
            raise problem(WorkitemProblem.DUPLICATE)
        return Written(change.workitem, WorkitemWarning.MODIFIED if change.is_modified else None)

    async def read_workitem(self, tenant_id: int, sop_instance_uid: str) -> Workitem:
        """Return the workitem; its transaction UID is for nobody's eyes.

        Raises:
            NotFound: there is none of this UID.
            Unavailable: the database does not answer.
        """
        workitem = await self._workitems.find(tenant_id, sop_instance_uid) if is_valid_uid(sop_instance_uid) else None
        if workitem is None:
            raise problem(WorkitemProblem.UNKNOWN)
        return workitem

    async def change_workitem(
        self, tenant_id: int, sop_instance_uid: str, modifications: DicomJson, transaction_uid: str | None
    ) -> Written:
        """Change attributes: of a SCHEDULED workitem anyone may, of one IN PROGRESS its performer.

        Raises:
            NotFound: there is none of this UID.
            Conflict: its state, or the transaction UID, forbids it.
            InvalidInput: an attribute may not be changed, or not to this.
            Unavailable: the database does not answer, or others change it all the time.

        Reference: PS3.4 §CC.2.6.3
        """

        def change(workitem: Workitem) -> rules.Change:
            match workitem.state:
                case WorkitemState.SCHEDULED:
                    if transaction_uid:
                        raise problem(WorkitemProblem.NOT_IN_PROGRESS)
                case WorkitemState.IN_PROGRESS:
                    if transaction_uid != workitem.transaction_uid:
                        raise problem(WorkitemProblem.TRANSACTION)
                case _:
                    raise problem(WorkitemProblem.FINAL)
            return rules.changed(workitem, modifications, self._clock.now())

        return await self._rewrite(tenant_id, sop_instance_uid, change)

    async def change_workitem_state(
        self,
        tenant_id: int,
        sop_instance_uid: str,
        state: WorkitemState,
        transaction_uid: str | None,
        performer: str,
    ) -> Written:
        """Bring the workitem to a state; who makes it IN PROGRESS becomes its performer and gives the transaction UID.

        Raises:
            NotFound: there is none of this UID.
            Conflict: the state table forbids it, or what the final state asks for is missing; then the error's fact
                `attribute` names the first such attribute.
            Unavailable: the database does not answer, or others change it all the time.

        Reference: PS3.4 §CC.2.1.3, Table CC.1.1-2
        """

        def change(workitem: Workitem) -> rules.Change | WorkitemWarning:
            cell = _transition(_ACTS[state], workitem, transaction_uid)
            if cell.warning is not None:
                return cell.warning
            assert cell.state is not None
            if cell.is_checked and (gaps := rules.missing_for(cell.state, workitem.attributes)):
                raise Conflict(
                    f"{gaps[0]} is needed before {cell.state}", code=WorkitemProblem.REQUIREMENTS, attribute=gaps[0]
                )
            if cell.state is WorkitemState.IN_PROGRESS:
                workitem = replace(workitem, transaction_uid=transaction_uid, performer=performer)
            return rules.in_state(workitem, cell.state, self._clock.now())

        return await self._rewrite(tenant_id, sop_instance_uid, change)

    async def request_cancellation(
        self, tenant_id: int, sop_instance_uid: str, request: DicomJson, requesting_ae_title: str
    ) -> Written:
        """Cancel the workitem if nobody has taken it, else ask its performer to.

        Raises:
            NotFound: there is none of this UID.
            Conflict: it is COMPLETED, or its performer cannot be told.
            InvalidInput: a value of the request does not fit its attribute.
            Unavailable: the database does not answer, or others change it all the time.

        Reference: PS3.4 §CC.2.2.3
        """

        def change(workitem: Workitem) -> rules.Change | WorkitemWarning | None:
            cell = _transition(WorkitemAct.REQUEST_CANCEL, workitem, None)
            if cell.warning is not None:
                return cell.warning
            return rules.canceled_on_request(workitem, request, self._clock.now()) if cell.state else None

        written = await self._rewrite(tenant_id, sop_instance_uid, change)
        workitem = written.workitem
        if workitem.state is WorkitemState.IN_PROGRESS:
            performer = workitem.performer or ""
            if not await self._workitems.is_subscribed(tenant_id, sop_instance_uid, performer):
                raise problem(WorkitemProblem.PERFORMER)
            report = rules.cancel_request(request, requesting_ae_title)
            await self._workitems.report(tenant_id, sop_instance_uid, [report])
        return written

    def search_workitems(self, tenant_id: int, query: WorkitemQuery) -> AsyncGenerator[DicomJson]:
        """Yield the attributes of what matches, earliest scheduled start first.

        Never more than `limits.MAX_QUERY_RESULTS` and one: the one more lets a door learn whether there are more. Who
        stops before the end closes it, so that the database can be used by others.

        Raises:
            LimitExceeded: the offset is beyond `limits.MAX_QUERY_OFFSET`.
        """
        if query.offset > MAX_QUERY_OFFSET:
            raise LimitExceeded(
                f"results beyond the first {MAX_QUERY_OFFSET} cannot be paged to; narrow the search",
                code="query-offset",
                limit=MAX_QUERY_OFFSET,
            )
        return self._workitems.search(
            tenant_id, replace(query, limit=min(query.limit or MAX_QUERY_RESULTS, MAX_QUERY_RESULTS + 1))
        )

    async def _rewrite(
        self,
        tenant_id: int,
        sop_instance_uid: str,
        change: Callable[[Workitem], rules.Change | WorkitemWarning | None],
    ) -> Written:
        """Let `change` work on the workitem as it stands, anew whenever another change was quicker."""
        for _ in range(WORKITEM_CHANGE_ATTEMPTS):
            workitem = await self.read_workitem(tenant_id, sop_instance_uid)
            result = change(workitem)
            if result is None:
                return Written(workitem)
            if isinstance(result, WorkitemWarning):
                return Written(workitem, result)
            if await self._workitems.replace(tenant_id, result.workitem, result.reports):
                return Written(replace(result.workitem, version=workitem.version + 1))
        raise Unavailable("the workitem is being changed by others all the time", code="workitem-busy")

    # --- subscriptions -------------------------------------------------------------------------------------------

    async def subscribe(
        self,
        tenant_id: int,
        sop_instance_uid: str,
        subscriber: str,
        *,
        has_deletion_lock: bool,
        keys: DicomJson | None = None,
        is_here: bool = False,
    ) -> None:
        """Subscribe to one workitem, or by a well-known UID to all of them, or to those the keys match.

        Args:
            is_here: the subscriber itself is at a door that can tell it of events, so it need not be registered.

        Raises:
            NotFound: there is no such workitem, or nobody of this AE title is known.
            InvalidInput: the keys are missing, or are none.
            Unavailable: the database does not answer.

        Reference: PS3.4 §CC.2.3.3
        """
        if not is_here and await self._remotes.find(tenant_id, subscriber) is None:
            raise problem(WorkitemProblem.UNKNOWN_RECEIVER)
        if sop_instance_uid in GLOBAL_SUBSCRIPTIONS:
            is_filtered = sop_instance_uid == UPS_FILTERED_GLOBAL_SUBSCRIPTION
            if is_filtered and not matching_keys(keys or {}):
                raise InvalidInput("a filtered subscription needs matching keys", code="missing-keys")
            subscription = GlobalSubscription(subscriber, has_deletion_lock, keys if is_filtered else None)
            await self._workitems.subscribe_globally(tenant_id, subscription)
        else:
            workitem = await self.read_workitem(tenant_id, sop_instance_uid)
            if not await self._workitems.subscribe(
                tenant_id,
                sop_instance_uid,
                subscriber,
                has_deletion_lock=has_deletion_lock,
                report=rules.state_report(workitem.attributes),
            ):
                raise problem(WorkitemProblem.UNKNOWN)

    async def unsubscribe(self, tenant_id: int, sop_instance_uid: str, subscriber: str) -> None:
        """End a subscription; by a well-known UID all that the application entity has. Without one nothing happens.

        Raises:
            NotFound: there is no such workitem.
            Unavailable: the database does not answer.

        Reference: PS3.4 §CC.2.3.3
        """
        if sop_instance_uid in GLOBAL_SUBSCRIPTIONS:
            await self._workitems.unsubscribe_globally(tenant_id, subscriber)
        elif not is_valid_uid(sop_instance_uid) or not await self._workitems.unsubscribe(
            tenant_id, sop_instance_uid, subscriber
        ):
            raise problem(WorkitemProblem.UNKNOWN)

    async def suspend(self, tenant_id: int, sop_instance_uid: str, subscriber: str) -> None:
        """End a global subscription for workitems to come; subscriptions to those that are there stay.

        Raises:
            Conflict: the UID is that of no global subscription.
            Unavailable: the database does not answer.

        Reference: PS3.4 §CC.2.3.3
        """
        if sop_instance_uid not in GLOBAL_SUBSCRIPTIONS:
            raise problem(WorkitemProblem.INAPPROPRIATE)
        await self._workitems.suspend(tenant_id, subscriber)

    async def announce_restart(self) -> None:
        """Tell the subscribers of all tenants that the service is there again.

        Raises:
            Unavailable: the database does not answer.

        Reference: PS3.4 §CC.2.4.3
        """
        await self._workitems.announce(rules.restart_report())


def problem(code: WorkitemProblem) -> HilumError:
    """Return the error a problem is raised as."""
    family, message = _PROBLEMS[code]
    return family(message, code=code)


def _transition(act: WorkitemAct, workitem: Workitem, transaction_uid: str | None) -> Transition:
    """Return the cell of the state table. Raises what it says against the act."""
    if workitem.state is WorkitemState.SCHEDULED:
        is_right = bool(transaction_uid) and is_valid_uid(transaction_uid or "")
    else:
        is_right = transaction_uid is not None and transaction_uid == workitem.transaction_uid
    cell = TRANSITIONS[act, is_right, workitem.state]
    if cell.problem is not None:
        raise problem(cell.problem)
    return cell
