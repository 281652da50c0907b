"""A Chromium that notes what a page must never do, and the questions tests ask of pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Request, sync_playwright

from support.running import PASSWORD, RunningHilum

# Software rendering, and none of the browser's own errands to the network.
FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--use-gl=angle", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
]  # fmt: skip
AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"

_LARGEST_CANVAS = """() => {
  const canvases = [...document.querySelectorAll('canvas')].filter((each) => each.width > 200 && each.height > 200);
  const canvas = canvases.sort((a, b) => b.width * b.height - a.width * a.height)[0];
  const context = canvas?.getContext('2d');
  if (!context) return [];
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  const counts = Array(256).fill(0);
  for (let at = 0; at < data.length; at += 4) counts[data[at]] += 1;
  return counts;
}"""


def chromium_path() -> str | None:
    """Where the machine's Chromium is."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def running_browser(executable: str) -> Iterator[Browser]:
    """Start Chromium and stop it afterwards."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS, ignore_default_args=["--headless"])
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """One person's window. `offences` collects errors, broken policies and requests to foreign hosts."""

    def __init__(self, browser: Browser, hilum: RunningHilum) -> None:
        self.hilum = hilum
        self.context = browser.new_context(base_url=hilum.url, viewport={"width": 1440, "height": 900}, locale="en-GB")
        self.offences: list[str] = []
        self.page = self.watched(self.context.new_page())

    def watched(self, page: Page) -> Page:
        """Note what happens in `page`."""
        page.set_default_timeout(30_000)
        page.on("pageerror", self._note_error)
        page.on("console", self._note_message)
        page.on("request", self._note_request)
        return page

    def _note_error(self, error: Error) -> None:
        self.offences.append(f"error: {error}")

    def _note_message(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            self.offences.append(f"policy: {message.text}")

    def _note_request(self, request: Request) -> None:
        if not request.url.startswith((self.hilum.url, "data:", "blob:", "chrome:", "chrome-extension:")):
            self.offences.append(f"foreign: {request.url}")

    def sign_in(self, path: str = "/", user: str = "admin") -> None:
        """Go to `path` by way of the sign-in page."""
        self.page.goto(path)
        self.page.get_by_label("User name").fill(user)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(f"{self.hilum.url}{path}")

    def register(self, **entry: object) -> None:
        """Put a remote into the registry, in place of what was there under its title."""
        with self.hilum.client() as client:
            client.delete(f"/api/remotes/{entry['ae_title']}")
            assert client.post("/api/remotes", json=entry).status_code == 201

    def rows(self) -> list[str]:
        """The texts of the study list's drawn rows."""
        return self.page.locator('[role=row][id^="row-"]').all_inner_texts()

    def barriers(self) -> list[str]:
        """What axe-core finds wrong with the page as it is."""
        self.page.evaluate(AXE.read_text())
        found: list[dict[str, Any]] = self.page.evaluate("async () => (await axe.run()).violations")
        return [f"{each['id']}: {[node['html'] for node in each['nodes'][:3]]}" for each in found]

    def shades(self) -> list[int]:
        """How many pixels of the largest canvas have each of the 256 levels; empty if there is none yet."""
        counts: list[int] = self.page.evaluate(_LARGEST_CANVAS)
        return counts

    def wait_for_picture(self, levels: int = 30) -> list[int]:
        """Wait until the largest canvas shows more than a plain surface, and return its levels."""
        self.page.wait_for_function(
            f"([levels]) => ({_LARGEST_CANVAS})().filter((count) => count > 20).length >= levels",
            arg=[levels],
            timeout=120_000,
        )
        return self.shades()
