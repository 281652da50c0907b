"""The guide's page on damage has a row for each kind and each refusal."""

from __future__ import annotations

import re
from pathlib import Path

from hilum.dicom.damage import DamageKind
from support.broken_files import BROKEN_FILES

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "guide" / "damage.md").read_text()


def test_every_kind_of_damage_has_its_row_and_no_row_is_stale() -> None:
    assert re.findall(r"^\| `([a-z-]+)` \|", GUIDE, re.MULTILINE) == [kind.value for kind in DamageKind]


def test_every_refusal_of_the_header_reader_has_its_row() -> None:
    raised = {
        code
        for name in ("header", "elements", "inflate")
        for code in re.findall(r'code="([a-z-]+)"', (ROOT / "src" / "hilum" / "dicom" / f"{name}.py").read_text())
    }
    documented = set(re.findall(r"^\|.*\| `([a-z-]+)` \| [C0–]", GUIDE, re.MULTILINE))
    assert len(raised) >= 6
    assert raised <= documented
    assert {expectation.code for expectation in BROKEN_FILES.values() if expectation.code} <= documented
