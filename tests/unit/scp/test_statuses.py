"""Errors as DIMSE statuses: PS3.4 Table B.2-1, PS3.7 Annex C."""

from __future__ import annotations

import pytest

from hilum.archive.workitems import WorkitemProblem
from hilum.dimse import status
from hilum.dimse.status import PROCEDURE_STEP, QUERY, STORAGE, StatusCategory, StatusRow, describe_status
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
from hilum.scp.statuses import (
    FIND_STATUSES,
    NORMALIZED_STATUSES,
    STORE_STATUSES,
    WORKITEM_STATUSES,
    StatusTable,
    refusal,
)

TABLES = [
    pytest.param(STORE_STATUSES, STORAGE, id="store"),
    pytest.param(FIND_STATUSES, QUERY, id="find"),
    pytest.param(NORMALIZED_STATUSES, (), id="normalized"),
    pytest.param(WORKITEM_STATUSES, PROCEDURE_STEP, id="workitem"),
]


@pytest.mark.parametrize(("table", "service"), TABLES)
def test_every_family_of_errors_has_a_row_and_there_is_no_other(
    table: StatusTable, service: tuple[StatusRow, ...]
) -> None:
    assert set(table.families) == set(FAMILIES)


@pytest.mark.parametrize(("table", "service"), TABLES)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_answered_with_a_failure_the_standard_knows(
    family: type[HilumError], table: StatusTable, service: tuple[StatusRow, ...]
) -> None:
    answer = refusal(family("what was wrong"), table)
    assert answer.error_comment == "what was wrong"
    row = describe_status(answer.status, service)
    assert row.category is StatusCategory.FAILURE
    assert "no meaning" not in row.meaning


def test_errors_derived_from_a_family_get_its_status() -> None:
    class DiskFull(Unavailable):
        pass

    assert refusal(DiskFull("full"), STORE_STATUSES).status == status.OUT_OF_RESOURCES


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
    assert refusal(error, STORE_STATUSES).status == expected


def test_the_offending_element_is_the_attribute_the_error_names() -> None:
    answer = refusal(InvalidInput("x", attribute="StudyInstanceUID"), STORE_STATUSES)
    assert answer.offending_element == (0x0020000D,)


@pytest.mark.parametrize("attribute", ["NoSuchKeyword", "", 5, None])
def test_an_attribute_nobody_knows_is_left_out(attribute: str | int | None) -> None:
    assert refusal(InvalidInput("x", attribute=attribute), STORE_STATUSES).offending_element == ()


@pytest.mark.parametrize("problem", WorkitemProblem)
def test_every_problem_with_a_workitem_has_a_status_of_its_own(problem: WorkitemProblem) -> None:
    answer = refusal(Conflict("x", code=problem), WORKITEM_STATUSES)
    row = describe_status(answer.status, PROCEDURE_STEP)
    assert row.category is StatusCategory.FAILURE
    assert list(WORKITEM_STATUSES.codes.values()).count(answer.status) == 1
