"""Forwarding under /api/forwarding: rules, how destinations and studies stand, and the handles to steer them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, time
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from hilum.archive.forwarding import (
    DestinationSettings,
    ForwardRule,
    ForwardState,
    OutsideWindow,
    RuleCondition,
    RuleTiming,
    TimeWindow,
)
from hilum.archive.jobs import JobState
from hilum.archive.model import Permission
from hilum.console.access import allowed
from hilum.console.problems import problems
from hilum.kernel.errors import NotFound
from hilum.services.forwarding import ForwardService

_MAX_LISTED = 1000


class WindowEntry(BaseModel):
    """Hours in the archive's local time; an end before the start lies on the next day."""

    start: time
    end: time
    weekdays: list[int] = Field([], description="Days on which it begins, from 0 (Monday); none: every day.")


class ConditionEntry(BaseModel):
    """What instances must be like. In patterns * and ? stand for any characters and for one; with ! in front the
    pattern must not fit. Each list that has patterns must have one that fits.
    """

    calling_ae_titles: list[str] = []
    called_ae_titles: list[str] = []
    sites: list[str] = []
    origins: list[str] = []
    modalities: list[str] = []
    sop_class_uids: list[str] = []
    transfer_syntax_uids: list[str] = []
    body_parts: list[str] = []
    study_descriptions: list[str] = []
    series_descriptions: list[str] = []
    station_names: list[str] = []
    institution_names: list[str] = []
    window: WindowEntry | None = None
    outside_window: OutsideWindow = Field(default=OutsideWindow.SKIP, description="Nothing, or wait for the window.")


class RuleEntry(BaseModel):
    """A forwarding rule. What is left out has the value shown; nothing is left as it was."""

    name: str
    destinations: list[str] = Field(description="AE titles of registered remotes.")
    condition: ConditionEntry = ConditionEntry()
    timing: RuleTiming = Field(RuleTiming.ARRIVAL, description="When an instance comes, or when its study is stable.")
    stable_s: float = Field(60.0, description="Seconds without a new instance after which a study is stable.")
    priority: int = Field(0, description="What is more urgent has a higher one, and goes first.")
    transfer_syntax_uid: str | None = Field(None, description="What to send in, where the destination takes it.")
    is_enabled: bool = True


class KeptRule(RuleEntry):
    """A forwarding rule with its number."""

    rule_id: int


class RuleList(BaseModel):
    """All forwarding rules."""

    rules: list[KeptRule]


class DestinationEntry(BaseModel):
    """How a destination stands: instances and jobs by state, and what keeps them from going."""

    destination: str
    instances: dict[ForwardState, int] = Field(description="How many are in each state but sent.")
    jobs: dict[JobState, int]
    is_registered: bool
    is_held: bool
    concurrency: int
    max_bytes_per_s: float | None
    rests_until: datetime | None = Field(description="It did not answer, and is tried again then.")
    oldest_queued_at: datetime | None
    error: str | None


class DestinationList(BaseModel):
    """All destinations that rules name or that have something to show."""

    destinations: list[DestinationEntry]


class Bounds(BaseModel):
    """How much a destination gets at a time; none stands for its registration's associations, and for no bound."""

    concurrency: int | None = Field(None, ge=1, le=64)
    max_bytes_per_s: float | None = Field(None, gt=0)


class StudyChoice(BaseModel):
    """One study, or none for all that goes to the destination."""

    study_instance_uid: str | None = None


class Affected(BaseModel):
    """How many instances it was about."""

    instances: int


class StudyEntry(BaseModel):
    """How a study stands with a destination."""

    study_instance_uid: str
    destination: str
    instances: dict[ForwardState, int]
    error: str | None
    changed_at: datetime


class StudyList(BaseModel):
    """Studies, the last to change first."""

    studies: list[StudyEntry]


class Errand(BaseModel):
    """Where a study is to go."""

    destination: str
    priority: int = 0


class RuleVerdict(BaseModel):
    """What a rule says of an instance now."""

    rule_id: int
    rule: str
    timing: RuleTiming
    applies: bool
    reason: str


