"""Other implementations retrieve from us: DCMTK, pynetdicom and Orthanc, by C-GET and C-MOVE, over loopback.

PS3.4 §C.4.2, §C.4.3.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid
from pynetdicom import AE, StoragePresentationContexts, build_role, evt
from pynetdicom import sop_class as sop_classes
from pynetdicom.sop_class import CTImageStorage

from hilum.dicom.uids import TRANSFER_SYNTAXES
from hilum.index.embedded import EmbeddedPostgres
from support.in_process import InProcessArchive, data_set_of, in_process_archive
from support.instances import ct_slice, part10

# One bundled file for each family of transfer syntaxes, with the option by which getscu asks for it first. For implicit
# VR its option has no effect: it asks for explicit VR, and so gets a conversion.
_FAMILIES = [
    ("CT_small.dcm", "+xe"),
    ("MR_small_bigendian.dcm", "+xb"),
    ("image_dfl.dcm", "+xd"),
    ("MR_small_RLE.dcm", "+xr"),
    ("SC_rgb_jpeg_dcmtk.dcm", "+xy"),
    ("JPEG-lossy.dcm", "+xx"),
    ("JPEG-LL.dcm", "+xs"),
    ("MR_small_jpeg_ls_lossless.dcm", "+xt"),
    ("MR_small_jp2klossless.dcm", "+xv"),
    ("JPEG2000.dcm", "+xw"),
]


@dataclass
class Study:
    """A study of two series, stored: data sets by SOP Instance UID."""

    uid: str
    patient_id: str
    series: list[str]
    instances: dict[str, bytes] = field(default_factory=dict)
    of_series: dict[str, list[str]] = field(default_factory=dict)

    def of(self, *series: str) -> set[bytes]:
        return {self.instances[uid] for each in series for uid in self.of_series[each]}


@pytest.fixture
async def archive(database: EmbeddedPostgres, tmp_path: Path) -> AsyncIterator[InProcessArchive]:
    async with in_process_archive(database, tmp_path) as running:
        yield running


async def stored_study(archive: InProcessArchive, *, slices: int = 3, patient_id: str = "TEST-7") -> Study:
    study = Study(generate_uid(), patient_id, [generate_uid(), generate_uid()])
    for series in study.series:
        study.of_series[series] = []
        for number in range(slices):
            file = part10(ct_slice(study=study.uid, series=series, number=number, patient_id=patient_id))
            uid = await archive.store(file)
            study.instances[uid] = data_set_of(file)
            study.of_series[series].append(uid)
    return study


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def dcmtk(name: str) -> str:
    program = Path("/usr/bin") / name
    if not program.exists():
        pytest.skip(f"needs DCMTK's {name}: apt-get install dcmtk")
    return str(program)


async def run(*command: str, code: int = 0, cwd: Path | None = None) -> str:
    """Run a peer to its end and return what it said."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=cwd
    )
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    text = output.decode("latin-1")
    assert process.returncode == code, text
    return text


def files_in(folder: Path) -> set[bytes]:
    return {data_set_of(path.read_bytes()) for path in folder.iterdir()}


def keys(**values: str) -> list[str]:
    return [word for name, value in values.items() for word in ("-k", f"{name}={value}")]


