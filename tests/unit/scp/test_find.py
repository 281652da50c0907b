"""C-FIND on a real socket, with a source in memory: PS3.4 §C.4.1, PS3.7 §9.1.2."""

from __future__ import annotations

import asyncio
import os
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from hilum.archive.model import DicomJson
from hilum.archive.query import Level
from hilum.archive.remotes import RemoteAe
from hilum.dicom.dictionary import tag_of
from hilum.dicom.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    PATIENT_ROOT_FIND,
)
from hilum.kernel.errors import Unavailable
from hilum.kernel.limits import MAX_IDENTIFIER_BYTES, MAX_QUERY_IDENTIFIER_BYTES
from hilum.scp.find import FindSettings
from support.database import attributes_of
from support.finding import FindingPeer, MemorySource, close, find_archive


def study(number: int = 1, **values: object) -> DicomJson:
    return attributes_of({"StudyInstanceUID": f"1.2.{number}", "PatientName": "Doe^Jane", **values})


@asynccontextmanager
async def peer_of(
    source: MemorySource, *, settings: FindSettings | None = None, remote: RemoteAe | None = None, **options: object
) -> AsyncIterator[FindingPeer]:
    async with find_archive(source, settings=settings, remote=remote) as port:
        peer = FindingPeer()
        await peer.connect(port, **options)  # type: ignore[arg-type]
        yield peer
        await close(peer)


class TestAnswers:
    """PS3.4 §C.4.1.1.3.2, §C.4.1.1.4."""

    @pytest.mark.parametrize(
        "syntax",
        [
            IMPLICIT_VR_LITTLE_ENDIAN,
            EXPLICIT_VR_LITTLE_ENDIAN,
            EXPLICIT_VR_BIG_ENDIAN,
            DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
        ],
    )
    async def test_each_match_is_a_pending_response_and_the_end_a_success(self, syntax: str) -> None:
        source = MemorySource([[study(1), study(2)], [study(3, StudyDate="20200101")]])
        async with peer_of(source, syntax=syntax) as peer:
            found = await peer.ask(LEVEL="STUDY", StudyInstanceUID="", StudyDate="")
            assert (found.status, found.pending) == (0x0000, {0xFF00})
            assert not found.final.has_data_set
            expected = {
                "QueryRetrieveLevel": "STUDY",
                "RetrieveAETitle": "HILUM",
                "InstanceAvailability": "ONLINE",
                "StudyInstanceUID": "1.2.3",
                "StudyDate": "20200101",
            }
            # Nothing that was not asked for, and what has no value empty.
            assert peer.answers()[2] == attributes_of(expected)
            assert peer.answers()[0] == attributes_of(expected | {"StudyInstanceUID": "1.2.1", "StudyDate": ""})

    async def test_no_match_is_a_success_alone(self) -> None:
        async with peer_of(MemorySource()) as peer:
            found = await peer.ask(LEVEL="STUDY", StudyInstanceUID="")
            assert [each.status for each in found.responses] == [0x0000]

    async def test_many_queries_follow_each_other_on_one_association(self) -> None:
        async with peer_of(MemorySource([[study()]])) as peer:
            for _ in range(5):
                assert len((await peer.ask(LEVEL="STUDY", StudyInstanceUID="")).answers) == 1

    async def test_the_index_is_asked_for_no_more_than_the_answer_needs(self) -> None:
        source = MemorySource([[study()]])
        async with peer_of(source) as peer:
            await peer.ask(LEVEL="STUDY", StudyInstanceUID="", PatientName="Doe*", QueryRetrieveLevel="STUDY")
        query = source.queries[0]
        assert query.level is Level.STUDY
        assert query.include == {(tag_of("StudyInstanceUID"),), (tag_of("PatientName"),)}
        assert not query.has_defaults

    @pytest.mark.parametrize("keys", [{"SOPInstanceUID": ""}, {"Modality": ""}])
    async def test_keys_that_are_not_answered_show_in_the_status(self, keys: dict[str, str]) -> None:
        async with peer_of(MemorySource([[study()]])) as peer:
            assert (await peer.ask(LEVEL="STUDY", StudyInstanceUID="", **keys)).pending == {0xFF01}

    async def test_keys_that_are_not_matched_show_in_the_status_and_are_answered(self) -> None:
        count = tag_of("NumberOfStudyRelatedSeries")
        source = MemorySource([[study(NumberOfStudyRelatedSeries=3)]], unsupported=[count])
        async with peer_of(source) as peer:
            found = await peer.ask(LEVEL="STUDY", NumberOfStudyRelatedSeries=3)
            assert (found.status, found.pending) == (0x0000, {0xFF01})
            assert peer.answers()[0][count]["Value"] == [3]
        assert source.queries[0].matches == ()

    async def test_of_a_sequence_the_items_that_match_are_returned_with_what_was_asked_for(self) -> None:
        steps = [
            {"ScheduledProcedureStepID": "S1", "RequestedProcedureID": "R1", "ScheduledProcedureStepDescription": "a"},
            {"ScheduledProcedureStepID": "S2", "RequestedProcedureID": "R2"},
        ]
        asked = {"ScheduledProcedureStepID": "S1", "ScheduledProcedureStepDescription": ""}
        source = MemorySource([[attributes_of({"RequestAttributesSequence": steps})]])
        async with peer_of(source) as peer:
            await peer.ask(LEVEL="SERIES", StudyInstanceUID="1.2", RequestAttributesSequence=[asked])
            del steps[0]["RequestedProcedureID"]
            assert peer.answers()[0]["00400275"]["Value"] == [attributes_of(steps[0])]
            await peer.ask(LEVEL="SERIES", StudyInstanceUID="1.2", RequestAttributesSequence=[])
            assert len(peer.answers()[0]["00400275"]["Value"]) == 2

    async def test_an_answer_that_cannot_be_written_hides_no_other(self) -> None:
        broken = {"00100010": {"vr": "PN", "BulkDataURI": "@@/00100010"}}
        async with peer_of(MemorySource([[broken, study(2)]])) as peer:
            found = await peer.ask(LEVEL="STUDY", StudyInstanceUID="", PatientName="")
            assert (found.status, len(found.answers)) == (0x0000, 1)


