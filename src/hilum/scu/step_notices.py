"""Modality Performed Procedure Step Notification as the side that tells: N-EVENT-REPORT over associations of ours.

Reference: PS3.4 §F.9
"""

from __future__ import annotations

from typing import Final

from hilum.archive.procedure_steps import StepEvent
from hilum.archive.remotes import DimseUse, RemoteAe
from hilum.dicom.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    MODALITY_PERFORMED_PROCEDURE_STEP_NOTIFICATION,
)
from hilum.dimse.messages import NEventReportRequest
from hilum.kernel.errors import Unsupported
from hilum.scu.answers import require_taken
from hilum.scu.handler import RequestorHandler
from hilum.scu.remote import Dial, call, ended
from hilum.ul.primitives import ProposedContext, RoleSelection

_CONTEXT: Final = ProposedContext(
    1, MODALITY_PERFORMED_PROCEDURE_STEP_NOTIFICATION, (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
)
# The side that tells is the SCP, also when it opens the association (PS3.4 §F.2.1, PS3.7 §D.3.3.4).
_ROLE: Final = RoleSelection(MODALITY_PERFORMED_PROCEDURE_STEP_NOTIFICATION, scu_role=False, scp_role=True)


class RemoteStepNotices:
    """Implements `hilum.services.step_notices.StepNotifier`."""

    def __init__(self, dial: Dial, calling_ae_title: str) -> None:
        self._dial = dial
        self._calling_ae_title = calling_ae_title

    async def notify(self, remote: RemoteAe, sop_instance_uid: str, event: StepEvent) -> None:
        """Return once the remote has taken the event. It has no attributes: who wants more asks by N-GET.

        Raises:
            Unavailable: the remote does not answer, or cannot take it now.
            Unsupported: the remote takes no such notices, or not this one.
            Forbidden, InvalidInput, RemoteProtocolError: it cannot be reached, or breaks the protocol.

        Reference: PS3.4 §F.9.2, PS3.7 §10.1.1
        """
        target = self._dial(remote, DimseUse.STEP_NOTICE)
        handler = RequestorHandler()
        association = await call(target, self._calling_ae_title, [_CONTEXT], handler, role_selections=(_ROLE,))
        async with ended(association):
            context = association.contexts.get(_CONTEXT.context_id)
            if context is None or not context.requestor_is_scp:
                raise Unsupported("the remote takes no notices of procedure steps", code="context-refused")
            request = NEventReportRequest(
                message_id=association.next_message_id(),
                affected_sop_class_uid=MODALITY_PERFORMED_PROCEDURE_STEP_NOTIFICATION,
                affected_sop_instance_uid=sop_instance_uid,
                event_type_id=int(event),
            )
            response = await handler.invoke(association, context.context_id, request, None)
        require_taken(response, "step-notice-refused")