_LEVELS: list[tuple[str, str, Callable[[Study], dict[str, str]], Callable[[Study], set[bytes]]]] = [
    ("-P", "PATIENT", lambda study: {"PatientID": study.patient_id}, lambda study: study.of(*study.series)),
    (
        "-P",
        "STUDY",
        lambda study: {"PatientID": study.patient_id, "StudyInstanceUID": study.uid},
        lambda study: study.of(*study.series),
    ),
    ("-S", "STUDY", lambda study: {"StudyInstanceUID": study.uid}, lambda study: study.of(*study.series)),
    (
        "-S",
        "SERIES",
        lambda study: {"StudyInstanceUID": study.uid, "SeriesInstanceUID": study.series[1]},
        lambda study: study.of(study.series[1]),
    ),
    (
        "-P",
        "IMAGE",
        lambda study: {
            "PatientID": study.patient_id,
            "StudyInstanceUID": study.uid,
            "SeriesInstanceUID": study.series[0],
            "SOPInstanceUID": "\\".join(study.of_series[study.series[0]][:2]),
        },
        lambda study: {study.instances[uid] for uid in study.of_series[study.series[0]][:2]},
    ),
    ("-O", "PATIENT", lambda study: {"PatientID": study.patient_id}, lambda study: study.of(*study.series)),
    (
        "-O",
        "STUDY",
        lambda study: {"PatientID": study.patient_id, "StudyInstanceUID": study.uid},
        lambda study: study.of(*study.series),
    ),
]
_LEVEL_NAMES = [f"{model}{level}" for model, level, _, _ in _LEVELS]


class TestDcmtkGet:
    """DCMTK's getscu, which writes what it gets bit by bit (`+B`)."""

    def command(self, archive: InProcessArchive, folder: Path, *options: str) -> list[str]:
        folder.mkdir(exist_ok=True)
        return [
            *(dcmtk("getscu"), "-v", "-aec", archive.ae_title, "+B", "-od", str(folder)),
            *(*options, "127.0.0.1", str(archive.port)),
        ]

    @pytest.mark.parametrize(("model", "level", "unique_keys", "expected"), _LEVELS, ids=_LEVEL_NAMES)
    async def test_each_level_of_each_model_is_given(
        self,
        archive: InProcessArchive,
        tmp_path: Path,
        model: str,
        level: str,
        unique_keys: Callable[[Study], dict[str, str]],
        expected: Callable[[Study], set[bytes]],
    ) -> None:
        study = await stored_study(archive)
        await stored_study(archive, patient_id="OTHER")
        options = [model, *keys(QueryRetrieveLevel=level, **unique_keys(study))]
        output = await run(*self.command(archive, tmp_path / "got", *options))
        assert files_in(tmp_path / "got") == expected(study), output
        assert "Number of Failed Suboperations    : 0" in output

    @pytest.mark.parametrize(("name", "option"), _FAMILIES, ids=[name for name, _ in _FAMILIES])
    async def test_each_family_of_transfer_syntaxes_is_given_as_it_is_stored(
        self, archive: InProcessArchive, tmp_path: Path, name: str, option: str
    ) -> None:
        file = Path(str(get_testdata_file(name)))
        uid = await archive.store(file.read_bytes())
        study = str(dcmread(file, stop_before_pixels=True).StudyInstanceUID)
        options = ["-S", option, *keys(QueryRetrieveLevel="STUDY", StudyInstanceUID=study)]
        output = await run(*self.command(archive, tmp_path / "got", *options))
        (received,) = (tmp_path / "got").iterdir()
        assert data_set_of(received.read_bytes()) == data_set_of(file.read_bytes()), output
        meta = dcmread(received, stop_before_pixels=True).file_meta
        assert meta.TransferSyntaxUID == dcmread(file, stop_before_pixels=True).file_meta.TransferSyntaxUID
        assert meta.MediaStorageSOPInstanceUID == uid

    @pytest.mark.parametrize("pdu", ["4096", "131072"])
    async def test_large_instances_arrive_at_every_pdu_length(
        self, archive: InProcessArchive, tmp_path: Path, pdu: str
    ) -> None:
        study = generate_uid()
        files = [part10(ct_slice(study=study, number=number, side=side)) for number, side in enumerate((64, 1800))]
        for file in files:
            await archive.store(file)
        options = ["-S", "-pdu", pdu, *keys(QueryRetrieveLevel="STUDY", StudyInstanceUID=study)]
        await run(*self.command(archive, tmp_path / "got", *options))
        assert files_in(tmp_path / "got") == set(map(data_set_of, files))

    async def test_what_is_not_there_is_a_success_without_instances(
        self, archive: InProcessArchive, tmp_path: Path
    ) -> None:
        options = ["-S", *keys(QueryRetrieveLevel="STUDY", StudyInstanceUID=generate_uid())]
        output = await run(*self.command(archive, tmp_path / "got", *options))
        assert "Number of Failed Suboperations    : 0" in output
        assert files_in(tmp_path / "got") == set()

    async def test_a_missing_key_is_named(self, archive: InProcessArchive, tmp_path: Path) -> None:
        options = ["-d", "-S", *keys(QueryRetrieveLevel="SERIES", StudyInstanceUID=generate_uid())]
        output = await run(*self.command(archive, tmp_path / "got", *options))
        assert "0xa900" in output
        assert "SeriesInstanceUID is missing" in output

    async def test_what_it_does_not_take_as_it_is_stored_is_converted(
        self, archive: InProcessArchive, tmp_path: Path
    ) -> None:
        path = Path(str(get_testdata_file("MR_small_jp2klossless.dcm")))
        await archive.store(path.read_bytes())
        stored = dcmread(path)
        options = ["-S", "+xe", *keys(QueryRetrieveLevel="STUDY", StudyInstanceUID=str(stored.StudyInstanceUID))]
        output = await run(*self.command(archive, tmp_path / "got", *options))
        assert "Number of Completed Suboperations : 1" in output
        (received,) = map(dcmread, (tmp_path / "got").iterdir())
        assert received.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert received.SOPInstanceUID == stored.SOPInstanceUID
        assert np.array_equal(received.pixel_array, stored.pixel_array)


