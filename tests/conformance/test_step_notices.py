"""Notices of performed procedure steps, with pynetdicom as modality and as the side that is told (PS3.4 §F.9)."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    ModalityPerformedProcedureStep,
    ModalityPerformedProcedureStepNotification,
    ModalityPerformedProcedureStepRetrieve,
    Verification,
)

from support.running import RunningHilum

BEGUN, COMPLETED, DISCONTINUED, UPDATED = 1, 2, 3, 4
WAIT_S = 60


@dataclass
class Told:
    """What a remote was told: event types by SOP Instance UID, and what N-GET says of the step at that moment."""

    events: list[tuple[str, int]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    sop_classes: set[str] = field(default_factory=set)

    def take(self, event: evt.Event) -> tuple[int, None]:
        answer = self.answers.pop(0) if self.answers else 0x0000
        if answer == 0x0000:
            request = event.request
            self.events.append((str(request.AffectedSOPInstanceUID), int(event.event_type)))
            self.sop_classes.add(str(request.AffectedSOPClassUID))
        return answer, None

    def of(self, uid: str) -> list[int]:
        return [kind for each, kind in self.events if each == uid]


@contextmanager
def listener(port: int = 0, *sop_classes: str) -> Iterator[tuple[int, Told]]:
    ae, told = AE(ae_title="RIS"), Told()
    for sop_class in sop_classes or (ModalityPerformedProcedureStepNotification,):
        # The side that calls is the SCP here.
        ae.add_supported_context(sop_class, scu_role=False, scp_role=True)
    handlers = [(evt.EVT_N_EVENT_REPORT, told.take)]
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    assert server is not None
    try:
        yield server.socket.getsockname()[1], told
    finally:
        server.shutdown()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def registered(hilum: RunningHilum, ae_title: str, port: int, *uses: str) -> Iterator[None]:
    entry = {"ae_title": ae_title, "host": "127.0.0.1", "port": port, "may_be_asked": list(uses)}
    with hilum.client() as client:
        answer = client.post("/api/remotes", json=entry)
        assert answer.status_code == 201, answer.text
        try:
            yield
        finally:
            client.delete(f"/api/remotes/{ae_title}")


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.1)


def beginning() -> Dataset:
    content = Dataset()
    reference = Dataset()
    reference.StudyInstanceUID = generate_uid()
    content.ScheduledStepAttributesSequence = [reference]
    content.PatientName = "Doe^Jane"
    content.PatientID = "P1"
    content.PerformedProcedureStepID = "PPS1"
    content.PerformedStationAETitle = "CT1"
    content.PerformedProcedureStepStartDate = "20260105"
    content.PerformedProcedureStepStartTime = "101500"
    content.PerformedProcedureStepStatus = "IN PROGRESS"
    content.Modality = "CT"
    return content


def description(text: str) -> Dataset:
    content = Dataset()
    content.PerformedProcedureStepDescription = text
    return content


def ending(status: str) -> Dataset:
    content = Dataset()
    content.PerformedProcedureStepStatus = status
    content.PerformedProcedureStepEndDate = "20260105"
    content.PerformedProcedureStepEndTime = "102000"
    series = Dataset()
    series.SeriesInstanceUID = generate_uid()
    series.ProtocolName = "Head"
    content.PerformedSeriesSequence = [series]
    return content


def report(hilum: RunningHilum, *changes: Dataset) -> str:
    """Report a step as a modality does; return its UID."""
    ae, uid = AE("CT1"), generate_uid()
    ae.add_requested_context(ModalityPerformedProcedureStep)
    association = ae.associate("127.0.0.1", hilum.dicom_port, ae_title=hilum.ae_title)
    assert association.is_established
    try:
        status, _ = association.send_n_create(beginning(), ModalityPerformedProcedureStep, uid)
        assert status.Status == 0x0000
        for change in changes:
            status, _ = association.send_n_set(change, ModalityPerformedProcedureStep, uid)
            assert status.Status == 0x0000
    finally:
        association.release()
    return str(uid)


def asked_for(hilum: RunningHilum, uid: str) -> Dataset:
    """What N-GET says of a step."""
    ae = AE("RIS")
    ae.add_requested_context(ModalityPerformedProcedureStepRetrieve)
    association = ae.associate("127.0.0.1", hilum.dicom_port, ae_title=hilum.ae_title)
    assert association.is_established
    try:
        status, found = association.send_n_get([(0x0040, 0x0252)], ModalityPerformedProcedureStepRetrieve, uid)
        assert status.Status == 0x0000
        assert found is not None
        return found
    finally:
        association.release()


@pytest.mark.parametrize(("status", "last"), [("COMPLETED", COMPLETED), ("DISCONTINUED", DISCONTINUED)])
def test_a_remote_is_told_of_all_that_happens_to_a_step_in_order(hilum: RunningHilum, status: str, last: int) -> None:
    with listener() as (port, told), registered(hilum, "RIS", port, "step-notice"):
        uid = report(hilum, description("Head"), ending(status))
        wait_until(lambda: len(told.of(uid)) >= 3)
        assert told.of(uid) == [BEGUN, UPDATED, last]
        assert told.sop_classes == {ModalityPerformedProcedureStepNotification}
        assert asked_for(hilum, uid).PerformedProcedureStepStatus == status


def test_a_remote_that_was_away_is_told_afterwards_in_order(hilum: RunningHilum) -> None:
    port = free_port()
    with registered(hilum, "RIS", port, "step-notice"):
        uid = report(hilum, description("Head"))
        other = report(hilum)
        with listener(port) as (_, told):
            told.answers += [0x0213]  # it cannot take the first one now
            wait_until(lambda: len(told.events) >= 3)
            assert told.of(uid) == [BEGUN, UPDATED]
            assert told.of(other) == [BEGUN]


def test_only_who_wants_to_know_is_told(hilum: RunningHilum) -> None:
    with listener() as (port, told), registered(hilum, "RIS", port, "step-notice"):  # noqa: SIM117
        with listener() as (quiet_port, not_told), registered(hilum, "QUIET", quiet_port, "echo", "procedure-step"):
            uid = report(hilum, ending("COMPLETED"))
            wait_until(lambda: len(told.of(uid)) >= 2)
            assert not not_told.events


def test_a_remote_that_takes_no_such_notices_fails_the_job_for_good(hilum: RunningHilum) -> None:
    with (
        listener(0, Verification) as (port, _),
        registered(hilum, "RIS", port, "step-notice"),
        hilum.client() as client,
    ):
        report(hilum)

        def failed() -> bool:
            jobs = client.get("/api/jobs", params={"kind": "procedure-step.notify", "state": "failed"}).json()["jobs"]
            return any(job["error_code"] == "context-refused" for job in jobs)

        wait_until(failed)
