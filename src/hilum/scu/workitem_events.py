"""Unified procedure step events, out: N-EVENT-REPORT to subscribers over their own association, or over one of ours.

Reference: PS3.4 §CC.2.4
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Protocol

from hilum.archive.remotes import DimseUse, RemoteAe
from hilum.archive.workitems import WorkitemEvent
from hilum.dicom.data_sets import write_data_set
from hilum.dicom.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    UNIFIED_PROCEDURE_STEP_EVENT,
    UNIFIED_PROCEDURE_STEP_PUSH,
)
from hilum.dimse.messages import NEventReportRequest
from hilum.dimse.status import PROCEDURE_STEP, StatusCategory, describe_status
from hilum.kernel.errors import NotFound, Unsupported
from hilum.net.association import Association
from hilum.net.invocations import Invocations
from hilum.observe.logs import get_logger
from hilum.scu.handler import RequestorHandler
from hilum.scu.remote import Dial, call
from hilum.ul.negotiation import AgreedContext
from hilum.ul.primitives import ProposedContext, RoleSelection

_log = get_logger("workitems")

_CONTEXT: Final = ProposedContext(
    1, UNIFIED_PROCEDURE_STEP_EVENT, (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
)
# The side that tells is the SCP, also when it opens the association (PS3.7 §D.3.3.4).
_ROLE: Final = RoleSelection(UNIFIED_PROCEDURE_STEP_EVENT, scu_role=False, scp_role=True)

Tell = Callable[[WorkitemEvent], Awaitable[None]]
FindPresent = Callable[[int, str], "tuple[Association, Invocations, AgreedContext] | None"]
"""Finds an open association of an application entity, by tenant and AE title."""


class RemoteFinder(Protocol):
    """The registry."""

    async def find(self, tenant_id: int, ae_title: str) -> RemoteAe | None:
        """Return the application entity of that title, or None."""
        ...


class WorkitemEventSender:
    """Tells subscribers of events; see `hilum.services.workitem_events.EventCarrier`.

    Args:
        find_present: finds the association of a subscriber that is here.
        remotes: where subscribers listen.
        dial: how they are reached.
        calling_ae_title: who we say we are.
    """

    def __init__(self, find_present: FindPresent, remotes: RemoteFinder, dial: Dial, calling_ae_title: str) -> None:
        self._find_present = find_present
        self._remotes = remotes
        self._dial = dial
        self._calling_ae_title = calling_ae_title

    def is_present(self, tenant_id: int, subscriber: str) -> bool:
        """Return whether the subscriber has an association open here that takes events."""
        return self._find_present(tenant_id, subscriber) is not None

    async def has_address(self, tenant_id: int, subscriber: str) -> bool:
        """Return whether the registry says where the subscriber listens, and that it may be told."""
        remote = await self._remotes.find(tenant_id, subscriber)
        return remote is not None and remote.host is not None and DimseUse.WORKITEM in remote.may_be_asked

    @contextlib.asynccontextmanager
    async def connection(self, tenant_id: int, subscriber: str) -> AsyncIterator[Tell]:
        """Yield what tells the subscriber of an event and returns once it has answered.

        A subscriber that answers with a failure has been told all the same: telling it again would not help.

        Raises:
            NotFound: there is no way to the subscriber.
            Unavailable, Forbidden, RemoteProtocolError: it does not answer, or not as it should.
            Unsupported: it takes no events.

        Reference: PS3.4 §CC.2.4, PS3.7 §10.1.1
        """
        remote = await self._remotes.find(tenant_id, subscriber)
        character_set = remote.character_set if remote is not None else None
        present = self._find_present(tenant_id, subscriber)
        if present is not None:
            association, invocations, context = present
            yield _teller(association, invocations, context, character_set)
            return
        if remote is None:
            raise NotFound("nobody is registered under this AE title", code="no-such-remote")
        target = self._dial(remote, DimseUse.WORKITEM)
        handler = RequestorHandler()
        association = await call(target, self._calling_ae_title, [_CONTEXT], handler, role_selections=(_ROLE,))
        try:
            context_ = association.contexts.get(_CONTEXT.context_id)
            if context_ is None or not context_.requestor_is_scp:
                raise Unsupported("the subscriber takes no workitem events", code="context-refused")
            yield _teller(association, handler, context_, character_set)
        except BaseException:
            association.abort()
            raise
        await association.release()


def _teller(
    association: Association, invocations: Invocations, context: AgreedContext, character_set: str | None
) -> Tell:
    async def tell(event: WorkitemEvent) -> None:
        report = event.report
        data = write_data_set(report.information, context.transfer_syntax, character_set=character_set)
        request = NEventReportRequest(
            message_id=association.next_message_id(),
            affected_sop_class_uid=UNIFIED_PROCEDURE_STEP_PUSH,
            affected_sop_instance_uid=event.sop_instance_uid,
            event_type_id=report.event_type,
            has_data_set=True,
        )
        response = await invocations.invoke(association, context.context_id, request, data)
        row = describe_status(response.status, PROCEDURE_STEP)
        if row.category is StatusCategory.FAILURE:
            _log.warning(
                "a subscriber answered a workitem event with a failure",
                association=association.number,
                status=f"{response.status:04X}",
                sop_instance_uid=event.sop_instance_uid,
            )

    return tell
