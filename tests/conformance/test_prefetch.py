"""Priors are found at and pulled from other implementations when a step is scheduled: Orthanc and DCMTK's archive."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydicom.dataset import Dataset

from support.instances import ct_slice, part10
from support.peers import dcmqrscp, orthanc
from support.running import RunningHilum, running_hilum

TODAY = datetime.now(UTC).date()


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hilum-test-") as name:
        yield Path(name)


def study(*, days_ago: int, modality: str = "CT", count: int = 2, **values: str) -> list[Dataset]:
    first = ct_slice(patient_id="PRIOR-1")
    slices = [
        first,
        *(ct_slice(study=first.StudyInstanceUID, series=first.SeriesInstanceUID) for _ in range(count - 1)),
    ]
    for each in slices:
        each.PatientID, each.Modality = "PRIOR-1", modality
        each.StudyDate = f"{TODAY - timedelta(days=days_ago):%Y%m%d}"
        for keyword, value in values.items():
            setattr(each, keyword, value)
    return slices


def schedule(hilum: RunningHilum) -> None:
    step: dict[str, Any] = {
        "patient_name": "Test^Tilda", "patient_id": "PRIOR-1", "patient_birth_date": "1970-01-01", "modality": "CT",
        "scheduled_station_ae_title": ["CT1"], "scheduled_procedure_step_start_date": f"{TODAY:%Y-%m-%d}",
        "scheduled_procedure_step_start_time": "09:00:00", "scheduled_procedure_step_description": "CT chest",
    }  # fmt: skip
    with hilum.client() as client:
        answer = client.post("/api/worklist", json=step)
        assert answer.status_code == 201, answer.text


def add_rule(hilum: RunningHilum, source: str, port: int, **rule: Any) -> None:
    with hilum.client() as client:
        entry = {"ae_title": source, "host": "127.0.0.1", "port": port}
        assert client.post("/api/remotes", json=entry).status_code == 201
        answer = client.post("/api/prefetch/rules", json={"name": source, "sources": [source]} | rule)
        assert answer.status_code == 201, answer.text


def uids_in(hilum: RunningHilum) -> set[str]:
    with hilum.client() as client:
        answer = client.get("/dicom-web/instances?limit=5000")
        found = answer.json() if answer.status_code == 200 else []
    return {each["00080018"]["Value"][0] for each in found}


async def until_there(hilum: RunningHilum, slices: list[Dataset]) -> None:
    wanted = {str(each.SOPInstanceUID) for each in slices}
    found: set[str] = set()
    try:
        async with asyncio.timeout(90):
            while (found := await asyncio.to_thread(uids_in, hilum)) != wanted:  # noqa: ASYNC110
                await asyncio.sleep(0.3)
    except TimeoutError:
        assert found == wanted


async def test_priors_that_fit_come_from_orthanc_when_a_step_is_scheduled(folder: Path) -> None:
    newest, second, third = study(days_ago=10), study(days_ago=100), study(days_ago=200)
    too_old, other_modality = study(days_ago=3000), study(days_ago=20, modality="MR")
    someone_else = study(days_ago=5, PatientBirthDate="19991231", PatientName="Other^One")
    with running_hilum() as hilum:
        async with orthanc(folder) as (remote, root):
            for each in (*newest, *second, *third, *too_old, *other_modality, *someone_else):
                httpx2.post(f"{root}/instances", content=part10(each), timeout=60).raise_for_status()
            add_rule(hilum, "ORTHANC", remote.port, is_same_modality=True, count=2, modalities=["CT"])
            schedule(hilum)
            await until_there(hilum, newest + second)
            # The next step of the patient brings nothing twice; nothing else comes after all.
            schedule(hilum)
            await asyncio.sleep(2)
            await until_there(hilum, newest + second)


async def test_priors_of_a_body_part_come_from_orthanc(folder: Path) -> None:
    chest, knee = study(days_ago=10, BodyPartExamined="CHEST"), study(days_ago=5, BodyPartExamined="KNEE")
    with running_hilum() as hilum:
        async with orthanc(folder) as (remote, root):
            for each in (*chest, *knee):
                httpx2.post(f"{root}/instances", content=part10(each), timeout=60).raise_for_status()
            add_rule(hilum, "ORTHANC", remote.port, prior_body_parts=["CHEST", "THORAX"])
            schedule(hilum)
            await until_there(hilum, chest)


async def test_priors_come_from_dcmtk_which_tells_no_body_parts(folder: Path) -> None:
    chest, other = study(days_ago=10, BodyPartExamined="CHEST"), study(days_ago=5, StudyDescription="Knee")
    files = []
    for number, each in enumerate((*chest, *other)):
        files.append(folder / f"{number}.dcm")
        files[-1].write_bytes(part10(each))
    with running_hilum() as hilum:
        async with dcmqrscp(folder, files) as remote:
            rule = {"prior_body_parts": ["CHEST"], "prior_descriptions": ["!knee"]}
            add_rule(hilum, "QRSCP", remote.port, **rule)
            schedule(hilum)
            await until_there(hilum, chest)
