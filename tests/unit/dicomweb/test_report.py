"""Structured reports as pages: complete, and nothing of them runs."""

from __future__ import annotations

from typing import Any

import pytest

from hilum.dicom.dictionary import tag_of
from hilum.dicom.uids import BASIC_TEXT_SR_STORAGE, CT_IMAGE_STORAGE
from hilum.dicomweb.report import is_report, report_page


def json(**elements: Any) -> dict[str, Any]:
    return {tag_of(keyword): {"vr": "XX", "Value": value} for keyword, value in elements.items()}


def code(meaning: str, value: str = "1") -> list[dict[str, Any]]:
    return [json(CodeMeaning=[meaning], CodeValue=[value])]


def test_reports_are_known_by_their_sop_class() -> None:
    assert is_report(BASIC_TEXT_SR_STORAGE)
    assert not is_report(CT_IMAGE_STORAGE)
    assert not is_report("1.2.3")


class TestPage:
    """PS3.3 §C.17.3."""

    def test_content_tree_is_shown_with_names_values_and_units(self) -> None:
        measured = json(NumericValue=[12.5], MeasurementUnitsCodeSequence=code("millimeter", "mm"))
        tree = json(
            ConceptNameCodeSequence=code("Chest report"),
            PatientName=[{"Alphabetic": "Test^Tilda", "Ideographic": "\u8a66\u9a13"}],
            ContentSequence=[
                json(
                    ValueType=["CONTAINER"],
                    ConceptNameCodeSequence=code("Findings"),
                    ContentSequence=[
                        json(ValueType=["TEXT"], ConceptNameCodeSequence=code("Finding"), TextValue=["A nodule."]),
                        json(
                            ValueType=["NUM"],
                            ConceptNameCodeSequence=code("Diameter"),
                            MeasuredValueSequence=[measured],
                        ),
                        json(
                            ValueType=["CODE"], ConceptNameCodeSequence=code("Side"), ConceptCodeSequence=code("Left")
                        ),
                        json(ValueType=["IMAGE"], ReferencedSOPSequence=[json(ReferencedSOPInstanceUID=["1.2.3"])]),
                        json(ValueType=["NUM"], ConceptNameCodeSequence=code("Empty")),
                    ],
                )
            ],
        )
        page = report_page(tree)
        for text in (
            "<h1>Chest report</h1>", "Test Tilda / \u8a66\u9a13", "<h2>Findings</h2>", "A nodule.", "12.5 mm",
            "Side: </span>Left", "Image 1.2.3", "no value",
        ):  # fmt: skip
            assert text in page

    def test_every_text_is_escaped(self) -> None:
        hostile = "<script>alert('x')</script>\"&"
        tree = json(
            ConceptNameCodeSequence=code(hostile),
            PatientID=[hostile],
            PatientName=[{"Alphabetic": hostile}],
            ContentSequence=[
                json(ValueType=["TEXT"], ConceptNameCodeSequence=code(hostile), TextValue=[hostile]),
                json(ValueType=[hostile], ConceptNameCodeSequence=code(hostile)),
                json(ValueType=["CONTAINER"], ConceptNameCodeSequence=code(hostile)),
                json(ValueType=["UIDREF"], UID=[hostile]),
                json(ValueType=["SCOORD"], GraphicType=[hostile]),
            ],
        )
        page = report_page(tree)
        assert "<script" not in page
        assert "alert(&#x27;x&#x27;)" in page

    @pytest.mark.parametrize("content", [[None], ["text"], [{}], [{"0040A040": {}}], [{"0040A040": {"Value": [None]}}]])
    def test_a_damaged_tree_is_shown_as_far_as_it_goes(self, content: list[Any]) -> None:
        assert "</html>" in report_page(json(ContentSequence=content))

    def test_a_bottomless_tree_ends(self) -> None:
        tree: dict[str, Any] = json(ValueType=["TEXT"], TextValue=["deep"])
        for _ in range(200):
            tree = json(ValueType=["CONTAINER"], ContentSequence=[tree])
        assert "…" in report_page(tree)
