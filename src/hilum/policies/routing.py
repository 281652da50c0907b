"""Which instance goes where: rules and facts in, orders and reasons out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from typing import Final

from hilum.archive.forwarding import (
    ForwardOrder,
    ForwardRule,
    InstanceFacts,
    OutsideWindow,
    RuleCondition,
    RuleTiming,
    TimeWindow,
)
from hilum.archive.model import Origin, OriginKind
from hilum.dicom.uids import TRANSFER_SYNTAXES
from hilum.kernel.errors import InvalidInput
from hilum.kernel.limits import MAX_RULE_VALUES, MAX_STABLE_S
from hilum.policies.patterns import check_patterns, fits

_MAX_NAME_LENGTH: Final = 100
_MAX_PRIORITY: Final = 1000
_NOTHING: Final = InstanceFacts(0, 0, "", "", "", "", Origin(OriginKind.IMPORT))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one rule says of one instance, and why; `delay_s` is how long what it sends waits for its window."""

    rule: ForwardRule
    applies: bool
    reason: str
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Decision:
    """What is ordered for one instance, one order a destination, and what each rule said."""

    orders: tuple[ForwardOrder, ...]
    verdicts: tuple[Verdict, ...]


def decide(rules: Sequence[ForwardRule], facts: InstanceFacts, timing: RuleTiming, at: datetime) -> Decision:
    """Return where the instance goes by the rules of that timing.

    Nothing goes back to where it came from. Of several rules with one destination the most urgent priority counts and
    the shortest wait; the transfer syntax is that of the first rule, by id, that names one.

    Args:
        rules: the tenant's.
        facts: of the instance.
        timing: what has happened: it arrived, or its study is stable.
        at: now, in the archive's local time.
    """
    verdicts: list[Verdict] = []
    orders: dict[str, ForwardOrder] = {}
    for rule in sorted(rules, key=lambda rule: rule.rule_id):
        if rule.timing is not timing:
            continue
        verdict = judge(rule, facts, at)
        verdicts.append(verdict)
        if not verdict.applies:
            continue
        for destination in rule.destinations:
            if destination == facts.origin.calling_ae_title:
                continue
            known = orders.get(destination)
            orders[destination] = ForwardOrder(
                instance_key=facts.instance_key,
                version=facts.version,
                study_instance_uid=facts.study_instance_uid,
                destination=destination,
                rule_id=known.rule_id if known else rule.rule_id,
                priority=max(known.priority, rule.priority) if known else rule.priority,
                transfer_syntax_uid=(known and known.transfer_syntax_uid) or rule.transfer_syntax_uid,
                delay_s=min(known.delay_s, verdict.delay_s) if known else verdict.delay_s,
            )
    return Decision(tuple(orders.values()), tuple(verdicts))


def judge(rule: ForwardRule, facts: InstanceFacts, at: datetime) -> Verdict:
    """Return whether the rule applies to the instance at this time of the archive's local time, and why."""
    if not rule.is_enabled:
        return Verdict(rule, False, "the rule is off")
    for noun, patterns, value in _matches(rule.condition, facts):
        if patterns and not fits(patterns, value):
            return Verdict(rule, False, f"the {noun} does not fit")
    window = rule.condition.window
    if window is None or is_within(window, at):
        return Verdict(rule, True, "all conditions fit")
    if rule.condition.outside_window is OutsideWindow.SKIP:
        return Verdict(rule, False, "it is not the time")
    return Verdict(rule, True, "all conditions fit; what is sent waits for its time", wait_s(window, at))


def is_within(window: TimeWindow, at: datetime) -> bool:
    """Return whether the time lies in the window; its start belongs to it, its end does not."""
    return any(start <= at < end for start, end in _spans(window, at))


def wait_s(window: TimeWindow, at: datetime) -> float:
    """Return how many seconds remain until the window begins, 0 within it."""
    if is_within(window, at):
        return 0.0
    return min((start - at).total_seconds() for start, _ in _spans(window, at) if start > at)


def _spans(window: TimeWindow, at: datetime) -> Iterable[tuple[datetime, datetime]]:
    """Yield the window's spans from yesterday's, which may last until today, to that of this day next week."""
    midnight = datetime.combine(at.date(), time(), tzinfo=at.tzinfo)
    for days in range(-1, 8):
        day = midnight + timedelta(days=days)
        if window.weekdays and day.weekday() not in window.weekdays:
            continue
        start = datetime.combine(day.date(), window.start, tzinfo=at.tzinfo)
        end = datetime.combine(day.date(), window.end, tzinfo=at.tzinfo)
        yield start, end if end > start else end + timedelta(days=1)


def _matches(condition: RuleCondition, facts: InstanceFacts) -> Iterable[tuple[str, tuple[str, ...], str | None]]:
    yield "calling AE title", condition.calling_ae_titles, facts.origin.calling_ae_title
    yield "called AE title", condition.called_ae_titles, facts.origin.called_ae_title
    yield "site", condition.sites, facts.site
    yield "way it came", condition.origins, facts.origin.kind.value
    yield "modality", condition.modalities, facts.modality
    yield "SOP class", condition.sop_class_uids, facts.sop_class_uid
    yield "transfer syntax", condition.transfer_syntax_uids, facts.transfer_syntax_uid
    yield "body part", condition.body_parts, facts.body_part
    yield "study description", condition.study_descriptions, facts.study_description
    yield "series description", condition.series_descriptions, facts.series_description
    yield "station name", condition.station_names, facts.station_name
    yield "institution name", condition.institution_names, facts.institution_name


def sound_rule(rule: ForwardRule) -> ForwardRule:
    """Return the rule with its words tidied.

    Raises:
        InvalidInput: something about it cannot be; the message names it.
    """
    name = rule.name.strip()
    if not 0 < len(name) <= _MAX_NAME_LENGTH:
        raise InvalidInput(f"a forwarding rule's name has 1 to {_MAX_NAME_LENGTH} characters", code="rule-name")
    destinations = tuple(dict.fromkeys(title.strip() for title in rule.destinations))
    if not destinations or len(destinations) > MAX_RULE_VALUES or not all(destinations):
        raise InvalidInput(f"a forwarding rule has 1 to {MAX_RULE_VALUES} destinations", code="rule-destinations")
    if rule.timing is RuleTiming.STABLE and not 1 <= rule.stable_s <= MAX_STABLE_S:
        raise InvalidInput(f"a study is stable after 1 to {MAX_STABLE_S:.0f} seconds", code="rule-stable")
    if abs(rule.priority) > _MAX_PRIORITY:
        raise InvalidInput(f"a priority lies between -{_MAX_PRIORITY} and {_MAX_PRIORITY}", code="rule-priority")
    if rule.transfer_syntax_uid is not None and rule.transfer_syntax_uid not in TRANSFER_SYNTAXES:
        raise InvalidInput("the transfer syntax is not known", code="rule-transfer-syntax")
    window = rule.condition.window
    if window is not None and not window.weekdays <= set(range(7)):
        raise InvalidInput("weekdays are numbers from 0 (Monday) to 6", code="rule-window")
    for noun, patterns, _ in _matches(rule.condition, _NOTHING):
        check_patterns(noun, patterns)
    return replace(rule, name=name, destinations=destinations)
