"""The sign-in page."""

from __future__ import annotations

from support.browsing import Visit


def test_a_visitor_signs_in_and_comes_to_the_page_that_was_asked_for(visit: Visit) -> None:
    visit.page.goto("/about")
    assert visit.page.url.endswith("/login?next=%2Fabout")
    assert visit.barriers() == []
    visit.sign_in("/about")
    visit.page.get_by_role("heading", name="Not a medical device").wait_for()
    assert visit.barriers() == []


def test_a_wrong_password_is_told_and_leads_nowhere(visit: Visit) -> None:
    visit.page.goto("/login")
    visit.page.get_by_label("User name").fill("admin")
    visit.page.get_by_label("Password").fill("not-the-password")
    visit.page.keyboard.press("Enter")
    visit.page.get_by_text("Wrong user name or password.").wait_for()
    assert visit.page.url.endswith("/login")
    visit.page.goto("/")
    visit.page.wait_for_url("**/login?next=%2F")


def test_signing_in_never_leads_to_another_site(visit: Visit) -> None:
    visit.page.goto("/login?next=//hilum.invalid/")
    visit.page.get_by_label("User name").fill("admin")
    visit.page.get_by_label("Password").fill("a-password-for-tests")
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_url(visit.hilum.url + "/")


def test_after_signing_out_the_pages_are_closed(signed_in: Visit) -> None:
    signed_in.page.get_by_role("button", name="Sign out").click()
    signed_in.page.get_by_label("User name").wait_for()
    signed_in.page.goto("/about")
    signed_in.page.wait_for_url("**/login?next=%2Fabout")