class TestCharacterSets:
    """PS3.4 §C.4.1.1.3.2, PS3.5 §6.1.2."""

    @pytest.mark.parametrize(
        ("asked", "own", "used"),
        [
            (None, None, ["ISO_IR 192"]),
            ("ISO_IR 100", None, ["ISO_IR 192"]),
            ("\\ISO 2022 IR 87", None, [None, "ISO 2022 IR 87"]),
            ("ISO_IR 100", "\\ISO 2022 IR 87", [None, "ISO 2022 IR 87"]),
            ("GB18030", None, ["GB18030"]),
        ],
    )
    async def test_the_response_has_the_set_that_is_wanted_if_it_loses_nothing(
        self, asked: str | None, own: str | None, used: list[str | None]
    ) -> None:
        remote = RemoteAe(1, 1, "PEER", character_set=own)
        source = MemorySource([[study(PatientName="Yamada^Tarou=山田^太郎")]])
        async with peer_of(source, remote=remote) as peer:
            keys = {"SpecificCharacterSet": asked} if asked else {}
            await peer.ask(LEVEL="STUDY", PatientName="", **keys)
            answer = peer.answers()[0]
            assert answer["00080005"]["Value"] == used
            assert answer["00100010"]["Value"] == [{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}]

    async def test_ascii_needs_none(self) -> None:
        async with peer_of(MemorySource([[study()]])) as peer:
            await peer.ask(LEVEL="STUDY", PatientName="", SpecificCharacterSet="ISO_IR 100")
            assert "00080005" not in peer.answers()[0]


