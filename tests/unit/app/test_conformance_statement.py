"""The conformance statement says what the program does: PS3.2."""

from __future__ import annotations

from pathlib import Path

from hilum.app.conformance_statement import conformance_statement
from hilum.dicom.uids import STORAGE_SOP_CLASSES

PAGE = Path(__file__).parents[3] / "docs" / "conformance" / "statement.md"


def test_the_written_statement_is_the_present_one() -> None:
    assert PAGE.read_text(encoding="utf-8") == conformance_statement(), "run: python -m hilum.app.conformance_statement"


def test_the_statement_names_every_storage_sop_class() -> None:
    text = conformance_statement()
    assert [uid for uid in STORAGE_SOP_CLASSES if f"`{uid}`" not in text] == []
