"""`InstanceIndex.search` on PostgreSQL: what answers hold and how they are ordered.

What matches is the business of the property test.
"""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from typing import Any

import pytest

from hilum.archive.model import DicomJson, DuplicatePolicy, SeriesMetadata
from hilum.archive.query import Level, Match, Query, SortKey
from hilum.dicom.dictionary import path_of, tag_of, vr_of
from hilum.dicom.matching import parse_condition
from hilum.index.postgres import PostgresIndex, open_index
from hilum.index.server_process import read_pid_file
from hilum.kernel.errors import NotFound, Unavailable, Unsupported
from support.database import draft, migrated_server, new_tenant


def match(path: str, text: str) -> Match:
    tags = path_of(path)
    return Match(tags, parse_condition(vr_of(tags[-1]), text))


async def answers(index: PostgresIndex, tenant_id: int, query: Query) -> list[DicomJson]:
    return [answer async for answer in index.search(tenant_id, query)]


def values(found: list[DicomJson], keyword: str) -> list[Any]:
    return [answer[tag_of(keyword)].get("Value", [None])[0] for answer in found]


@pytest.fixture
async def archive(index: PostgresIndex, tenant_id: int) -> int:
    """Three studies of two patients; the first has two series."""
    drafts = [
        draft(StudyDescription="Thorax", TimezoneOffsetFromUTC="+0100"),
        draft(instance="1.2.1.1.2", InstanceNumber=2, Rows=64, Columns=32, BitsAllocated=16),
        draft(series="1.2.1.2", instance="1.2.1.2.1", Modality="SEG", SeriesNumber=2),
        draft("1.2.2", "1.2.2.1", "1.2.2.1.1", PatientID="P2", PatientName="Abel^A", StudyDate="20260301"),
        draft("1.2.3", "1.2.3.1", "1.2.3.1.1", PatientID="P2", PatientName="Abel^A", StudyDate="", StudyTime=""),
    ]
    await index.ingest(tenant_id, drafts, DuplicatePolicy.REPLACE)
    return tenant_id


async def test_a_study_answer_has_the_attributes_of_the_table(index: PostgresIndex, archive: int) -> None:
    """PS3.18 Table 10.6.3-3."""
    (study,) = await answers(index, archive, Query(Level.STUDY, (match("StudyInstanceUID", "1.2.1"),)))
    assert list(study) == sorted(study)
    assert study == {
        tag_of("SpecificCharacterSet"): {"vr": "CS", "Value": ["ISO_IR 192"]},
        tag_of("StudyDate"): {"vr": "DA", "Value": ["20260102"]},
        tag_of("StudyTime"): {"vr": "TM", "Value": ["101500"]},
        tag_of("AccessionNumber"): {"vr": "SH"},
        tag_of("InstanceAvailability"): {"vr": "CS", "Value": ["ONLINE"]},
        tag_of("ModalitiesInStudy"): {"vr": "CS", "Value": ["CT", "SEG"]},
        tag_of("ReferringPhysicianName"): {"vr": "PN"},
        tag_of("TimezoneOffsetFromUTC"): {"vr": "SH", "Value": ["+0100"]},
        tag_of("PatientName"): {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]},
        tag_of("PatientID"): {"vr": "LO", "Value": ["P1"]},
        tag_of("PatientBirthDate"): {"vr": "DA"},
        tag_of("PatientSex"): {"vr": "CS"},
        tag_of("StudyInstanceUID"): {"vr": "UI", "Value": ["1.2.1"]},
        tag_of("StudyID"): {"vr": "SH"},
        tag_of("NumberOfStudyRelatedSeries"): {"vr": "IS", "Value": [2]},
        tag_of("NumberOfStudyRelatedInstances"): {"vr": "IS", "Value": [3]},
    }


async def test_a_series_answer_counts_its_instances_and_names_its_study(index: PostgresIndex, archive: int) -> None:
    found = await answers(index, archive, Query(Level.SERIES, (match("StudyInstanceUID", "1.2.1"),)))
    assert values(found, "SeriesInstanceUID") == ["1.2.1.1", "1.2.1.2"]
    assert values(found, "NumberOfSeriesRelatedInstances") == [2, 1]
    assert values(found, "StudyInstanceUID") == ["1.2.1", "1.2.1"]
    assert tag_of("PatientName") not in found[0]


