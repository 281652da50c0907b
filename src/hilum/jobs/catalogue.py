"""Which handler does which kind of job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hilum.archive.jobs import JobHandler
from hilum.jobs.retry import RetryRule
from hilum.kernel.errors import LocalProtocolError


@dataclass(frozen=True, slots=True)
class JobKind:
    """A kind of job: its name is kept in the database and must outlive releases."""

    name: str
    handler: JobHandler = field(repr=False)
    retry: RetryRule = field(default_factory=RetryRule)


class Catalogue:
    """All kinds one worker knows; jobs of other kinds are left to workers that know them."""

    def __init__(self, kinds: Sequence[JobKind] = ()) -> None:
        self._kinds: dict[str, JobKind] = {}
        for kind in kinds:
            self.add(kind)

    def add(self, kind: JobKind) -> None:
        """Have the kind done by its handler.

        Raises:
            LocalProtocolError: there is a kind of that name.
        """
        if kind.name in self._kinds:
            raise LocalProtocolError(f"There are two kinds of job named {kind.name}.", code="job-kind")
        self._kinds[kind.name] = kind

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all kinds."""
        return tuple(self._kinds)

    def __getitem__(self, name: str) -> JobKind:
        return self._kinds[name]
