"""The page of one study."""

from __future__ import annotations

import pytest

from support.browsing import Visit
from support.running import RunningHilum


@pytest.fixture
def open_study(samples: RunningHilum, signed_in: Visit) -> Visit:
    """The newest study of the patient with earlier ones, its thumbnails loaded."""
    signed_in.page.goto("/?id=HIL-1001")
    signed_in.page.get_by_role("link", name="Müller-Lüdenscheidt, Dr. Jürgen").first.click()
    signed_in.page.get_by_role("region", name="Series").get_by_role("listitem").first.wait_for()
    return signed_in


def test_the_patient_and_the_series_are_shown_with_pictures(open_study: Visit) -> None:
    page = open_study.page
    heading = page.get_by_role("heading", level=1)
    assert "Müller-Lüdenscheidt" in heading.inner_text()
    assert "1957-03-12" in page.get_by_role("main").inner_text()
    page.wait_for_function(
        """() => {
          const pictures = [...document.querySelectorAll('li img')];
          return pictures.length > 0 && pictures.every((each) => each.complete && each.naturalWidth > 30);
        }"""
    )
    assert open_study.barriers() == []


def test_other_studies_of_the_patient_and_no_one_elses_are_at_hand(open_study: Visit) -> None:
    page = open_study.page
    others = page.get_by_role("complementary", name="Other studies of this patient").get_by_role("link")
    others.first.wait_for()
    first = page.url
    others.first.click()
    page.wait_for_function("([first]) => location.href !== first", arg=[first])
    # Known from the list beside, it is there without a moment of emptiness.
    assert "Müller-Lüdenscheidt" in page.get_by_role("heading", level=1).inner_text()
    page.get_by_role("region", name="Series").get_by_role("listitem").first.wait_for()


def test_a_report_opens_as_a_page_of_its_own(samples: RunningHilum, signed_in: Visit) -> None:
    page = signed_in.page
    page.goto("/?modality=SR")
    page.locator('[role=row][id^="row-"] a').first.click()
    document = page.get_by_role("link", name="Document 1").first
    document.wait_for()
    with signed_in.context.expect_page() as opened:
        document.click()
    report = opened.value
    report.wait_for_load_state()
    assert "/rendered" in report.url
    assert "Patient ID" in report.inner_text("body")


def test_escape_leads_back_to_the_list_as_it_was(open_study: Visit) -> None:
    open_study.page.keyboard.press("Escape")
    open_study.page.wait_for_url("**/?id=HIL-1001")


def test_a_study_that_is_not_there_is_told_as_such(signed_in: Visit) -> None:
    signed_in.page.goto("/studies/1.2.3.4.5")
    signed_in.page.get_by_role("heading", name="There is no such study").wait_for()
    assert signed_in.barriers() == []