async def test_attributes_of_ancestors_come_when_asked_for(index: PostgresIndex, archive: int) -> None:
    query = Query(Level.SERIES, (match("Modality", "SEG"),), ancestors=frozenset({Level.STUDY}))
    (found,) = await answers(index, archive, query)
    assert values([found], "PatientName") == [{"Alphabetic": "Doe^Jane"}]
    assert values([found], "NumberOfStudyRelatedInstances") == [3]


async def test_instances_answer_with_what_they_have(index: PostgresIndex, archive: int) -> None:
    found = await answers(index, archive, Query(Level.INSTANCE, (match("SeriesInstanceUID", "1.2.1.1"),)))
    assert values(found, "InstanceNumber") == [1, 2]
    assert values(found[1:], "Rows") == [64]
    assert tag_of("Rows") not in found[0]


async def test_included_attributes_come_and_all_comes_when_asked_for(index: PostgresIndex, archive: int) -> None:
    key = (match("StudyInstanceUID", "1.2.1"),)
    included = frozenset({path_of("StudyDescription"), path_of("PatientComments")})
    (study,) = await answers(index, archive, Query(Level.STUDY, key, include=included))
    assert study[tag_of("StudyDescription")]["Value"] == ["Thorax"]
    assert study[tag_of("PatientComments")] == {"vr": "LT"}
    (study,) = await answers(index, archive, Query(Level.STUDY, key, include=None))
    assert study[tag_of("StudyDescription")]["Value"] == ["Thorax"]
    assert study[tag_of("NumberOfStudyRelatedSeries")]["Value"] == [2]
    instances = await answers(
        index, archive, Query(Level.INSTANCE, key, include=frozenset({path_of("SeriesDescription")}))
    )
    assert instances[0][tag_of("SeriesDescription")] == {"vr": "LO"}
    instances = await answers(index, archive, Query(Level.INSTANCE, key, include=None))
    assert instances[0][tag_of("StudyDescription")]["Value"] == ["Thorax"]


async def test_patients_are_answered_with_what_belongs_to_them(index: PostgresIndex, archive: int) -> None:
    included = frozenset({path_of("NumberOfPatientRelatedStudies"), path_of("NumberOfPatientRelatedInstances")})
    found = await answers(index, archive, Query(Level.PATIENT, (match("ModalitiesInStudy", "CT"),), include=included))
    assert values(found, "PatientID") == ["P2", "P1"]
    assert values(found, "NumberOfPatientRelatedStudies") == [2, 1]
    assert values(found, "NumberOfPatientRelatedInstances") == [2, 3]


async def test_newest_studies_come_first_and_undated_ones_last(index: PostgresIndex, archive: int) -> None:
    assert values(await answers(index, archive, Query(Level.STUDY)), "StudyInstanceUID") == ["1.2.2", "1.2.1", "1.2.3"]


@pytest.mark.parametrize(
    ("keyword", "descending", "first"),
    [
        ("PatientName", False, "1.2.2"),
        ("PatientName", True, "1.2.1"),
        ("PatientID", True, "1.2.2"),
        ("StudyDate", True, "1.2.2"),
        ("StudyDate", False, "1.2.3"),
        ("StudyDescription", False, "1.2.1"),
        ("PatientBirthDate", False, "1.2.1"),
        ("ReferringPhysicianName", False, "1.2.1"),
    ],
)
async def test_studies_are_sorted_as_asked(
    index: PostgresIndex, archive: int, keyword: str, descending: bool, first: str
) -> None:
    query = Query(Level.STUDY, sort=(SortKey(tag_of(keyword), descending),))
    assert values(await answers(index, archive, query), "StudyInstanceUID")[0] == first


@pytest.mark.parametrize("keyword", ["ModalitiesInStudy", "NumberOfStudyRelatedInstances", "Modality", "PixelSpacing"])
async def test_what_studies_cannot_be_sorted_by_is_said(index: PostgresIndex, archive: int, keyword: str) -> None:
    with pytest.raises(Unsupported):
        await answers(index, archive, Query(Level.STUDY, sort=(SortKey(tag_of(keyword)),)))


