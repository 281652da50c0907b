"""C-FIND on the worklist over a real socket, with the worklist in memory: PS3.4 §K.4.1, PS3.7 §9.1.2."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from pydicom._dicom_dict import DicomDictionary

from hilum.archive.model import DicomJson
from hilum.archive.worklist import WorklistItem, WorklistQuery
from hilum.dicom.data_sets import read_data_set, write_data_set
from hilum.dicom.uids import IMPLICIT_VR_LITTLE_ENDIAN, MODALITY_WORKLIST_FIND
from hilum.dimse.command_set import decode_command_set
from hilum.dimse.messages import CCancelRequest, CEchoRequest, CFindRequest, CFindResponse
from hilum.kernel.clock import SystemClock
from hilum.kernel.errors import LimitExceeded, Unavailable
from hilum.kernel.limits import MAX_QUERY_IDENTIFIER_BYTES, MAX_QUERY_KEYS, MAX_WORKLIST_RESULTS
from hilum.net.acceptor import Acceptor
from hilum.scp.service import ArchiveScp
from hilum.scp.worklist import ModalityWorklistService, WorklistSearch
from hilum.services.worklist import WorklistService
from hilum.ul.primitives import PData, ProposedContext
from support.database import attributes_of
from support.dimse import Peer, admit, association_request, tenant_of
from support.worklist import MemoryWorklist, worklist_item

REQUEST = CFindRequest(message_id=1, affected_sop_class_uid=MODALITY_WORKLIST_FIND)


class Endless:
    """A worklist that offers one item for ever."""

    def __init__(self, item: WorklistItem) -> None:
        self.item = item
        self.limits: list[int | None] = []
        self.is_closed = False

    async def search(self, tenant_id: int, query: WorklistQuery) -> AsyncGenerator[WorklistItem]:
        self.limits.append(query.limit)
        try:
            while True:
                yield self.item
        finally:
            self.is_closed = True


class Broken:
    """A worklist that cannot be asked."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def search(self, tenant_id: int, query: WorklistQuery) -> AsyncGenerator[WorklistItem]:
        raise self.error
        yield


@asynccontextmanager
async def modality(worklist: WorklistSearch, called: str = "HILUM") -> AsyncIterator[Peer]:
    services = [ModalityWorklistService(worklist)]
    acceptor = Acceptor(ArchiveScp(services=services, tenant_of=tenant_of, admit=admit), max_associations=2)
    await acceptor.listen("127.0.0.1", 0)
    contexts = [ProposedContext(1, MODALITY_WORKLIST_FIND, (IMPLICIT_VR_LITTLE_ENDIAN,))]
    peer = await Peer.associated(acceptor.addresses[0][1], association_request(called=called, contexts=contexts))
    try:
        yield peer
    finally:
        await peer.close()
        await acceptor.close(0.0)


def identifier(**values: Any) -> bytes:
    return write_data_set(attributes_of(values), IMPLICIT_VR_LITTLE_ENDIAN)


async def answers(peer: Peer) -> list[tuple[int, DicomJson]]:
    """Return status and identifier of each response up to the final one."""
    found: list[tuple[int, DicomJson]] = []
    command, data = b"", b""
    while True:
        event = await peer.event()
        assert isinstance(event, PData)
        for pdv in event.pdvs:
            if pdv.is_command:
                command += bytes(pdv.data)
            else:
                data += bytes(pdv.data)
            if not pdv.is_last:
                continue
            response = decode_command_set(command)
            assert isinstance(response, CFindResponse)
            if response.has_data_set and pdv.is_command:
                continue
            found.append((response.status, read_data_set(data, IMPLICIT_VR_LITTLE_ENDIAN) if data else {}))
            command, data = b"", b""
            if response.status not in (0xFF00, 0xFF01):
                return found


async def asked(peer: Peer, **values: Any) -> list[tuple[int, DicomJson]]:
    peer.send_message(1, REQUEST, identifier(**values))
    return await answers(peer)


async def worklist_of(*items: WorklistItem, tenant_id: int = 1) -> WorklistService:
    worklist = MemoryWorklist()
    for item in items:
        await worklist.add(tenant_id, item)
    return WorklistService(worklist, SystemClock())


