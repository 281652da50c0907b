"""Messages about performed procedure steps on a real socket, with a store in memory: PS3.7 §10.1, PS3.4 Annex F."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from hilum.archive.procedure_steps import JobsOfStep, PerformedStep
from hilum.dicom.data_sets import read_data_set, write_data_set
from hilum.dicom.dictionary import tag_of
from hilum.dicom.uids import MODALITY_PERFORMED_PROCEDURE_STEP as STEP
from hilum.dicom.uids import MODALITY_PERFORMED_PROCEDURE_STEP_RETRIEVE as RETRIEVE
from hilum.dimse.command_set import decode_command_set
from hilum.dimse.messages import (
    NCreateRequest,
    NCreateResponse,
    NDeleteRequest,
    NGetRequest,
    NGetResponse,
    NormalizedResponse,
    NSetRequest,
    Request,
)
from hilum.kernel.clock import SystemClock
from hilum.kernel.errors import Conflict, HilumError, LimitExceeded, Unavailable
from hilum.net.acceptor import Acceptor
from hilum.scp.procedure_step import PerformedProcedureStepService
from hilum.scp.service import ArchiveScp
from hilum.services.procedure_steps import ProcedureStepService
from hilum.ul.primitives import PData, ProposedContext
from support.database import attributes_of
from support.dimse import EXPLICIT, Peer, admit, association_request, tenant_of

UID = "1.2.3.4"


class MemorySteps:
    """Performed steps in memory."""

    def __init__(self, error: HilumError | None = None) -> None:
        self.kept: dict[str, PerformedStep] = {}
        self.error = error

    async def add(self, tenant_id: int, step: PerformedStep, jobs: JobsOfStep | None = None) -> PerformedStep:
        if self.error is not None:
            raise self.error
        if step.sop_instance_uid in self.kept:
            raise Conflict("there already")
        self.kept[step.sop_instance_uid] = replace(step, step_key=len(self.kept) + 1)
        return self.kept[step.sop_instance_uid]

    async def find(self, tenant_id: int, sop_instance_uid: str) -> PerformedStep | None:
        return self.kept.get(sop_instance_uid)

    async def change(
        self,
        tenant_id: int,
        sop_instance_uid: str,
        work: Callable[[PerformedStep], PerformedStep],
        jobs: JobsOfStep | None = None,
    ) -> PerformedStep | None:
        if sop_instance_uid not in self.kept:
            return None
        self.kept[sop_instance_uid] = work(self.kept[sop_instance_uid])
        return self.kept[sop_instance_uid]

    async def of_items(self, tenant_id: int, item_keys: Collection[int]) -> list[PerformedStep]:
        return []

    async def of_study(self, tenant_id: int, study_instance_uid: str) -> list[PerformedStep]:
        return []


@asynccontextmanager
async def modality(steps: MemorySteps) -> AsyncIterator[Peer]:
    service = PerformedProcedureStepService(ProcedureStepService(steps, SystemClock()))
    acceptor = Acceptor(ArchiveScp(services=[service], tenant_of=tenant_of, admit=admit), max_associations=2)
    await acceptor.listen("127.0.0.1", 0)
    contexts = [ProposedContext(1, STEP, (EXPLICIT,)), ProposedContext(3, RETRIEVE, (EXPLICIT,))]
    peer = await Peer.associated(acceptor.addresses[0][1], association_request(contexts=contexts))
    try:
        yield peer
    finally:
        await peer.close()
        await acceptor.close(0.0)


async def asked(
    peer: Peer, request: Request, data_set: bytes | None = None, context_id: int = 1
) -> tuple[NormalizedResponse, dict[str, object]]:
    """Return the response with its data set, {} when it has none."""
    peer.send_message(context_id, request, data_set)
    event = await peer.event()
    assert isinstance(event, PData)
    response = decode_command_set(event.pdvs[0].data)
    assert isinstance(response, NormalizedResponse)
    pdvs = list(event.pdvs[1:])
    if response.has_data_set and not pdvs:
        event = await peer.event()
        assert isinstance(event, PData)
        pdvs = list(event.pdvs)
    return response, read_data_set(b"".join(pdv.data for pdv in pdvs), EXPLICIT) if pdvs else {}


def beginning(**values: object) -> bytes:
    attributes = {
        "ScheduledStepAttributesSequence": [{"StudyInstanceUID": "1.2.3"}],
        "PerformedProcedureStepID": "PPS1",
        "PerformedStationAETitle": "CT1",
        "PerformedProcedureStepStartDate": "20260105",
        "PerformedProcedureStepStartTime": "102000",
        "PerformedProcedureStepStatus": "IN PROGRESS",
        "Modality": "CT",
    } | values
    return write_data_set(attributes_of({name: value for name, value in attributes.items() if value}), EXPLICIT)


def create(uid: str | None = UID, sop_class_uid: str = STEP, *, has_data_set: bool = True) -> NCreateRequest:
    return NCreateRequest(
        message_id=1, affected_sop_class_uid=sop_class_uid, affected_sop_instance_uid=uid, has_data_set=has_data_set
    )


def change(uid: str = UID) -> NSetRequest:
    return NSetRequest(message_id=2, requested_sop_class_uid=STEP, requested_sop_instance_uid=uid)


def get(uid: str = UID, *tags: int) -> NGetRequest:
    return NGetRequest(
        message_id=3, requested_sop_class_uid=RETRIEVE, requested_sop_instance_uid=uid, attribute_identifier_list=tags
    )


def numbers(*keywords: str) -> tuple[int, ...]:
    return tuple(int(tag_of(keyword), 16) for keyword in keywords)


async def test_a_response_names_the_step_and_tells_what_was_added_to_it() -> None:
    async with modality(MemorySteps()) as peer:
        response, added = await asked(peer, create(), beginning())
        assert isinstance(response, NCreateResponse)
        assert response.status == 0x0000
        assert (response.affected_sop_class_uid, response.affected_sop_instance_uid) == (STEP, UID)
        assert added[tag_of("StudyID")] == {"vr": "SH"}
        assert tag_of("Modality") not in added


async def test_a_step_without_a_uid_gets_one() -> None:
    steps = MemorySteps()
    async with modality(steps) as peer:
        response, _ = await asked(peer, create(None), beginning())
        assert response.status == 0x0000
        assert list(steps.kept) == [response.affected_sop_instance_uid]


async def test_missing_attributes_are_listed() -> None:
    async with modality(MemorySteps()) as peer:
        response, _ = await asked(peer, create(), beginning(Modality=None, PerformedProcedureStepID=None))
        assert isinstance(response, NCreateResponse)
        assert response.status == 0x0120
        assert set(response.attribute_identifier_list) == set(numbers("Modality", "PerformedProcedureStepID"))
        assert response.affected_sop_instance_uid == UID


async def test_a_request_without_a_data_set_misses_everything() -> None:
    async with modality(MemorySteps()) as peer:
        response, _ = await asked(peer, create(has_data_set=False))
        assert response.status == 0x0120


async def test_a_step_that_begins_otherwise_is_an_invalid_value() -> None:
    async with modality(MemorySteps()) as peer:
        response, _ = await asked(peer, create(), beginning(PerformedProcedureStepStatus="COMPLETED"))
        assert isinstance(response, NCreateResponse)
        assert response.status == 0x0106
        assert response.attribute_identifier_list == numbers("PerformedProcedureStepStatus")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (create("not a uid"), 0x0117),
        (create("1" * 65), 0x0117),
        (create(sop_class_uid="1.2.840.10008.5.1.4.31"), 0x0118),
        (change(""), 0x0117),
        (change("9.9"), 0x0112),
    ],
)
async def test_what_names_no_step_is_refused(request_: Request, status: int) -> None:
    async with modality(MemorySteps()) as peer:
        response, _ = await asked(peer, request_, beginning())
        assert response.status == status


async def test_a_uid_with_leading_zeros_names_a_step() -> None:
    async with modality(MemorySteps()) as peer:
        response, _ = await asked(peer, create("1.2.007"), beginning())
        assert response.status == 0x0000


async def test_an_ended_step_is_told_apart_by_its_error_id() -> None:
    end = {
        "PerformedProcedureStepStatus": "DISCONTINUED",
        "PerformedProcedureStepEndDate": "20260105",
        "PerformedProcedureStepEndTime": "1030",
    }
    changes = write_data_set(attributes_of(end), EXPLICIT)
    async with modality(MemorySteps()) as peer:
        await asked(peer, create(), beginning())
        assert (await asked(peer, change(), changes))[0].status == 0x0000
        response, _ = await asked(peer, change(), changes)
        assert (response.status, response.error_id) == (0x0110, 0xA710)


@pytest.mark.parametrize("context_id", [1, 3])
async def test_a_step_is_returned_on_either_context(context_id: int) -> None:
    async with modality(MemorySteps()) as peer:
        await asked(peer, create(), beginning())
        response, found = await asked(peer, get(UID, *numbers("Modality")), context_id=context_id)
        assert isinstance(response, NGetResponse)
        assert response.status == 0x0000
        assert found == attributes_of({"Modality": "CT"})


@pytest.mark.parametrize(
    "request_",
    [create(), change(), NDeleteRequest(message_id=4, requested_sop_class_uid=STEP, requested_sop_instance_uid=UID)],
)
async def test_steps_are_not_changed_where_they_are_retrieved(request_: Request) -> None:
    steps = MemorySteps()
    async with modality(steps) as peer:
        response, _ = await asked(peer, request_, beginning() if request_.has_data_set else None, context_id=3)
        assert response.status == 0x0211
    assert steps.kept == {}


@pytest.mark.parametrize(
    ("error", "status"),
    [(Unavailable("the database is away"), 0x0213), (LimitExceeded("too much"), 0x0110)],
)
async def test_what_could_not_be_kept_is_no_success(error: HilumError, status: int) -> None:
    async with modality(MemorySteps(error)) as peer:
        response, _ = await asked(peer, create(), beginning())
        assert response.status == status


async def test_a_data_set_that_is_cut_off_is_a_failure() -> None:
    async with modality(MemorySteps()) as peer:
        response, _ = await asked(peer, create(), beginning()[:-3])
        assert response.status == 0x0110
