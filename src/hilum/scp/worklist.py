"""C-FIND on the modality worklist: what a modality is to do, item by item.

Reference: PS3.4 Annex K
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, Protocol

from hilum.archive.identifiers import matching_keys, requested
from hilum.archive.model import DicomJson
from hilum.archive.remotes import DimseUse
from hilum.archive.worklist import WorklistItem, WorklistQuery, asked_for, in_zone
from hilum.dicom.data_sets import read_data_set, write_data_set
from hilum.dicom.dictionary import is_private, tag_of
from hilum.dicom.uids import MODALITY_WORKLIST_FIND
from hilum.dicom.zones import TIMEZONE_OFFSET, offset_of
from hilum.dimse import status
from hilum.dimse.messages import CFindRequest, CFindResponse
from hilum.kernel.errors import InvalidInput, LimitExceeded
from hilum.kernel.limits import MAX_QUERY_IDENTIFIER_BYTES, MAX_QUERY_KEYS, MAX_WORKLIST_RESULTS
from hilum.scp.calls import Call, DimseService, Operation, gather, unrecognized
from hilum.scp.negotiation import MESSAGE_RULE
from hilum.scp.query_models import agreed_options, answer_worklist_options
from hilum.scp.statuses import FIND_STATUSES
from hilum.ul.negotiation import TransferSyntaxRule
from hilum.ul.primitives import AssociateRequest, ExtendedNegotiation

_CHARACTER_SET: Final = tag_of("SpecificCharacterSet")
# These are returned and never matched (PS3.4 Table K.6-1).
_RETURNED_ALONE: Final = frozenset(map(tag_of, ("ProtocolContextSequence", "PertinentDocumentsSequence")))


class WorklistSearch(Protocol):
    """What C-FIND needs of the worklist service."""

    def search(self, tenant_id: int, query: WorklistQuery) -> AsyncGenerator[WorklistItem]:
        """Yield the items a query finds, earliest first."""
        ...


class ModalityWorklistService(DimseService):
    """Modality Worklist Information Model - FIND (PS3.4 §K.6.1)."""

    use = DimseUse.WORKLIST

    def __init__(self, worklist: WorklistSearch) -> None:
        self._worklist = worklist

    def rule(self, abstract_syntax: str) -> TransferSyntaxRule | None:
        """Accept any encoding of a data set without pixels."""
        return MESSAGE_RULE if abstract_syntax == MODALITY_WORKLIST_FIND else None

    def extended_negotiation(
        self, request: AssociateRequest, proposed: ExtendedNegotiation
    ) -> ExtendedNegotiation | None:
        """Grant fuzzy names and time zones to who asks."""
        return answer_worklist_options(proposed)

    def begin(self, call: Call) -> Operation | None:
        """Answer a query with one pending response for each item.

        Reference: PS3.7 §9.1.2, PS3.4 §K.4.1
        """
        request = call.request
        if not isinstance(request, CFindRequest):
            return unrecognized(call)

        async def run(data: bytes) -> None:
            if len(data) > MAX_QUERY_IDENTIFIER_BYTES:
                raise LimitExceeded("the identifier is longer than a query may be", limit=MAX_QUERY_IDENTIFIER_BYTES)
            await self._find(call, request, read_data_set(data, call.transfer_syntax))

        return gather(call, run, FIND_STATUSES)

    async def _find(self, call: Call, request: CFindRequest, identifier: DicomJson) -> None:
        keys, has_others = _supported(identifier)
        options = agreed_options(call.association.request, call.abstract_syntax)
        zone = offset_of(identifier) if options.zones else None
        matches = matching_keys(keys, fuzzy=options.fuzzy, offset_minutes=zone)
        used = [match for match in matches if _RETURNED_ALONE.isdisjoint(match.path)]
        query = asked_for(
            used,
            # One item more than is answered tells whether there are more.
            limit=MAX_WORKLIST_RESULTS + 1,
            offset_minutes=zone,
        )
        if len(matches) > MAX_QUERY_KEYS:
            raise LimitExceeded("the identifier has more keys than a query may have", limit=MAX_QUERY_KEYS)
        has_others = has_others or len(used) < len(matches)
        pending = status.PENDING_WITH_UNSUPPORTED_KEYS if has_others else status.PENDING
        remote = call.caller.remote
        character_set = (remote.character_set if remote is not None else None) or _character_set(identifier)
        count = 0
        async with aclosing(self._worklist.search(call.caller.tenant_id, query)) as items:
            async for item in items:
                if call.cancelled.is_set():
                    break
                if count == MAX_WORKLIST_RESULTS:
                    raise LimitExceeded(
                        f"only the first {MAX_WORKLIST_RESULTS} items are returned; narrow the query",
                        code="query-results",
                        limit=MAX_WORKLIST_RESULTS,
                    )
                count += 1
                try:
                    answer = write_data_set(
                        _answer(item, keys, zone), call.transfer_syntax, character_set=character_set
                    )
                except InvalidInput:
                    continue  # an item that cannot be told in this form must not hide all others
                await call.respond_with(_response(request, pending), answer)
        call.respond(_response(request, status.CANCEL if call.cancelled.is_set() else status.SUCCESS))


def _response(request: CFindRequest, code: int) -> CFindResponse:
    return CFindResponse(
        message_id_being_responded_to=request.message_id,
        status=code,
        affected_sop_class_uid=MODALITY_WORKLIST_FIND,
        has_data_set=status.is_pending(code),
    )


def _answer(item: WorklistItem, keys: DicomJson, zone: int | None) -> DicomJson:
    """Return what is told of an item: what was asked for, and the zone its times are in where that is known.

    Reference: PS3.4 §K.4.1.1.3.2
    """
    attributes = in_zone(item.attributes, zone)
    answer = requested(attributes, keys)
    if offset_of(attributes) is not None:
        answer[TIMEZONE_OFFSET] = attributes[TIMEZONE_OFFSET]
    return answer


def _character_set(identifier: DicomJson) -> str | None:
    """Return what the modality writes itself, and so can show."""
    values = identifier.get(_CHARACTER_SET, {}).get("Value") or ()
    return "\\".join(str(value or "") for value in values) or None


def _supported(identifier: DicomJson) -> tuple[DicomJson, bool]:
    """Return the keys that are served, and whether there are others: private ones, and values of no VR known here."""
    keys: DicomJson = {}
    has_others = False
    for tag, element in identifier.items():
        if is_private(tag) or "InlineBinary" in element:
            has_others = True
            continue
        if element["vr"] == "SQ" and element.get("Value"):
            items = [_supported(item) for item in element["Value"]]
            has_others = has_others or any(others for _, others in items)
            element = {"vr": "SQ", "Value": [item for item, _ in items]}
        keys[tag] = element
    return keys, has_others
