"""`hilum forward ...`: what goes where by itself, how that stands, and the handles to steer it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import time
from typing import Annotated, TypeVar

import cyclopts
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hilum.app.forwarding import open_forwarding
from hilum.app.loop import run
from hilum.archive.forwarding import (
    DestinationSettings,
    ForwardRule,
    OutsideWindow,
    RuleCondition,
    RuleTiming,
    TimeWindow,
)
from hilum.archive.jobs import JobState
from hilum.cli.options import ConfigOption, DataOption, settings_from
from hilum.kernel.errors import InvalidInput
from hilum.services.forwarding import DestinationStatus, ForwardService

forward_app = cyclopts.App(name="forward", help="Forwarding: what goes where by itself, and how that stands.")
rules_app = cyclopts.App(name="rules", help="Rules that say what goes where. Changes work at once.")
forward_app.command(rules_app)

_T = TypeVar("_T")

StudyOption = Annotated[str | None, Parameter(name="--study", help="Study Instance UID; without, all studies.")]
PatternsOption = Annotated[
    list[str] | None, Parameter(help="Patterns with * and ?, or ! in front for all but; repeat.")
]


def _work(data: object, config: object, act: Callable[[ForwardService, int], Awaitable[_T]]) -> _T:
    settings = settings_from(config, data=str(data) if data else None)  # type: ignore[arg-type]

    async def work() -> _T:
        async with open_forwarding(settings) as (service, tenant):
            return await act(service, tenant.tenant_id)

    return run(work())


@rules_app.command(name="list")
def list_rules(*, data: DataOption = None, config: ConfigOption = None) -> None:
    """List all rules."""

    async def act(service: ForwardService, tenant_id: int) -> Table:
        table = Table("id", "name", "on", "when", "condition", "destinations", "priority")
        for rule in await service.rules(tenant_id):
            when = rule.timing.value if rule.timing is RuleTiming.ARRIVAL else f"stable for {rule.stable_s:g} s"
            table.add_row(
                str(rule.rule_id), Text(rule.name), "yes" if rule.is_enabled else "no", when,
                Text(_describe(rule.condition)), Text(", ".join(rule.destinations)), str(rule.priority),
            )  # fmt: skip
        return table

    Console().print(_work(data, config, act))


@rules_app.command(name="add")
def add_rule(
    name: str,
    /,
    *,
    to: Annotated[list[str], Parameter(help="AE title of a registered remote; repeat.")],
    from_: Annotated[list[str] | None, Parameter(name="--from", help="Calling AE titles, as patterns; repeat.")] = None,
    called: PatternsOption = None,
    site: PatternsOption = None,
    modality: PatternsOption = None,
    sop_class: PatternsOption = None,
    body_part: PatternsOption = None,
    study_description: PatternsOption = None,
    series_description: PatternsOption = None,
    station: PatternsOption = None,
    institution: PatternsOption = None,
    between: Annotated[str | None, Parameter(help="Hours like 19:00-06:30, in local time.")] = None,
    wait: Annotated[bool, Parameter(help="Outside of these hours, wait for them instead of doing nothing.")] = False,
    stable: Annotated[float | None, Parameter(help="Decide when a study has been quiet for so many seconds.")] = None,
    priority: Annotated[int, Parameter(help="What is more urgent has a higher one, and goes first.")] = 0,
    transfer_syntax: Annotated[str | None, Parameter(help="UID of what to send in, where it is taken.")] = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Make a rule: what fits all that is given goes to the destinations."""
    condition = RuleCondition(
        calling_ae_titles=tuple(from_ or ()),
        called_ae_titles=tuple(called or ()),
        sites=tuple(site or ()),
        modalities=tuple(modality or ()),
        sop_class_uids=tuple(sop_class or ()),
        body_parts=tuple(body_part or ()),
        study_descriptions=tuple(study_description or ()),
        series_descriptions=tuple(series_description or ()),
        station_names=tuple(station or ()),
        institution_names=tuple(institution or ()),
        window=_window(between),
        outside_window=OutsideWindow.WAIT if wait else OutsideWindow.SKIP,
    )

    async def act(service: ForwardService, tenant_id: int) -> ForwardRule:
        rule = ForwardRule(
            rule_id=0,
            tenant_id=tenant_id,
            name=name,
            destinations=tuple(to),
            condition=condition,
            timing=RuleTiming.ARRIVAL if stable is None else RuleTiming.STABLE,
            stable_s=60.0 if stable is None else stable,
            priority=priority,
            transfer_syntax_uid=transfer_syntax,
        )
        return await service.save_rule(rule)

    print(f"rule {_work(data, config, act).rule_id}")


