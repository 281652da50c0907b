"""Services on the real index and real files: what is stored is found, given back, and settled."""

from __future__ import annotations

import asyncio
import gzip
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from hilum.archive.model import DuplicatePolicy, IngestStatus, Origin, OriginKind
from hilum.index.postgres import PostgresIndex
from hilum.kernel.clock import SystemClock
from hilum.objectstore import FilesystemStore
from hilum.services.retrieve import RetrieveService
from hilum.services.staging import repair_staging
from hilum.services.store import StoreResult, StoreService
from support.instances import ct_slice, data_set_bytes, part10
from support.store_house import SteppedClock


@dataclass
class Archive:
    """Store and retrieve on one index and one folder."""

    root: Path
    index: PostgresIndex
    blobs: FilesystemStore
    store: StoreService
    retrieve: RetrieveService
    tenant_id: int

    async def send(self, dataset: Dataset) -> StoreResult:
        intake = self.store.begin(
            tenant_id=self.tenant_id, transfer_syntax_uid=ExplicitVRLittleEndian, origin=Origin(OriginKind.STOW)
        )
        intake.write(data_set_bytes(part10(dataset)))
        return await intake.commit()


@pytest.fixture
async def archive(index: PostgresIndex, tenant_id: int, tmp_path: Path) -> AsyncIterator[Archive]:
    blobs = FilesystemStore(tmp_path / "blobs")
    store = StoreService(
        index=index,
        blobs=blobs,
        staging_directory=tmp_path / "staging" / "0",
        policy=DuplicatePolicy.REPLACE,
        clock=SystemClock(),
    )
    await store.start()
    yield Archive(tmp_path, index, blobs, store, RetrieveService(index, blobs), tenant_id)
    await store.close()
    await blobs.close()


async def test_series_sent_side_by_side_are_given_back_with_their_metadata(archive: Archive) -> None:
    study = generate_uid()
    sent = {}

    async def send_series(series: str) -> None:
        for number in range(15):
            dataset = ct_slice(study=study, series=series, number=number)
            dataset.ICCProfile = os.urandom(3000)
            sent[dataset.SOPInstanceUID] = dataset
            assert (await archive.send(dataset)).status is IngestStatus.STORED

    await asyncio.gather(*(send_series(generate_uid()) for _ in range(6)))
    instances = await archive.retrieve.instances(archive.tenant_id, study, with_frame_index=True)
    assert {one.sop_instance_uid for one in instances} == sent.keys()
    async for instance, content in archive.retrieve.part10(instances):
        file = b"".join([chunk async for chunk in content])
        assert data_set_bytes(file) == data_set_bytes(part10(sent[instance.sop_instance_uid]))
    last = instances[-1]
    assert await archive.retrieve.frames(last, [1]) == [sent[last.sop_instance_uid].PixelData]
    vr, content, length = await archive.retrieve.bulk_data(last, "00282000")
    assert (vr, length) == ("OB", 3000)
    assert b"".join([chunk async for chunk in content]) == sent[last.sop_instance_uid].ICCProfile

    made = await archive.retrieve.metadata(archive.tenant_id, study)
    ready = await archive.retrieve.metadata(archive.tenant_id, study)
    assert made == ready
    assert all(one.has_placeholders for one in made)
    attributes = [one for series in made for one in orjson.loads(gzip.decompress(series.gzip_json))]
    assert {one["00080018"]["Value"][0] for one in attributes} == sent.keys()
    assert all(one["00083002"]["Value"] == [ExplicitVRLittleEndian] for one in attributes)


async def test_replacing_an_instance_makes_the_metadata_anew(archive: Archive) -> None:
    first = ct_slice(seed=1)
    await archive.send(first)
    (before,) = await archive.retrieve.metadata(archive.tenant_id, first.StudyInstanceUID, first.SeriesInstanceUID)
    first.SeriesDescription = "Corrected"
    assert (await archive.send(first)).status is IngestStatus.REPLACED
    (after,) = await archive.retrieve.metadata(archive.tenant_id, first.StudyInstanceUID, first.SeriesInstanceUID)
    assert before.stamp != after.stamp
    assert b"Corrected" in gzip.decompress(after.gzip_json)


async def test_the_same_instance_from_many_senders_is_stored_once(archive: Archive) -> None:
    dataset = ct_slice()
    results = await asyncio.gather(*(archive.send(dataset) for _ in range(12)))
    assert [result.status for result in results].count(IngestStatus.STORED) == 1
    assert {result.status for result in results} == {IngestStatus.STORED, IngestStatus.IDENTICAL}
    await archive.store.close()
    assert len(list((archive.root / "blobs").rglob("*.dcm"))) == 1


async def test_repair_keeps_what_the_index_knows(archive: Archive) -> None:
    result = await archive.send(ct_slice())
    (kept,) = await archive.retrieve.instances(archive.tenant_id, result.study_instance_uid)
    lost = kept.blob.key.replace(".dcm", "0.dcm")
    await archive.blobs.put(lost, [b"half an instance"])
    dead = archive.root / "dead" / "1"
    dead.mkdir(parents=True)
    (dead / "claims").write_bytes(b"".join(key.encode().ljust(127) + b"\n" for key in (kept.blob.key, lost)))
    clock = SteppedClock()
    assert await repair_staging(archive.root / "dead", archive.blobs, archive.index, clock) == (0, 0)
    clock.offset_s = 60
    assert await repair_staging(archive.root / "dead", archive.blobs, archive.index, clock) == (1, 1)
    files = [path for path in (archive.root / "blobs").rglob("*") if path.is_file()]
    assert files == [archive.root / "blobs" / kept.blob.key]
