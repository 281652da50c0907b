"""C-MOVE: instances sent to a third application entity, over associations of their own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeAlias

from hilum.archive.model import StoredInstance
from hilum.archive.remotes import DimseUse, RemoteAe
from hilum.archive.sending import InstanceSender, InstanceSent, MoveOriginator, SendState
from hilum.dimse.messages import CMoveRequest
from hilum.kernel.errors import NotFound
from hilum.kernel.limits import CANCELLED_MOVE_GRACE_S, PENDING_LATEST_S
from hilum.scp.calls import Call, DimseService, Operation, gather, unrecognized
from hilum.scp.negotiation import MESSAGE_RULE
from hilum.scp.retrieve import MOVE_MODELS, InstanceArchive, answer_relational, requested_selection
from hilum.scp.statuses import RETRIEVE_STATUSES
from hilum.scp.suboperations import Outcome, Progress, outcome_of
from hilum.ul.negotiation import TransferSyntaxRule
from hilum.ul.primitives import AssociateRequest, ExtendedNegotiation

FindRemote: TypeAlias = Callable[[int, str], Awaitable[RemoteAe | None]]
"""Returns the application entity a tenant knows by an AE title, or None."""


class MoveService(DimseService):
    """Retrieval by C-MOVE in the models of `MOVE_MODELS` (PS3.4 §C.4.2).

    Args:
        find_remote: knows where a move destination is.
        sender: sends to it.
    """

    use = DimseUse.RETRIEVE

    def __init__(self, archive: InstanceArchive, find_remote: FindRemote, sender: InstanceSender) -> None:
        self.archive = archive
        self.sender = sender
        self._find_remote = find_remote

    def rule(self, abstract_syntax: str) -> TransferSyntaxRule | None:
        """Accept whatever encodes an identifier."""
        return MESSAGE_RULE if abstract_syntax in MOVE_MODELS else None

    def extended_negotiation(
        self, request: AssociateRequest, proposed: ExtendedNegotiation
    ) -> ExtendedNegotiation | None:
        """Agree to relational retrieval."""
        return answer_relational(MOVE_MODELS, proposed)

    def begin(self, call: Call) -> Operation | None:
        """Send what the identifier names to the move destination.

        Reference: PS3.7 §9.1.4, §9.3.4; PS3.4 §C.4.2
        """
        request = call.request
        if not isinstance(request, CMoveRequest):
            return unrecognized(call)

        return gather(call, partial(self.move, call, request), RETRIEVE_STATUSES)

    async def move(self, call: Call, request: CMoveRequest, identifier: bytes) -> None:
        """Send what an identifier names to the move destination.

        Reference: PS3.4 §C.4.2.3
        """
        selection = requested_selection(call, MOVE_MODELS, identifier)
        remote = await self.destination(call.caller.tenant_id, request.move_destination)
        instances = await self.archive.select(call.caller.tenant_id, selection)
        await self.send_all(call, request, remote, instances, self.sender)

    async def destination(self, tenant_id: int, ae_title: str) -> RemoteAe:
        """Return where to send to.

        Raises:
            NotFound: it is not in the registry, or nothing may be sent there.
        """
        remote = await self._find_remote(tenant_id, ae_title.strip()) if ae_title.strip() else None
        if remote is None:
            raise NotFound("the move destination is not registered here", code="unknown-move-destination")
        if remote.host is None or remote.port is None:
            raise NotFound("the move destination has no address", code="unknown-move-destination")
        if DimseUse.STORE not in remote.may_be_asked:
            raise NotFound("the move destination may not be sent to", code="unknown-move-destination")
        return remote

    async def send_all(
        self,
        call: Call,
        request: CMoveRequest,
        remote: RemoteAe,
        instances: Sequence[StoredInstance],
        sender: InstanceSender,
    ) -> None:
        """Let all be sent, until the peer cancels or is gone; then tell what became of them.

        What is under way when the peer cancels has `limits.CANCELLED_MOVE_GRACE_S` to be answered; it counts as
        remaining then, for nobody knows better.
        """
        progress = Progress(call, len(instances), remote.ae_title)
        if instances:
            sending = asyncio.ensure_future(_send(call, request, remote, instances, sender, progress))
            cancelled = asyncio.ensure_future(call.cancelled.wait())
            try:
                while not sending.done() and not cancelled.done():
                    await asyncio.wait(
                        {sending, cancelled}, timeout=PENDING_LATEST_S, return_when=asyncio.FIRST_COMPLETED
                    )
                    if not sending.done():
                        progress.keep_alive()
                await asyncio.wait({sending}, timeout=CANCELLED_MOVE_GRACE_S)
                if sending.done():
                    sending.result()
            finally:
                cancelled.cancel()
                sending.cancel()
        await progress.finish()


async def _send(
    call: Call,
    request: CMoveRequest,
    remote: RemoteAe,
    instances: Sequence[StoredInstance],
    sender: InstanceSender,
    progress: Progress,
) -> None:
    origin = call.caller.origin
    sent = sender.send(
        remote,
        instances,
        calling_ae_title=origin.called_ae_title or "",
        originator=MoveOriginator(origin.calling_ae_title or "", request.message_id),
        priority=request.priority,
        is_stopped=call.cancelled.is_set,
    )
    async with contextlib.aclosing(sent):
        async for each in sent:
            progress.note(_outcome(each), each.instance.sop_instance_uid, each.reason)


def _outcome(sent: InstanceSent) -> Outcome:
    if sent.state is not SendState.STORED:
        return Outcome.FAILED
    return Outcome.COMPLETED if sent.status is None else outcome_of(sent.status)
