"""Forwarding between real processes: over bad lines, over restarts, to Hilum, Orthanc and DCMTK."""

from __future__ import annotations

import asyncio
import random
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydicom import dcmread

from support.dicomweb import stow
from support.instances import ct_slice, part10
from support.link import link_to, misbehave
from support.peers import free_port, orthanc, running
from support.running import RunningHilum, running_hilum

QUICK = {"HILUM_FORWARDING_RETRY_S": "0.2", "HILUM_FORWARDING_LONGEST_RETRY_S": "1"}


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hilum-test-") as name:
        yield Path(name)


def register(hilum: RunningHilum, ae_title: str, port: int, **more: Any) -> None:
    with hilum.client() as client:
        entry = {"ae_title": ae_title, "host": "127.0.0.1", "port": port} | more
        assert client.post("/api/remotes", json=entry).status_code == 201


def add_rule(hilum: RunningHilum, name: str, *destinations: str, **more: Any) -> int:
    with hilum.client() as client:
        answer = client.post("/api/forwarding/rules", json={"name": name, "destinations": destinations} | more)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["rule_id"])


def store(hilum: RunningHilum, count: int, *, study: str | None = None, side: int = 64) -> list[str]:
    """Store new slices of one study, and return their UIDs."""
    first = ct_slice(study=study, side=side)
    slices = [first] + [
        ct_slice(study=first.StudyInstanceUID, series=first.SeriesInstanceUID, number=number, side=side)
        for number in range(2, count + 1)
    ]
    with hilum.client() as client:
        assert stow(client, [part10(each) for each in slices]).status_code == 200
    return [str(each.SOPInstanceUID) for each in slices]


def uids_in(hilum: RunningHilum) -> list[str]:
    with hilum.client() as client:
        answer = client.get("/dicom-web/instances?limit=5000")
        answer.raise_for_status()
        found = answer.json() if answer.status_code == 200 else []
    return sorted(each["00080018"]["Value"][0] for each in found)


def uids_in_orthanc(root: str) -> list[str]:
    found = httpx2.get(f"{root}/instances?expand", timeout=60).json()
    return sorted(each["MainDicomTags"]["SOPInstanceUID"] for each in found)


