"""C-GET: instances sent back over the association they were asked for on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from typing import Final, Protocol

from hilum.archive.model import StoredInstance
from hilum.archive.remotes import DimseUse
from hilum.archive.sending import Transcoder
from hilum.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, transfer_syntax
from hilum.dimse.messages import CGetRequest, CStoreRequest
from hilum.kernel.errors import CorruptData, HilumError, Unsupported
from hilum.kernel.files import Content
from hilum.kernel.limits import INSTANCES_READ_AHEAD, SEND_WINDOW
from hilum.scp.calls import Call, DimseService, Operation, gather, unrecognized
from hilum.scp.negotiation import MESSAGE_RULE, STORAGE_TRANSFER_SYNTAXES, ScpSettings, is_storage
from hilum.scp.retrieve import GET_MODELS, InstanceArchive, answer_relational, requested_selection
from hilum.scp.statuses import RETRIEVE_STATUSES
from hilum.scp.suboperations import Outcome, Progress, outcome_of
from hilum.ul.negotiation import AgreedContext, TransferSyntaxRule
from hilum.ul.primitives import AssociateRequest, ExtendedNegotiation, RoleSelection

# What instances are converted to first: every reader knows these.
_PREFERRED_TARGETS: Final = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)


class DataSets(Protocol):
    """What gives the instances that are sent."""

    async def data_set(self, instance: StoredInstance) -> Content:
        """Return the stored data set, of even length.

        Raises HilumError when it cannot be read.
        """
        ...


class ReadableArchive(InstanceArchive, DataSets, Protocol):
    """What C-GET needs of the service that reads the archive."""


class GetService(DimseService):
    """Retrieval by C-GET in the models of `GET_MODELS` (PS3.4 §C.4.3).

    Args:
        transcoder: makes what a requestor takes of instances it does not take as they are; without one those fail.
    """

    use = DimseUse.RETRIEVE

    def __init__(self, archive: ReadableArchive, transcoder: Transcoder | None = None) -> None:
        self._archive = archive
        self._transcoder = transcoder

    def rule(self, abstract_syntax: str) -> TransferSyntaxRule | None:
        """Accept whatever encodes an identifier."""
        return MESSAGE_RULE if abstract_syntax in GET_MODELS else None

    def extended_negotiation(
        self, request: AssociateRequest, proposed: ExtendedNegotiation
    ) -> ExtendedNegotiation | None:
        """Agree to relational retrieval."""
        return answer_relational(GET_MODELS, proposed)

    def begin(self, call: Call) -> Operation | None:
        """Send what the identifier names.

        Reference: PS3.7 §9.1.3, §9.3.3; PS3.4 §C.4.3
        """
        request = call.request
        if not isinstance(request, CGetRequest):
            return unrecognized(call)

        async def get(identifier: bytes) -> None:
            selection = requested_selection(call, GET_MODELS, identifier)
            instances = await self._archive.select(call.caller.tenant_id, selection)
            await Getting(call, request, instances, self._archive, self._transcoder).run()

        return gather(call, get, RETRIEVE_STATUSES)


class SubOperationContexts(DimseService):
    """The storage SOP classes of a caller that may retrieve and not store: it takes instances and gives none.

    It stands behind `StorageService`, which serves them for whoever may store.
    """

    use = DimseUse.RETRIEVE

    def __init__(self, settings: ScpSettings) -> None:
        self._settings = settings

    def rule(self, abstract_syntax: str) -> TransferSyntaxRule | None:
        """Accept the first transfer syntax proposed."""
        if is_storage(abstract_syntax, accept_unknown=self._settings.accept_unknown_sop_classes):
            return TransferSyntaxRule(STORAGE_TRANSFER_SYNTAXES)
        return None

    def role_selection(self, request: AssociateRequest, proposed: RoleSelection) -> RoleSelection | None:
        """Let the requestor be SCP, for the sub-operations of C-GET, and nothing else."""
        return RoleSelection(proposed.sop_class_uid, scu_role=False, scp_role=True)

    def begin(self, call: Call) -> Operation | None:
        """Refuse: instances go the other way."""
        return unrecognized(call)


class Getting:
    """One C-GET under way."""

    def __init__(
        self,
        call: Call,
        request: CGetRequest,
        instances: Sequence[StoredInstance],
        data_sets: DataSets,
        transcoder: Transcoder | None,
    ) -> None:
        self._call = call
        self._request = request
        self._data_sets = data_sets
        self._transcoder = transcoder
        self._pending: Iterator[StoredInstance] = iter(instances)
        self._progress = Progress(call, len(instances))
        self._contexts = storage_contexts(call.association.contexts)
        window = min(call.association.max_invoked or SEND_WINDOW, SEND_WINDOW)
        self._lane_count = min(window + INSTANCES_READ_AHEAD, len(instances))

    async def run(self) -> None:
        """Send all, until the peer cancels; then tell what became of them.

        Raises:
            Unavailable: the association has ended.
        """
        await _all(self._lane() for _ in range(self._lane_count))
        await self._progress.finish()

    async def _lane(self) -> None:
        """Send one after the other. There are more lanes than may send: the others read meanwhile."""
        for instance in self._pending:
            if self._call.cancelled.is_set():
                return
            try:
                context_id, data_set = await self._open(instance)
            except HilumError as error:
                self._progress.note(Outcome.FAILED, instance.sop_instance_uid, error.message)
                continue
            async with contextlib.AsyncExitStack() as stack:
                if not isinstance(data_set, bytes):
                    await stack.enter_async_context(contextlib.aclosing(data_set))
                async with self._call.invocations.turn(self._call.association):
                    if self._call.cancelled.is_set():
                        return
                    await self._send(instance, context_id, data_set)

    async def _open(self, instance: StoredInstance) -> tuple[int, Content]:
        """Return the presentation context an instance goes over, and its data set in the context's transfer syntax.

        Raises:
            Unsupported: the requestor takes it in no syntax it can be had in.
            HilumError: it cannot be read.
        """
        contexts = self._contexts.get(instance.sop_class_uid, {})
        stored_syntax = instance.transfer_syntax_uid
        if stored_syntax in contexts:
            return contexts[stored_syntax], await self._data_sets.data_set(instance)
        trouble: HilumError | None = None
        for target in conversion_targets(stored_syntax, contexts):
            if self._transcoder is not None and self._transcoder.can(stored_syntax, target):
                try:
                    return contexts[target], await self._transcoder.data_set(instance, target)
                except (Unsupported, CorruptData) as error:
                    trouble = error
        if trouble is not None:
            raise trouble
        what = "transfer syntax" if contexts else "SOP class"
        raise Unsupported(f"the requestor accepts no context for the {what} as SCP", code="no-context")

    async def _send(self, instance: StoredInstance, context_id: int, data_set: Content) -> None:
        """Send one instance and count its answer.

        Raises:
            Unavailable: the association has ended.
        """
        association = self._call.association
        request = CStoreRequest(
            message_id=association.next_message_id(),
            affected_sop_class_uid=instance.sop_class_uid,
            affected_sop_instance_uid=instance.sop_instance_uid,
            priority=self._request.priority,
        )
        try:
            response = await self._call.invocations.invoke_in_turn(association, context_id, request, data_set)
        except HilumError as error:
            if association.is_ended:
                raise
            self._progress.note(Outcome.FAILED, instance.sop_instance_uid, error.message)
            return
        outcome = outcome_of(response.status)
        reason = f"the requestor answers {response.status:04X}" if outcome is Outcome.FAILED else ""
        self._progress.note(outcome, instance.sop_instance_uid, reason)


def storage_contexts(contexts: Mapping[int, AgreedContext]) -> dict[str, dict[str, int]]:
    """Return the contexts the requestor takes instances over: by SOP class and transfer syntax.

    Reference: PS3.7 §D.3.3.4, PS3.4 §C.5.3
    """
    found: dict[str, dict[str, int]] = {}
    for context in contexts.values():
        if context.requestor_is_scp:
            found.setdefault(context.abstract_syntax, {}).setdefault(context.transfer_syntax, context.context_id)
    return found


def conversion_targets(stored_syntax: str, accepted: Mapping[str, int]) -> list[str]:
    """Return what a stored instance may be converted to, best first; never to what loses, which nobody asked for."""
    return sorted(
        (each for each in accepted if each != stored_syntax and not transfer_syntax(each).is_lossy),
        key=lambda each: _PREFERRED_TARGETS.index(each) if each in _PREFERRED_TARGETS else len(_PREFERRED_TARGETS),
    )


async def _all(work: Iterator[Coroutine[None, None, None]]) -> None:
    """Wait for all; when one fails, end the others and raise its error."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
