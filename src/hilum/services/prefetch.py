"""Prefetch: for each newly scheduled step, the patient's earlier studies are looked for elsewhere and brought in.

One job sees which rules a step fits, one asks each source; each study found is an order to pull it. Jobs name worklist
items and studies, never patients.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from hilum.archive.jobs import Job, JobQueue, LaneUnavailable, NewJob
from hilum.archive.ports import InstanceIndex
from hilum.archive.prefetch import PrefetchRule, PrefetchRules, PriorFinder, PriorStudy, ScheduledFacts
from hilum.archive.remotes import RemoteAe
from hilum.archive.worklist import FIELDS, Worklist, WorklistItem, values_at
from hilum.kernel.clock import Clock
from hilum.kernel.errors import InvalidInput, LimitExceeded, NotFound, Unavailable
from hilum.kernel.limits import MAX_FORWARD_RULES
from hilum.policies.patterns import fits
from hilum.policies.prefetch import asks, candidates, is_there, sound_rule
from hilum.services.forward_sending import RemoteFinder

PLAN: Final = "prefetch.plan"
"""The kind of job that sees which rules a scheduled step fits."""
FIND: Final = "prefetch.find"
"""The kind of job that asks one source for priors."""

OrderPull = Callable[[int, str, str], Awaitable[object]]
"""Orders a study (the third) of a source (the second) to be pulled into a tenant's archive (the first)."""


class PrefetchService:
    """Finds and pulls priors by rules.

    Args:
        rules: where rules are kept.
        queue: where jobs wait.
        worklist: where scheduled steps are.
        index: tells what is here already.
        remotes: the registry of sources.
        finder: asks sources.
        pull: orders what is found.
        clock: tells today's date.
    """

    def __init__(
        self,
        *,
        rules: PrefetchRules,
        queue: JobQueue,
        worklist: Worklist,
        index: InstanceIndex,
        remotes: RemoteFinder,
        finder: PriorFinder,
        pull: OrderPull,
        clock: Clock,
    ) -> None:
        self._rules = rules
        self._queue = queue
        self._worklist = worklist
        self._index = index
        self._remotes = remotes
        self._finder = finder
        self._pull = pull
        self._clock = clock

    def when_scheduled(self, item: WorklistItem) -> list[NewJob]:
        """Return the job that has priors of a new step looked for."""
        return [NewJob(PLAN, {"item_key": item.item_key})]

    async def plan(self, job: Job) -> None:
        """Enqueue a job for each source that a rule names for the step."""
        step = await self._step(job)
        if step is None:
            return
        found: list[NewJob] = []
        for rule in await self._rules.list(job.tenant_id):
            for source in rule.sources if asks(rule, step) else ():
                payload = {"item_key": job.payload["item_key"], "rule_id": rule.rule_id, "source": source}
                found.append(NewJob(FIND, payload, lane=f"prefetch:{source}", priority=1))
        await self._queue.enqueue(job.tenant_id, found)

    async def find(self, job: Job) -> None:
        """Ask the source for priors and order those to be pulled that are to come.

        Raises:
            LaneUnavailable: the source does not answer.
        """
        step = await self._step(job)
        rules = {rule.rule_id: rule for rule in await self._rules.list(job.tenant_id)}
        rule = rules.get(int(str(job.payload["rule_id"])))
        if step is None or rule is None:
            return
        remote = await self._source(job)
        try:
            studies = await self._finder.studies_of(remote, step.patient_id)
            chosen = await self._choose(job.tenant_id, remote, rule, step, studies)
            for study in chosen:
                await self._pull(job.tenant_id, remote.ae_title, study.study_instance_uid)
        except Unavailable as error:
            raise LaneUnavailable(error.message, code=error.reason_code) from error

    async def rules(self, tenant_id: int) -> Sequence[PrefetchRule]:
        """Return all rules by id."""
        return await self._rules.list(tenant_id)

    async def save_rule(self, rule: PrefetchRule) -> PrefetchRule:
        """Keep a new rule (its `rule_id` is 0) or the changed one of that id, and return it as kept.

        Raises:
            InvalidInput: something about it cannot be; the message names it.
            LimitExceeded: there are too many rules.
            Conflict: another rule has the name.
            NotFound: there is no rule of that id.
        """
        rule = sound_rule(rule)
        for source in rule.sources:
            if await self._remotes.find(rule.tenant_id, source) is None:
                raise InvalidInput(f"{source} is not registered", code="no-such-remote")
        if not rule.rule_id and len(await self._rules.list(rule.tenant_id)) >= MAX_FORWARD_RULES:
            raise LimitExceeded(f"there are {MAX_FORWARD_RULES} prefetch rules already", code="too-many-rules")
        return await self._rules.save(rule)

    async def remove_rule(self, tenant_id: int, rule_id: int) -> None:
        """Remove the rule.

        Raises:
            NotFound: there is no such rule.
        """
        if not await self._rules.remove(tenant_id, rule_id):
            raise NotFound("there is no such prefetch rule", code="no-such-rule")

    async def _choose(
        self,
        tenant_id: int,
        remote: RemoteAe,
        rule: PrefetchRule,
        step: ScheduledFacts,
        studies: Sequence[PriorStudy],
    ) -> list[PriorStudy]:
        """Return those of the rule's priors that are missing here; what is here counts among the rule's number."""
        count, missing = 0, []
        for study in candidates(rule, step, studies, self._clock.now().astimezone().date()):
            if rule.prior_body_parts:
                # Many archives do not tell: a prior too much is better than one that is missed.
                told = [part for part in await self._finder.body_parts_of(remote, study.study_instance_uid) if part]
                if told and not any(fits(rule.prior_body_parts, body_part) for body_part in told):
                    continue
            count += 1
            own = await self._index.find_instances(tenant_id, study.study_instance_uid)
            if not is_there(study, len(own)):
                missing.append(study)
            if count == rule.count:
                break
        return missing

    async def _source(self, job: Job) -> RemoteAe:
        source = str(job.payload["source"])
        remote = await self._remotes.find(job.tenant_id, source)
        if remote is None:
            raise NotFound(f"{source} is not registered", code="no-such-remote")
        return remote

    async def _step(self, job: Job) -> ScheduledFacts | None:
        """Return what prefetch looks at of the job's step, None when it is not there any more."""
        item = await self._worklist.find(job.tenant_id, int(str(job.payload["item_key"])))
        if item is None:
            return None
        texts = ("scheduled_procedure_step_description", "requested_procedure_description")
        stations = values_at(item.attributes, FIELDS["scheduled_station_ae_title"])
        return ScheduledFacts(
            patient_id=item.text("patient_id"),
            issuer_of_patient_id=item.text("issuer_of_patient_id"),
            patient_birth_date=item.text("patient_birth_date"),
            modality=item.text("modality"),
            descriptions=tuple(filter(None, map(item.text, texts))),
            station_ae_titles=tuple(str(title).strip() for title in stations),
            study_instance_uid=item.text("study_instance_uid"),
        )
