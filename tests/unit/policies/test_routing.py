"""Forwarding rules: what fits, and which rules can be kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time

import pytest

from hilum.archive.forwarding import (
    ForwardRule,
    InstanceFacts,
    OutsideWindow,
    RuleCondition,
    RuleTiming,
    TimeWindow,
)
from hilum.archive.model import Origin, OriginKind
from hilum.kernel.errors import InvalidInput
from hilum.policies.resending import is_passing
from hilum.policies.routing import decide, judge, sound_rule

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)  # a Monday
FACTS = InstanceFacts(
    1, 1, "1.2", "1.2.3", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1",
    Origin(OriginKind.DIMSE, "CT1", "HILUM"), site="North", modality="CT", body_part="CHEST",
    study_description="CT Thorax", series_description="Lung", station_name="S1", institution_name="General",
)  # fmt: skip
RULE = ForwardRule(1, 1, "rule", ("DEST",))


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        (RuleCondition(calling_ae_titles=("MR*",)), "the calling AE title does not fit"),
        (RuleCondition(called_ae_titles=("OTHER",)), "the called AE title does not fit"),
        (RuleCondition(sites=("!north",)), "the site does not fit"),
        (RuleCondition(origins=("stow",)), "the way it came does not fit"),
        (RuleCondition(modalities=("MR",)), "the modality does not fit"),
        (RuleCondition(sop_class_uids=("1.2.840.10008.5.1.4.1.1.4",)), "the SOP class does not fit"),
        (RuleCondition(transfer_syntax_uids=("*.4.*",)), "the transfer syntax does not fit"),
        (RuleCondition(body_parts=("HEAD",)), "the body part does not fit"),
        (RuleCondition(study_descriptions=("*knee*",)), "the study description does not fit"),
        (RuleCondition(series_descriptions=("Bone",)), "the series description does not fit"),
        (RuleCondition(station_names=("S2",)), "the station name does not fit"),
        (RuleCondition(institution_names=("X",)), "the institution name does not fit"),
        (RuleCondition(window=TimeWindow(time(20), time(6))), "it is not the time"),
        (RuleCondition(window=TimeWindow(time(8), time(18), frozenset({5, 6}))), "it is not the time"),
    ],
)
def test_each_condition_keeps_a_rule_from_applying_and_is_named(condition: RuleCondition, reason: str) -> None:
    verdict = judge(replace(RULE, condition=condition), FACTS, NOON)
    assert (verdict.applies, verdict.reason) == (False, reason)


def test_a_rule_that_waits_applies_outside_of_its_window_and_says_how_long() -> None:
    condition = RuleCondition(window=TimeWindow(time(20), time(6)), outside_window=OutsideWindow.WAIT)
    (order,) = decide([replace(RULE, condition=condition)], FACTS, RuleTiming.ARRIVAL, NOON).orders
    assert order.delay_s == 8 * 3600


def test_an_instance_does_not_go_back_to_its_sender() -> None:
    rule = replace(RULE, destinations=("CT1", "DEST"))
    assert [order.destination for order in decide([rule], FACTS, RuleTiming.ARRIVAL, NOON).orders] == ["DEST"]


@pytest.mark.parametrize(
    "change",
    [
        {"name": " "},
        {"name": "x" * 101},
        {"destinations": ()},
        {"destinations": ("A", " ")},
        {"timing": RuleTiming.STABLE, "stable_s": 0.0},
        {"priority": 5000},
        {"transfer_syntax_uid": "1.2.3"},
        {"condition": RuleCondition(window=TimeWindow(time(1), time(2), frozenset({7})))},
        {"condition": RuleCondition(modalities=("",))},
        {"condition": RuleCondition(modalities=("CT",) * 101)},
        {"condition": RuleCondition(sites=("x" * 201,))},
    ],
)
def test_an_unsound_rule_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        sound_rule(replace(RULE, **change))  # type: ignore[arg-type]


def test_destinations_are_named_once_and_without_padding() -> None:
    assert sound_rule(replace(RULE, destinations=("DEST ", "DEST", "B"))).destinations == ("DEST", "B")


@pytest.mark.parametrize(
    ("status", "expected"),
    [(0xA700, True), (0xA7FF, True), (0x0110, True), (0xA900, False), (0xC000, False), (None, False)],
)
def test_refusals_for_lack_of_resources_may_pass(status: int | None, expected: bool) -> None:
    assert is_passing(status) is expected
