"""Status tables: PS3.7 Annex C and the tables of PS3.4, with pynetdicom's as the independent list."""

from __future__ import annotations

from itertools import pairwise

import pytest
from pynetdicom import status as peer

from hilum.dimse.status import (
    GENERAL,
    PENDING,
    PROCEDURE_STEP,
    QUERY,
    RETRIEVE,
    STORAGE,
    StatusCategory,
    StatusRow,
    describe_status,
    is_pending,
)


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        (GENERAL, peer.GENERAL_STATUS),
        (STORAGE, peer.STORAGE_SERVICE_CLASS_STATUS),
        (QUERY, peer.QR_FIND_SERVICE_CLASS_STATUS),
        (QUERY, peer.MODALITY_WORKLIST_SERVICE_CLASS_STATUS),
        (RETRIEVE, peer.QR_MOVE_SERVICE_CLASS_STATUS),
        (RETRIEVE, peer.QR_GET_SERVICE_CLASS_STATUS),
        (PROCEDURE_STEP, peer.UNIFIED_PROCEDURE_STEP_SERVICE_CLASS_STATUS),
    ],
)
def test_every_status_pynetdicom_knows_has_the_same_category(
    service: tuple[StatusRow, ...], expected: dict[int, tuple[str, str]]
) -> None:
    ours = {code: describe_status(code, service).category.value for code in expected}
    assert ours == {code: category.lower() for code, (category, _) in expected.items()}


@pytest.mark.parametrize("table", [GENERAL, STORAGE, QUERY, RETRIEVE, PROCEDURE_STEP])
def test_rows_of_a_table_do_not_overlap(table: tuple[StatusRow, ...]) -> None:
    rows = sorted(table, key=lambda row: row.first)
    assert all(row.first <= row.last for row in rows)
    assert all(before.last < after.first for before, after in pairwise(rows))


def test_unknown_codes_get_the_category_of_their_range() -> None:
    assert describe_status(0xB123).category is StatusCategory.WARNING
    assert describe_status(0xC123).category is StatusCategory.FAILURE
    assert describe_status(0x0999).category is StatusCategory.FAILURE


def test_only_the_two_pending_codes_promise_another_response() -> None:
    assert [code for code in range(0x10000) if is_pending(code)] == [PENDING, PENDING + 1]