async def test_what_is_asked_for_is_returned_and_nothing_else() -> None:
    item = worklist_item(PatientSex="F")
    async with modality(await worklist_of(item)) as peer:
        step = {"Modality": "", "ScheduledProcedureStepLocation": ""}
        found = await asked(peer, PatientName="doe*", PatientWeight="", ScheduledProcedureStepSequence=[step])
        expected = {
            "PatientName": "Doe^Jane",
            "PatientWeight": "",
            "ScheduledProcedureStepSequence": [{"Modality": "CT", "ScheduledProcedureStepLocation": ""}],
        }
        assert found == [(0xFF00, attributes_of(expected)), (0x0000, {})]


async def test_another_tenants_items_are_not_found() -> None:
    worklist = await worklist_of(worklist_item(), tenant_id=1)
    async with modality(worklist) as peer:
        assert len(await asked(peer, PatientName="")) == 2
    async with modality(worklist, called="SECOND") as peer:
        assert await asked(peer, PatientName="") == [(0x0000, {})]


async def test_a_cancel_ends_the_search() -> None:
    worklist = Endless(worklist_item())
    async with modality(worklist) as peer:
        peer.send_message(1, REQUEST, identifier(PatientName=""))
        peer.send_message(1, CCancelRequest(message_id_being_responded_to=1))
        found = await answers(peer)
        assert found[-1][0] == 0xFE00
        assert worklist.is_closed


async def test_more_items_than_an_answer_holds_end_with_a_failure() -> None:
    worklist = Endless(worklist_item())
    async with modality(worklist) as peer:
        found = await asked(peer, PatientID="")
        assert len(found) == MAX_WORKLIST_RESULTS + 1
        assert found[-1][0] == 0xA700
        assert worklist.limits == [MAX_WORKLIST_RESULTS + 1]
        assert worklist.is_closed


async def test_an_item_that_cannot_be_written_does_not_hide_the_others() -> None:
    odd = worklist_item(PatientID="ODD")
    odd = replace(odd, attributes=odd.attributes | {"00101030": {"vr": "DS", "Value": [{}]}})
    async with modality(await worklist_of(odd, worklist_item(PatientID="SOUND"))) as peer:
        found = await asked(peer, PatientID="", PatientWeight="")
        assert [attributes.get("00100020", {}).get("Value") for _, attributes in found] == [["SOUND"], None]


@pytest.mark.parametrize(
    ("error", "status"), [(Unavailable("the database is away"), 0xA700), (LimitExceeded("too long"), 0xA700)]
)
async def test_what_could_not_be_searched_is_no_success(error: Exception, status: int) -> None:
    async with modality(Broken(error)) as peer:
        assert await asked(peer, PatientName="") == [(status, {})]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x10\x00\x10\x00\xff\x00\x00\x00Doe", 0xC000),
        (identifier(PatientBirthDate="yesterday"), 0xA900),
        (identifier(ScheduledProcedureStepSequence=[{"Modality": "CT"}, {"Modality": "MR"}]), 0xA900),
        (identifier(PatientComments="x" * MAX_QUERY_IDENTIFIER_BYTES), 0xA700),
    ],
)
async def test_an_identifier_that_makes_no_sense_is_refused(data: bytes, status: int) -> None:
    async with modality(await worklist_of(worklist_item())) as peer:
        peer.send_message(1, REQUEST, data)
        assert await answers(peer) == [(status, {})]


async def test_keys_without_end_are_refused() -> None:
    rows = DicomDictionary.items()
    texts = [f"{tag:08X}" for tag, (vr, count, *_) in rows if (vr, count) == ("LO", "1") and tag > 0x00080000]
    keys = {tag: {"vr": "LO", "Value": ["x"]} for tag in texts[: MAX_QUERY_KEYS + 1]}
    async with modality(await worklist_of(worklist_item())) as peer:
        for asked_for, status in ((keys, 0xA700), (dict(list(keys.items())[1:]), 0x0000)):
            peer.send_message(1, REQUEST, write_data_set(asked_for, IMPLICIT_VR_LITTLE_ENDIAN))
            assert await answers(peer) == [(status, {})]


async def test_another_operation_is_not_recognized() -> None:
    async with modality(await worklist_of()) as peer:
        peer.send_message(1, CEchoRequest(message_id=1, affected_sop_class_uid=MODALITY_WORKLIST_FIND))
        assert (await peer.response()).status == 0x0211  # type: ignore[union-attr]
