"""The study list, by keyboard and mouse."""

from __future__ import annotations

import re
from io import BytesIO

import pytest
from pydicom import dcmread

from hilum.dicom.samples import sample_studies
from support.browsing import Visit
from support.running import RunningHilum

pytestmark = pytest.mark.usefixtures("samples")


@pytest.fixture
def at_list(samples: RunningHilum, signed_in: Visit) -> Visit:
    """The list with its rows drawn."""
    signed_in.page.locator('[role=row][id^="row-"]').first.wait_for()
    return signed_in


def wait_for_rows(visit: Visit, pattern: str) -> list[str]:
    """Wait until every row drawn matches, and return them."""
    visit.page.wait_for_function(
        """([pattern]) => {
          const rows = [...document.querySelectorAll('[role=row][id^="row-"]')];
          return rows.length > 0 && rows.every((row) => new RegExp(pattern).test(row.innerText));
        }""",
        arg=[pattern],
    )
    return visit.rows()


def test_the_newest_studies_come_first_with_names_in_every_script(at_list: Visit) -> None:
    rows = at_list.rows()
    dates = [re.findall(r"(?:19|20)\d\d-\d\d-\d\d", row)[-1] for row in rows]
    assert dates == sorted(dates, reverse=True)
    shown = "\n".join(rows)
    for name in (
        "Müller-Lüdenscheidt",
        "山田, 花子",
        "Петрова",
        "Παπαδόπουλος",
        "홍, 길동",
        "قباني",
        "王, 小东",
        "שרון",
    ):
        assert name in shown
    assert at_list.barriers() == []


def test_the_keys_move_the_selection_and_open_the_study(at_list: Visit) -> None:
    page = at_list.page
    selected = page.locator("[aria-selected=true]")
    page.keyboard.press("j")
    page.keyboard.press("ArrowDown")
    assert selected.get_attribute("aria-rowindex") == "4"
    page.keyboard.press("k")
    assert selected.get_attribute("aria-rowindex") == "3"
    page.keyboard.press("End")
    page.wait_for_function("() => document.querySelector('[aria-selected=true]')?.ariaRowIndex !== '3'")
    page.keyboard.press("Home")
    page.wait_for_function("() => document.querySelector('[aria-selected=true]')?.ariaRowIndex === '3'")
    uid = (selected.get_attribute("id") or "").removeprefix("row-")
    assert page.get_by_role("grid").get_attribute("aria-activedescendant") == f"row-{uid}"
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/studies/{uid}")


def test_the_selected_row_is_always_in_sight(at_list: Visit) -> None:
    page = at_list.page
    page.set_viewport_size({"width": 1440, "height": 400})
    head = page.get_by_role("columnheader", name="Patient ID")
    foot = page.locator("footer")
    for key in ("End", "Home", "PageDown", "PageDown", "k", "PageUp"):
        page.keyboard.press(key)
        page.wait_for_timeout(200)
        row = page.locator("[aria-selected=true]").bounding_box()
        above, below = head.bounding_box(), foot.bounding_box()
        assert row is not None and above is not None and below is not None
        assert above["y"] + above["height"] + 30 <= row["y"] + 1, key
        assert row["y"] + row["height"] <= below["y"] + 1, key


def test_the_slash_leads_to_the_search_which_knows_names_and_numbers(at_list: Visit) -> None:
    page = at_list.page
    page.keyboard.press("/")
    page.keyboard.type("yamada")
    wait_for_rows(at_list, "Yamada")
    page.get_by_role("searchbox", name="Search name").fill("山田")
    wait_for_rows(at_list, "山田")
    page.get_by_role("searchbox", name="Search name").fill("hil-1003")
    assert wait_for_rows(at_list, "HIL-1003")
    page.keyboard.press("Escape")
    page.wait_for_function("() => document.querySelectorAll('[role=row][id^=\"row-\"]').length > 5")


def test_filters_stand_in_the_address_and_survive_a_reload(at_list: Visit) -> None:
    page = at_list.page
    page.get_by_role("button", name="MR", exact=True).click()
    wait_for_rows(at_list, r"\bMR\b")
    page.get_by_label("Filter by Patient ID").fill("HIL-1002")
    wait_for_rows(at_list, "HIL-1002")
    page.wait_for_url("**/?id=HIL-1002&modality=MR")
    page.reload()
    wait_for_rows(at_list, "HIL-1002")
    assert page.get_by_role("button", name="MR", exact=True).get_attribute("aria-pressed") == "true"


def test_several_modalities_are_alternatives(at_list: Visit) -> None:
    at_list.page.get_by_role("button", name="MG", exact=True).click()
    at_list.page.get_by_role("button", name="ECG", exact=True).click()
    rows = wait_for_rows(at_list, r"\b(MG|ECG)\b")
    assert any("MG" in row for row in rows)
    assert any("ECG" in row for row in rows)


def test_when_nothing_matches_one_click_starts_over(at_list: Visit) -> None:
    page = at_list.page
    page.get_by_label("Filter by Description").fill("no such description")
    page.get_by_role("heading", name="No study matches").wait_for()
    assert at_list.barriers() == []
    page.get_by_role("button", name="Clear all filters").click()
    page.locator('[role=row][id^="row-"]').first.wait_for()
    page.wait_for_url(at_list.hilum.url + "/")


def test_a_click_on_a_heading_sorts_and_a_second_one_turns_round(at_list: Visit) -> None:
    page = at_list.page
    heading = page.get_by_role("columnheader", name="Patient ID")
    order = "[...document.querySelectorAll('[role=row][id^=\"row-\"]')].map((row) => row.children[2].innerText)"
    for address, expression in (("PatientID", "ids"), ("-PatientID", "[...ids].reverse()")):
        heading.get_by_role("button").click()
        page.wait_for_url(f"**/?sort={address}")
        page.wait_for_function(
            f"() => {{ const ids = {order}; return String([...ids].sort()) === String({expression}); }}"
        )
    assert heading.get_attribute("aria-sort") == "descending"


def test_a_study_that_arrives_appears_by_itself_and_leaves_the_selection_alone(at_list: Visit) -> None:
    page = at_list.page
    page.keyboard.press("j")
    before = page.locator("[aria-selected=true]").get_attribute("id")
    count = len(at_list.rows())
    with at_list.hilum.client() as client:
        stored = client.post("/dicom-web/studies", headers={"Content-Type": "application/dicom"}, content=new_study())
    assert stored.status_code == 200
    page.wait_for_function(f"() => document.querySelectorAll('[role=row][id^=\"row-\"]').length > {count}")
    assert "Newcomer" in at_list.rows()[0]
    assert page.locator("[aria-selected=true]").get_attribute("id") == before


def new_study() -> bytes:
    """One image of a study newer than all samples."""
    ds = dcmread(BytesIO(next(sample_studies(small=True)).part10))
    ds.PatientName, ds.PatientID, ds.StudyDate = "Newcomer^Nina", "NEW-1", "20991231"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = "2.25.71", "2.25.72", "2.25.73"
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    buffer = BytesIO()
    ds.save_as(buffer)
    return buffer.getvalue()