async def test_pages_neither_overlap_nor_leave_gaps(index: PostgresIndex, tenant_id: int) -> None:
    drafts = [draft(f"1.2.{n}", f"1.2.{n}.1", f"1.2.{n}.1.1") for n in range(23)]
    await index.ingest(tenant_id, drafts, DuplicatePolicy.REPLACE)
    for level in (Level.STUDY, Level.SERIES, Level.INSTANCE):
        pages: list[str] = []
        for offset in range(0, 30, 5):
            page = await answers(index, tenant_id, Query(level, limit=5, offset=offset))
            pages += values(page, "StudyInstanceUID")
        assert sorted(pages) == sorted(f"1.2.{n}" for n in range(23))
        assert await index.count(tenant_id, Query(level, limit=5, offset=20)) == 23
    assert await answers(index, tenant_id, Query(Level.STUDY, limit=0)) == []


async def test_long_answers_come_by_a_cursor_and_may_be_left_unread(index: PostgresIndex, tenant_id: int) -> None:
    drafts = [draft(instance=f"1.2.1.1.{n}", InstanceNumber=n) for n in range(1200)]
    await index.ingest(tenant_id, drafts, DuplicatePolicy.REPLACE)
    query = Query(Level.INSTANCE, limit=5000)
    assert values(await answers(index, tenant_id, query), "InstanceNumber") == list(range(1200))
    for _ in range(20):
        stream = index.search(tenant_id, query)
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
    assert await index.count(tenant_id, query) == 1200


async def test_keys_that_cannot_be_matched_are_named(index: PostgresIndex) -> None:
    keys = ("PixelSpacing", "StudyDate", "NumberOfStudyRelatedSeries", "Rows", "RequestAttributesSequence.StudyID")
    query = Query(Level.STUDY, tuple(match(key, "1") for key in keys if key != "StudyDate"))
    assert await index.unsupported_matches(query) == [tag_of("PixelSpacing"), tag_of("NumberOfStudyRelatedSeries")]


async def test_everything_is_online(index: PostgresIndex, archive: int) -> None:
    assert await index.count(archive, Query(Level.STUDY, (match("InstanceAvailability", "ONLINE"),))) == 3
    assert await index.count(archive, Query(Level.STUDY, (match("InstanceAvailability", "OFFLINE"),))) == 0


async def test_half_surrogates_and_nul_in_a_query_find_nothing_and_harm_nothing(
    index: PostgresIndex, archive: int
) -> None:
    odd = match("PatientID", "P1")
    odd = replace(odd, condition=type(odd.condition)("\ud800"))  # type: ignore[call-arg]
    assert await index.count(archive, Query(Level.STUDY, (odd,))) == 0


async def test_attributes_are_read_as_they_were_written(index: PostgresIndex, archive: int) -> None:
    stored = await index.find_instances(archive, "1.2.1", "1.2.1.1")
    texts = await index.read_attributes(archive, [stored[1].instance_key, stored[0].instance_key])
    assert (
        texts[0] == draft(instance="1.2.1.1.2", InstanceNumber=2, Rows=64, Columns=32, BitsAllocated=16).header.json()
    )
    with pytest.raises(NotFound):
        await index.read_attributes(archive, [stored[0].instance_key, 999_999_999])
    assert await index.find_instances(archive, "1.2.1", "1.2.1.2", "1.2.1.1.1") == []


async def test_ready_made_metadata_hold_until_the_series_changes(index: PostgresIndex, archive: int) -> None:
    stamp = await index.series_stamp(archive, "1.2.1", "1.2.1.1")
    assert stamp is not None
    assert await index.series_stamp(archive, "1.2.1", "9.9") is None
    assert await index.read_series_metadata(archive, "1.2.1", "1.2.1.1") is None
    made = SeriesMetadata(b"gzip", stamp, has_placeholders=True)
    await index.write_series_metadata(archive, "1.2.1", "1.2.1.1", made)
    assert await index.read_series_metadata(archive, "1.2.1", "1.2.1.1") == made
    await index.ingest(archive, [draft(instance="1.2.1.1.7")], DuplicatePolicy.REPLACE)
    assert await index.read_series_metadata(archive, "1.2.1", "1.2.1.1") is None
    await index.write_series_metadata(archive, "1.2.1", "9.9", made)