class TestZones:
    """PS3.4 §C.4.1.1.3, §C.5.1.1."""

    async def test_moments_are_answered_in_the_zone_of_the_request_where_their_own_is_known(self) -> None:
        known = study(
            1, StudyDate="20200101", StudyTime="003000", TimezoneOffsetFromUTC="+0100", PatientBirthDate="19600101"
        )
        unknown = study(2, StudyDate="20200101", StudyTime="003000", PatientBirthDate="19600101")
        keys = {"StudyDate": "", "StudyTime": "", "PatientBirthDate": "", "TimezoneOffsetFromUTC": "-0500"}
        async with peer_of(MemorySource([[known, unknown]]), options=b"\0\0\0\1") as peer:
            await peer.ask(LEVEL="STUDY", **keys)
            first, second = peer.answers()
        values = [[a.get(tag_of(key), {}).get("Value") for key in keys] for a in (first, second)]
        assert values == [
            [["20191231"], ["183000"], ["19600101"], ["-0500"]],
            [["20200101"], ["003000"], ["19600101"], None],
        ]

    async def test_without_negotiation_they_stay_as_they_are(self) -> None:
        known = study(1, StudyDate="20200101", StudyTime="003000", TimezoneOffsetFromUTC="+0100")
        async with peer_of(MemorySource([[known]])) as peer:
            await peer.ask(LEVEL="STUDY", StudyDate="", StudyTime="", TimezoneOffsetFromUTC="-0500")
            assert peer.answers()[0][tag_of("StudyTime")]["Value"] == ["003000"]
            assert peer.answers()[0][tag_of("TimezoneOffsetFromUTC")]["Value"] == ["+0100"]


class TestRefusals:
    """PS3.4 Table C.4-1."""

    @pytest.mark.parametrize(
        ("model", "keys", "named"),
        [
            (None, {"LEVEL": "PATIENT"}, "QueryRetrieveLevel"),
            (None, {"StudyInstanceUID": "1.2"}, "QueryRetrieveLevel"),
            (None, {"LEVEL": "SERIES"}, "StudyInstanceUID"),
            (None, {"LEVEL": "STUDY", "Modality": "CT"}, "Modality"),
            (PATIENT_ROOT_FIND, {"LEVEL": "STUDY", "StudyInstanceUID": ""}, "PatientID"),
        ],
    )
    async def test_identifiers_that_break_the_rules_of_levels_are_told_which_key(
        self, model: str | None, keys: dict[str, str], named: str
    ) -> None:
        source = MemorySource([[study()]])
        async with peer_of(source, **({"model": model} if model else {})) as peer:
            found = await peer.ask(**keys)
            assert [each.status for each in found.responses] == [0xA900]
            assert named in (found.final.error_comment or "")
            assert found.final.offending_element == (int(tag_of(named), 16),)
        assert source.queries == []

    async def test_relational_queries_are_negotiated_or_set(self) -> None:
        keys = {"LEVEL": "SERIES", "Modality": "CT", "PatientName": "Doe*"}
        async with peer_of(MemorySource([[study()]]), options=b"\1\0\1") as peer:
            assert peer.granted == b"\1\0\1"
            assert (await peer.ask(**keys)).status == 0x0000
        async with peer_of(MemorySource([[study()]]), settings=FindSettings(always_relational=True)) as peer:
            assert peer.granted is None
            assert (await peer.ask(**keys)).status == 0x0000

    async def test_results_beyond_the_limit_are_left_out_and_the_end_says_so(self) -> None:
        batches = [[study(n) for n in range(4)], [study(n) for n in range(4, 8)]]
        for most, expected, status in ((6, 6, 0xA700), (8, 8, 0x0000), (4, 4, 0xA700)):
            source = MemorySource(batches)
            async with peer_of(source, settings=FindSettings(max_results=most)) as peer:
                found = await peer.ask(LEVEL="STUDY", StudyInstanceUID="")
                assert (len(found.answers), found.status) == (expected, status)
                assert source.queries[0].limit == most + 1

    async def test_an_index_that_fails_midway_ends_it_with_its_status(self) -> None:
        source = MemorySource([[study()]], error=Unavailable("the database does not answer"))
        async with peer_of(source) as peer:
            found = await peer.ask(LEVEL="STUDY", StudyInstanceUID="")
            assert (len(found.answers), found.status) == (1, 0xA700)


async def closed(source: MemorySource) -> None:
    async with asyncio.timeout(10):
        while not source.is_closed:  # noqa: ASYNC110 - what closes it is what is tested
            await asyncio.sleep(0.01)


