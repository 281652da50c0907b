"""Remote archives by the console API of a running Hilum: asked, and brought in from by jobs that any worker does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from hilum.scu.remote import Remote
from support.instances import ct_slice, part10
from support.peers import dcmqrscp, free_port
from support.running import RunningHilum


@pytest.fixture
def study() -> str:
    """The UID of this test's own study."""
    return f"2.25.{uuid4().int}"


@pytest.fixture
async def remote(tmp_path: Path, hilum: RunningHilum, study: str) -> AsyncIterator[Remote]:
    """DCMTK's archive with a study of two series; it knows Hilum."""
    files = []
    for number in range(8):
        path = tmp_path / f"{number}.dcm"
        slice_ = ct_slice(
            study=study, series=f"{study}.{number % 2}", number=number, side=16, patient_name="Müller^Änne"
        )
        path.write_bytes(part10(slice_))
        files.append(path)
    async with dcmqrscp(tmp_path, files, destinations={hilum.ae_title: hilum.dicom_port}) as running:
        yield running


@pytest.fixture
async def api(hilum: RunningHilum) -> AsyncIterator[httpx2.AsyncClient]:
    """The API, signed in as the administrator."""
    headers = {**hilum.authorization, "X-Requested-With": "test"}
    async with httpx2.AsyncClient(base_url=f"{hilum.url}/api", headers=headers, timeout=60) as client:
        yield client


async def register(api: httpx2.AsyncClient, remote: Remote, **changes: Any) -> str:
    """Register the remote under its title, in place of what was registered before."""
    await api.delete(f"/remotes/{remote.ae_title}")
    entry = {"ae_title": remote.ae_title, "host": remote.host, "port": remote.port, **changes}
    answer = await api.post("/remotes", json=entry)
    assert answer.status_code == 201, answer.text
    return remote.ae_title


async def until_ended(api: httpx2.AsyncClient, pull_id: int) -> dict[str, Any]:
    async with asyncio.timeout(90):
        while True:
            pull: dict[str, Any] = (await api.get(f"/pulls/{pull_id}")).json()
            if pull["state"] in ("done", "failed", "cancelled"):
                return pull
            await asyncio.sleep(0.1)


async def test_a_remote_archive_is_asked(api: httpx2.AsyncClient, remote: Remote, study: str) -> None:
    title = await register(api, remote)
    found = await api.post(
        f"/remotes/{title}/find", json={"keys": {"PatientName": "M*"}, "return_keys": ["StudyInstanceUID"]}
    )
    assert found.status_code == 200, found.text
    (match,) = found.json()["matches"]
    assert match["00100010"]["Value"] == [{"Alphabetic": "Müller^Änne"}]
    assert found.json()["is_complete"] is True
    series = {"level": "series", "keys": {"StudyInstanceUID": study}, "return_keys": ["SeriesInstanceUID"]}
    limited = (await api.post(f"/remotes/{title}/find", json=series | {"limit": 1})).json()
    assert (len(limited["matches"]), limited["is_complete"]) == (1, False)


@pytest.mark.parametrize("way", ["auto", "move"])
async def test_a_study_is_brought_in(
    api: httpx2.AsyncClient, remote: Remote, hilum: RunningHilum, study: str, way: str
) -> None:
    title = await register(api, remote)
    series = f"{study}.{int(way == 'move')}"
    order = {"study_instance_uid": study, "series_instance_uid": series, "way": way}
    ordered = await api.post(f"/remotes/{title}/pull", json=order)
    assert ordered.status_code == 202, ordered.text
    pull = await until_ended(api, ordered.json()["pull_id"])
    assert (pull["state"], pull["received_count"], pull["error"]) == ("done", 4, None)
    assert pull["pull_id"] in [each["pull_id"] for each in (await api.get("/pulls")).json()["pulls"]]
    stored = await api.get(f"{hilum.dicomweb}/studies/{study}/series/{series}/instances")
    assert len(stored.json()) == 4


async def test_what_cannot_be_had_is_told_at_once(api: httpx2.AsyncClient, remote: Remote, study: str) -> None:
    title = await register(api, remote)
    for path, body, status, code in (
        ("/remotes/NOBODY/find", {}, 404, "no-such-remote"),
        (f"/remotes/{title}/find", {"keys": {"PatientNam": "X"}}, 400, None),
        (f"/remotes/{title}/find", {"level": "worklist", "keys": {"PatientName": ""}}, 501, "context-refused"),
        (f"/remotes/{title}/pull", {"study_instance_uid": "1.9.9"}, 404, "no-instances"),
        (f"/remotes/{title}/pull", {"study_instance_uid": "no uid"}, 400, "invalid-uid"),
        (f"/remotes/{title}/pull", {"study_instance_uid": study, "sop_instance_uid": "1.2"}, 400, None),
        ("/pulls/999999/cancel", None, 404, "no-such-pull"),
    ):
        answer = await api.post(path, json=body)
        assert answer.status_code == status, (path, answer.text)
        assert code in (None, answer.json()["code"])
    assert (await api.get("/pulls/999999")).status_code == 404
    await register(api, remote, may_be_asked=["store"])
    assert (await api.post(f"/remotes/{title}/find", json={})).status_code == 403
    await register(api, Remote(remote.ae_title, "127.0.0.1", free_port()))
    assert (await api.post(f"/remotes/{title}/find", json={})).status_code == 503


async def test_a_pull_that_cannot_succeed_is_cancelled_and_tried_again(
    api: httpx2.AsyncClient, remote: Remote, study: str, tmp_path: Path
) -> None:
    # It tells how much it has and gives nothing: it does not know where we are.
    folder = tmp_path / "other"
    folder.mkdir()
    async with dcmqrscp(folder, sorted(tmp_path.glob("*.dcm"))) as stranger:
        title = await register(api, stranger)
        order = {"study_instance_uid": study, "way": "move"}
        pull_id = (await api.post(f"/remotes/{title}/pull", json=order)).json()["pull_id"]
        async with asyncio.timeout(60):
            while not (pull := (await api.get(f"/pulls/{pull_id}")).json())["error"]:  # noqa: ASYNC110 - elsewhere
                await asyncio.sleep(0.1)
        assert pull["error_code"] == "remote-status"
        assert "A801" in pull["error"]
        assert (await api.post(f"/pulls/{pull_id}/cancel")).status_code == 200
        assert (await until_ended(api, pull_id))["state"] == "cancelled"
        assert (await api.post(f"/pulls/{pull_id}/cancel")).status_code == 409
    await register(api, remote)
    assert (await api.post(f"/pulls/{pull_id}/retry")).status_code == 200
    pull = await until_ended(api, pull_id)
    assert (pull["state"], pull["received_count"]) == ("done", 8)
