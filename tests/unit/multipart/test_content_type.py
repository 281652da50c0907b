"""Content-Type values, as clients really write them."""

from __future__ import annotations

import pytest

from hilum.kernel.errors import InvalidInput
from hilum.multipart import parse_content_type, split_outside_quotes


class TestParseContentType:
    """RFC 9110 §8.3.1, PS3.18 §8.7.3."""

    @pytest.mark.parametrize(
        ("text", "parameters"),
        [
            ('multipart/related; type="application/dicom"; boundary=x', {"type": "application/dicom", "boundary": "x"}),
            ("Multipart/Related;type=application/dicom;Boundary=x;", {"type": "application/dicom", "boundary": "x"}),
            ('multipart/related; boundary="a;b \\"c\\\\"', {"boundary": 'a;b "c\\'}),
            ("multipart/related ; transfer-syntax=*", {"transfer-syntax": "*"}),
            ("multipart/related", {}),
            ("multipart/related; start=<1@x>", {"start": "<1@x>"}),
        ],
    )
    def test_type_and_parameters_are_found(self, text: str, parameters: dict[str, str]) -> None:
        content_type = parse_content_type(text)
        assert content_type.media_type == "multipart/related"
        assert dict(content_type.parameters) == parameters

    @pytest.mark.parametrize(
        "text",
        ["", "text", "/x", "a/", "a/b; c", "a/b; =c", "a/b; c=", "a/b; c=1; C=2", 'a/b; c="x', "a b/c", "a/b; c=x y"],
    )
    def test_malformed_value_is_invalid_input(self, text: str) -> None:
        with pytest.raises(InvalidInput):
            parse_content_type(text)


def test_separators_inside_quotes_do_not_split() -> None:
    assert list(split_outside_quotes('a, "b,\\"c", d', ",")) == ["a", '"b,\\"c"', "d"]
