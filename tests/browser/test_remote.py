"""Other archives asked and pulled from, with a second Hilum as the archive."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from support.browsing import Visit
from support.peers import free_port
from support.running import RunningHilum


@pytest.fixture
def remote(signed_in: Visit, archive2: RunningHilum) -> Visit:
    """The page, with ARCHIVE2 and a remote that may not be asked in the registry."""
    signed_in.register(ae_title="ARCHIVE2", host="127.0.0.1", port=archive2.dicom_port)
    signed_in.register(ae_title="SINK", host="127.0.0.1", port=104, may_be_asked=["store"])
    signed_in.page.get_by_role("navigation", name="Main").get_by_role("link", name="Remote archives").click()
    signed_in.page.get_by_role("heading", name="Ask another archive").wait_for()
    return signed_in


def test_a_study_is_found_there_and_pulled_by_a_key(remote: Visit) -> None:
    page = remote.page
    assert remote.barriers() == []
    assert page.get_by_label("Remote", exact=True).locator("option").all_inner_texts() == ["ARCHIVE2"]
    page.keyboard.press("/")
    page.keyboard.type("müller")
    page.get_by_label("Modality").select_option("CT")
    page.get_by_role("button", name="Search").click()
    matches = page.get_by_role("grid", name="Studies found")
    row = matches.get_by_role("row", name="Müller-Lüdenscheidt").first
    expect(row).to_contain_text("no")
    assert "name=m%C3%BCller&modality=CT" in page.url
    count = matches.get_by_role("row", name="Müller-Lüdenscheidt").count()
    expect(page.get_by_text("at ARCHIVE2", exact=False).last).to_contain_text(str(count))
    assert remote.barriers() == []
    page.keyboard.press("j")
    page.keyboard.press("p")
    pulls = page.get_by_role("grid", name="Pulls")
    expect(pulls.get_by_role("row", name="Müller-Lüdenscheidt")).to_contain_text("done", timeout=60_000)
    expect(row).to_contain_text("yes")
    with remote.hilum.client() as client:
        assert len(client.get("/dicom-web/studies").json()) == 1
    page.reload()
    expect(row).to_contain_text("yes")
    pulls.get_by_role("link", name="Müller-Lüdenscheidt").click()
    page.get_by_role("region", name="Series").get_by_role("listitem").first.wait_for()


def test_several_are_ticked_and_pulled_together(remote: Visit) -> None:
    page = remote.page
    page.get_by_label("Patient ID").fill("HIL-1002")
    page.keyboard.press("Enter")
    matches = page.get_by_role("grid", name="Studies found")
    matches.get_by_role("row", name="HIL-1002").first.wait_for()
    count = matches.get_by_role("row", name="HIL-1002").count()
    matches.get_by_role("checkbox", name="Tick all").check()
    page.get_by_role("button", name=re.compile("^Pull")).click()
    for at in range(count):
        expect(matches.get_by_role("row", name="HIL-1002").nth(at)).to_contain_text("yes", timeout=60_000)


def test_nothing_found_and_nobody_there_are_told(remote: Visit) -> None:
    page = remote.page
    page.get_by_label("Patient ID").fill("NOBODY-HAS-THIS")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="ARCHIVE2 has no such study").wait_for()
    assert remote.barriers() == []
    remote.register(ae_title="ARCHIVE2", host="127.0.0.1", port=free_port())
    page.get_by_role("button", name="Search").click()
    page.get_by_text("Cannot connect to 127.0.0.1").wait_for()
    assert remote.barriers() == []


def test_a_pull_that_cannot_be_ordered_is_told(remote: Visit) -> None:
    page = remote.page
    page.get_by_label("Patient ID").fill("HIL-1003")
    page.keyboard.press("Enter")
    page.get_by_role("grid", name="Studies found").get_by_role("row", name="HIL-1003").first.click()
    remote.register(ae_title="ARCHIVE2", host="127.0.0.1", port=free_port())
    page.get_by_role("button", name="Pull").click()
    notice = page.get_by_role("list", name="Notices").get_by_role("listitem")
    expect(notice).to_contain_text("Cannot connect")
    notice.get_by_role("button", name="Close this notice").click()
    expect(notice).to_have_count(0)


def test_who_only_reads_is_not_led_there(reader: Visit) -> None:
    assert reader.page.get_by_role("link", name="Remote archives").count() == 0
