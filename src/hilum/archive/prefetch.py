"""Prefetch: earlier studies of a patient are brought in from other archives before the patient comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from hilum.archive.remotes import RemoteAe


@dataclass(frozen=True, slots=True)
class PrefetchRule:
    """When a step that fits is scheduled, priors that fit are pulled from the sources, the newest first.

    Patterns are as in forwarding rules; a list that is empty asks for nothing. `modalities`, `descriptions` and
    `station_ae_titles` are of the scheduled step, `prior_*` of the earlier studies; with `is_same_modality` a prior
    has to have the step's modality. `years` is how old a prior may be, None for any age; `count` how many are pulled
    from each source.
    """

    rule_id: int
    tenant_id: int
    name: str
    sources: tuple[str, ...]
    modalities: tuple[str, ...] = ()
    descriptions: tuple[str, ...] = ()
    station_ae_titles: tuple[str, ...] = ()
    is_same_modality: bool = False
    prior_modalities: tuple[str, ...] = ()
    prior_descriptions: tuple[str, ...] = ()
    prior_body_parts: tuple[str, ...] = ()
    years: float | None = 5.0
    count: int = 3
    is_enabled: bool = True


@dataclass(frozen=True, slots=True)
class ScheduledFacts:
    """What prefetch looks at of a scheduled step; whose it is, is for queries and comparison alone."""

    patient_id: str
    issuer_of_patient_id: str
    patient_birth_date: str
    modality: str
    descriptions: tuple[str, ...]
    station_ae_titles: tuple[str, ...]
    study_instance_uid: str


@dataclass(frozen=True, slots=True)
class PriorStudy:
    """A study another archive has, as it answers a query; what it does not tell is empty or None."""

    study_instance_uid: str
    patient_id: str
    issuer_of_patient_id: str = ""
    patient_birth_date: str = ""
    study_date: date | None = None
    modalities: tuple[str, ...] = ()
    description: str = ""
    instance_count: int | None = None


class PrefetchRules(Protocol):
    """Where rules are kept. All raise Unavailable."""

    async def list(self, tenant_id: int) -> Sequence[PrefetchRule]:
        """Return all rules by id."""
        ...

    async def save(self, rule: PrefetchRule) -> PrefetchRule:
        """Keep a new rule (its `rule_id` is 0) or the changed one of that id, and return it as kept.

        Raises:
            Conflict: another rule has the name.
            NotFound: there is no rule of that id.
        """
        ...

    async def remove(self, tenant_id: int, rule_id: int) -> bool:
        """Remove the rule; False when there is none."""
        ...


class PriorFinder(Protocol):
    """Another archive, as far as prefetch needs it. All raise HilumErrors of the families of the wire."""

    async def studies_of(self, remote: RemoteAe, patient_id: str) -> Sequence[PriorStudy]:
        """Return the studies the remote has of the patient."""
        ...

    async def body_parts_of(self, remote: RemoteAe, study_instance_uid: str) -> Sequence[str]:
        """Return what the study's series say of the body part examined."""
        ...
