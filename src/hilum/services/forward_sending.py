"""Send what rules have ordered: the job that brings one study's instances to one destination.

Each instance's state is written before it goes and as soon as its answer has come. What a killed worker leaves behind
as being sent is sent again, since nobody knows; what was answered never is.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, Protocol

from hilum.archive.forwarding import (
    ClaimedInstance,
    ForwardOutcome,
    ForwardState,
    ForwardStore,
)
from hilum.archive.jobs import Job, LaneUnavailable
from hilum.archive.remotes import RemoteAe
from hilum.archive.sending import InstanceSender, SendState
from hilum.kernel.errors import HilumError, Unavailable
from hilum.kernel.limits import FORWARD_BATCH
from hilum.policies.resending import outcome_of

# Outcomes written in one statement while others are on their way.
_FLUSH: Final = 10

# Priority of a job to that of DIMSE (PS3.7 §9.1.1.1.3): medium 0, high 1, low 2.
_MEDIUM, _HIGH, _LOW = 0, 1, 2


class RemoteFinder(Protocol):
    """What forwarding needs of the registry."""

    async def find(self, tenant_id: int, ae_title: str) -> RemoteAe | None:
        """Return the application entity of that title, or None."""
        ...


class ForwardObserver(Protocol):
    """Told of each instance's outcome."""

    def forwarded(self, destination: str, result: str, size_bytes: int) -> None:
        """An instance is "sent", "failed", or "retried"."""
        ...


@dataclass(frozen=True, slots=True)
class ForwardSender:
    """Does the jobs of the kind `forward.send`.

    `reach` raises a HilumError when a destination does not answer: it tells silence from trouble with an instance.
    `calling_ae_title` is who we say we are.
    """

    store: ForwardStore
    remotes: RemoteFinder
    sender: InstanceSender
    reach: Callable[[RemoteAe], Awaitable[object]]
    calling_ae_title: str
    observer: ForwardObserver

    async def send_study(self, job: Job) -> None:
        """Send what waits of the job's study for its destination.

        Raises:
            LaneUnavailable: the destination does not answer, or is not registered.
            Unavailable: some instances are to be tried again later.
        """
        destination = str(job.payload["destination"])
        study_instance_uid = str(job.payload["study_instance_uid"])
        remote = await self.remotes.find(job.tenant_id, destination)
        if remote is None:
            raise LaneUnavailable(f"{destination} is not registered", code="no-such-remote")
        bandwidth = await self._bandwidth(job, remote)
        left = 0
        while claimed := await self.store.claim(job.tenant_id, destination, study_instance_uid, job, FORWARD_BATCH):
            left += await _Batch(self, job, remote, claimed, bandwidth).send()
        if left:
            raise Unavailable(f"{left} instances are to be sent again", code="instances-left")

    async def _bandwidth(self, job: Job, remote: RemoteAe) -> float | None:
        """Return this job's share of what the destination is to get in a second."""
        for settings in await self.store.destinations(job.tenant_id):
            if settings.destination == remote.ae_title and settings.max_bytes_per_s:
                return settings.max_bytes_per_s / (settings.concurrency or remote.max_associations)
        return None


class _Batch:
    """Some claimed instances of a job; whatever happens, each is left in a state that holds."""

    def __init__(
        self,
        parts: ForwardSender,
        job: Job,
        remote: RemoteAe,
        claimed: Sequence[ClaimedInstance],
        bandwidth: float | None,
    ) -> None:
        self._parts = parts
        self._job = job
        self._remote = remote
        self._bandwidth = bandwidth
        self._claimed = sorted(claimed, key=lambda each: each.transfer_syntax_uid or "")
        self._open = {each.instance.instance_key: each for each in claimed}
        self._known: list[ForwardOutcome] = []
        self._left = 0

    async def send(self) -> int:
        """Return how many are to be tried again."""
        unanswered: list[ForwardOutcome] = []
        try:
            for syntax, group in groupby(self._claimed, key=lambda each: each.transfer_syntax_uid):
                unanswered += await self._send_in(syntax, list(group))
            if len(unanswered) == len(self._claimed):
                await self._find_out()
            for outcome in unanswered:
                self._settle(outcome)
        finally:
            # Also when the job is being stopped: what has been answered must not be forgotten.
            self._known += [ForwardOutcome(key, each.version, ForwardState.WAITING) for key, each in self._open.items()]
            await asyncio.shield(asyncio.ensure_future(self._flush()))
        return self._left

    async def _send_in(self, transfer_syntax_uid: str | None, group: Sequence[ClaimedInstance]) -> list[ForwardOutcome]:
        """Send the group, and return how those stand that got no answer."""
        unanswered: list[ForwardOutcome] = []
        priority = self._job.priority
        sending = self._parts.sender.send(
            self._remote,
            [each.instance for each in group],
            calling_ae_title=self._parts.calling_ae_title,
            priority=_HIGH if priority > 0 else _LOW if priority < 0 else _MEDIUM,
            transfer_syntax_uid=transfer_syntax_uid,
            associations=1,
            max_bytes_per_s=self._bandwidth,
        )
        async with contextlib.aclosing(sending):
            async for sent in sending:
                outcome = outcome_of(self._open[sent.instance.instance_key], sent)
                if sent.state is SendState.FAILED:
                    unanswered.append(outcome)
                    continue
                self._settle(outcome)
                if len(self._known) >= _FLUSH:
                    await self._flush()
        return unanswered

    async def _find_out(self) -> None:
        """No instance had an answer: see whether it is the destination or the instances.

        Raises:
            LaneUnavailable: it is the destination.
        """
        try:
            await self._parts.reach(self._remote)
        except HilumError as error:
            words = f"{self._remote.ae_title} does not answer: {error.message}"
            raise LaneUnavailable(words, code=error.reason_code) from error

    def _settle(self, outcome: ForwardOutcome) -> None:
        claimed = self._open.pop(outcome.instance_key)
        self._known.append(outcome)
        is_left = outcome.state is ForwardState.WAITING
        self._left += is_left
        self._parts.observer.forwarded(
            self._remote.ae_title, "retried" if is_left else outcome.state.value, claimed.instance.blob.size_bytes
        )

    async def _flush(self) -> None:
        known, self._known = self._known, []
        try:
            await self._parts.store.record(self._job.tenant_id, self._remote.ae_title, self._job.job_id, known)
        except BaseException:
            self._known = known + self._known
            raise
