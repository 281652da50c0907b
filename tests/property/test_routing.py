"""Routing: whatever the rules and the instance, what is ordered follows from what each rule says."""

from __future__ import annotations

import fnmatch
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

from hypothesis import given
from hypothesis import strategies as st

from hilum.archive.forwarding import (
    ForwardRule,
    InstanceFacts,
    OutsideWindow,
    RuleCondition,
    RuleTiming,
    TimeWindow,
)
from hilum.archive.model import Origin, OriginKind
from hilum.policies.patterns import fits
from hilum.policies.routing import decide, is_within, judge, wait_s

TITLES = ("ONE", "TWO", "THREE", "one")
words = st.sampled_from(["CT", "MR", "ct", "Chest CT", "", "head"])
patterns = st.lists(st.sampled_from(["CT", "*", "c*", "!MR", "?T", "*ct", "head", "!*", "."]), max_size=3).map(tuple)
moments = st.integers(0, 365 * 24 * 3600).map(
    lambda seconds: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)
windows = st.builds(TimeWindow, st.times(), st.times(), st.frozensets(st.integers(0, 6), max_size=7))
conditions = st.builds(
    RuleCondition,
    calling_ae_titles=st.lists(st.sampled_from(["ONE", "T*", "!TWO"]), max_size=2).map(tuple),
    modalities=patterns,
    study_descriptions=patterns,
    window=st.none() | windows,
    outside_window=st.sampled_from(OutsideWindow),
)
rules = st.builds(
    ForwardRule,
    rule_id=st.integers(1, 1000),
    tenant_id=st.just(1),
    name=st.just("rule"),
    destinations=st.lists(st.sampled_from(TITLES), min_size=1, max_size=3, unique=True).map(tuple),
    condition=conditions,
    timing=st.sampled_from(RuleTiming),
    stable_s=st.just(60.0),
    priority=st.integers(-5, 5),
    transfer_syntax_uid=st.none() | st.sampled_from(["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.80"]),
    is_enabled=st.booleans(),
)
rule_lists = st.lists(rules, max_size=6, unique_by=lambda rule: rule.rule_id)
facts = st.builds(
    InstanceFacts,
    instance_key=st.just(7),
    version=st.just(1),
    study_instance_uid=st.just("1.2"),
    sop_instance_uid=st.just("1.2.3"),
    sop_class_uid=st.just("1.2.840.10008.5.1.4.1.1.2"),
    transfer_syntax_uid=st.just("1.2.840.10008.1.2.1"),
    origin=st.builds(Origin, st.just(OriginKind.DIMSE), st.none() | st.sampled_from(TITLES)),
    modality=st.none() | words,
    study_description=st.none() | words,
)


@given(rule_lists, facts, st.sampled_from(RuleTiming), moments)
def test_each_destination_of_a_rule_that_applies_gets_one_order_unless_it_sent_the_instance(
    rule_list: list[ForwardRule], instance: InstanceFacts, timing: RuleTiming, at: datetime
) -> None:
    decision = decide(rule_list, instance, timing, at)
    applying = [rule for rule in rule_list if rule.timing is timing and judge(rule, instance, at).applies]
    wanted = {destination for rule in applying for destination in rule.destinations}
    ordered = [order.destination for order in decision.orders]
    assert sorted(ordered) == sorted(wanted - {instance.origin.calling_ae_title})
    for order in decision.orders:
        naming = [rule for rule in applying if order.destination in rule.destinations]
        assert order.priority == max(rule.priority for rule in naming)
        assert order.delay_s == min(judge(rule, instance, at).delay_s for rule in naming)
        named = [rule.transfer_syntax_uid for rule in sorted(naming, key=lambda rule: rule.rule_id)]
        assert order.transfer_syntax_uid == next((syntax for syntax in named if syntax), None)


@given(rule_lists, facts, st.sampled_from(RuleTiming), moments, st.randoms())
def test_the_order_of_rules_does_not_matter(
    rule_list: list[ForwardRule], instance: InstanceFacts, timing: RuleTiming, at: datetime, chance: object
) -> None:
    shuffled = list(rule_list)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert decide(rule_list, instance, timing, at).orders == decide(shuffled, instance, timing, at).orders


@given(rules, facts, moments)
def test_a_rule_that_is_off_never_applies(rule: ForwardRule, instance: InstanceFacts, at: datetime) -> None:
    assert not judge(replace(rule, is_enabled=False), instance, at).applies


@given(windows, moments)
def test_after_the_wait_the_window_is_open_and_not_before(window: TimeWindow, at: datetime) -> None:
    wait = wait_s(window, at)
    assert (wait == 0) == is_within(window, at)
    assert is_within(window, at + timedelta(seconds=wait))
    for share in (0.25, 0.5, 0.99):
        assert wait == 0 or not is_within(window, at + timedelta(seconds=wait * share))


@given(st.times(), st.times(), moments)
def test_a_window_of_every_day_is_open_when_the_clock_says_so(start: time, end: time, at: datetime) -> None:
    now = at.time()
    is_open = start <= now < end if start < end else now >= start or now < end
    assert is_within(TimeWindow(start, end), at) == is_open


@given(st.lists(st.text("ab*?", min_size=1, max_size=6), max_size=3), st.text("abAB", min_size=1, max_size=8))
def test_patterns_mean_what_they_mean_to_a_shell(wanted: list[str], text: str) -> None:
    expected = not wanted or any(fnmatch.fnmatchcase(text.lower(), pattern.lower()) for pattern in wanted)
    assert fits(wanted, text) == expected
    refused = ["!" + pattern for pattern in wanted]
    assert fits(refused, text) == (not wanted or not expected)
