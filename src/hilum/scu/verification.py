"""Verification: is there an application entity, and does it talk to us?"""

from __future__ import annotations

import time

from hilum.dicom.uids import IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION
from hilum.dimse.messages import CEchoRequest
from hilum.dimse.status import SUCCESS, describe_status
from hilum.kernel.errors import Unsupported
from hilum.scu.handler import RequestorHandler
from hilum.scu.remote import Remote, call
from hilum.ul.primitives import ProposedContext

_CONTEXT_ID = 1


async def echo(remote: Remote, *, calling_ae_title: str) -> float:
    """Return how many seconds association, C-ECHO and release took, once the remote has answered with success.

    Raises:
        Unavailable: the remote does not answer, or rejects for the moment.
        Forbidden: the remote rejects the association for good.
        Unsupported: the remote does not serve Verification, or answers with another status than success.
        RemoteProtocolError: the remote breaks the protocol.

    Reference: PS3.4 Annex A, PS3.7 §9.1.5
    """
    began = time.monotonic()
    invocations = RequestorHandler()
    context = ProposedContext(_CONTEXT_ID, VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN,))
    association = await call(remote, calling_ae_title, [context], invocations)
    try:
        if _CONTEXT_ID not in association.contexts:
            raise Unsupported("the remote does not serve Verification", code="context-refused")
        request = CEchoRequest(message_id=1, affected_sop_class_uid=VERIFICATION)
        response = await invocations.invoke(association, _CONTEXT_ID, request)
    except BaseException:
        association.abort()
        raise
    await association.release()
    if response.status != SUCCESS:
        meaning = describe_status(response.status).meaning
        raise Unsupported(f"the remote answered {response.status:04X}: {meaning}", code="echo-status")
    return time.monotonic() - began