def uids_in_folder(folder: Path) -> list[str]:
    return sorted(str(dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in folder.iterdir())


def destinations(hilum: RunningHilum) -> dict[str, dict[str, Any]]:
    with hilum.client() as client:
        found = client.get("/api/forwarding/destinations").json()["destinations"]
    return {each["destination"]: each for each in found}


async def until(look: Callable[[], Any], wanted: Any, *, timeout_s: float = 120) -> None:
    """Return once `look` says what is wanted; fail with what it said last."""
    said: Any = None
    try:
        async with asyncio.timeout(timeout_s):
            while (said := await asyncio.to_thread(look)) != wanted:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
    except TimeoutError:
        assert said == wanted


@asynccontextmanager
async def storescp(folder: Path, port: int, *options: str) -> AsyncIterator[Path]:
    """DCMTK's storescp, which writes what it gets into the folder it yields."""
    received = folder / "received"
    received.mkdir(exist_ok=True)
    async with running(port, "/usr/bin/storescp", *options, "-od", str(received), str(port), cwd=folder):
        yield received


def versions(hilum: RunningHilum) -> int:
    """How often a receiver took something for new content."""
    with hilum.client() as client:
        text = client.get("/metrics").text
    return sum(
        int(float(line.rsplit(" ", 1)[1]))
        for line in text.splitlines()
        if line.startswith("hilum_instances_stored_total{") and 'status="replaced"' in line
    )


async def test_what_comes_in_goes_to_dcmtk_and_orthanc_by_rules(folder: Path) -> None:
    port = free_port()
    with running_hilum("--workers", "2", environment=QUICK) as hilum:
        async with storescp(folder, port) as received, orthanc(folder) as (remote, root):
            register(hilum, "DCMTK", port)
            register(hilum, "ORTHANC", remote.port)
            add_rule(hilum, "CT to DCMTK", "DCMTK", condition={"modalities": ["CT"]})
            add_rule(hilum, "stable studies", "ORTHANC", timing="stable", stable_s=1)
            add_rule(hilum, "no MR here", "DCMTK", condition={"modalities": ["MR"]}, transfer_syntax_uid=None)
            uids = sorted(store(hilum, 25))
            await until(lambda: uids_in_folder(received), uids)
            await until(lambda: uids_in_orthanc(root), uids)
            await until(lambda: [each["instances"] for each in destinations(hilum).values()], [{}, {}])
        with hilum.client() as client:
            studies = client.get("/api/forwarding/studies").json()["studies"]
            assert {each["destination"]: each["instances"] for each in studies} == {
                "DCMTK": {"sent": 25}, "ORTHANC": {"sent": 25},
            }  # fmt: skip


async def test_a_destination_that_is_away_gets_all_once_it_is_back(folder: Path) -> None:
    port = free_port()
    with running_hilum(environment=QUICK) as hilum:
        register(hilum, "DCMTK", port)
        add_rule(hilum, "all", "DCMTK")
        uids = store(hilum, 5)
        await until(lambda: destinations(hilum)["DCMTK"]["error"] is not None, True)
        status = hilum.hilum("forward", "status")
        assert "DCMTK" in status.stdout and "5" in status.stdout, status
        hilum.stop(signal.SIGTERM)
        hilum.start()
        uids += store(hilum, 4)
        async with storescp(folder, port) as received:
            await until(lambda: uids_in_folder(received), sorted(uids))


async def test_a_held_destination_gets_nothing_and_what_is_cancelled_never_goes(folder: Path) -> None:
    port = free_port()
    with running_hilum(environment=QUICK) as hilum:
        async with storescp(folder, port) as received:
            register(hilum, "DCMTK", port)
            add_rule(hilum, "all", "DCMTK")
            assert hilum.hilum("forward", "hold", "DCMTK").returncode == 0
            kept, given_up = store(hilum, 3), ct_slice().StudyInstanceUID
            store(hilum, 2, study=given_up)
            await until(lambda: destinations(hilum)["DCMTK"]["instances"], {"waiting": 5})
            done = hilum.hilum("forward", "cancel", "DCMTK", "--study", given_up)
            assert done.stdout == "2 instances given up\n", done
            assert uids_in_folder(received) == []
            assert hilum.hilum("forward", "resume", "DCMTK").returncode == 0
            await until(lambda: uids_in_folder(received), sorted(kept))
            await until(lambda: destinations(hilum)["DCMTK"]["instances"], {"cancelled": 2})
            assert hilum.hilum("forward", "retry", "DCMTK").stdout == "2 instances will be sent\n"
            await until(lambda: len(uids_in_folder(received)), 5)


async def test_two_hilums_and_an_orthanc_forward_to_each_other_over_bad_lines(folder: Path) -> None:
    """In the end every one holds everything, exactly once; one Hilum is killed and one restarted in the middle."""
    chance = random.Random(17)
    with ExitStack() as stack:
        first = stack.enter_context(
            running_hilum("--workers", "2", environment=QUICK | {"HILUM_DICOM_AE_TITLE": "ONE"})
        )
        second = stack.enter_context(running_hilum(environment=QUICK | {"HILUM_DICOM_AE_TITLE": "TWO"}))
        async with (
            link_to(second.dicom_port) as to_second,
            link_to(first.dicom_port) as to_first,
            orthanc(folder, modalities={"ONE": to_first.port}) as (remote, root),
            link_to(remote.port) as to_orthanc,
        ):
            links = [to_second, to_first, to_orthanc]
            register(first, "TWO", to_second.port)
            register(first, "ORTHANC", to_orthanc.port)
            register(second, "ONE", to_first.port)
            add_rule(first, "all", "TWO", "ORTHANC")
            add_rule(second, "all", "ONE")
            trouble = asyncio.create_task(misbehave(links, chance, seconds=30, pause_s=0.2))
            uids: list[str] = []
            for number in range(6):
                for hilum, count in ((first, 12), (second, 9)):
                    uids += await asyncio.to_thread(store, hilum, count, side=128)
                if number == 2:
                    first.workers()[0].kill()
                if number == 3:
                    port = second.dicom_port
                    await asyncio.to_thread(second.stop)
                    await asyncio.to_thread(second.start, dicom_port=port)
            slices = [ct_slice(number=number) for number in range(1, 8)]
            for each in slices:
                httpx2.post(f"{root}/instances", content=part10(each), timeout=60).raise_for_status()
            own = [str(each.SOPInstanceUID) for each in slices]
            await trouble
            # Orthanc has no rules without plug-ins: it is told to send all it has, what it got from others too.
            all_there = httpx2.get(f"{root}/studies", timeout=60).json()
            sending = asyncio.to_thread(httpx2.post, f"{root}/modalities/ONE/store", json=all_there, timeout=120)
            (await sending).raise_for_status()
            everything = sorted(uids + own)
            await until(lambda: uids_in(first), everything)
            await until(lambda: uids_in(second), everything)
            await until(lambda: uids_in_orthanc(root), everything)
            await until(lambda: pending(first) + pending(second), 0)
            assert versions(first) == versions(second) == 0
            assert sum(link.resets for link in links) > 5


def pending(hilum: RunningHilum) -> int:
    return sum(sum(each["instances"].values()) for each in destinations(hilum).values())
