"""What clients accept is understood as they mean it."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from hilum.dicomweb.negotiation import (
    DICOM_JSON,
    DICOM_XML,
    Accepted,
    accepted,
    choose_document,
    with_transfer_syntax,
)
from hilum.kernel.errors import InvalidInput, Unsupported


def request(accept: str | None = None, query: str = "") -> Request:
    headers = [] if accept is None else [(b"accept", accept.encode())]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": headers, "query_string": query.encode()})


class TestAccepted:
    """PS3.18 §8.7.5, RFC 9110 §12.5.1."""

    def test_nothing_said_accepts_anything(self) -> None:
        assert accepted(request()) == [Accepted("*/*", is_any=True)]
        assert accepted(request("")) == [Accepted("*/*", is_any=True)]

    def test_best_quality_comes_first_and_zero_is_refused(self) -> None:
        found = accepted(request("image/png;q=0.5, image/gif;q=0, image/jpeg, */*;q=0.1"))
        assert [one.media_type for one in found] == ["image/jpeg", "image/png", "*/*"]

    @pytest.mark.parametrize(
        "text",
        [
            "multipart/related; type=application/octet-stream; transfer-syntax=*",
            'multipart/related; type="application/octet-stream"; transfer-syntax=*',
            'multipart/related;transfer-syntax="*";type="application/octet-stream"',
        ],
    )
    def test_quoted_and_unquoted_parameters_mean_the_same(self, text: str) -> None:
        assert accepted(request(text)) == [
            Accepted("application/octet-stream", is_multipart=True, transfer_syntax_uid="*")
        ]

    def test_the_long_list_of_a_slide_viewer_is_understood(self) -> None:
        text = (
            'multipart/related; type="image/jls"; transfer-syntax=1.2.840.10008.1.2.4.80, '
            'multipart/related; type="image/x-jls"; transfer-syntax=1.2.840.10008.1.2.4.81, '
            'multipart/related; type="image/jp2"; transfer-syntax=1.2.840.10008.1.2.4.90, '
            'multipart/related; type="image/jpeg"; transfer-syntax=1.2.840.10008.1.2.4.50, '
            'multipart/related; type="application/octet-stream"; transfer-syntax=*'
        )
        found = accepted(request(text))
        assert [one.media_type for one in found] == [
            "image/jls", "image/jls", "image/jp2", "image/jpeg", "application/octet-stream",
        ]  # fmt: skip
        assert all(one.is_multipart for one in found)

    def test_the_query_parameter_goes_before_the_header(self) -> None:
        found = accepted(request("text/html,*/*;q=0.8", "accept=image/png"))
        assert [one.media_type for one in found] == ["image/png"]

    @pytest.mark.parametrize("text", ["nonsense", "a/b;q=x", "a/b;type", "x" * 10_000])
    def test_malformed_values_are_invalid_input(self, text: str) -> None:
        with pytest.raises(InvalidInput):
            accepted(request(text))

    def test_wildcards_cover_their_types(self) -> None:
        assert Accepted("image/*").allows("image/png")
        assert not Accepted("image/*").allows("application/pdf")
        assert Accepted("*/*").allows("application/pdf")


class TestChooseDocument:
    """PS3.18 §8.7.3.2."""

    @pytest.mark.parametrize(
        ("text", "form"),
        [
            (None, DICOM_JSON),
            ("*/*", DICOM_JSON),
            ("application/json", DICOM_JSON),
            ("application/dicom+json", DICOM_JSON),
            ('multipart/related; type="application/dicom+xml"', DICOM_XML),
            ('multipart/related; type="application/dicom+xml";q=0.5, application/dicom+json', DICOM_JSON),
            ("text/html,application/xhtml+xml,*/*;q=0.8", DICOM_JSON),
        ],
    )
    def test_form_follows_the_client(self, text: str | None, form: str) -> None:
        assert choose_document(request(text)) == form

    def test_what_cannot_be_given_is_unsupported_and_names_what_can(self) -> None:
        with pytest.raises(Unsupported, match=r"application/dicom\+json"):
            choose_document(request("text/csv"))


def test_a_stored_transfer_syntax_cannot_break_out_of_the_header() -> None:
    assert with_transfer_syntax("application/dicom", "1.2.3") == "application/dicom; transfer-syntax=1.2.3"
    for text in ("", "1.2\r\nX: y", "1.2; q=1", "\u00fc"):
        assert with_transfer_syntax("application/dicom", text) == "application/dicom"