def test_the_index_recovers_when_the_server_was_killed() -> None:
    with migrated_server() as server:

        async def work() -> None:
            tenant_id = await new_tenant(server.app_address())
            async with open_index(server.app_address()) as index:
                await index.ingest(tenant_id, [draft()], DuplicatePolicy.REPLACE)
                pid_file = read_pid_file(server.data_folder)
                assert pid_file is not None
                os.kill(pid_file.process_id, signal.SIGKILL)
                with pytest.raises(Unavailable):
                    for _ in range(100):
                        await index.find_instances(tenant_id, "1.2.1")
                        await asyncio.sleep(0.02)
                await asyncio.to_thread(server.start)
                await index.ingest(tenant_id, [draft(instance="1.2.1.1.2")], DuplicatePolicy.REPLACE)
                assert len(await index.find_instances(tenant_id, "1.2.1")) == 2

        asyncio.run(work())


async def test_the_studies_of_a_modality_come_in_the_order_asked_for(index: PostgresIndex, tenant_id: int) -> None:
    dates = {"1.2.1": "20200101", "1.2.2": "", "1.2.3": "20220101", "1.2.4": "20210101", "1.2.5": "20230101"}
    drafts = [
        draft(uid, f"{uid}.1", f"{uid}.1.1", StudyDate=date, Modality="CT" if uid != "1.2.5" else "MR")
        for uid, date in dates.items()
    ]
    await index.ingest(tenant_id, drafts, DuplicatePolicy.REPLACE)
    for keyword in ("ModalitiesInStudy", "Modality"):
        query = Query(Level.STUDY, (match(keyword, "CT"),))
        found = await answers(index, tenant_id, query)
        assert values(found, "StudyInstanceUID") == ["1.2.3", "1.2.4", "1.2.1", "1.2.2"]
        oldest = await answers(index, tenant_id, replace(query, sort=(SortKey(tag_of("StudyDate")),), offset=1))
        assert values(oldest, "StudyInstanceUID") == ["1.2.1", "1.2.4", "1.2.3"]
        dated = replace(query, matches=(*query.matches, match("StudyDate", "20200601-20211231")))
        assert values(await answers(index, tenant_id, dated), "StudyInstanceUID") == ["1.2.4"]
        assert await index.count(tenant_id, dated) == 1


async def test_queries_of_one_form_find_what_each_asks_for(index: PostgresIndex, tenant_id: int) -> None:
    uids = [f"1.2.{n}" for n in range(40)]
    drafts = [
        draft(uid, f"{uid}.1", f"{uid}.1.1", AccessionNumber=f"A{n}", StudyDate=f"202001{1 + n % 28:02}")
        for n, uid in enumerate(uids)
    ]
    await index.ingest(tenant_id, drafts, DuplicatePolicy.REPLACE)

    async def found(**keys: str) -> list[str]:
        query = Query(Level.STUDY, tuple(match(keyword, text) for keyword, text in keys.items()), limit=1000)
        return sorted(values(await answers(index, tenant_id, query), "StudyInstanceUID"))

    for n in (3, 5):
        assert await found(AccessionNumber=f" A{n} ") == [uids[n]]
        assert await found(AccessionNumber=f"A{n}", StudyDate=f"202001{n:02}") == []
        assert await found(AccessionNumber=f"A{n}", StudyDate=f"-202001{n + 1:02}") == [uids[n]]
        assert await found(StudyDate=f"202001{n + 1:02}-202001{n + 2:02}") == sorted(
            uids[k] for k in range(40) if k % 28 in (n, n + 1)
        )
    # As few and as many values as may come.
    for count in (1, 2, 15, 17, 40):
        assert await found(StudyInstanceUID="\\".join(uids[:count])) == sorted(uids[:count])