class TestDcmtkMove:
    """DCMTK's movescu, which is its own destination; bit by bit it writes into the folder it runs in."""

    async def movescu(self, archive: InProcessArchive, folder: Path, port: int, *options: str, code: int = 0) -> str:
        folder.mkdir()
        command = [
            *(dcmtk("movescu"), "-v", "-aec", archive.ae_title, "+B", "+xa", "+P", str(port)),
            *(*options, "127.0.0.1", str(archive.port)),
        ]
        return await run(*command, cwd=folder, code=code)

    @pytest.mark.parametrize(("model", "level", "unique_keys", "expected"), _LEVELS, ids=_LEVEL_NAMES)
    async def test_each_level_of_each_model_is_sent(
        self,
        archive: InProcessArchive,
        tmp_path: Path,
        model: str,
        level: str,
        unique_keys: Callable[[Study], dict[str, str]],
        expected: Callable[[Study], set[bytes]],
    ) -> None:
        study = await stored_study(archive)
        port = free_port()
        await archive.register("MOVESCU", port)
        options = [model, *keys(QueryRetrieveLevel=level, **unique_keys(study))]
        output = await self.movescu(archive, tmp_path / "got", port, *options)
        assert files_in(tmp_path / "got") == expected(study), output
        assert "Received Final Move Response (Success)" in output

    @pytest.mark.parametrize("name", ["MR_small_implicit.dcm", *(name for name, _ in _FAMILIES)])
    async def test_each_family_of_transfer_syntaxes_is_sent_as_it_is_stored(
        self, archive: InProcessArchive, tmp_path: Path, name: str
    ) -> None:
        file = Path(str(get_testdata_file(name)))
        await archive.store(file.read_bytes())
        port = free_port()
        await archive.register("MOVESCU", port)
        study = str(dcmread(file, stop_before_pixels=True).StudyInstanceUID)
        options = ["-S", *keys(QueryRetrieveLevel="STUDY", StudyInstanceUID=study)]
        output = await self.movescu(archive, tmp_path / "got", port, *options)
        assert files_in(tmp_path / "got") == {data_set_of(file.read_bytes())}, output

    async def test_what_the_destination_does_not_take_as_it_is_stored_is_converted(
        self, archive: InProcessArchive, tmp_path: Path
    ) -> None:
        path = Path(str(get_testdata_file("MR_small_jp2klossless.dcm")))
        await archive.store(path.read_bytes())
        stored = dcmread(path)
        port = free_port()
        await archive.register("MOVESCU", port)
        options = ["-S", "+xi", *keys(QueryRetrieveLevel="STUDY", StudyInstanceUID=str(stored.StudyInstanceUID))]
        await self.movescu(archive, tmp_path / "got", port, *options)
        (received,) = map(dcmread, (tmp_path / "got").iterdir())
        assert received.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
        assert np.array_equal(received.pixel_array, stored.pixel_array)

    async def test_an_unknown_destination_is_told(self, archive: InProcessArchive, tmp_path: Path) -> None:
        study = await stored_study(archive)
        options = ["-S", "-aem", "NOBODY", *keys(QueryRetrieveLevel="STUDY", StudyInstanceUID=study.uid)]
        output = await self.movescu(archive, tmp_path / "got", free_port(), *options, code=69)
        assert "MoveDestinationUnknown" in output

    async def test_a_destination_that_is_away_fails_all(self, archive: InProcessArchive, tmp_path: Path) -> None:
        study = await stored_study(archive, slices=1)
        await archive.register("AWAY", free_port())
        options = ["-d", "-S", "-aem", "AWAY", *keys(QueryRetrieveLevel="STUDY", StudyInstanceUID=study.uid)]
        output = await self.movescu(archive, tmp_path / "got", free_port(), *options, code=69)
        assert "0xa702" in output
        assert "FailedSOPInstanceUIDList" in output

    async def test_a_cancel_after_some_responses_is_obeyed(self, archive: InProcessArchive, tmp_path: Path) -> None:
        study = await stored_study(archive, slices=30)
        port = free_port()
        await archive.register("MOVESCU", port, max_associations=1)
        options = ["-S", "--cancel", "3", *keys(QueryRetrieveLevel="STUDY", StudyInstanceUID=study.uid)]
        output = await self.movescu(archive, tmp_path / "got", port, *options)
        assert "Received Final Move Response (Cancel: SubOperationsTerminatedDueToCancelIndication)" in output
        assert 3 <= len(files_in(tmp_path / "got")) < 60


