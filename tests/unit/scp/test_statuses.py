"""Errors as DIMSE statuses: PS3.4 Table B.2-1, PS3.7 Annex C."""

from __future__ import annotations

import pytest

from hilum.dimse import status
from hilum.dimse.status import STORAGE, StatusCategory, describe_status
from hilum.kernel.errors import (
    FAMILIES,
    Conflict,
    CorruptData,
    Forbidden,
    HilumError,
    InvalidInput,
    LimitExceeded,
    Unavailable,
    Unsupported,
)
from hilum.scp.statuses import STORE_STATUSES, store_refusal


def test_every_family_of_errors_has_a_row_and_there_is_no_other() -> None:
    assert set(STORE_STATUSES) == set(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_answered_with_a_failure_the_standard_knows(family: type[HilumError]) -> None:
    refusal = store_refusal(family("what was wrong"))
    assert refusal.error_comment == "what was wrong"
    row = describe_status(refusal.status, STORAGE)
    assert row.category is StatusCategory.FAILURE
    assert "no meaning" not in row.meaning


def test_errors_derived_from_a_family_get_its_status() -> None:
    class DiskFull(Unavailable):
        pass

    assert store_refusal(DiskFull("full")).status == status.OUT_OF_RESOURCES


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (InvalidInput("x", code="missing-attribute", attribute="StudyInstanceUID"), 0xC000),
        (InvalidInput("x", code="invalid-uid", attribute="SOPInstanceUID"), 0xC000),
        (InvalidInput("x", code="uid-mismatch", attribute="SOPClassUID"), 0xA900),
        (CorruptData("x"), 0xC000),
        (Conflict("x", code="duplicate"), 0x0111),
        (Unavailable("x"), 0xA700),
        (LimitExceeded("x"), 0x0110),
        (Unsupported("x"), 0x0122),
        (Forbidden("x"), 0x0124),
    ],
)
def test_the_cases_of_the_store_service_get_their_statuses(error: HilumError, expected: int) -> None:
    assert store_refusal(error).status == expected


def test_the_offending_element_is_the_attribute_the_error_names() -> None:
    refusal = store_refusal(InvalidInput("x", attribute="StudyInstanceUID"))
    assert refusal.offending_element == (0x0020000D,)


@pytest.mark.parametrize("attribute", ["NoSuchKeyword", "", 5, None])
def test_an_attribute_nobody_knows_is_left_out(attribute: str | int | None) -> None:
    assert store_refusal(InvalidInput("x", attribute=attribute)).offending_element == ()
