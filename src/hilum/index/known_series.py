"""What a worker remembers of series, so that it need not look them up for every instance."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

SeriesName: TypeAlias = tuple[int, str, str]
"""Tenant, Study Instance UID, Series Instance UID."""


@dataclass(frozen=True, slots=True)
class KnownSeries:
    """The key of a series' row, and the identity of the patient its study belongs to."""

    series_key: int
    patient_identity: str


class SeriesMemory:
    """The series used last, at most `capacity`.

    What is remembered may be gone from the database; a foreign key then refuses the instance, and the caller
    forgets and looks again.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._known: OrderedDict[SeriesName, KnownSeries] = OrderedDict()

    def get(self, name: SeriesName) -> KnownSeries | None:
        """Return what is remembered."""
        known = self._known.get(name)
        if known is not None:
            self._known.move_to_end(name)
        return known

    def remember(self, name: SeriesName, known: KnownSeries) -> None:
        """Remember a series that is committed, in place of the one used least lately when there are too many."""
        self._known[name] = known
        self._known.move_to_end(name)
        if len(self._known) > self._capacity:
            self._known.popitem(last=False)

    def forget(self, names: Iterable[SeriesName]) -> None:
        """Forget series, known or not."""
        for name in names:
            self._known.pop(name, None)
