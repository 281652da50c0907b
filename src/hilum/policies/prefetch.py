"""Which priors are pulled for a scheduled step: rules, the step and what a source has in, studies and reasons out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Final

from hilum.archive.prefetch import PrefetchRule, PriorStudy, ScheduledFacts
from hilum.kernel.errors import InvalidInput
from hilum.kernel.limits import MAX_PREFETCHED_STUDIES, MAX_RULE_VALUES
from hilum.policies.patterns import check_patterns, fits

_MAX_NAME_LENGTH: Final = 100
_DAYS_OF_YEAR: Final = 365.25


def asks(rule: PrefetchRule, step: ScheduledFacts) -> bool:
    """Return whether the rule wants priors for the step. Without a patient ID none can be asked for."""
    return (
        rule.is_enabled
        and bool(step.patient_id)
        and fits(rule.modalities, step.modality)
        and _any_fits(rule.descriptions, step.descriptions)
        and _any_fits(rule.station_ae_titles, step.station_ae_titles)
    )


def candidates(
    rule: PrefetchRule, step: ScheduledFacts, studies: Sequence[PriorStudy], today: date
) -> list[PriorStudy]:
    """Return the studies that fit the rule, the newest first; body parts and the count are for the caller to see to.

    A source may use the same patient ID for someone else: a study whose issuer or birth date contradicts the step's is
    left out.
    """
    return sorted(
        (study for study in studies if _is_of(study, step) and _is_wanted(study, rule, step, today)),
        key=lambda study: study.study_date or date.min,
        reverse=True,
    )


def is_there(study: PriorStudy, own_count: int) -> bool:
    """Return whether nothing of the study is missing here, where there are so many of its instances."""
    return own_count > 0 and own_count >= (study.instance_count or 0)


def sound_rule(rule: PrefetchRule) -> PrefetchRule:
    """Return the rule with its words tidied.

    Raises:
        InvalidInput: something about it cannot be; the message names it.
    """
    name = rule.name.strip()
    if not 0 < len(name) <= _MAX_NAME_LENGTH:
        raise InvalidInput(f"a prefetch rule's name has 1 to {_MAX_NAME_LENGTH} characters", code="rule-name")
    sources = tuple(dict.fromkeys(title.strip() for title in rule.sources))
    if not sources or len(sources) > MAX_RULE_VALUES or not all(sources):
        raise InvalidInput(f"a prefetch rule has 1 to {MAX_RULE_VALUES} sources", code="rule-sources")
    if not 1 <= rule.count <= MAX_PREFETCHED_STUDIES:
        raise InvalidInput(f"1 to {MAX_PREFETCHED_STUDIES} priors are pulled from a source", code="rule-count")
    if rule.years is not None and not 0 < rule.years <= 200:
        raise InvalidInput("the age of priors is more than 0 and at most 200 years", code="rule-years")
    for noun in (
        *("modalities", "descriptions", "station_ae_titles"),
        *("prior_modalities", "prior_descriptions", "prior_body_parts"),
    ):
        check_patterns(noun.replace("_", " "), getattr(rule, noun))
    return replace(rule, name=name, sources=sources)


def _is_of(study: PriorStudy, step: ScheduledFacts) -> bool:
    return (
        study.patient_id.strip() == step.patient_id
        and _agree(study.issuer_of_patient_id, step.issuer_of_patient_id)
        and _agree(study.patient_birth_date, step.patient_birth_date)
    )


def _agree(one: str, other: str) -> bool:
    return not one.strip() or not other.strip() or one.strip() == other.strip()


def _is_wanted(study: PriorStudy, rule: PrefetchRule, step: ScheduledFacts, today: date) -> bool:
    if study.study_instance_uid == step.study_instance_uid:
        return False
    if rule.years is not None:
        oldest = today - timedelta(days=rule.years * _DAYS_OF_YEAR)
        if study.study_date is None or study.study_date < oldest:
            return False
    if rule.is_same_modality and step.modality not in study.modalities:
        return False
    return _any_fits(rule.prior_modalities, study.modalities) and fits(rule.prior_descriptions, study.description)


def _any_fits(patterns: tuple[str, ...], values: Sequence[str]) -> bool:
    return not patterns or any(fits(patterns, value) for value in values or ("",))
