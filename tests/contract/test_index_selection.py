"""`InstanceIndex.select_instances` on PostgreSQL: what C-MOVE and C-GET name by unique keys (PS3.4 §C.4.2)."""

from __future__ import annotations

import pytest

from hilum.archive.model import DuplicatePolicy
from hilum.archive.query import InstanceSelection
from hilum.index.embedded import EmbeddedPostgres
from hilum.index.postgres import PostgresIndex
from support.database import draft, new_tenant

REPLACE = DuplicatePolicy.REPLACE


@pytest.fixture
async def filled(index: PostgresIndex, tenant_id: int) -> int:
    """Two patients; A has two studies, the first with two series; an id is shared by patients of two issuers."""
    drafts = [
        draft(study=study, series=f"{study}.{series}", instance=f"{study}.{series}.{number}",
              PatientID=patient, IssuerOfPatientID=issuer, SeriesNumber=series, InstanceNumber=number)
        for study, patient, issuer, serieses in (
            ("1.2.1", "A", "first", (1, 2)), ("1.2.2", "A", "first", (1,)), ("1.2.3", "B", None, (1,)),
            ("1.2.4", "A", "second", (1,)),
        )
        for series in serieses
        for number in (2, 1)
    ]  # fmt: skip
    await index.ingest(tenant_id, drafts, REPLACE)
    return tenant_id


_SELECTIONS = [
    (InstanceSelection(patient_id="B"), ["1.2.3.1.1", "1.2.3.1.2"]),
    (InstanceSelection(patient_id="A", issuer_of_patient_id="second"), ["1.2.4.1.1", "1.2.4.1.2"]),
    (InstanceSelection(patient_id="A", study_instance_uids=("1.2.2",)), ["1.2.2.1.1", "1.2.2.1.2"]),
    (InstanceSelection(patient_id="B", study_instance_uids=("1.2.2",)), []),
    (
        InstanceSelection(study_instance_uids=("1.2.3", "1.2.2", "1.2.9")),
        ["1.2.2.1.1", "1.2.2.1.2", "1.2.3.1.1", "1.2.3.1.2"],
    ),
    (InstanceSelection(series_instance_uids=("1.2.1.2",)), ["1.2.1.2.1", "1.2.1.2.2"]),
    (InstanceSelection(study_instance_uids=("1.2.2",), series_instance_uids=("1.2.1.2",)), []),
    (InstanceSelection(sop_instance_uids=("1.2.3.1.2", "1.2.1.1.1")), ["1.2.1.1.1", "1.2.3.1.2"]),
    (InstanceSelection(), []),
]


@pytest.mark.parametrize(("selection", "expected"), _SELECTIONS)
async def test_instances_are_selected_by_all_keys_in_the_order_of_reading(
    index: PostgresIndex, filled: int, selection: InstanceSelection, expected: list[str]
) -> None:
    assert [each.sop_instance_uid for each in await index.select_instances(filled, selection, 100)] == expected


async def test_a_patient_s_instances_come_study_by_study(index: PostgresIndex, filled: int) -> None:
    found = await index.select_instances(filled, InstanceSelection(patient_id="A"), 100)
    assert [each.sop_instance_uid for each in found] == [
        f"{study}.{series}.{number}"
        for study, series in (("1.2.1", 1), ("1.2.1", 2), ("1.2.2", 1), ("1.2.4", 1))
        for number in (1, 2)
    ]
    assert found[0] == (await index.find_instances(filled, "1.2.1"))[0]


async def test_no_more_than_the_limit_is_returned(index: PostgresIndex, filled: int) -> None:
    assert len(await index.select_instances(filled, InstanceSelection(patient_id="A"), 3)) == 3


async def test_another_tenant_s_instances_are_not_there(
    index: PostgresIndex, filled: int, database: EmbeddedPostgres
) -> None:
    other = await new_tenant(database.app_address())
    assert await index.select_instances(other, InstanceSelection(sop_instance_uids=("1.2.3.1.2",)), 10) == []