@contextmanager
def receiving_scp(status: Callable[[int], int] = lambda number: 0) -> Iterator[tuple[int, dict[str, bytes], list[Any]]]:
    """A storage SCP of pynetdicom: its port, what it received, and the requests it saw."""
    received: dict[str, bytes] = {}
    requests: list[Any] = []
    lock = threading.Lock()

    def store(event: evt.Event) -> int:
        with lock:
            requests.append(event.request)
            content = event.request.DataSet.getvalue()
            answer = status(len(requests))
            if answer < 0xA000 or answer >= 0xB000:
                received[str(event.request.AffectedSOPInstanceUID)] = content
            return answer

    ae = AE("RECEIVER")
    for context in StoragePresentationContexts:
        ae.add_supported_context(context.abstract_syntax, list(TRANSFER_SYNTAXES))
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    try:
        yield server.socket.getsockname()[1], received, requests
    finally:
        server.shutdown()


class TestPynetdicom:
    """pynetdicom as requestor and as destination."""

    def identifier(self, level: str, **values: str | list[str]) -> Dataset:
        dataset = Dataset()
        dataset.QueryRetrieveLevel = level
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
        return dataset

    def get(
        self, archive: InProcessArchive, keys: Dataset, model: UID, answer: int = 0
    ) -> tuple[list[Dataset], list[Dataset | None], list[bytes]]:
        """Return the statuses, the identifiers and the data sets received."""
        received: list[bytes] = []

        def store(event: evt.Event) -> int:
            received.append(event.request.DataSet.getvalue())
            return answer

        ae = AE("GETTER")
        ae.add_requested_context(model)
        ae.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
        association = ae.associate(
            "127.0.0.1",
            archive.port,
            ae_title=archive.ae_title,
            ext_neg=[build_role(CTImageStorage, scp_role=True)],
            evt_handlers=[(evt.EVT_C_STORE, store)],
        )
        assert association.is_established
        try:
            responses = list(association.send_c_get(keys, model))
        finally:
            association.release()
        return [status for status, _ in responses], [found for _, found in responses], received

    def move(
        self, archive: InProcessArchive, keys: Dataset, destination: str, model: UID
    ) -> tuple[list[Dataset], list[Dataset | None]]:
        ae = AE("MOVER")
        ae.add_requested_context(model)
        association = ae.associate("127.0.0.1", archive.port, ae_title=archive.ae_title)
        assert association.is_established
        try:
            responses = list(association.send_c_move(keys, destination, model))
        finally:
            association.release()
        return [status for status, _ in responses], [found for _, found in responses]

    async def test_a_study_is_given_by_c_get(self, archive: InProcessArchive) -> None:
        study = await stored_study(archive)
        model = sop_classes.StudyRootQueryRetrieveInformationModelGet
        keys = self.identifier("STUDY", StudyInstanceUID=study.uid)
        statuses, _, received = await asyncio.to_thread(self.get, archive, keys, model)
        assert set(received) == set(study.instances.values())
        assert [status.Status for status in statuses] == [0xFF00] * 5 + [0]
        assert statuses[-1].NumberOfCompletedSuboperations == 6
        assert [status.NumberOfRemainingSuboperations for status in statuses[:-1]] == [5, 4, 3, 2, 1]

    async def test_instances_are_given_in_the_composite_instance_root_model(self, archive: InProcessArchive) -> None:
        study = await stored_study(archive)
        model = sop_classes.CompositeInstanceRootRetrieveGet
        wanted = list(study.instances)[1:3]
        keys = self.identifier("IMAGE", SOPInstanceUID=wanted)
        statuses, _, received = await asyncio.to_thread(self.get, archive, keys, model)
        assert statuses[-1].Status == 0
        assert set(received) == {study.instances[uid] for uid in wanted}

    async def test_what_it_does_not_take_is_listed(self, archive: InProcessArchive) -> None:
        study = await stored_study(archive, slices=1)
        model = sop_classes.PatientRootQueryRetrieveInformationModelGet
        keys = self.identifier("PATIENT", PatientID=study.patient_id)
        statuses, identifiers, _ = await asyncio.to_thread(self.get, archive, keys, model, 0xA700)
        assert statuses[-1].Status == 0xA702
        assert statuses[-1].NumberOfFailedSuboperations == 2
        assert identifiers[-1] is not None
        assert set(identifiers[-1].FailedSOPInstanceUIDList) == set(study.instances)

    async def test_a_study_is_sent_by_c_move_in_the_name_of_who_asked(self, archive: InProcessArchive) -> None:
        study = await stored_study(archive)
        model = sop_classes.StudyRootQueryRetrieveInformationModelMove
        keys = self.identifier("STUDY", StudyInstanceUID=study.uid)
        with receiving_scp() as (port, received, requests):
            await archive.register("RECEIVER", port)
            statuses, _ = await asyncio.to_thread(self.move, archive, keys, "RECEIVER", model)
        assert received == study.instances
        assert statuses[-1].Status == 0
        assert statuses[-1].NumberOfCompletedSuboperations == 6
        assert {str(each.MoveOriginatorApplicationEntityTitle).strip() for each in requests} == {"MOVER"}
        assert {each.MoveOriginatorMessageID for each in requests} == {1}

    async def test_what_the_destination_refuses_is_listed_and_the_rest_is_there(
        self, archive: InProcessArchive
    ) -> None:
        study = await stored_study(archive)
        model = sop_classes.StudyRootQueryRetrieveInformationModelMove
        keys = self.identifier("STUDY", StudyInstanceUID=study.uid)
        with receiving_scp(lambda number: (0, 0xA700, 0xB000)[number % 3]) as (port, received, _):
            await archive.register("RECEIVER", port, max_associations=1)
            statuses, identifiers = await asyncio.to_thread(self.move, archive, keys, "RECEIVER", model)
        final = statuses[-1]
        assert (
            final.Status,
            final.NumberOfCompletedSuboperations,
            final.NumberOfFailedSuboperations,
            final.NumberOfWarningSuboperations,
        ) == (0xB000, 2, 2, 2)
        assert identifiers[-1] is not None
        assert set(identifiers[-1].FailedSOPInstanceUIDList) == study.instances.keys() - received.keys()