@rules_app.command(name="remove")
def remove_rule(rule_id: int, /, *, data: DataOption = None, config: ConfigOption = None) -> None:
    """Remove a rule; what it has ordered is still sent."""
    _work(data, config, lambda service, tenant_id: service.remove_rule(tenant_id, rule_id))


@forward_app.command(name="status")
def status(*, data: DataOption = None, config: ConfigOption = None) -> None:
    """Show how every destination stands."""

    async def act(service: ForwardService, tenant_id: int) -> Table:
        table = Table("destination", "state", "waiting", "sending", "failed", "since", "trouble")
        for each in await service.status(tenant_id):
            counts = {state.value: count for state, count in each.instances.items()}
            since = each.oldest_queued_at.astimezone().strftime("%Y-%m-%d %H:%M") if each.oldest_queued_at else ""
            shown = [str(counts.get(name, 0)) for name in ("waiting", "sending", "failed")]
            table.add_row(
                Text(each.destination), _state(each), *shown, since, Text(each.error or ""),
            )  # fmt: skip
        return table

    Console().print(_work(data, config, act))


@forward_app.command(name="send")
def send(
    study_instance_uid: str,
    /,
    *,
    to: Annotated[str, Parameter(help="AE title of a registered remote.")],
    priority: Annotated[int, Parameter(help="What is more urgent has a higher one, and goes first.")] = 0,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Let the running archive send a study, whatever rules say and whether it was sent before."""
    count = _work(data, config, lambda service, tenant_id: service.forward(tenant_id, study_instance_uid, to, priority))
    print(f"{count} instances will be sent")


@forward_app.command(name="bound")
def bound(
    destination: str,
    /,
    *,
    concurrency: Annotated[int | None, Parameter(help="Jobs at a time; without, as many as its associations.")] = None,
    kilobytes_per_s: Annotated[float | None, Parameter(help="1000 bytes in a second; without, no bound.")] = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Say how much a destination gets at a time; what is left out has no bound of its own."""
    if (concurrency is not None and not 1 <= concurrency <= 64) or (kilobytes_per_s or 1) <= 0:
        raise InvalidInput("--concurrency is a number from 1 to 64, --kilobytes-per-s more than 0", code="usage")
    settings = DestinationSettings(destination, concurrency, kilobytes_per_s and 1000 * kilobytes_per_s)
    _work(data, config, lambda service, tenant_id: service.set_destination(tenant_id, settings))


@forward_app.command(name="hold")
def hold(destination: str, /, *, data: DataOption = None, config: ConfigOption = None) -> None:
    """Send nothing more to a destination until it is resumed."""
    _work(data, config, lambda service, tenant_id: service.hold(tenant_id, destination))


@forward_app.command(name="resume")
def resume(destination: str, /, *, data: DataOption = None, config: ConfigOption = None) -> None:
    """Send to a destination again."""
    _work(data, config, lambda service, tenant_id: service.resume(tenant_id, destination))


@forward_app.command(name="cancel")
def cancel(
    destination: str, /, *, study: StudyOption = None, data: DataOption = None, config: ConfigOption = None
) -> None:
    """Give up what has not been sent to a destination."""
    count = _work(data, config, lambda service, tenant_id: service.cancel(tenant_id, destination, study))
    print(f"{count} instances given up")


@forward_app.command(name="retry")
def retry(
    destination: str, /, *, study: StudyOption = None, data: DataOption = None, config: ConfigOption = None
) -> None:
    """Send again what failed or was cancelled, and at once what waits."""
    count = _work(data, config, lambda service, tenant_id: service.retry(tenant_id, destination, study))
    print(f"{count} instances will be sent")


def _window(text: str | None) -> TimeWindow | None:
    if text is None:
        return None
    try:
        start, end = (time.fromisoformat(part.strip()) for part in text.split("-"))
    except ValueError as error:
        raise InvalidInput(f"{text!r} is not of the form 19:00-06:30", code="usage") from error
    return TimeWindow(start, end)


def _describe(condition: RuleCondition) -> str:
    words = []
    for name in condition.__dataclass_fields__:
        value = getattr(condition, name)
        if isinstance(value, tuple) and value:
            words.append(f"{name.replace('_', ' ')}: {', '.join(value)}")
    if condition.window is not None:
        otherwise = ", else waits" if condition.outside_window is OutsideWindow.WAIT else ""
        words.append(f"{condition.window.start:%H:%M}-{condition.window.end:%H:%M}{otherwise}")
    return "; ".join(words) or "everything"


def _state(status: DestinationStatus) -> str:
    if not status.is_registered:
        return "not registered"
    if status.is_held:
        return "held"
    if status.rests_until:
        return f"rests until {status.rests_until.astimezone():%H:%M:%S}"
    return "working" if status.instances or status.jobs.get(JobState.RUNNING) else "idle"