def nested(depth: int) -> bytes:
    data = b""
    for _ in range(depth):
        data = struct.pack("<HHIHHI", 0x0040, 0x0275, len(data) + 8, 0xFFFE, 0xE000, len(data)) + data
    return data


HOSTILE = {
    "empty": (b"", 0xA900),
    "cut off": (struct.pack("<HHI", 0x0008, 0x0052, 600) + b"STUDY ", 0xC000),
    "deep": (nested(5000), 0xA700),
    "junk": (os.urandom(4096), None),
    "long": (
        struct.pack("<HHI", 0x0010, 0x4000, MAX_QUERY_IDENTIFIER_BYTES) + b"a" * MAX_QUERY_IDENTIFIER_BYTES,
        0xA700,
    ),
    "beyond all": (b"\0" * (MAX_IDENTIFIER_BYTES + 2), 0xA700),
}


class TestHostileIdentifiers:
    """No identifier costs more than it is worth, and none ends the association."""

    @pytest.mark.parametrize("name", HOSTILE)
    async def test_it_is_refused_and_the_next_query_answered(self, name: str) -> None:
        content, status = HOSTILE[name]
        source = MemorySource([[study()]])
        async with peer_of(source, syntax=IMPLICIT_VR_LITTLE_ENDIAN) as peer:
            await peer.begin(content)
            found = await peer.final()
            assert found.answers == []
            assert found.status == status or (status is None and found.status >= 0xA700)
            assert source.queries == []
            assert (await peer.ask(LEVEL="STUDY", StudyInstanceUID="")).status == 0x0000

    async def test_a_deflated_bomb_is_refused(self) -> None:
        deflater = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
        bomb = deflater.compress(bytes(200 * 1024 * 1024)) + deflater.flush()
        async with peer_of(MemorySource(), syntax=DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN) as peer:
            await peer.begin(bomb + b"\0" * (len(bomb) % 2))
            assert (await peer.final()).status == 0xA700


class TestCancel:
    """PS3.4 §C.4.1.1.4, PS3.7 §9.3.2.3."""

    async def test_a_cancelled_query_ends_at_once_and_its_search_with_it(self) -> None:
        source = MemorySource([[study(n)] for n in range(5)], gate=asyncio.Event())
        async with peer_of(source) as peer:
            await peer.begin(peer.identifier(LEVEL="STUDY", StudyInstanceUID=""))
            await peer.first.wait()
            peer.cancel()
            found = await peer.final()
            assert (found.status, len(found.answers)) == (0xFE00, 1)
            assert source.is_closed
            assert source.yielded == 1
            source.gate = None
            assert (await peer.ask(LEVEL="STUDY", StudyInstanceUID="")).status == 0x0000

    async def test_a_cancel_of_a_query_that_has_ended_is_passed_over(self) -> None:
        async with peer_of(MemorySource([[study()]])) as peer:
            await peer.ask(LEVEL="STUDY", StudyInstanceUID="")
            assert (await peer.ask(LEVEL="STUDY", StudyInstanceUID="")).status == 0x0000

    @pytest.mark.parametrize("is_abort", [True, False])
    async def test_the_search_ends_with_the_association(self, is_abort: bool) -> None:
        source = MemorySource([[study(n)] for n in range(5)], gate=asyncio.Event())
        async with peer_of(source) as peer:
            await peer.begin(peer.identifier(LEVEL="STUDY", StudyInstanceUID=""))
            await peer.first.wait()
            if is_abort:
                peer.association.abort()
            else:
                peer.association.connection.close()
            await closed(source)

    async def test_a_peer_that_reads_slowly_holds_the_search_back(self) -> None:
        batch = [study(n, StudyDescription="x" * 60) for n in range(200)]
        source = MemorySource([batch] * 400)
        async with peer_of(source) as peer:
            peer.reading = asyncio.Event()
            await peer.begin(peer.identifier(LEVEL="STUDY", StudyInstanceUID="", StudyDescription=""))
            async with asyncio.timeout(10):
                held = -1
                while held != source.yielded:
                    held = source.yielded
                    await asyncio.sleep(0.3)
            assert 0 < held < 300
            peer.reading.set()
            peer.reading = None
            found = await peer.final()
            assert (found.status, len(found.answers)) == (0x0000, 80_000)
