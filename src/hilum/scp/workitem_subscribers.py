"""Subscribers of workitems that have an association open here, over which they can be told of events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from hilum.dicom.uids import UNIFIED_PROCEDURE_STEP_EVENT
from hilum.net.association import Association
from hilum.net.invocations import Invocations
from hilum.scp.calls import Caller
from hilum.ul.negotiation import AgreedContext


@dataclass(frozen=True, slots=True)
class _Peer:
    association: Association
    invocations: Invocations

    @property
    def context(self) -> AgreedContext | None:
        """The presentation context for events, None when there is none or the association has ended."""
        if self.association.is_ended:
            return None
        for context in self.association.contexts.values():
            if context.abstract_syntax == UNIFIED_PROCEDURE_STEP_EVENT and context.requestor_is_scu:
                return context
        return None


class PresentSubscribers:
    """The open associations of possible subscribers, by tenant and AE title."""

    def __init__(self) -> None:
        self._peers: dict[tuple[int, str], list[_Peer]] = {}
        self.on_arrival: Callable[[], object] = lambda: None
        """Called when somebody may have arrived who has missed events."""

    def add(self, association: Association, caller: Caller, invocations: Invocations) -> None:
        """Remember an association that is being opened."""
        proposed = {context.abstract_syntax for context in association.request.presentation_contexts}
        if UNIFIED_PROCEDURE_STEP_EVENT not in proposed:
            return
        self._forget_ended()
        key = (caller.tenant_id, caller.origin.calling_ae_title or "")
        self._peers.setdefault(key, []).append(_Peer(association, invocations))
        # The association is established as soon as this turn of the loop is over.
        asyncio.get_running_loop().call_soon(lambda: self.on_arrival())

    def find(self, tenant_id: int, ae_title: str) -> tuple[Association, Invocations, AgreedContext] | None:
        """Return an open association of the application entity and its context for events, None if it has none."""
        for peer in self._peers.get((tenant_id, ae_title), ()):
            context = peer.context
            if context is not None:
                return peer.association, peer.invocations, context
        return None

    def _forget_ended(self) -> None:
        for key, peers in list(self._peers.items()):
            peers[:] = [peer for peer in peers if not peer.association.is_ended]
            if not peers:
                del self._peers[key]
