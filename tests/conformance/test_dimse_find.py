"""Other implementations query us: DCMTK's findscu, pynetdicom and Orthanc, over loopback.

PS3.4 §C.4.1.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation
from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelFind,
    PatientStudyOnlyQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind,
)

from hilum.index.embedded import EmbeddedPostgres
from support.in_process import InProcessArchive, in_process_archive
from support.instances import part10
from support.peers import orthanc

MODELS = {
    "-P": PatientRootQueryRetrieveInformationModelFind,
    "-S": StudyRootQueryRetrieveInformationModelFind,
    "-O": PatientStudyOnlyQueryRetrieveInformationModelFind,
}
# One of each script, with what it is called in the standard's own examples (PS3.5 Annexes H, I, J, K).
NAMES = {
    "1.2.826.1": "Doe^Jane",
    "1.2.826.2": "Buc^Jérôme",
    "1.2.826.3": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "1.2.826.4": "Hong^Gildong=洪^吉洞=홍^길동",
    "1.2.826.5": "Wang^XiaoDong=王^小东",
    "1.2.826.6": "Люкceмбypг",
    "1.2.826.7": "Διονυσιος",
}


def instance(study: str, series: str, number: int, **values: Any) -> bytes:
    dataset = dcmread(get_testdata_file("CT_small.dcm"))
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{series}.{number}"
    dataset.InstanceNumber = number
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return part10(dataset)


@pytest.fixture
async def archive(database: EmbeddedPostgres, tmp_path: Path) -> AsyncIterator[InProcessArchive]:
    """Seven studies of seven patients; the first has two series, CT and MR, of two instances."""
    async with in_process_archive(database, tmp_path) as running:
        for number, (study, name) in enumerate(NAMES.items()):
            values = {"PatientName": name, "PatientID": f"P{number}", "StudyDate": f"2020010{number + 1}"}
            values |= {"StudyTime": f"{10 + number}3000", "AccessionNumber": f"A-{number}"}
            await running.store(instance(study, f"{study}.1", 1, **values))
            if number == 0:
                await running.store(instance(study, f"{study}.1", 2, **values))
                for image in (1, 2):
                    await running.store(instance(study, f"{study}.2", image, Modality="MR", **values))
        yield running


async def findscu(archive: InProcessArchive, *options: str, code: int = 0) -> str:
    """Return what DCMTK's findscu says."""
    if not Path("/usr/bin/findscu").exists():
        pytest.skip("needs DCMTK's findscu: apt-get install dcmtk")
    process = await asyncio.create_subprocess_exec(
        *("/usr/bin/findscu", "-v", "-aec", archive.ae_title, *options, "127.0.0.1", str(archive.port)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    text = output.decode("utf-8", "replace")
    assert process.returncode == code, text
    # A warning of DCMTK is a deviation of ours.
    assert "W: " not in text, text
    return text


def keys(level: str, *more: str) -> list[str]:
    return [word for key in (f"QueryRetrieveLevel={level}", *more) for word in ("-k", key)]


def values(output: str, tag: str) -> list[str]:
    """The values of an attribute in the answers findscu shows."""
    answers = output.partition("Find Response: 1")[2]
    return [value.strip(" \0") for value in re.findall(rf"\({tag}\) \w\w \[([^\]]*)\]", answers)]


STUDY_UID, SERIES_UID, INSTANCE_UID, PATIENT_ID = "0020,000d", "0020,000e", "0008,0018", "0010,0020"


class TestDcmtk:
    """DCMTK 3.6."""

    @pytest.mark.parametrize("encoding", ["-x=", "-xe", "-xb", "-xi"])
    async def test_studies_come_in_each_encoding(self, archive: InProcessArchive, encoding: str) -> None:
        output = await findscu(archive, "-S", encoding, *keys("STUDY", "StudyInstanceUID", "StudyDate"))
        assert set(values(output, STUDY_UID)) == set(NAMES)
        assert "Final Find Response (Success)" in output
        assert set(values(output, "0008,0054")) == {archive.ae_title}

    @pytest.mark.parametrize(
        ("options", "tag", "expected"),
        [
            (["-P", *keys("PATIENT", "PatientID=P0")], PATIENT_ID, ["P0"]),
            (["-O", *keys("PATIENT", "PatientID=P?")], PATIENT_ID, [f"P{n}" for n in range(7)]),
            (["-P", *keys("STUDY", "PatientID=P0", "StudyInstanceUID")], STUDY_UID, ["1.2.826.1"]),
            (["-O", *keys("STUDY", "PatientID=P1", "StudyInstanceUID")], STUDY_UID, ["1.2.826.2"]),
            (["-S", *keys("STUDY", "StudyInstanceUID", "ModalitiesInStudy=MR")], STUDY_UID, ["1.2.826.1"]),
            (["-S", *keys("STUDY", "StudyInstanceUID=1.2.826.1\\1.2.826.3")], STUDY_UID, ["1.2.826.1", "1.2.826.3"]),
            (["-S", *keys("STUDY", "StudyInstanceUID", "StudyDate=20200106-")], STUDY_UID, ["1.2.826.6", "1.2.826.7"]),
            (["-S", *keys("STUDY", "StudyInstanceUID", "StudyTime=-1100")], STUDY_UID, ["1.2.826.1"]),
            (["-S", *keys("STUDY", "StudyInstanceUID", "AccessionNumber=A-[1]")], STUDY_UID, []),
            (["-S", *keys("STUDY", "StudyInstanceUID", "PatientName=dOE^*")], STUDY_UID, ["1.2.826.1"]),
            (["-S", *keys("STUDY", "StudyInstanceUID", "PatientName=buc^jerome")], STUDY_UID, ["1.2.826.2"]),
            (
                ["-S", *keys("SERIES", "StudyInstanceUID=1.2.826.1", "SeriesInstanceUID", "Modality=M*")],
                SERIES_UID,
                ["1.2.826.1.2"],
            ),
            (
                ["-S", *keys("IMAGE", "StudyInstanceUID=1.2.826.1", "SeriesInstanceUID=1.2.826.1.2", "SOPInstanceUID")],
                INSTANCE_UID,
                ["1.2.826.1.2.1", "1.2.826.1.2.2"],
            ),
        ],
    )
    async def test_each_kind_of_matching(
        self, archive: InProcessArchive, options: list[str], tag: str, expected: list[str]
    ) -> None:
        assert sorted(values(await findscu(archive, *options), tag)) == expected

    @pytest.mark.parametrize(
        "options",
        [
            ["-S", *keys("PATIENT", "PatientID")],
            ["-P", *keys("STUDY", "StudyInstanceUID")],
            ["-S", *keys("SERIES", "SeriesInstanceUID", "Modality=CT")],
            ["-S", *keys("STUDY", "StudyInstanceUID", "SOPInstanceUID=1.2")],
        ],
    )
    async def test_what_breaks_the_rules_of_levels_is_refused(
        self, archive: InProcessArchive, options: list[str]
    ) -> None:
        output = await findscu(archive, *options)
        assert "Error: DataSetDoesNotMatchSOPClass" in output
        assert "Find Response: 1" not in output

    async def test_keys_that_are_not_answered_are_told_by_the_status(self, archive: InProcessArchive) -> None:
        output = await findscu(archive, "-S", *keys("STUDY", "StudyInstanceUID", "SeriesInstanceUID"))
        assert "(Pending: WarningUnsupportedOptionalKeys)" in output
        assert "Final Find Response (Success)" in output

    async def test_a_cancel_ends_the_query(self, archive: InProcessArchive) -> None:
        for number in range(20):
            for image in range(60):
                study = f"1.2.827.{number}.{image}"
                await archive.store(instance(study, f"{study}.1", 1, PatientID=f"Q{number}"))
        output = await findscu(archive, "-S", "--cancel", "1", *keys("STUDY", "StudyInstanceUID"))
        assert re.search("Final Find Response .*(Cancel|Success)", output)
        assert len(values(await findscu(archive, "-S", *keys("STUDY", "StudyInstanceUID")), STUDY_UID)) == 1207

    async def test_text_comes_in_unicode_or_as_was_asked(self, archive: InProcessArchive) -> None:
        output = await findscu(archive, "-S", *keys("STUDY", "StudyInstanceUID=1.2.826.3", "PatientName"))
        assert values(output, "0010,0010") == [NAMES["1.2.826.3"]]
        assert values(output, "0008,0005") == ["ISO_IR 192"]
        asked = keys("STUDY", "StudyInstanceUID=1.2.826.3", "PatientName", "SpecificCharacterSet=\\ISO 2022 IR 87")
        assert values(await findscu(archive, "-S", *asked), "0008,0005") == ["\\ISO 2022 IR 87"]


def query(level: str, **keys: Any) -> Dataset:
    dataset = Dataset()
    dataset.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(dataset, keyword, value)
    return dataset


def find(
    archive: InProcessArchive,
    identifier: Dataset,
    *,
    model: Any = StudyRootQueryRetrieveInformationModelFind,
    options: bytes = b"",
) -> tuple[list[int], list[Dataset]]:
    """Return the statuses and identifiers of the responses pynetdicom gets."""
    ae = AE("PYNETDICOM")
    ae.add_requested_context(model)
    items = []
    if options:
        item = SOPClassExtendedNegotiation()
        item.sop_class_uid = model
        item.service_class_application_information = options
        items.append(item)
    association = ae.associate("127.0.0.1", archive.port, ae_title=archive.ae_title, ext_neg=items)
    assert association.is_established
    responses = list(association.send_c_find(identifier, model))
    association.release()
    return [status.Status for status, _ in responses], [answer for _, answer in responses if answer is not None]


class TestPynetdicom:
    """pynetdicom 3."""

    @pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
    async def test_patients_or_studies_are_found_in_each_model(self, archive: InProcessArchive, model: Any) -> None:
        level = "STUDY" if model == StudyRootQueryRetrieveInformationModelFind else "PATIENT"
        statuses, answers = await asyncio.to_thread(
            find, archive, query(level, PatientID="", PatientName=""), model=model
        )
        assert statuses == [0xFF00] * 7 + [0x0000]
        assert {str(answer.PatientName) for answer in answers} == set(NAMES.values())

    @pytest.mark.parametrize(
        ("term", "study"),
        [
            ("ISO_IR 100", "1.2.826.2"),
            ("\\ISO 2022 IR 87", "1.2.826.3"),
            ("\\ISO 2022 IR 149", "1.2.826.4"),
            ("GB18030", "1.2.826.5"),
            ("ISO_IR 144", "1.2.826.6"),
            ("ISO_IR 126", "1.2.826.7"),
        ],
    )
    async def test_names_are_asked_and_answered_in_each_character_set(
        self, archive: InProcessArchive, term: str, study: str
    ) -> None:
        identifier = query("STUDY", StudyInstanceUID="", PatientName=NAMES[study])
        identifier.SpecificCharacterSet = term.split("\\")
        _, (answer,) = await asyncio.to_thread(find, archive, identifier)
        assert (answer.StudyInstanceUID, str(answer.PatientName)) == (study, NAMES[study])
        used = answer.SpecificCharacterSet
        assert ("\\".join(used) if not isinstance(used, str) else used) == term

    @pytest.mark.parametrize(
        ("name", "study"),
        [("=山田^*", "1.2.826.3"), ("==홍*", "1.2.826.4"), ("*小东", "1.2.826.5"), ("люк*", "1.2.826.6")],
    )
    async def test_names_are_matched_by_component_group(self, archive: InProcessArchive, name: str, study: str) -> None:
        identifier = query("STUDY", SpecificCharacterSet="ISO_IR 192", StudyInstanceUID="", PatientName=name)
        _, answers = await asyncio.to_thread(find, archive, identifier)
        assert [answer.StudyInstanceUID for answer in answers] == [study]

    async def test_relational_queries_are_negotiated(self, archive: InProcessArchive) -> None:
        identifier = query("IMAGE", SOPInstanceUID="", Modality="MR", PatientName="doe*")
        assert (await asyncio.to_thread(find, archive, identifier))[0] == [0xA900]
        _, answers = await asyncio.to_thread(find, archive, identifier, options=b"\1")
        assert {answer.SOPInstanceUID for answer in answers} == {"1.2.826.1.2.1", "1.2.826.1.2.2"}

    async def test_a_date_and_its_time_are_one_when_negotiated(self, archive: InProcessArchive) -> None:
        # The studies of these days are of 11:30, 12:30, 13:30 and 14:30.
        identifier = query("STUDY", StudyInstanceUID="", StudyDate="20200102-20200105", StudyTime="1100-1130")
        for options, expected in ((b"", [2]), (b"\0\1", [2, 3, 4])):
            _, answers = await asyncio.to_thread(find, archive, identifier, options=options)
            assert sorted(a.StudyInstanceUID for a in answers) == [f"1.2.826.{number}" for number in expected]

    async def test_fuzzy_names_are_negotiated(self, archive: InProcessArchive) -> None:
        identifier = query("STUDY", StudyInstanceUID="", PatientName="jan do")
        assert len((await asyncio.to_thread(find, archive, identifier))[1]) == 0
        _, answers = await asyncio.to_thread(find, archive, identifier, options=b"\0\0\1")
        assert [a.StudyInstanceUID for a in answers] == ["1.2.826.1"]


class TestOrthanc:
    """Orthanc 1.10."""

    async def test_it_queries_us_by_its_rest_api(self, archive: InProcessArchive, tmp_path: Path) -> None:
        folder = tmp_path / "orthanc"
        folder.mkdir()
        async with orthanc(folder, modalities={archive.ae_title: archive.port}) as (_, url):

            def post(path: str, body: Any) -> Any:
                request = Request(url + path, json.dumps(body).encode(), method="POST")
                with urlopen(request, timeout=30) as answer:
                    return json.load(answer)

            def get(path: str) -> Any:
                with urlopen(url + path, timeout=30) as answer:
                    return json.load(answer)

            def answers(level: str, **keys: str) -> list[dict[str, str]]:
                made = post(f"/modalities/{archive.ae_title}/query", {"Level": level, "Query": keys})
                return list(get(f"{made['Path']}/answers?expand&simplify"))

            for level, asked, keyword, expected in (
                ("Patient", {"PatientID": "P2", "PatientName": ""}, "PatientName", [NAMES["1.2.826.3"]]),
                ("Study", {"PatientID": "P0"}, "StudyInstanceUID", ["1.2.826.1"]),
                (
                    "Series",
                    {"PatientID": "P0", "StudyInstanceUID": "1.2.826.1", "Modality": "MR"},
                    "SeriesInstanceUID",
                    ["1.2.826.1.2"],
                ),
            ):
                found = await asyncio.to_thread(answers, level, **asked)
                assert [each[keyword] for each in found] == expected
