"""Instance Availability Notification as the side that tells.

Reference: PS3.4 Annex R
"""

from __future__ import annotations

from typing import Final

from hilum.archive.model import DicomJson
from hilum.archive.remotes import DimseUse, RemoteAe
from hilum.dicom.data_sets import write_data_set
from hilum.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, INSTANCE_AVAILABILITY_NOTIFICATION
from hilum.dimse.messages import NCreateRequest
from hilum.kernel.errors import Unsupported
from hilum.kernel.ids import new_uid
from hilum.scu.answers import require_taken
from hilum.scu.handler import RequestorHandler
from hilum.scu.remote import Dial, call, ended
from hilum.ul.primitives import ProposedContext

_CONTEXT: Final = ProposedContext(
    1, INSTANCE_AVAILABILITY_NOTIFICATION, (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
)


class RemoteAvailability:
    """Implements `hilum.services.availability.AvailabilityNotifier`."""

    def __init__(self, dial: Dial, calling_ae_title: str) -> None:
        self._dial = dial
        self._calling_ae_title = calling_ae_title

    async def notify(self, remote: RemoteAe, notice: DicomJson) -> None:
        """Return once the remote has taken the notice.

        Raises:
            Unavailable: the remote does not answer, or cannot take it now.
            Unsupported: the remote takes no such notices, or not this one.
            Forbidden, InvalidInput, RemoteProtocolError: it cannot be reached, or breaks the protocol.

        Reference: PS3.4 §R.3.2
        """
        target = self._dial(remote, DimseUse.AVAILABILITY)
        handler = RequestorHandler()
        association = await call(target, self._calling_ae_title, [_CONTEXT], handler)
        async with ended(association):
            context = association.contexts.get(_CONTEXT.context_id)
            if context is None:
                raise Unsupported("the remote takes no instance availability notices", code="context-refused")
            request = NCreateRequest(
                message_id=association.next_message_id(),
                affected_sop_class_uid=INSTANCE_AVAILABILITY_NOTIFICATION,
                affected_sop_instance_uid=new_uid(),
                has_data_set=True,
            )
            data_set = write_data_set(notice, context.transfer_syntax, character_set=remote.character_set)
            response = await handler.invoke(association, context.context_id, request, data_set)
        require_taken(response, "availability-refused")
