"""Composite Instance Root Retrieve down to frames, and retrieval without bulk data.

Reference: PS3.4 Annex Y, Annex Z
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from hilum.archive.model import DicomJson, StoredInstance
from hilum.archive.query import InstanceSelection, Level
from hilum.archive.remotes import DimseUse, RemoteAe
from hilum.archive.sending import InstanceSender, InstanceSource, Transcoder
from hilum.dicom.data_sets import read_data_set
from hilum.dicom.dictionary import tag_of
from hilum.dicom.frame_lists import FrameList, read_frame_list
from hilum.dicom.uids import (
    COMPOSITE_INSTANCE_RETRIEVE_WITHOUT_BULK_DATA_GET,
    COMPOSITE_INSTANCE_ROOT_GET,
    COMPOSITE_INSTANCE_ROOT_MOVE,
)
from hilum.dimse.messages import CGetRequest, CMoveRequest
from hilum.kernel.errors import InvalidInput, NotFound
from hilum.kernel.limits import MAX_QUERY_IDENTIFIER_BYTES
from hilum.scp.calls import Call, DimseService, Operation, gather, unrecognized
from hilum.scp.get import Getting, ReadableArchive
from hilum.scp.move import FindRemote, MoveService
from hilum.scp.negotiation import MESSAGE_RULE
from hilum.scp.retrieve import InstanceArchive, selection_of
from hilum.scp.statuses import RETRIEVE_STATUSES
from hilum.ul.negotiation import TransferSyntaxRule
from hilum.ul.primitives import AssociateRequest, ExtendedNegotiation

_LEVELS: Final = (Level.INSTANCE,)
_QUERY_RETRIEVE_LEVEL: Final = tag_of("QueryRetrieveLevel")


class Extraction(Protocol):
    """What makes instances of stored ones for a retrieval."""

    async def extract(self, instance: StoredInstance, wanted: FrameList) -> tuple[StoredInstance, InstanceSource]:
        """Return a new instance with some frames of a stored one, and what gives it."""
        ...

    def without_bulk_data(self) -> InstanceSource:
        """Return what gives stored instances without what is large."""
        ...


class SenderOfSources(InstanceSender, Protocol):
    """Sends what is stored, and what is made of it."""

    def giving(self, source: InstanceSource) -> InstanceSender:
        """Return what sends instances that the source gives."""
        ...


class CompositeGetService(DimseService):
    """Composite Instance Root Retrieve - GET at the IMAGE and FRAME levels, and Retrieve Without Bulk Data - GET.

    Reference: PS3.4 §Y.4.2, §Z.4.2
    """

    use = DimseUse.RETRIEVE

    def __init__(self, archive: ReadableArchive, extraction: Extraction, transcoder: Transcoder | None = None) -> None:
        self._archive = archive
        self._extraction = extraction
        self._transcoder = transcoder

    def rule(self, abstract_syntax: str) -> TransferSyntaxRule | None:
        """Accept whatever encodes an identifier."""
        served = (COMPOSITE_INSTANCE_ROOT_GET, COMPOSITE_INSTANCE_RETRIEVE_WITHOUT_BULK_DATA_GET)
        return MESSAGE_RULE if abstract_syntax in served else None

    def extended_negotiation(
        self, request: AssociateRequest, proposed: ExtendedNegotiation
    ) -> ExtendedNegotiation | None:
        """Agree to nothing: there are no levels above, and enhanced images are not converted."""
        return _declined(proposed)

    def begin(self, call: Call) -> Operation | None:
        """Send back what the identifier names.

        Reference: PS3.7 §9.1.3, PS3.4 §Y.4.2.3, §Z.4.2.3
        """
        request = call.request
        if not isinstance(request, CGetRequest):
            return unrecognized(call)

        async def get(identifier: bytes) -> None:
            keys = await _keys(call, identifier)
            is_whole = call.abstract_syntax == COMPOSITE_INSTANCE_ROOT_GET
            if is_whole and _is_frame_level(keys):
                extracted, source = await _extracted(call, keys, self._archive, self._extraction)
                await Getting(call, request, [extracted], source, source).run()
                return
            instances = await _named(call, keys, self._archive)
            if is_whole:
                await Getting(call, request, instances, self._archive, self._transcoder).run()
            else:
                source = self._extraction.without_bulk_data()
                await Getting(call, request, instances, source, source).run()

        return gather(call, get, RETRIEVE_STATUSES)


class CompositeMoveService(MoveService):
    """Composite Instance Root Retrieve - MOVE at the IMAGE and FRAME levels (PS3.4 §Y.4.1)."""

    def __init__(
        self, archive: InstanceArchive, find_remote: FindRemote, sender: SenderOfSources, extraction: Extraction
    ) -> None:
        super().__init__(archive, find_remote, sender)
        self._sender_of_sources = sender
        self._extraction = extraction

    def rule(self, abstract_syntax: str) -> TransferSyntaxRule | None:
        """Accept whatever encodes an identifier."""
        return MESSAGE_RULE if abstract_syntax == COMPOSITE_INSTANCE_ROOT_MOVE else None

    def extended_negotiation(
        self, request: AssociateRequest, proposed: ExtendedNegotiation
    ) -> ExtendedNegotiation | None:
        """Agree to nothing: there are no levels above, and enhanced images are not converted."""
        return _declined(proposed)

    async def move(self, call: Call, request: CMoveRequest, identifier: bytes) -> None:
        """Send what the identifier names to the move destination.

        Reference: PS3.4 §Y.4.1.3
        """
        keys = await _keys(call, identifier)
        is_frame_level = _is_frame_level(keys)
        if is_frame_level:
            read_frame_list(keys)  # what makes no sense is told before who it is for
        remote: RemoteAe = await self.destination(call.caller.tenant_id, request.move_destination)
        if is_frame_level:
            extracted, source = await _extracted(call, keys, self.archive, self._extraction)
            await self.send_all(call, request, remote, [extracted], self._sender_of_sources.giving(source))
        else:
            await self.send_all(call, request, remote, await _named(call, keys, self.archive), self.sender)


def _declined(proposed: ExtendedNegotiation) -> ExtendedNegotiation:
    """Return the answer to an extended negotiation: nothing of it (PS3.4 §Y.5.1.1, §Z.5.1.1)."""
    return ExtendedNegotiation(proposed.sop_class_uid, bytes(max(2, len(proposed.application_information))))


async def _keys(call: Call, identifier: bytes) -> DicomJson:
    if len(identifier) > MAX_QUERY_IDENTIFIER_BYTES:
        # Millions of frame numbers, or of UIDs, take their time to read.
        return await asyncio.to_thread(read_data_set, identifier, call.transfer_syntax)
    return read_data_set(identifier, call.transfer_syntax)


def _is_frame_level(keys: DicomJson) -> bool:
    values = keys.get(_QUERY_RETRIEVE_LEVEL, {}).get("Value") or ()
    return [str(value).strip() for value in values] == ["FRAME"]


def _selection(keys: DicomJson) -> InstanceSelection:
    return selection_of(keys, _LEVELS, is_relational=False)


async def _named(call: Call, keys: DicomJson, archive: InstanceArchive) -> Sequence[StoredInstance]:
    return await archive.select(call.caller.tenant_id, _selection(keys))


async def _extracted(
    call: Call, keys: DicomJson, archive: InstanceArchive, extraction: Extraction
) -> tuple[StoredInstance, InstanceSource]:
    """Return the instance that is made of one stored here.

    Raises:
        InvalidInput: the keys name no frames, or several instances.
        NotFound: neither the instance nor, then, any of its frames is there.

    Reference: PS3.4 §Y.3.3, §Y.6.1.1.3
    """
    selection = _selection({**keys, _QUERY_RETRIEVE_LEVEL: {"vr": "CS", "Value": ["IMAGE"]}})
    if len(selection.sop_instance_uids) != 1:
        raise InvalidInput("frames are taken out of one instance", code="frame-list", attribute="SOPInstanceUID")
    wanted = read_frame_list(keys)
    instances = await archive.select(call.caller.tenant_id, selection)
    if not instances:
        raise NotFound("the instance is not there", code="no-frames")
    return await extraction.extract(instances[0], wanted)