class InstanceVerdicts(BaseModel):
    """What all rules say of an instance, and where it goes by them."""

    sop_instance_uid: str
    destinations: list[str]
    verdicts: list[RuleVerdict]


class Explanation(BaseModel):
    """What all rules say of the first instances of a study."""

    instances: list[InstanceVerdicts]


def forwarding_routes(service: ForwardService) -> APIRouter:
    """Return the routes, to be included in the console API. Readers look, administrators change."""
    routes = APIRouter(prefix="/forwarding", tags=["forwarding"])

    @routes.get("/rules", responses=problems(401, 403))
    async def list_forward_rules(request: Request) -> RuleList:
        """List all forwarding rules."""
        tenant_id = allowed(request, Permission.READ).tenant.tenant_id
        return RuleList(rules=[_kept(rule) for rule in await service.rules(tenant_id)])

    @routes.post("/rules", status_code=201, responses=problems(400, 401, 403, 409, 429))
    async def add_forward_rule(entry: RuleEntry, request: Request) -> KeptRule:
        """Make a forwarding rule; it decides from the next instance on."""
        tenant_id = allowed(request, Permission.ADMINISTER).tenant.tenant_id
        return _kept(await service.save_rule(_rule(entry, 0, tenant_id)))

    @routes.put("/rules/{rule_id}", responses=problems(400, 401, 403, 404, 409))
    async def replace_forward_rule(rule_id: int, entry: RuleEntry, request: Request) -> KeptRule:
        """Replace a forwarding rule; what it has ordered is still sent."""
        tenant_id = allowed(request, Permission.ADMINISTER).tenant.tenant_id
        if rule_id < 1:
            raise NotFound("there is no such forwarding rule", code="no-such-rule")
        return _kept(await service.save_rule(_rule(entry, rule_id, tenant_id)))

    @routes.delete("/rules/{rule_id}", status_code=204, responses=problems(401, 403, 404))
    async def remove_forward_rule(rule_id: int, request: Request) -> Response:
        """Remove a forwarding rule; what it has ordered is still sent."""
        await service.remove_rule(allowed(request, Permission.ADMINISTER).tenant.tenant_id, rule_id)
        return Response(status_code=204)

    @routes.get("/destinations", responses=problems(401, 403))
    async def list_destinations(request: Request) -> DestinationList:
        """Tell how all destinations stand."""
        found = await service.status(allowed(request, Permission.READ).tenant.tenant_id)
        return DestinationList(destinations=[DestinationEntry(**asdict(each)) for each in found])

    # AE titles may hold slashes.
    @routes.put("/destinations/{ae_title:path}/bounds", status_code=204, responses=problems(400, 401, 403, 404))
    async def bound_destination(ae_title: str, bounds: Bounds, request: Request) -> Response:
        """Say how many jobs send to a destination at a time, and how many bytes it gets in a second."""
        tenant_id = allowed(request, Permission.ADMINISTER).tenant.tenant_id
        await service.set_destination(tenant_id, DestinationSettings(ae_title, **bounds.model_dump()))
        return Response(status_code=204)

    @routes.post("/destinations/{ae_title:path}/hold", status_code=204, responses=problems(401, 403))
    async def hold_destination(ae_title: str, request: Request) -> Response:
        """Send nothing more to a destination until it is resumed."""
        await service.hold(allowed(request, Permission.ADMINISTER).tenant.tenant_id, ae_title)
        return Response(status_code=204)

    @routes.post("/destinations/{ae_title:path}/resume", status_code=204, responses=problems(401, 403))
    async def resume_destination(ae_title: str, request: Request) -> Response:
        """Send to a destination again."""
        await service.resume(allowed(request, Permission.ADMINISTER).tenant.tenant_id, ae_title)
        return Response(status_code=204)

    @routes.post("/destinations/{ae_title:path}/cancel", responses=problems(401, 403))
    async def cancel_forwarding(ae_title: str, choice: StudyChoice, request: Request) -> Affected:
        """Give up what has not been sent to a destination."""
        tenant_id = allowed(request, Permission.ADMINISTER).tenant.tenant_id
        return Affected(instances=await service.cancel(tenant_id, ae_title, choice.study_instance_uid))

    @routes.post("/destinations/{ae_title:path}/retry", responses=problems(401, 403))
    async def retry_forwarding(ae_title: str, choice: StudyChoice, request: Request) -> Affected:
        """Send again what failed or was cancelled, and at once what waits."""
        tenant_id = allowed(request, Permission.ADMINISTER).tenant.tenant_id
        return Affected(instances=await service.retry(tenant_id, ae_title, choice.study_instance_uid))

    @routes.get("/studies", responses=problems(400, 401, 403))
    async def list_forwarded_studies(
        request: Request,
        destination: str | None = None,
        study_instance_uid: str | None = None,
        state: Annotated[list[ForwardState], Query()] = [],  # noqa: B006 - FastAPI copies it
        limit: Annotated[int, Query(ge=1, le=_MAX_LISTED)] = 100,
        offset: Annotated[int, Query(ge=0)] = 0,
    ) -> StudyList:
        """Tell how studies stand with their destinations, the last to change first."""
        tenant_id = allowed(request, Permission.READ).tenant.tenant_id
        found = await service.studies(
            tenant_id,
            destination=destination,
            study_instance_uid=study_instance_uid,
            states=state,
            limit=limit,
            offset=offset,
        )
        return StudyList(
            studies=[
                StudyEntry(
                    study_instance_uid=each.study_instance_uid,
                    destination=each.destination,
                    instances=dict(each.counts),
                    error=each.error,
                    changed_at=each.changed_at,
                )
                for each in found
            ]
        )

    @routes.post("/studies/{study_instance_uid}", status_code=202, responses=problems(401, 403, 404))
    async def forward_study(study_instance_uid: str, errand: Errand, request: Request) -> Affected:
        """Send a study to a destination, whatever rules say."""
        tenant_id = allowed(request, Permission.ADMINISTER).tenant.tenant_id
        count = await service.forward(tenant_id, study_instance_uid, errand.destination, errand.priority)
        return Affected(instances=count)

    @routes.get("/studies/{study_instance_uid}/explanation", responses=problems(401, 403))
    async def explain_forwarding(study_instance_uid: str, request: Request) -> Explanation:
        """Tell what each rule says now of a study's first instances, and why."""
        tenant_id = allowed(request, Permission.READ).tenant.tenant_id
        found = []
        for facts, decisions in await service.explain(tenant_id, study_instance_uid):
            verdicts = [
                RuleVerdict(
                    rule_id=verdict.rule.rule_id,
                    rule=verdict.rule.name,
                    timing=verdict.rule.timing,
                    applies=verdict.applies,
                    reason=verdict.reason,
                )
                for decision in decisions
                for verdict in decision.verdicts
            ]
            goes = sorted({order.destination for decision in decisions for order in decision.orders})
            found.append(
                InstanceVerdicts(sop_instance_uid=facts.sop_instance_uid, destinations=goes, verdicts=verdicts)
            )
        return Explanation(instances=found)

    return routes


def _rule(entry: RuleEntry, rule_id: int, tenant_id: int) -> ForwardRule:
    given = entry.condition.model_dump(exclude={"window"})
    fitting: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.items()
    }
    window = entry.condition.window
    condition = RuleCondition(
        **fitting,
        window=None if window is None else TimeWindow(window.start, window.end, frozenset(window.weekdays)),
    )
    values = entry.model_dump(exclude={"condition", "destinations"})
    return ForwardRule(
        rule_id=rule_id, tenant_id=tenant_id, destinations=tuple(entry.destinations), condition=condition, **values
    )


def _kept(rule: ForwardRule) -> KeptRule:
    values: Mapping[str, Any] = asdict(rule)
    return KeptRule.model_validate(_plain(values))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return sorted(value) if isinstance(value, frozenset) else list(value) if isinstance(value, tuple) else value
