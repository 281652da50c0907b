"""Forwarding as a person steers it: rules, destinations, studies sent by hand, and prefetch."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from support.browsing import Visit
from support.dicomweb import stow
from support.instances import ct_slice, part10
from support.peers import free_port
from support.running import RunningHilum


@pytest.fixture
def at_work(signed_in: Visit, archive2: RunningHilum) -> Visit:
    """The study list of a Hilum that knows ARCHIVE2 and GONE, which does not answer."""
    signed_in.register(ae_title="ARCHIVE2", host="127.0.0.1", port=archive2.dicom_port, site="North")
    signed_in.register(ae_title="GONE", host="127.0.0.1", port=free_port())
    return signed_in


def go(page: Page, tab: str) -> None:
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Forwarding").click()
    page.get_by_role("navigation", name="Forwarding").get_by_role("link", name=tab).click()


def new_study(visit: Visit, name: str, count: int = 1) -> str:
    """A study of the patient's with some instances, sent to Hilum; returns its UID."""
    first = ct_slice(side=16, patient_name=name, patient_id=name)
    uid, series = str(first.StudyInstanceUID), str(first.SeriesInstanceUID)
    others = [
        ct_slice(side=16, study=uid, series=series, number=number, patient_name=name, patient_id=name)
        for number in range(2, count + 1)
    ]
    with visit.hilum.client() as client:
        assert stow(client, [part10(each) for each in (first, *others)]).status_code == 200
    return uid


def test_a_rule_is_made_says_what_it_does_and_does_it(at_work: Visit, archive2: RunningHilum) -> None:
    page = at_work.page
    go(page, "Destinations")
    page.get_by_role("heading", name="Nothing is forwarded yet").wait_for()
    assert at_work.barriers() == []
    go(page, "Rules")
    page.get_by_role("heading", name="No rules yet").wait_for()
    page.keyboard.press("n")
    dialog = page.get_by_role("dialog", name="Add a forwarding rule")
    page.keyboard.type("all CT")
    dialog.get_by_role("group", name="Destinations").get_by_role("button", name="ARCHIVE2").click()
    dialog.get_by_label("Modality", exact=True).fill("CT")
    page.keyboard.press("Enter")
    dialog.get_by_text("As it comes, each instance of which the modality is CT goes to ARCHIVE2.").wait_for()
    dialog.get_by_text("At certain hours only").click()
    dialog.get_by_text("This holds between 20:00 and 06:00 only.").wait_for()
    assert at_work.barriers() == []
    dialog.get_by_text("At certain hours only").click()
    dialog.get_by_role("button", name="Add").click()
    row = page.get_by_role("row", name="all CT")
    expect(row).to_contain_text("the modality is CT goes to ARCHIVE2.")
    assert at_work.barriers() == []

    uid = new_study(at_work, "Forwarded^Fred", 3)
    go(page, "Studies")
    sent = page.get_by_role("row", name="Forwarded, Fred")
    expect(sent).to_contain_text("3 of 3", timeout=60_000)
    expect(sent).to_contain_text("sent")
    with archive2.client() as there:
        assert len(there.get(f"/dicom-web/studies/{uid}/instances").json()) == 3
    sent.click()
    page.keyboard.press("Enter")
    why = page.get_by_role("dialog", name="What the rules say of this study")
    expect(why).to_contain_text("all CT")
    expect(why).to_contain_text("to ARCHIVE2")
    assert at_work.barriers() == []
    page.keyboard.press("Escape")
    expect(why).to_have_count(0)


def test_a_rule_is_changed_switched_off_and_removed(at_work: Visit) -> None:
    page = at_work.page
    with at_work.hilum.client() as client:
        rule = {"name": "to change", "destinations": ["GONE"], "condition": {"study_descriptions": ["a, b", "!c*"]}}
        assert client.post("/api/forwarding/rules", json=rule | {"is_enabled": False}).status_code == 201
    go(page, "Rules")
    row = page.get_by_role("row", name="to change")
    row.click()
    for state in ("on", "off"):
        page.keyboard.press("x")
        row.get_by_role("gridcell", name=state, exact=True).wait_for()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Edit the rule to change")
    dialog.get_by_label("Name", exact=True).fill("")
    dialog.get_by_label("Name", exact=True).fill("changed")
    dialog.get_by_role("button", name="Take !c* out of Study description").click()
    dialog.get_by_label("When").select_option("stable")
    dialog.get_by_label("Quiet for (seconds)").fill("0.5")
    dialog.get_by_role("button", name="Save").click()
    # What cannot be is told by the server in its words.
    expect(dialog.get_by_role("alert").or_(dialog.locator("input:invalid"))).not_to_have_count(0)
    dialog.get_by_label("Quiet for (seconds)").fill("90")
    dialog.get_by_role("button", name="Save").click()
    row = page.get_by_role("row", name="changed")
    expect(row).to_contain_text("quiet for 90 s")
    with at_work.hilum.client() as client:
        rules = client.get("/api/forwarding/rules").json()["rules"]
        assert [each["condition"]["study_descriptions"] for each in rules if each["name"] == "changed"] == [["a, b"]]
    row.click()
    page.keyboard.press("Delete")
    page.get_by_role("dialog", name="Remove the rule changed?").get_by_role("button", name="Remove").click()
    expect(row).to_have_count(0)


