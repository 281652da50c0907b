"""The OHIF viewer as Hilum serves it, judged by the pixels it draws."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from hilum.dicom.samples.ct import ct_series
from support.browsing import Visit
from support.running import RunningHilum

SLICES = 200


@pytest.fixture(scope="module")
def sent(hilum: RunningHilum, tmp_path_factory: pytest.TempPathFactory) -> RunningHilum:
    """A CT of 200 slices, sent by DCMTK."""
    dcmsend = shutil.which("dcmsend", path="/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    if dcmsend is None:
        pytest.skip("no DCMTK: apt-get install dcmtk")
    folder = tmp_path_factory.mktemp("ct")
    for number, part10 in enumerate(ct_series(SLICES, 256, 256, seed=1)):
        (folder / f"{number:04d}.dcm").write_bytes(part10)
    send(dcmsend, hilum, folder)
    return hilum


def send(dcmsend: str, hilum: RunningHilum, folder: Path) -> None:
    subprocess.run(
        [dcmsend, "127.0.0.1", str(hilum.dicom_port), "-aec", hilum.ae_title, "+sd", str(folder)],
        check=True,
        timeout=120,
    )


def test_a_ct_sent_by_dcmtk_is_opened_from_the_list_and_drawn(sent: RunningHilum, signed_in: Visit) -> None:
    page = signed_in.page
    row = page.locator('[role=row][id^="row-"]').first
    row.wait_for()
    assert str(SLICES) in row.inner_text()
    page.keyboard.press("j")
    page.keyboard.press("o")
    page.wait_for_url("**/ohif/viewer?StudyInstanceUIDs=*")
    levels = signed_in.wait_for_picture()
    pixels = sum(levels)
    # A chest: air around it and in it, tissue in many shades; no plain surface, no noise.
    assert 0.15 < levels[0] / pixels < 0.95
    assert sum(levels[60:]) / pixels > 0.03
    page.get_by_text(f"1/{SLICES}").or_(page.get_by_text(f"/{SLICES}")).first.wait_for()

    before = page.evaluate("document.querySelector('canvas').toDataURL().length")
    page.locator("canvas").first.hover()
    for _ in range(40):
        page.mouse.wheel(0, 120)
    page.wait_for_function(
        "([before]) => document.querySelector('canvas').toDataURL().length !== before", arg=[before], timeout=60_000
    )

    page.get_by_role("link", name="Hilum").click()
    page.wait_for_url(signed_in.hilum.url + "/")


def test_the_viewer_is_closed_to_who_has_not_signed_in(sent: RunningHilum, visit: Visit) -> None:
    visit.page.goto("/ohif/viewer?StudyInstanceUIDs=1.2.3")
    visit.page.wait_for_url("**/login?next=%2Fohif%2Fviewer%3FStudyInstanceUIDs%3D1.2.3")
