"""Composite Instance Root Retrieve at the FRAME level and Retrieve Without Bulk Data: PS3.4 Annex Y, Annex Z.

With pynetdicom as requestor and as destination, and DCMTK's storescp as destination.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless, SecondaryCaptureImageStorage
from pynetdicom import AE, build_role, evt
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation
from pynetdicom.sop_class import (
    CompositeInstanceRetrieveWithoutBulkDataGet,
    CompositeInstanceRootRetrieveGet,
    CompositeInstanceRootRetrieveMove,
    CTImageStorage,
)

from hilum.archive.remotes import DimseUse
from hilum.index.embedded import EmbeddedPostgres
from support.images import ImageKind
from support.in_process import InProcessArchive, data_set_of, in_process_archive
from support.instances import part10
from support.transcoding import transcoded

KIND = ImageKind(frames=6)
END = 0xFFFFFFFF


@pytest.fixture
async def archive(database: EmbeddedPostgres, tmp_path: Path) -> AsyncIterator[InProcessArchive]:
    async with in_process_archive(database, tmp_path) as opened:
        yield opened


@dataclass
class Answer:
    """The last response, and the instances that came."""

    status: Dataset
    instances: list[Dataset] = field(default_factory=list)
    data_sets: list[bytes] = field(default_factory=list)

    @property
    def frames(self) -> Any:
        (instance,) = self.instances
        return instance.pixel_array


def identifier(uid: str | list[str], **values: Any) -> Dataset:
    dataset = Dataset()
    dataset.QueryRetrieveLevel = "FRAME"
    dataset.SOPInstanceUID = uid
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def get(
    archive: InProcessArchive,
    keys: Dataset,
    model: UID = CompositeInstanceRootRetrieveGet,
    *,
    sop_class: UID = SecondaryCaptureImageStorage,
    syntaxes: list[UID] = [ExplicitVRLittleEndian],  # noqa: B006 - only read
    model_syntax: UID = ImplicitVRLittleEndian,
    options: bytes = b"",
) -> Answer:
    received = Answer(Dataset())

    def store(event: evt.Event) -> int:
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        received.instances.append(dataset)
        received.data_sets.append(event.request.DataSet.getvalue())
        assert event.request.AffectedSOPInstanceUID == dataset.SOPInstanceUID
        return 0

    ae = AE("GETTER")
    ae.add_requested_context(model, model_syntax)
    ae.add_requested_context(sop_class, syntaxes)
    negotiation: list[Any] = [build_role(sop_class, scp_role=True)]
    if options:
        item = SOPClassExtendedNegotiation()
        item.sop_class_uid, item.service_class_application_information = model, options
        negotiation.append(item)
    association = ae.associate(
        "127.0.0.1",
        archive.port,
        ae_title=archive.ae_title,
        ext_neg=negotiation,
        evt_handlers=[(evt.EVT_C_STORE, store)],
    )
    assert association.is_established
    try:
        if options:
            assert association.acceptor.sop_class_extended == {model: b"\0\0"}
        *_, (received.status, _) = association.send_c_get(keys, model)
    finally:
        association.release()
    return received


async def test_frames_are_given_as_an_instance_of_their_own(archive: InProcessArchive) -> None:
    uid = await archive.store(KIND.file())
    keys = identifier(uid, CalculatedFrameList=[2, END, 2])
    answer = await asyncio.to_thread(get, archive, keys, options=b"\1\1")
    assert answer.status.Status == 0x0000
    assert answer.status.NumberOfCompletedSuboperations == 1
    assert np.array_equal(answer.frames, KIND.pixels()[[1, 3, 5], ..., 0])
    (instance,) = answer.instances
    assert instance.SOPInstanceUID != uid
    assert instance.FrameExtractionSequence[0].MultiFrameSourceSOPInstanceUID == uid
    # It was made to leave and is not kept.
    again = identifier(instance.SOPInstanceUID, SimpleFrameList=[1])
    assert (await asyncio.to_thread(get, archive, again)).status.Status == 0xAA00


@pytest.mark.parametrize("model_syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
@pytest.mark.parametrize(
    ("keys", "frames"),
    [
        ({"SimpleFrameList": [1, 6]}, [0, 5]),
        ({"SimpleFrameList": 4}, [3]),
        ({"TimeRange": [0.04, 0.12]}, [1, 2, 3]),
    ],
)
async def test_frames_are_chosen_by_each_of_the_keys(
    archive: InProcessArchive, keys: dict[str, Any], frames: list[int], model_syntax: UID
) -> None:
    source = KIND.dataset()
    source.FrameTime, source.FrameIncrementPointer = 40, 0x00181063
    uid = await archive.store(part10(source))
    answer = await asyncio.to_thread(get, archive, identifier(uid, **keys), model_syntax=model_syntax)
    assert answer.status.Status == 0x0000
    assert np.array_equal(answer.frames.reshape(len(frames), 8, 8), KIND.pixels()[frames, ..., 0])


@pytest.mark.parametrize("accepted", [RLELossless, ExplicitVRLittleEndian, ImplicitVRLittleEndian])
async def test_compressed_frames_are_given_as_they_are_or_decoded(archive: InProcessArchive, accepted: UID) -> None:
    file = await transcoded(KIND.file(), RLELossless)
    uid = await archive.store(file)
    keys = identifier(uid, SimpleFrameList=[2, 3])
    answer = await asyncio.to_thread(get, archive, keys, syntaxes=[accepted])
    assert answer.status.Status == 0x0000
    assert answer.instances[0].file_meta.TransferSyntaxUID == accepted
    assert np.array_equal(answer.frames, KIND.pixels()[[1, 2], ..., 0])


@pytest.mark.parametrize(
    ("keys", "status", "offending"),
    [
        ({"SimpleFrameList": [7, 8]}, 0xAA00, None),
        ({"TimeRange": [0.0, 1.0]}, 0xAA03, None),
        ({}, 0xAA04, 0x00081161),
        ({"SimpleFrameList": [2, 1]}, 0xAA04, 0x00081161),
        ({"SimpleFrameList": [1], "TimeRange": [0.0, 1.0]}, 0xAA04, 0x00081161),
        ({"CalculatedFrameList": [1, 4, 1, 3, 6, 1]}, 0xAA04, 0x00081162),
        ({"CalculatedFrameList": [1, END, 1, 2, 3, 1]}, 0xAA04, 0x00081162),
        ({"TimeRange": [1.0, 0.0]}, 0xAA04, 0x00081163),
    ],
)
async def test_what_cannot_be_had_is_answered_with_the_status_for_it(
    archive: InProcessArchive, keys: dict[str, Any], status: int, offending: int | None
) -> None:
    """PS3.4 Table Y.4-2."""
    uid = await archive.store(KIND.file())
    answer = await asyncio.to_thread(get, archive, identifier(uid, **keys))
    assert answer.status.Status == status
    assert not answer.instances
    assert answer.status.get("OffendingElement") == offending


async def test_frames_of_several_instances_or_of_none_are_refused(archive: InProcessArchive) -> None:
    uid, other = await archive.store(KIND.file()), await archive.store(KIND.file())
    both = await asyncio.to_thread(get, archive, identifier([uid, other], SimpleFrameList=[1]))
    assert both.status.Status == 0xAA04
    unknown = await asyncio.to_thread(get, archive, identifier("1.2.826.0.1.404", SimpleFrameList=[1]))
    assert unknown.status.Status == 0xAA00
    nothing = await asyncio.to_thread(get, archive, identifier("", SimpleFrameList=[1]))
    assert nothing.status.Status == 0xA900
    ecg = dcmread(get_testdata_file("waveform_ecg.dcm"))
    uid = await archive.store(part10(ecg))
    answer = await asyncio.to_thread(get, archive, identifier(uid, SimpleFrameList=[1]), sop_class=ecg.SOPClassUID)
    assert answer.status.Status == 0xAA01


async def test_a_list_of_millions_is_refused_and_others_are_served(archive: InProcessArchive) -> None:
    uid = await archive.store(KIND.file())
    endless = identifier(uid, SimpleFrameList=list(range(1, 2_000_000)))
    answer = await asyncio.to_thread(get, archive, endless)
    assert answer.status.Status == 0xAA04
    answer = await asyncio.to_thread(get, archive, identifier(uid, CalculatedFrameList=[1, END, 1]))
    assert np.array_equal(answer.frames, KIND.pixels()[..., 0])


async def test_whole_instances_are_given_as_before(archive: InProcessArchive) -> None:
    file = KIND.file()
    uid = await archive.store(file)
    keys = identifier(uid)
    keys.QueryRetrieveLevel = "IMAGE"
    answer = await asyncio.to_thread(get, archive, keys)
    assert answer.status.Status == 0x0000
    assert answer.data_sets == [data_set_of(file)]


@contextmanager
def storescp(folder: Path) -> Iterator[int]:
    """DCMTK's storescp, which keeps what it receives in the folder."""
    program = Path("/usr/bin/storescp")
    if not program.exists():
        pytest.skip("needs DCMTK's storescp: apt-get install dcmtk")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [str(program), "-q", "+xa", "-od", str(folder), str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while subprocess.run(["/usr/bin/echoscu", "-q", "127.0.0.1", str(port)], check=False).returncode:
            assert time.monotonic() < deadline, "storescp does not answer"
            time.sleep(0.1)
        yield port
    finally:
        process.kill()
        process.wait(30)


def complaints_of_dcmdump(path: Path) -> list[str]:
    dump = subprocess.run(["/usr/bin/dcmdump", "-v", path], capture_output=True, timeout=30, check=True)
    return [line for line in dump.stderr.decode(errors="replace").splitlines() if line.startswith(("W:", "E:"))]


def move(archive: InProcessArchive, keys: Dataset, destination: str = "RECEIVER") -> Dataset:
    ae = AE("MOVER")
    ae.add_requested_context(CompositeInstanceRootRetrieveMove)
    association = ae.associate("127.0.0.1", archive.port, ae_title=archive.ae_title)
    assert association.is_established
    try:
        *_, (status, _) = association.send_c_move(keys, destination, CompositeInstanceRootRetrieveMove)
    finally:
        association.release()
    return status


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
async def test_frames_are_sent_to_a_move_destination(archive: InProcessArchive, tmp_path: Path, syntax: UID) -> None:
    uid = await archive.store(await transcoded(KIND.file(), syntax))
    folder = tmp_path / "received"
    folder.mkdir()
    with storescp(folder) as port:
        await archive.register("RECEIVER", port)
        status = await asyncio.to_thread(move, archive, identifier(uid, SimpleFrameList=[2, 5]))
    assert status.Status == 0x0000
    assert status.NumberOfCompletedSuboperations == 1
    (path,) = folder.iterdir()
    instance = dcmread(path)
    assert instance.file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(instance.pixel_array, KIND.pixels()[[1, 4], ..., 0])
    assert complaints_of_dcmdump(path) == []


async def test_what_cannot_be_moved_is_told(archive: InProcessArchive) -> None:
    uid = await archive.store(KIND.file())
    await archive.register("RECEIVER", 9)
    assert (await asyncio.to_thread(move, archive, identifier(uid))).Status == 0xAA04
    assert (await asyncio.to_thread(move, archive, identifier(uid, SimpleFrameList=[9]))).Status == 0xAA00
    unknown = await asyncio.to_thread(move, archive, identifier(uid, SimpleFrameList=[1]), "NOBODY")
    assert unknown.Status == 0xA801


async def test_headers_are_given_without_what_is_large(archive: InProcessArchive) -> None:
    source = dcmread(get_testdata_file("CT_small.dcm"))
    uid = await archive.store(part10(source))
    keys = identifier(uid)
    keys.QueryRetrieveLevel = "IMAGE"
    answer = await asyncio.to_thread(
        get, archive, keys, CompositeInstanceRetrieveWithoutBulkDataGet, sop_class=CTImageStorage, options=b"\0\1"
    )
    assert answer.status.Status == 0x0000
    del source.PixelData
    (instance,) = answer.instances
    assert {element.tag: element.value for element in instance} == {element.tag: element.value for element in source}


async def test_headers_of_several_instances_come_in_whatever_syntax_is_taken(archive: InProcessArchive) -> None:
    files = [await transcoded(ImageKind().file(), RLELossless) for _ in range(3)]
    wanted = [await archive.store(file) for file in files]
    keys = identifier(wanted)
    keys.QueryRetrieveLevel = "IMAGE"
    answer = await asyncio.to_thread(get, archive, keys, CompositeInstanceRetrieveWithoutBulkDataGet)
    assert answer.status.Status == 0x0000
    assert {instance.SOPInstanceUID for instance in answer.instances} == set(wanted)
    assert all("PixelData" not in instance for instance in answer.instances)
    levels = identifier(wanted[0], SimpleFrameList=[1])
    refused = await asyncio.to_thread(get, archive, levels, CompositeInstanceRetrieveWithoutBulkDataGet)
    assert refused.status.Status == 0xA900


async def test_who_may_not_retrieve_is_given_nothing(archive: InProcessArchive) -> None:
    await archive.register("GETTER", None, host=None, may_ask=frozenset({DimseUse.ECHO, DimseUse.STORE}))
    ae = AE("GETTER")
    for model in (CompositeInstanceRootRetrieveGet, CompositeInstanceRetrieveWithoutBulkDataGet):
        ae.add_requested_context(model)
    ae.add_requested_context(CompositeInstanceRootRetrieveMove)
    association = await asyncio.to_thread(ae.associate, "127.0.0.1", archive.port, ae_title=archive.ae_title)
    assert not association.accepted_contexts
