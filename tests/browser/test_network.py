"""The registry of remotes as a person edits it, with a second Hilum as the remote."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from support.browsing import Visit
from support.peers import free_port
from support.running import RunningHilum


@pytest.fixture
def network(signed_in: Visit) -> Visit:
    """The page, come to by the navigation, with an empty registry."""
    with signed_in.hilum.client() as client:
        for remote in client.get("/api/remotes").json()["remotes"]:
            client.delete(f"/api/remotes/{remote['ae_title']}")
    signed_in.page.get_by_role("navigation", name="Main").get_by_role("link", name="Network").click()
    signed_in.page.get_by_role("heading", name="Network").wait_for()
    return signed_in


def test_a_remote_is_added_asked_and_answers(network: Visit, archive2: RunningHilum) -> None:
    page = network.page
    page.get_by_role("heading", name="No remotes yet").wait_for()
    assert network.barriers() == []
    page.keyboard.press("n")
    dialog = page.get_by_role("dialog", name="Add a remote")
    assert network.barriers() == []
    page.keyboard.type("SECOND")  # the keyboard is in the first field
    dialog.get_by_label("Host").fill("127.0.0.1")
    dialog.get_by_label("Port").fill(str(archive2.dicom_port))
    dialog.get_by_role("group", name="We may ask it for").get_by_role("button", name="Worklist").click()
    dialog.get_by_label("Site").fill("North")
    page.keyboard.press("Enter")
    row = page.get_by_role("row", name="SECOND")
    expect(row).to_contain_text("all but worklist, availability")
    expect(dialog).to_have_count(0)
    # The new one is current, and its echo is a key away. Called by another title than its own it refuses.
    page.get_by_role("grid", name="Remotes").focus()
    page.keyboard.press("e")
    expect(row).to_contain_text("called AE title", ignore_case=True)
    assert network.barriers() == []

    page.keyboard.press("Enter")
    edit = page.get_by_role("dialog", name="Edit SECOND")
    assert edit.get_by_label("Site").input_value() == "North"
    edit.get_by_label("AE title").fill(archive2.ae_title)
    edit.get_by_role("button", name="Save").click()
    row = page.get_by_role("row", name=archive2.ae_title)
    row.click()
    page.get_by_role("button", name="Echo").click()
    expect(row).to_contain_text(re.compile(r"answers in \d+ m?s"))
    with network.hilum.client() as client:
        (kept,) = client.get("/api/remotes").json()["remotes"]
    assert (kept["ae_title"], kept["site"], kept["port"]) == (archive2.ae_title, "North", archive2.dicom_port)
    assert "worklist" not in kept["may_be_asked"]


def test_what_cannot_be_is_told_in_the_dialog_and_nothing_is_lost(network: Visit) -> None:
    page = network.page
    network.register(ae_title="TAKEN", host="127.0.0.1", port=104)
    page.get_by_role("main").get_by_role("button", name="Add remote").first.click()
    dialog = page.get_by_role("dialog", name="Add a remote")
    dialog.get_by_label("AE title").fill("TAKEN")
    dialog.get_by_label("Host").fill("10.0.0.1")
    dialog.get_by_role("button", name="Add").click()
    expect(dialog.get_by_role("alert")).to_contain_text("registered")
    assert dialog.get_by_label("Host").input_value() == "10.0.0.1"
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def test_a_remote_that_is_not_there_is_told_by_its_reason(network: Visit) -> None:
    page = network.page
    network.register(ae_title="GONE", host="127.0.0.1", port=free_port())
    network.register(ae_title="CALLER", network="10.1.2.0/24")
    page.reload()
    page.get_by_role("row", name="CALLER").click()
    assert page.get_by_role("button", name="Echo").is_disabled()
    page.keyboard.press("j")
    page.keyboard.press("e")
    expect(
        page.get_by_role("row", name="GONE").get_by_text(re.compile("refused|connect", re.IGNORECASE))
    ).to_be_visible()


def test_a_list_that_cannot_be_asked_for_anew_says_so_and_stays(network: Visit) -> None:
    page = network.page
    network.register(ae_title="SEEN", host="127.0.0.1", port=104)
    page.reload()
    page.get_by_role("row", name="SEEN").wait_for()
    page.route("**/api/remotes", lambda route: route.abort())
    page.get_by_role("link", name="Studies").click()
    page.wait_for_timeout(2_100)  # what was asked for so recently is not asked for again
    page.get_by_role("link", name="Network").click()
    page.get_by_text("Not up to date: Hilum does not answer.").wait_for()
    page.get_by_role("row", name="SEEN").wait_for()
    page.unroute("**/api/remotes")
    page.get_by_text("Not up to date").wait_for(state="detached")


def test_a_remote_is_removed_after_a_question(network: Visit) -> None:
    page = network.page
    network.register(ae_title="OLD", host="127.0.0.1", port=104)
    page.reload()
    page.get_by_role("row", name="OLD").click()
    page.keyboard.press("Delete")
    page.get_by_role("dialog", name="Remove OLD?").get_by_role("button", name="Remove").click()
    page.get_by_role("heading", name="No remotes yet").wait_for()


def test_who_only_reads_looks_and_changes_nothing(network: Visit, reader: Visit) -> None:
    network.register(ae_title="SEEN", host="127.0.0.1", port=104)
    page = reader.page
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Network").click()
    page.get_by_role("row", name="SEEN").wait_for()
    assert page.get_by_role("button", name="Add remote").count() == 0
    page.keyboard.press("n")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    assert page.get_by_role("dialog").count() == 0
