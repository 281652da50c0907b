"""Forwarding: rules that say what goes where, and how each instance stands with each destination."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from enum import StrEnum
from typing import Protocol

from hilum.archive.jobs import Job
from hilum.archive.model import Origin, StoredInstance


class RuleTiming(StrEnum):
    """When a rule decides."""

    ARRIVAL = "arrival"
    """For each instance as it comes."""
    STABLE = "stable"
    """For all instances of a study once no new one has come for a while."""


class OutsideWindow(StrEnum):
    """What a rule does outside of its time window."""

    SKIP = "skip"
    """It does not apply."""
    WAIT = "wait"
    """It applies, and what it sends waits for the window."""


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """Hours of some days in the archive's local time; `end` before `start` goes past midnight.

    `weekdays` are numbers from 0 (Monday) of the days on which the window begins; empty stands for all.
    """

    start: time
    end: time
    weekdays: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class RuleCondition:
    """What an instance must be like. A list that is empty asks for nothing; otherwise one of its patterns must fit.

    Patterns are compared without case; `*` and `?` stand for any characters and for one; one that begins with `!`
    must not fit. What an instance does not say fits no pattern but `!`.
    """

    calling_ae_titles: tuple[str, ...] = ()
    called_ae_titles: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    sop_class_uids: tuple[str, ...] = ()
    transfer_syntax_uids: tuple[str, ...] = ()
    body_parts: tuple[str, ...] = ()
    study_descriptions: tuple[str, ...] = ()
    series_descriptions: tuple[str, ...] = ()
    station_names: tuple[str, ...] = ()
    institution_names: tuple[str, ...] = ()
    window: TimeWindow | None = None
    outside_window: OutsideWindow = OutsideWindow.SKIP


@dataclass(frozen=True, slots=True)
class ForwardRule:
    """What fits the condition goes to the destinations, AE titles of registered remotes.

    `stable_s` is how long a study has to be quiet, for rules that wait for it. `transfer_syntax_uid` is what to send
    in, where the destination takes it; None for as it is stored or as the destination prefers.
    """

    rule_id: int
    tenant_id: int
    name: str
    destinations: tuple[str, ...]
    condition: RuleCondition = field(default_factory=RuleCondition)
    timing: RuleTiming = RuleTiming.ARRIVAL
    stable_s: float = 60.0
    priority: int = 0
    transfer_syntax_uid: str | None = None
    is_enabled: bool = True


@dataclass(frozen=True, slots=True)
class InstanceFacts:
    """What rules look at. `site` is that of the remote which sent it, by the registry."""

    instance_key: int
    version: int
    study_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    origin: Origin
    site: str | None = None
    modality: str | None = None
    body_part: str | None = None
    study_description: str | None = None
    series_description: str | None = None
    station_name: str | None = None
    institution_name: str | None = None


class ForwardState(StrEnum):
    """How an instance stands with a destination."""

    WAITING = "waiting"
    SENDING = "sending"
    """Is on its way; if it stays so, nobody knows whether it arrived, and it is sent again."""
    SENT = "sent"
    FAILED = "failed"
    """Was refused, or cannot be sent: not tried again by itself."""
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class ForwardOrder:
    """One instance to one destination, as decided. `delay_s` is how long it waits for the rule's window."""

    instance_key: int
    version: int
    study_instance_uid: str
    destination: str
    rule_id: int | None = None
    priority: int = 0
    transfer_syntax_uid: str | None = None
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ClaimedInstance:
    """An instance a job is about to send; `attempt` counts the tries before whose outcome was a failure of its own."""

    version: int
    attempt: int
    transfer_syntax_uid: str | None
    instance: StoredInstance


@dataclass(frozen=True, slots=True)
class ForwardOutcome:
    """What became of a claimed instance. WAITING with `counts`: it failed by itself, and the try is counted."""

    instance_key: int
    version: int
    state: ForwardState
    status: int | None = None
    reason: str = ""
    counts: bool = False


@dataclass(frozen=True, slots=True)
class ForwardedStudy:
    """How one study stands with one destination: instances by state, the last trouble, and when it last changed."""

    study_instance_uid: str
    destination: str
    counts: Mapping[ForwardState, int]
    error: str | None
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class DestinationSettings:
    """How much a destination takes. None stands for what its registration says, or for no bound."""

    destination: str
    concurrency: int | None = None
    max_bytes_per_s: float | None = None


class ForwardStore(Protocol):
    """Rules, and the state of every instance with every destination. All raise Unavailable."""

    async def rules(self, tenant_id: int) -> Sequence[ForwardRule]:
        """Return all rules by id."""
        ...

    async def save_rule(self, rule: ForwardRule) -> ForwardRule:
        """Keep a new rule (its `rule_id` is 0) or the changed one of that id, and return it as kept.

        Raises:
            Conflict: another rule has the name.
            NotFound: there is no rule of that id.
        """
        ...

    async def remove_rule(self, tenant_id: int, rule_id: int) -> bool:
        """Remove the rule; False when there is none. What it has ordered is still sent."""
        ...

    async def facts(self, tenant_id: int, instance_keys: Sequence[int]) -> list[InstanceFacts]:
        """Return what rules look at, of those of the instances that are there."""
        ...

    async def facts_of_study(self, tenant_id: int, study_instance_uid: str) -> list[InstanceFacts]:
        """Return what rules look at, of all instances of the study."""
        ...

    async def order(self, tenant_id: int, orders: Sequence[ForwardOrder], *, again: bool = False) -> None:
        """Keep the orders that are new, and enqueue jobs that send what waits, in one transaction.

        With `again` what was sent, failed or was cancelled waits anew.
        """
        ...

    async def claim(
        self, tenant_id: int, destination: str, study_instance_uid: str, job: Job, limit: int
    ) -> list[ClaimedInstance]:
        """Mark instances whose time has come as being sent by the job and return them; [] when there are none.

        Also those that were being sent by a job which runs no more. Not those this try of the job has put back. Those
        that fail again and again come last and alone, so that they keep no others from being sent.
        """
        ...

    async def record(self, tenant_id: int, destination: str, job_id: int, outcomes: Sequence[ForwardOutcome]) -> None:
        """Keep what became of instances the job has claimed."""
        ...

    async def studies(
        self,
        tenant_id: int,
        *,
        destination: str | None = None,
        study_instance_uid: str | None = None,
        states: Sequence[ForwardState] = (),
        limit: int,
        offset: int = 0,
    ) -> list[ForwardedStudy]:
        """Return how studies with instances in one of the states stand, the last to change first."""
        ...

    async def counts(self, tenant_id: int) -> Mapping[str, Mapping[ForwardState, int]]:
        """Return by destination how many instances are in each state but SENT."""
        ...

    async def cancel(self, tenant_id: int, destination: str, study_instance_uid: str | None) -> int:
        """Give up what has not been sent to the destination, of one study or of all; returns how many instances."""
        ...

    async def retry(self, tenant_id: int, destination: str, study_instance_uid: str | None) -> int:
        """Let wait again what failed or was cancelled, and enqueue jobs for it; returns how many instances."""
        ...

    async def destinations(self, tenant_id: int) -> list[DestinationSettings]:
        """Return the settings of those destinations that have any."""
        ...

    async def save_destination(self, tenant_id: int, settings: DestinationSettings) -> None:
        """Keep how much the destination takes."""
        ...


def lane_of(destination: str) -> str:
    """Return the lane of the jobs that send to the destination."""
    return f"forward:{destination}"
