"""What SQL finds equals what the matching oracle finds (PS3.4 §C.2.2.2)."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from hilum.archive.model import DicomJson, DuplicatePolicy
from hilum.archive.query import Level, Match, Query
from hilum.dicom.dictionary import tag_of
from hilum.dicom.levels import UNIQUE_KEYS
from hilum.dicom.matching import parse_condition
from hilum.index.embedded import EmbeddedPostgres
from hilum.index.postgres import open_index
from support.database import draft, new_tenant
from support.searching import QUERIES, archives, described_by_oracle, found_by_oracle


async def found_by_sql(
    database: EmbeddedPostgres, archive: list[dict[str, Any]], queries: list[Query]
) -> list[tuple[list[DicomJson], int]]:
    address = database.app_address()
    tenant_id = await new_tenant(address)
    async with open_index(address) as index:
        drafts = [draft(i["StudyInstanceUID"], i["SeriesInstanceUID"], i["SOPInstanceUID"], **i) for i in archive]
        await index.ingest(tenant_id, drafts, DuplicatePolicy.REPLACE)
        answers = []
        for query in queries:
            assert await index.unsupported_matches(query) == []
            rows = [row async for row in index.search(tenant_id, query)]
            answers.append((rows, await index.count(tenant_id, query)))
        return answers


DESCRIPTION = ("ModalitiesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances")
WILDCARD_IN_IDEOGRAMS = Query(Level.STUDY, (Match((tag_of("PatientName"),), parse_condition("PN", "?田*")),), limit=10)


@settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(
    archive=[
        {
            "PatientName": "山田^太郎",
            "PatientID": "P0",
            "StudyInstanceUID": "1.0.0",
            "SeriesInstanceUID": "1.0.0.0",
            "SOPInstanceUID": "1.0.0.0.0",
            "Modality": "CT",
        }
    ],
    queries=[WILDCARD_IN_IDEOGRAMS],
)
@given(archive=archives(), queries=st.lists(QUERIES, min_size=5, max_size=25))
def test_sql_finds_what_the_oracle_finds(
    database: EmbeddedPostgres, archive: list[dict[str, Any]], queries: list[Query]
) -> None:
    answers = asyncio.run(found_by_sql(database, archive, queries))
    described = described_by_oracle(archive)
    for query, (rows, count) in zip(queries, answers, strict=True):
        keys = [row[UNIQUE_KEYS[query.level]]["Value"][0] for row in rows]
        assert sorted(keys) == sorted(found_by_oracle(archive, query)), query
        assert count == len(keys)
        if query.level is Level.STUDY:
            assert {key: _described(row) for key, row in zip(keys, rows, strict=True)} == {
                key: described[key] for key in keys
            }


def _described(study: DicomJson) -> tuple[list[str], int, int]:
    modalities, series, instances = (study[tag_of(keyword)].get("Value", []) for keyword in DESCRIPTION)
    return modalities, series[0], instances[0]
