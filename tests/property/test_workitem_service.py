"""The workitem service does what a small model of PS3.4 Annex CC says, whatever is asked in whatever order."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from hilum.archive.identifiers import matching_keys
from hilum.archive.workitems import WorkitemQuery, WorkitemState, WorkitemWarning
from hilum.index.embedded import EmbeddedPostgres
from hilum.index.postgres import PostgresIndex
from hilum.kernel.clock import SystemClock
from hilum.kernel.errors import HilumError
from hilum.policies.workitems import first_value
from hilum.services.workitems import WorkitemService
from support.database import attributes_of, new_tenant
from support.workitems import discontinued, performed, workitem_attributes

GLOBAL, FILTERED = "1.2.840.10008.5.1.4.34.5", "1.2.840.10008.5.1.4.34.5.1"
UIDS = ["1.2.1", "1.2.2"]
TRANSACTIONS = [None, "1.3.1", "1.3.2"]
SUBSCRIBERS = ["ONE", "TWO"]

uids = st.sampled_from(UIDS)
transactions = st.sampled_from(TRANSACTIONS)
subscribers = st.sampled_from(SUBSCRIBERS)


@dataclass
class Item:
    """What the model knows of a workitem."""

    label: str
    state: str = "SCHEDULED"
    transaction_uid: str | None = None
    performer: str = ""
    is_performed: bool = False
    is_discontinued: bool = False
    readiness: str = "READY"
    subscribers: set[str] = field(default_factory=set)


class Machine(RuleBasedStateMachine):
    """Asks the service and the model the same."""

    runner: asyncio.Runner
    index: PostgresIndex
    database: EmbeddedPostgres

    def __init__(self) -> None:
        super().__init__()
        self.items: dict[str, Item] = {}
        self.global_subscribers: dict[str, str | None] = {}
        self.told: dict[str, list[tuple[str, int, str | None]]] = {name: [] for name in SUBSCRIBERS}
        self.tenant_id = self.run(new_tenant(self.database.app_address()))
        self.service = WorkitemService(self.index.workitems, _Nobody(), SystemClock())

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def outcome(self, work: Coroutine[Any, Any, Any]) -> str:
        """Return "done", the warning, or the code of the error."""
        try:
            written = self.run(work)
        except HilumError as error:
            return error.reason_code
        warning: WorkitemWarning | None = getattr(written, "warning", None)
        return "done" if warning is None else str(warning)

    def tell(self, uid: str, event_type: int, state: str | None = None) -> None:
        for name in self.items[uid].subscribers:
            self.told[name].append((uid, event_type, state))

    @rule(uid=uids, label=st.sampled_from(["CAD", "3D"]))
    def create(self, uid: str, label: str) -> None:
        outcome = self.outcome(
            self.service.create_workitem(self.tenant_id, workitem_attributes(WorklistLabel=label), uid)
        )
        if uid in self.items:
            assert outcome == "workitem-exists"
            return
        assert outcome == "done"
        wanted = {name for name, only in self.global_subscribers.items() if only in (None, label)}
        self.items[uid] = Item(label, subscribers=wanted)
        self.tell(uid, 1, "SCHEDULED")

    @rule(uid=uids, transaction=transactions, what=st.sampled_from(["performed", "discontinued", "readiness"]))
    def change(self, uid: str, transaction: str | None, what: str) -> None:
        readiness = "UNAVAILABLE" if uid in self.items and self.items[uid].readiness == "READY" else "READY"
        modifications = {
            "performed": performed,
            "discontinued": discontinued,
            "readiness": lambda: attributes_of({"InputReadinessState": readiness}),
        }[what]()
        outcome = self.outcome(self.service.change_workitem(self.tenant_id, uid, modifications, transaction))
        item = self.items.get(uid)
        if item is None:
            assert outcome == "no-such-workitem"
        elif item.state == "SCHEDULED" and transaction is not None:
            assert outcome == "workitem-not-in-progress"
        elif item.state == "IN PROGRESS" and transaction != item.transaction_uid:
            assert outcome == "workitem-transaction"
        elif item.state in ("COMPLETED", "CANCELED"):
            assert outcome == "workitem-final"
        else:
            assert outcome == "done"
            if what == "performed":
                item.is_performed = True
            elif what == "discontinued":
                if not item.is_discontinued:
                    self.tell(uid, 3)
                item.is_discontinued = True
            else:
                item.readiness = readiness
                self.tell(uid, 1, item.state)

    @rule(
        uid=uids,
        state=st.sampled_from(list(WorkitemState)),
        transaction=transactions,
        performer=subscribers,
    )
    def change_state(self, uid: str, state: WorkitemState, transaction: str | None, performer: str) -> None:
        outcome = self.outcome(self.service.change_workitem_state(self.tenant_id, uid, state, transaction, performer))
        item = self.items.get(uid)
        if item is None:
            assert outcome == "no-such-workitem"
            return
        is_right = transaction is not None if item.state == "SCHEDULED" else transaction == item.transaction_uid
        is_right = is_right and transaction is not None
        if state == "SCHEDULED":
            assert outcome == "workitem-to-scheduled"
        elif not is_right:
            assert outcome == "workitem-transaction"
        elif item.state == state:
            expected = {"IN PROGRESS": "workitem-in-progress", "COMPLETED": "already-completed"}
            assert outcome == expected.get(state, "already-canceled")
        elif item.state in ("COMPLETED", "CANCELED"):
            assert outcome == "workitem-final"
        elif item.state == "SCHEDULED":
            assert outcome == ("done" if state == "IN PROGRESS" else "workitem-not-in-progress")
            if state == "IN PROGRESS":
                item.state, item.transaction_uid, item.performer = "IN PROGRESS", transaction, performer
                self.tell(uid, 1, item.state)
        elif not (item.is_performed if state == "COMPLETED" else item.is_discontinued):
            assert outcome == "workitem-requirements"
        else:
            assert outcome == "done"
            item.state = str(state)
            self.tell(uid, 1, item.state)

    @rule(uid=uids)
    def request_cancel(self, uid: str) -> None:
        outcome = self.outcome(self.service.request_cancellation(self.tenant_id, uid, {}, "SCHEDULER"))
        item = self.items.get(uid)
        if item is None:
            assert outcome == "no-such-workitem"
        elif item.state == "SCHEDULED":
            assert outcome == "done"
            self.tell(uid, 1, "IN PROGRESS")
            self.tell(uid, 1, "CANCELED")
            item.state = "CANCELED"
        elif item.state == "IN PROGRESS":
            is_reachable = item.performer in item.subscribers
            assert outcome == ("done" if is_reachable else "performer-unreachable")
            if is_reachable:
                self.tell(uid, 2)
        else:
            assert outcome == ("already-canceled" if item.state == "CANCELED" else "workitem-completed")

    @rule(uid=st.sampled_from([*UIDS, GLOBAL, FILTERED]), subscriber=subscribers)
    def subscribe(self, uid: str, subscriber: str) -> None:
        keys = attributes_of({"WorklistLabel": "3D"})
        outcome = self.outcome(
            self.service.subscribe(self.tenant_id, uid, subscriber, has_deletion_lock=False, keys=keys, is_here=True)
        )
        if uid in (GLOBAL, FILTERED):
            assert outcome == "done"
            only = "3D" if uid == FILTERED else None
            self.global_subscribers[subscriber] = only
            for item in self.items.values():
                if only in (None, item.label):
                    item.subscribers.add(subscriber)
        elif uid not in self.items:
            assert outcome == "no-such-workitem"
        else:
            assert outcome == "done"
            self.items[uid].subscribers.add(subscriber)
            self.told[subscriber].append((uid, 1, self.items[uid].state))

    @rule(uid=st.sampled_from([*UIDS, GLOBAL]), subscriber=subscribers)
    def unsubscribe(self, uid: str, subscriber: str) -> None:
        outcome = self.outcome(self.service.unsubscribe(self.tenant_id, uid, subscriber))
        if uid == GLOBAL:
            assert outcome == "done"
            self.global_subscribers.pop(subscriber, None)
            for item in self.items.values():
                item.subscribers.discard(subscriber)
            self.told[subscriber].clear()
        elif uid not in self.items:
            assert outcome == "no-such-workitem"
        else:
            assert outcome == "done"
            self.items[uid].subscribers.discard(subscriber)
            self.told[subscriber][:] = [event for event in self.told[subscriber] if event[0] != uid]

    @rule(uid=st.sampled_from([UIDS[0], GLOBAL, FILTERED]), subscriber=subscribers)
    def suspend(self, uid: str, subscriber: str) -> None:
        outcome = self.outcome(self.service.suspend(self.tenant_id, uid, subscriber))
        assert outcome == ("inappropriate-action" if uid in UIDS else "done")
        if uid not in UIDS:
            self.global_subscribers.pop(subscriber, None)

    @invariant()
    def workitems_are_found_in_their_states(self) -> None:
        async def found(state: str) -> set[str]:
            query = WorkitemQuery(matching_keys(attributes_of({"ProcedureStepState": state})), 100)
            results = self.service.search_workitems(self.tenant_id, query)
            return {str(first_value(each, "SOPInstanceUID")) async for each in results}

        for state in WorkitemState:
            assert self.run(found(state)) == {uid for uid, item in self.items.items() if item.state == state}

    @invariant()
    def what_is_told_is_what_happened(self) -> None:
        store = self.index.workitems
        for name in SUBSCRIBERS:
            events = self.run(store.lease_events(self.tenant_id, name, 60, 1000))
            assert [
                (
                    event.sop_instance_uid,
                    int(event.report.event_type),
                    first_value(event.report.information, "ProcedureStepState"),
                )
                for event in events
            ] == self.told[name]


class _Nobody:
    """A registry without entries."""

    async def find(self, tenant_id: int, ae_title: str) -> None:
        return None


@pytest.mark.timeout(240)
def test_the_service_does_what_the_model_does(database: EmbeddedPostgres) -> None:
    with asyncio.Runner() as runner:

        class Bound(Machine):
            pass

        Bound.runner, Bound.database = runner, database

        async def opened() -> PostgresIndex:
            index = PostgresIndex(database.app_address())
            await index.open()
            return index

        Bound.index = runner.run(opened())
        try:
            run_state_machine_as_test(  # type: ignore[no-untyped-call]
                Bound,
                settings=settings(
                    max_examples=15,
                    stateful_step_count=25,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(Bound.index.close())
