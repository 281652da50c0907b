"""C-FIND of unified procedure steps.

Reference: PS3.4 §CC.2.8
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from hilum.archive.identifiers import matching_keys, requested
from hilum.archive.model import DicomJson
from hilum.archive.workitems import WorkitemQuery
from hilum.dicom.data_sets import write_data_set
from hilum.dicom.dictionary import tag_of
from hilum.dimse import status
from hilum.dimse.messages import CFindRequest, CFindResponse
from hilum.kernel.limits import MAX_QUERY_RESULTS
from hilum.scp.calls import Call

_UNIQUE_KEYS = {tag_of(keyword): {"vr": "UI"} for keyword in ("SOPClassUID", "SOPInstanceUID")}
_TRANSACTION_UID = tag_of("TransactionUID")


async def find_workitems(
    call: Call,
    request: CFindRequest,
    identifier: DicomJson,
    search: Callable[[int, WorkitemQuery], AsyncGenerator[DicomJson]],
) -> None:
    """Answer with a pending response for each match, with its UIDs and what the identifier asks for.

    The transaction UID, for nobody to see, is neither matched nor returned.

    Raises:
        InvalidInput: the identifier has a value its attribute cannot be matched by.
        LimitExceeded: the search takes too long.
        Unavailable: the database does not answer, or the association has ended.

    Reference: PS3.4 §CC.2.8, PS3.7 §9.1.2
    """
    asked = {tag: element for tag, element in (_UNIQUE_KEYS | identifier).items() if tag != _TRANSACTION_UID}
    pending = status.PENDING_WITH_UNSUPPORTED_KEYS if _TRANSACTION_UID in identifier else status.PENDING
    character_set = call.caller.remote.character_set if call.caller.remote else None
    # One match more than the limit tells whether there are more.
    query = WorkitemQuery(matching_keys(asked), limit=MAX_QUERY_RESULTS + 1)
    final = status.SUCCESS
    count = 0
    async with aclosing(search(call.caller.tenant_id, query)) as matches:
        async for attributes in matches:
            if call.cancelled.is_set():
                final = status.CANCEL
                break
            if count == MAX_QUERY_RESULTS:
                final = status.RESPONSE_LIMIT_REACHED
                break
            count += 1
            answer = dict(sorted(requested(attributes, asked).items()))
            await call.respond_with(
                _response(request, pending), write_data_set(answer, call.transfer_syntax, character_set=character_set)
            )
    call.respond(_response(request, final))


def _response(request: CFindRequest, code: int) -> CFindResponse:
    return CFindResponse(
        message_id_being_responded_to=request.message_id,
        status=code,
        affected_sop_class_uid=request.affected_sop_class_uid,
        has_data_set=status.is_pending(code),
    )
