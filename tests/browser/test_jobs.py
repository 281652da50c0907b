"""Jobs and storage commitment as an administrator sees them, with a second Hilum that answers."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from support.browsing import Visit
from support.dicomweb import stow
from support.instances import ct_slice, part10
from support.peers import free_port
from support.running import RunningHilum


@pytest.fixture
def study(signed_in: Visit) -> str:
    """A study of one image here; returns its UID."""
    image = ct_slice(side=16, patient_name="Job^Joe", patient_id="JOB")
    with signed_in.hilum.client() as client:
        assert stow(client, [part10(image)]).status_code == 200
    return str(image.StudyInstanceUID)


def go(page: Page, tab: str) -> None:
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Jobs").click()
    page.get_by_role("navigation", name="Jobs").get_by_role("link", name=tab).click()


def forward(visit: Visit, study: str, destination: str) -> None:
    with visit.hilum.client() as client:
        answer = client.post(f"/api/forwarding/studies/{study}", json={"destination": destination})
    assert answer.status_code == 202


def test_a_job_is_seen_cancelled_and_tried_again(signed_in: Visit, study: str) -> None:
    page = signed_in.page
    signed_in.register(ae_title="GONE", host="127.0.0.1", port=free_port())
    go(page, "Queue")
    page.get_by_role("grid", name="Jobs").wait_for()
    assert signed_in.barriers() == []
    forward(signed_in, study, "GONE")
    row = page.get_by_role("row", name="forward:GONE")
    expect(row).to_contain_text("Job, Joe")
    expect(row).to_contain_text("waiting", timeout=20_000)
    expect(row).to_contain_text("connect", ignore_case=True)
    row.click()
    page.keyboard.press("Enter")
    details = page.get_by_role("dialog")
    expect(details).to_contain_text(study)
    expect(details).to_contain_text("forward.send")
    assert signed_in.barriers() == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Cancel").click()
    expect(row).to_contain_text("cancelled")
    page.get_by_label("State").select_option("cancelled")
    expect(row).to_contain_text("cancelled")
    page.get_by_role("grid", name="Jobs").focus()
    page.keyboard.press("r")
    page.get_by_role("heading", name="No such job").wait_for()
    page.get_by_role("button", name="Show all").click()
    row.wait_for()


def test_another_archive_is_asked_for_its_commitment(signed_in: Visit, study: str, archive2: RunningHilum) -> None:
    page = signed_in.page
    signed_in.register(ae_title="ARCHIVE2", host="127.0.0.1", port=archive2.dicom_port)
    with archive2.client() as there:
        there.delete("/api/remotes/HILUM")
        entry = {"ae_title": "HILUM", "host": "127.0.0.1", "port": signed_in.hilum.dicom_port}
        assert there.post("/api/remotes", json=entry).status_code == 201
    go(page, "Commitments")
    page.get_by_role("heading", name="Nobody has asked for a commitment").wait_for()
    assert signed_in.barriers() == []
    # It has not been sent there: nobody can answer for it.
    page.keyboard.press("n")
    dialog = page.get_by_role("dialog", name="Ask a remote to answer for a study")
    dialog.get_by_label("Study Instance UID").fill("1.2.3")
    dialog.get_by_role("button", name="Ask").click()
    expect(dialog.get_by_role("alert")).not_to_be_empty()
    dialog.get_by_label("Study Instance UID").fill(study)
    assert signed_in.barriers() == []
    dialog.get_by_role("button", name="Ask").click()
    row = page.get_by_role("row", name="ARCHIVE2")
    expect(row).to_contain_text("not committed", timeout=60_000)
    row.dblclick()
    details = page.get_by_role("dialog")
    expect(details.get_by_role("list", name="Not committed")).to_contain_text("no such instance (0112)")
    assert signed_in.barriers() == []
    page.keyboard.press("Escape")

    forward(signed_in, study, "ARCHIVE2")
    with archive2.client() as there:
        for _ in range(300):
            if there.get(f"/dicom-web/studies/{study}/instances").status_code == 200:
                break
            page.wait_for_timeout(100)
    page.get_by_role("button", name="Ask a remote").click()
    dialog.get_by_label("Study Instance UID").fill(study)
    page.keyboard.press("Enter")
    expect(page.get_by_role("row", name="ARCHIVE2").first).to_contain_text("1 of 1", timeout=60_000)
    assert signed_in.barriers() == []


def test_who_only_reads_is_not_led_there(reader: Visit) -> None:
    assert reader.page.get_by_role("link", name="Jobs").count() == 0
    reader.page.goto("/jobs")
    reader.page.get_by_text("does not have the permission").wait_for()
