"""Windows onto a running Hilum."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from hilum.console.pages import WEB_DIRECTORY
from support.browsing import AXE, Visit, chromium_path, running_browser
from support.running import PASSWORD, RunningHilum, running_hilum

# Pages ask again every few seconds; a busy machine takes a few more.
expect.set_options(timeout=20_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for one module's tests: while it is open no other event loop can run in this process."""
    executable = chromium_path()
    if executable is None:
        pytest.skip("no Chromium: apt-get install chromium")
    if not (WEB_DIRECTORY / "app").is_dir() or not AXE.exists():
        pytest.skip("the web pages are not built: pip install -e . without HILUM_SKIP_WEB")
    with running_browser(executable) as running:
        yield running


@pytest.fixture(scope="module")
def samples(hilum: RunningHilum) -> RunningHilum:
    """A Hilum with the sample studies in it, made small."""
    made = hilum.hilum("demo", "--small")
    assert made.returncode == 0, made.stderr
    return hilum


@pytest.fixture(scope="module")
def archive2() -> Iterator[RunningHilum]:
    """A second Hilum, called ARCHIVE2, with the sample studies in it."""
    with running_hilum("--workers", "1", environment={"HILUM_DICOM_AE_TITLE": "ARCHIVE2"}) as running:
        made = running.hilum("demo", "--small")
        assert made.returncode == 0, made.stderr
        yield running


@pytest.fixture
def visit(browser: Browser, hilum: RunningHilum) -> Iterator[Visit]:
    """A window nobody has signed in to. The test fails if its pages did what they must not."""
    visit = Visit(browser, hilum)
    yield visit
    visit.context.close()
    assert visit.offences == []


@pytest.fixture
def signed_in(visit: Visit) -> Visit:
    """A window of the administrator's on the study list."""
    visit.sign_in()
    return visit


@pytest.fixture
def reader(browser: Browser, hilum: RunningHilum) -> Iterator[Visit]:
    """A window of somebody's who may only read, on the study list."""
    hilum.hilum("user", "create", "reader", "--role", "reader", stdin=PASSWORD)
    visit = Visit(browser, hilum)
    visit.sign_in(user="reader")
    yield visit
    visit.context.close()
    assert visit.offences == []