class TestOrthanc:
    """Debian's Orthanc queries Hilum's peer list and retrieves to itself by C-MOVE."""

    @asynccontextmanager
    async def running(self, archive: InProcessArchive, folder: Path) -> AsyncIterator[str]:
        """An Orthanc that knows the archive and is known to it; yields the root of its REST API."""
        program = Path("/usr/sbin/Orthanc")
        if not program.exists():
            pytest.skip("needs Orthanc: apt-get install orthanc")
        folder.mkdir()
        dicom_port, http_port = free_port(), free_port()
        configuration = {
            "Name": "peer",
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "DicomPort": dicom_port,
            "HttpPort": http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomAet": "ORTHANC",
            "DicomModalities": {"hilum": [archive.ae_title, "127.0.0.1", archive.port]},
            "UnknownSopClassAccepted": True,
            "Plugins": [],
        }
        (folder / "orthanc.json").write_text(json.dumps(configuration))
        with (folder / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                str(program), str(folder / "orthanc.json"), stdout=log, stderr=log
            )
        root = f"http://127.0.0.1:{http_port}"
        try:
            async with asyncio.timeout(30):
                while True:
                    try:
                        await asyncio.to_thread(_ask, f"{root}/system")
                        break
                    except OSError:
                        await asyncio.sleep(0.1)
            await archive.register("ORTHANC", dicom_port)
            yield root
        finally:
            process.terminate()
            await process.wait()

    @pytest.mark.parametrize("level", ["Study", "Series", "Instance"])
    async def test_it_moves_to_itself_what_it_names(
        self, archive: InProcessArchive, tmp_path: Path, level: str
    ) -> None:
        study = await stored_study(archive)
        series = study.series[0]
        instance = study.of_series[series][0]
        resource = {"StudyInstanceUID": study.uid}
        expected = set(study.instances.values())
        if level != "Study":
            resource["SeriesInstanceUID"] = series
            expected = study.of(series)
        if level == "Instance":
            resource["SOPInstanceUID"] = instance
            expected = {study.instances[instance]}
        async with self.running(archive, tmp_path / "orthanc") as root:
            body = {"Level": level, "Resources": [resource], "TargetAet": "ORTHANC", "Synchronous": True}
            await asyncio.to_thread(_ask, f"{root}/modalities/hilum/move", body)
            received = set()
            for each in await asyncio.to_thread(_ask, f"{root}/instances"):
                received.add(data_set_of(await asyncio.to_thread(_read, f"{root}/instances/{each}/file")))
        assert received == expected

    async def test_it_retrieves_what_it_has_found(self, archive: InProcessArchive, tmp_path: Path) -> None:
        study = await stored_study(archive)
        await stored_study(archive, patient_id="OTHER")
        async with self.running(archive, tmp_path / "orthanc") as root:
            query = {"Level": "Study", "Query": {"PatientID": study.patient_id}}
            found = (await asyncio.to_thread(_ask, f"{root}/modalities/hilum/query", query))["ID"]
            assert await asyncio.to_thread(_ask, f"{root}/queries/{found}/answers") == ["0"]
            await asyncio.to_thread(_ask, f"{root}/queries/{found}/retrieve", {"TargetAet": "ORTHANC"})
            statistics = await asyncio.to_thread(_ask, f"{root}/statistics")
        assert (statistics["CountStudies"], statistics["CountInstances"]) == (1, len(study.instances))


def _read(url: str, body: object = None) -> bytes:
    request = Request(url, None if body is None else json.dumps(body).encode())
    with urlopen(request, timeout=30) as answer:
        content: bytes = answer.read()
        return content


def _ask(url: str, body: object = None) -> Any:
    return json.loads(_read(url, body))
