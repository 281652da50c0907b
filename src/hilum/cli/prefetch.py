"""`hilum prefetch ...`: which earlier studies are brought in when a step is scheduled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import cyclopts
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hilum.app.bootstrap import prepare_data_directory
from hilum.app.database import Database
from hilum.app.loop import run
from hilum.app.settings import Settings
from hilum.app.tenancy import own_tenant
from hilum.archive.prefetch import PrefetchRule, PrefetchRules
from hilum.cli.options import ConfigOption, DataOption, settings_from
from hilum.index.postgres import open_index
from hilum.kernel.errors import InvalidInput, NotFound
from hilum.policies.prefetch import sound_rule
from hilum.services.remotes import RemoteService

prefetch_app = cyclopts.App(
    name="prefetch", help="Rules by which earlier studies are brought in when a procedure step is scheduled."
)

PatternsOption = Annotated[list[str] | None, Parameter(help="Patterns with * and ?, ! in front for all but; repeat.")]


@asynccontextmanager
async def _rules(settings: Settings) -> AsyncIterator[tuple[PrefetchRules, RemoteService, int]]:
    prepare_data_directory(settings)
    async with Database(settings) as database, open_index(database.serving) as index:
        tenant = await own_tenant(settings, index.accounts)
        yield index.prefetch, RemoteService(index.remotes, index.notices), tenant.tenant_id


@prefetch_app.command(name="list")
def list_rules(*, data: DataOption = None, config: ConfigOption = None) -> None:
    """List all rules."""

    async def work() -> Table:
        table = Table("id", "name", "on", "sources", "steps", "priors")
        async with _rules(settings_from(config, data=str(data) if data else None)) as (rules, _, tenant_id):
            for rule in await rules.list(tenant_id):
                table.add_row(
                    str(rule.rule_id), Text(rule.name), "yes" if rule.is_enabled else "no",
                    Text(", ".join(rule.sources)), Text(_steps(rule)), Text(_priors(rule)),
                )  # fmt: skip
        return table

    Console().print(run(work()))


@prefetch_app.command(name="add")
def add_rule(
    name: str,
    /,
    *,
    source: Annotated[list[str], Parameter(help="AE title of a registered remote; repeat.")],
    modality: PatternsOption = None,
    description: PatternsOption = None,
    station: PatternsOption = None,
    same_modality: Annotated[bool, Parameter(help="A prior has to have the step's modality.")] = False,
    prior_modality: PatternsOption = None,
    prior_description: PatternsOption = None,
    prior_body_part: PatternsOption = None,
    years: Annotated[float, Parameter(help="How old a prior may be; 0 for any age.")] = 5.0,
    count: Annotated[int, Parameter(help="Priors from each source, newest first.")] = 3,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Make a rule: when a step that fits is scheduled, priors that fit are pulled from the sources."""

    async def work() -> PrefetchRule:
        async with _rules(settings_from(config, data=str(data) if data else None)) as (rules, remotes, tenant_id):
            rule = PrefetchRule(
                rule_id=0,
                tenant_id=tenant_id,
                name=name,
                sources=tuple(source),
                modalities=tuple(modality or ()),
                descriptions=tuple(description or ()),
                station_ae_titles=tuple(station or ()),
                is_same_modality=same_modality,
                prior_modalities=tuple(prior_modality or ()),
                prior_descriptions=tuple(prior_description or ()),
                prior_body_parts=tuple(prior_body_part or ()),
                years=years or None,
                count=count,
            )
            for title in source:
                if await remotes.find(tenant_id, title) is None:
                    raise InvalidInput(f"{title} is not registered", code="no-such-remote")
            return await rules.save(sound_rule(rule))

    print(f"rule {run(work()).rule_id}")


@prefetch_app.command(name="remove")
def remove_rule(rule_id: int, /, *, data: DataOption = None, config: ConfigOption = None) -> None:
    """Remove a rule; pulls that it has ordered go on."""

    async def work() -> None:
        async with _rules(settings_from(config, data=str(data) if data else None)) as (rules, _, tenant_id):
            if not await rules.remove(tenant_id, rule_id):
                raise NotFound(f"there is no prefetch rule {rule_id}", code="no-such-rule")

    run(work())


def _steps(rule: PrefetchRule) -> str:
    return _described(rule, "modalities", "descriptions", "station_ae_titles") or "all"


def _priors(rule: PrefetchRule) -> str:
    words = [f"the newest {rule.count}"]
    if rule.years is not None:
        words.append(f"of the last {rule.years:g} years")
    if rule.is_same_modality:
        words.append("of the same modality")
    shown = _described(rule, "prior_modalities", "prior_descriptions", "prior_body_parts")
    return " ".join(words) + (f"; {shown}" if shown else "")


def _described(rule: PrefetchRule, *names: str) -> str:
    return "; ".join(
        f"{name.removeprefix('prior_').replace('_', ' ')}: {', '.join(getattr(rule, name))}"
        for name in names
        if getattr(rule, name)
    )
