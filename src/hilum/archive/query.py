"""The query AST that QIDO-RS, C-FIND and the console parse to, and that the index compiles to SQL.

The conditions are those of `hilum.dicom.matching`, which is also the oracle for what they mean (PS3.4 §C.2.2.2). What
is retrieved is named without conditions, by unique keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from hilum.dicom.matching import Condition, Range
from hilum.kernel.limits import DEFAULT_QUERY_RESULTS


class Level(IntEnum):
    """Query/retrieve levels from the root down (PS3.4 §C.3)."""

    PATIENT = 0
    STUDY = 1
    SERIES = 2
    INSTANCE = 3


AttributePath = tuple[str, ...]
"""Eight-digit upper-case tags from the outermost sequence to the attribute: ("00400275", "00400009")."""


@dataclass(frozen=True, slots=True)
class Match:
    """One matching key: the attribute at `path` has to satisfy `condition`."""

    path: AttributePath
    condition: Condition


@dataclass(frozen=True, slots=True)
class MomentMatch:
    """A date and a time matched as the one moment they are: two ranges of the same form, whose ends belong together.

    `offset_minutes` says in which zone the ends are meant; an entity whose own offset is known is compared in it.
    Reference: PS3.4 §C.2.2.2.5.4
    """

    date_tag: str
    time_tag: str
    dates: Range
    times: Range
    offset_minutes: int | None = None


@dataclass(frozen=True, slots=True)
class SortKey:
    """One sort criterion."""

    tag: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """A question to the index.

    `include` names further attributes to return; None asks for all the index holds. `ancestors` adds the attributes
    of the levels above (as QIDO-RS wants when the URL does not fix them); without `has_defaults` nothing is returned
    but what `include` names. Matches on attributes of higher levels are allowed at any level (relational query). Empty
    `sort` means newest study first; ties by UID make pages stable.
    """

    level: Level
    matches: tuple[Match, ...] = ()
    include: frozenset[AttributePath] | None = frozenset()
    ancestors: frozenset[Level] = frozenset()
    sort: tuple[SortKey, ...] = ()
    limit: int = DEFAULT_QUERY_RESULTS
    offset: int = 0
    moments: tuple[MomentMatch, ...] = ()
    has_defaults: bool = True


@dataclass(frozen=True, slots=True)
class InstanceSelection:
    """Instances named by the unique keys of their entities: each key that is given has to hold, by one of its values.

    An empty tuple, or None, gives no key. With no key at all nothing is selected.
    """

    patient_id: str | None = None
    issuer_of_patient_id: str | None = None
    study_instance_uids: tuple[str, ...] = ()
    series_instance_uids: tuple[str, ...] = ()
    sop_instance_uids: tuple[str, ...] = ()
