"""Prefetch rules under /api/prefetch: readers look, administrators change."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from hilum.archive.model import Permission
from hilum.archive.prefetch import PrefetchRule
from hilum.console.access import allowed
from hilum.console.problems import problems
from hilum.kernel.errors import NotFound
from hilum.kernel.limits import MAX_PREFETCHED_STUDIES
from hilum.services.prefetch import PrefetchService


class PrefetchEntry(BaseModel):
    """A prefetch rule. What is left out has the value shown. In patterns * and ? stand for any characters and for one;
    with ! in front the pattern must not fit; a list without patterns asks for nothing.
    """

    name: str
    sources: list[str] = Field(description="AE titles of registered remotes.")
    modalities: list[str] = Field(default=[], description="Of the scheduled step, as patterns.")
    descriptions: list[str] = Field(default=[], description="Of the scheduled step or the requested procedure.")
    station_ae_titles: list[str] = Field(default=[], description="Of the scheduled station.")
    is_same_modality: bool = Field(default=False, description="A prior has to have the step's modality.")
    prior_modalities: list[str] = []
    prior_descriptions: list[str] = []
    prior_body_parts: list[str] = []
    years: float | None = Field(default=5.0, description="How old a prior may be; none for any age.")
    count: int = Field(default=3, ge=1, le=MAX_PREFETCHED_STUDIES, description="Priors from each source, newest first.")
    is_enabled: bool = True


class KeptPrefetchRule(PrefetchEntry):
    """A prefetch rule with its number."""

    rule_id: int


class PrefetchRuleList(BaseModel):
    """All prefetch rules."""

    rules: list[KeptPrefetchRule]


def prefetch_routes(service: PrefetchService) -> APIRouter:
    """Return the routes, to be included in the console API."""
    routes = APIRouter(prefix="/prefetch", tags=["prefetch"])

    @routes.get("/rules", responses=problems(401, 403))
    async def list_prefetch_rules(request: Request) -> PrefetchRuleList:
        """List all prefetch rules."""
        tenant_id = allowed(request, Permission.READ).tenant.tenant_id
        return PrefetchRuleList(rules=[_kept(rule) for rule in await service.rules(tenant_id)])

    @routes.post("/rules", status_code=201, responses=problems(400, 401, 403, 409, 429))
    async def add_prefetch_rule(entry: PrefetchEntry, request: Request) -> KeptPrefetchRule:
        """Make a prefetch rule, for the steps that are scheduled from now on."""
        tenant_id = allowed(request, Permission.ADMINISTER).tenant.tenant_id
        return _kept(await service.save_rule(_rule(entry, 0, tenant_id)))

    @routes.put("/rules/{rule_id}", responses=problems(400, 401, 403, 404, 409))
    async def replace_prefetch_rule(rule_id: int, entry: PrefetchEntry, request: Request) -> KeptPrefetchRule:
        """Replace a prefetch rule."""
        tenant_id = allowed(request, Permission.ADMINISTER).tenant.tenant_id
        if rule_id < 1:
            raise NotFound("there is no such prefetch rule", code="no-such-rule")
        return _kept(await service.save_rule(_rule(entry, rule_id, tenant_id)))

    @routes.delete("/rules/{rule_id}", status_code=204, responses=problems(401, 403, 404))
    async def remove_prefetch_rule(rule_id: int, request: Request) -> Response:
        """Remove a prefetch rule; pulls that it has ordered go on."""
        await service.remove_rule(allowed(request, Permission.ADMINISTER).tenant.tenant_id, rule_id)
        return Response(status_code=204)

    return routes


def _rule(entry: PrefetchEntry, rule_id: int, tenant_id: int) -> PrefetchRule:
    given = entry.model_dump().items()
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in given}
    return PrefetchRule(rule_id=rule_id, tenant_id=tenant_id, **values)


def _kept(rule: PrefetchRule) -> KeptPrefetchRule:
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(rule).items()}
    return KeptPrefetchRule.model_validate(values)