def test_ticked_studies_are_sent_and_one_sees_how_far_they_are(at_work: Visit, archive2: RunningHilum) -> None:
    page = at_work.page
    uids = [new_study(at_work, f"Sent^{name}", 2) for name in ("Anna", "Ben")]
    page.reload()
    for name in ("Anna", "Ben"):
        page.get_by_role("row", name=f"Sent, {name}").get_by_role("checkbox").check()
    page.get_by_role("button", name="Send 2 to…").click()
    dialog = page.get_by_role("dialog", name="Send 2 studies to…")
    assert at_work.barriers() == []
    dialog.get_by_label("To", exact=True).select_option("ARCHIVE2")
    dialog.get_by_role("button", name="Send").click()
    sending = page.get_by_role("dialog", name="Sending to ARCHIVE2")
    for at in range(2):
        expect(sending.get_by_role("listitem").nth(at)).to_contain_text("2 of 2", timeout=60_000)
    assert at_work.barriers() == []
    with archive2.client() as there:
        for uid in uids:
            assert len(there.get(f"/dicom-web/studies/{uid}/instances").json()) == 2
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("row", name="Sent, Anna").get_by_role("link", name="Sent, Anna", exact=True).click()
    page.get_by_role("region", name="Series").get_by_role("listitem").first.wait_for()
    page.keyboard.press("s")
    page.get_by_role("dialog", name="Send Sent, Anna to…").wait_for()
    page.keyboard.press("Escape")
    # Escape has closed the dialog and not left the study.
    page.get_by_role("button", name="Send to…").wait_for()
    assert "/studies/" in page.url


def test_a_destination_that_does_not_answer_is_held_resumed_and_given_up(at_work: Visit) -> None:
    page = at_work.page
    uid = new_study(at_work, "Waiting^Will", 2)
    with at_work.hilum.client() as client:
        assert client.post(f"/api/forwarding/studies/{uid}", json={"destination": "GONE"}).status_code == 202
    go(page, "Destinations")
    row = page.get_by_role("row", name="GONE")
    expect(row).to_contain_text("tried again in", timeout=30_000)
    expect(row).to_contain_text(re.compile("connect|refused", re.IGNORECASE))
    row.click()
    page.get_by_role("button", name="Hold").click()
    expect(row).to_contain_text("held")
    page.get_by_role("button", name="Resume").click()
    expect(row).not_to_contain_text("held")
    page.get_by_role("grid", name="Destinations").focus()
    page.keyboard.press("Enter")
    bounds = page.get_by_role("dialog", name="How much GONE gets")
    bounds.get_by_label("Kilobytes in a second").fill("1500")
    bounds.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("1,500 kB/s")
    page.keyboard.press("Delete")
    question = page.get_by_role("dialog", name="Cancel all that waits for GONE?")
    expect(question).to_contain_text("2 instances")
    assert at_work.barriers() == []
    question.get_by_role("button", name="Give it up").click()
    page.get_by_text("2 instances to GONE given up.").wait_for()
    go(page, "Studies")
    page.get_by_label("State").select_option("cancelled")
    study = page.get_by_role("row", name="Waiting, Will").filter(has_text="GONE")
    expect(study).to_contain_text("cancelled")
    study.click()
    page.keyboard.press("r")
    page.get_by_role("heading", name="No study is in that state").wait_for()
    page.get_by_role("button", name="Show all").click()
    expect(study).to_contain_text("waiting")


def test_a_prefetch_rule_is_made_and_changed(at_work: Visit) -> None:
    page = at_work.page
    go(page, "Prefetch")
    page.get_by_role("heading", name="No prefetch rules yet").wait_for()
    page.keyboard.press("n")
    dialog = page.get_by_role("dialog", name="Add a prefetch rule")
    page.keyboard.type("priors")
    dialog.get_by_role("group", name="Sources").get_by_role("button", name="ARCHIVE2").click()
    dialog.get_by_label("How many at most").fill("1")
    assert at_work.barriers() == []
    dialog.get_by_role("button", name="Add").click()
    row = page.get_by_role("row", name="priors")
    expect(row).to_contain_text("the newest study of the patient, not older than 5 years is pulled from ARCHIVE2.")
    row.dblclick()
    page.get_by_label("Not older than (years)").fill("")
    page.get_by_label("Not older than (years)").press("Enter")
    expect(row).to_contain_text("the newest study of the patient is pulled from ARCHIVE2.")
    assert at_work.barriers() == []


def test_who_only_reads_sees_how_things_stand_and_steers_nothing(at_work: Visit, reader: Visit) -> None:
    page = reader.page
    for tab in ("Destinations", "Studies", "Rules", "Prefetch"):
        go(page, tab)
        page.get_by_role("grid").wait_for()
        for name in ("Hold", "Try again", "Cancel all", "Add rule", "Remove"):
            assert page.get_by_role("button", name=name).count() == 0
    page.goto("/")
    assert page.get_by_role("button", name="Send to…").count() == 0
