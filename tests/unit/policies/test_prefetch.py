"""Which priors are pulled."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from hilum.archive.prefetch import PrefetchRule, PriorStudy, ScheduledFacts
from hilum.kernel.errors import InvalidInput
from hilum.policies.prefetch import asks, candidates, is_there, sound_rule

TODAY = date(2026, 6, 1)
STEP = ScheduledFacts("P1", "HOSPITAL", "19700101", "CT", ("CT chest", "Thorax"), ("CT1", "CT2"), "1.2.3")
RULE = PrefetchRule(1, 1, "rule", ("ARCHIVE",))
STUDY = PriorStudy("1.2.4", "P1", study_date=date(2026, 1, 1), modalities=("CT",), description="Chest")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"modalities": ("MR", "C*")}, True),
        ({"modalities": ("MR",)}, False),
        ({"descriptions": ("thorax",)}, True),
        ({"descriptions": ("*knee*",)}, False),
        ({"station_ae_titles": ("CT2",)}, True),
        ({"is_enabled": False}, False),
    ],
)
def test_a_rule_asks_for_steps_that_fit(change: dict[str, object], expected: bool) -> None:
    assert asks(replace(RULE, **change), STEP) is expected  # type: ignore[arg-type]


def test_nothing_is_asked_for_a_step_without_patient_id() -> None:
    assert not asks(RULE, replace(STEP, patient_id=""))


@pytest.mark.parametrize(
    "other",
    [
        {"patient_id": "P10"},
        {"issuer_of_patient_id": "ELSEWHERE"},
        {"patient_birth_date": "19991231"},
        {"study_instance_uid": "1.2.3"},
        {"study_date": date(2020, 1, 1)},
        {"study_date": None},
        {"modalities": ("MR",)},
        {"description": "Knee"},
    ],
)
def test_a_study_of_someone_else_or_another_kind_is_left_out(other: dict[str, object]) -> None:
    rule = replace(RULE, is_same_modality=True, prior_descriptions=("chest*",))
    assert candidates(rule, STEP, [STUDY], TODAY) == [STUDY]
    assert candidates(rule, STEP, [replace(STUDY, **other)], TODAY) == []  # type: ignore[arg-type]


def test_studies_come_newest_first_and_of_any_age_where_the_rule_says_so() -> None:
    old, undated = replace(STUDY, study_date=date(1990, 1, 1)), replace(STUDY, study_date=None)
    assert candidates(replace(RULE, years=None), STEP, [undated, old, STUDY], TODAY) == [STUDY, old, undated]


@pytest.mark.parametrize(("told", "own", "expected"), [(3, 3, True), (3, 2, False), (None, 1, True), (None, 0, False)])
def test_a_study_is_there_when_nothing_of_it_is_missing(told: int | None, own: int, expected: bool) -> None:
    assert is_there(replace(STUDY, instance_count=told), own) is expected


@pytest.mark.parametrize(
    "change", [{"name": " "}, {"sources": ()}, {"count": 0}, {"years": -1.0}, {"modalities": ("!",)}]
)
def test_an_unsound_rule_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        sound_rule(replace(RULE, **change))  # type: ignore[arg-type]
