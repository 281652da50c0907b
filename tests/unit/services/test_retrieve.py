"""Retrieve: original bytes, frames, bulk data and metadata of what was stored."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from io import BytesIO
from typing import Any

import numpy as np
import orjson
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    generate_uid,
)

from hilum.archive.model import BlobRef, StoredInstance
from hilum.archive.query import InstanceSelection
from hilum.kernel.errors import CorruptData, LimitExceeded, LocalProtocolError, NotFound
from hilum.kernel.files import FilePiece, FileRange
from hilum.kernel.limits import BLOB_CHUNK_BYTES, MAX_OPEN_BLOBS, RETRIEVE_READ_AHEAD_BYTES
from hilum.net.files import chunks_of
from hilum.services.retrieve import RetrieveService
from support.instances import ct_slice, data_set_bytes, part10
from support.store_house import House


@pytest.fixture
def retrieve(house: House) -> RetrieveService:
    return RetrieveService(house.index, house.blobs)


async def _joined(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


async def _only(retrieve: RetrieveService, dataset: Dataset) -> StoredInstance:
    (instance,) = await retrieve.instances(
        1, dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID, with_frame_index=True
    )
    return instance


def _sizes_read(house: House) -> list[int]:
    """Return a list that will hold how much is read from storage each time."""
    sizes: list[int] = []
    read, read_many = house.blobs.read, house.blobs.read_many

    async def counted(key: str, offset: int = 0, length: int | None = None) -> bytes:
        content = await read(key, offset, length)
        sizes.append(len(content))
        return content

    async def counted_many(key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        sizes.append(sum(length for _, length in ranges))
        return await read_many(key, ranges)

    house.blobs.read, house.blobs.read_many = counted, counted_many  # type: ignore[method-assign]
    return sizes


async def test_what_is_not_there_or_another_tenants_is_not_found(house: House, retrieve: RetrieveService) -> None:
    dataset = ct_slice()
    await house.store(dataset, tenant_id=2)
    for study in (dataset.StudyInstanceUID, generate_uid()):
        with pytest.raises(NotFound):
            await retrieve.instances(1, study)
        with pytest.raises(NotFound):
            await retrieve.metadata(1, study)
    with pytest.raises(NotFound):
        await retrieve.metadata(1, dataset.StudyInstanceUID, dataset.SeriesInstanceUID)


@pytest.mark.parametrize("sides", [[64] * 30, [64, 1800, 64, 64, 1800, 1800, 64], [1800], [1000] * 9])
async def test_a_study_is_given_back_byte_for_byte(
    house: House, retrieve: RetrieveService, sides: Sequence[int]
) -> None:
    study = generate_uid()
    sent = {}
    for number, side in enumerate(sides):
        dataset = ct_slice(study=study, number=number, side=side)
        sent[dataset.SOPInstanceUID] = data_set_bytes(part10(dataset))
        await house.store(dataset)
    instances = await retrieve.instances(1, study)
    received = {}
    async for instance, content in retrieve.part10(instances):
        received[instance.sop_instance_uid] = data_set_bytes(await _joined(content))
    assert received == sent


async def test_reading_ahead_is_bounded_and_ends_with_the_reader(house: House, retrieve: RetrieveService) -> None:
    study = generate_uid()
    for number in range(12):
        await house.store(ct_slice(study=study, number=number, side=1000))
    instances = await retrieve.instances(1, study)
    read: list[str] = []
    original = house.blobs.read

    async def counted(key: str, offset: int = 0, length: int | None = None) -> bytes:
        read.append(key)
        return await original(key, offset, length)

    house.blobs.read = counted  # type: ignore[method-assign]
    reading = retrieve.part10(instances)
    await anext(reading)
    await reading.aclose()
    assert 1 < len(read) <= RETRIEVE_READ_AHEAD_BYTES // instances[0].blob.size_bytes + 1


def _read(piece: bytes | FilePiece) -> bytes:
    return piece if isinstance(piece, bytes) else os.pread(piece.descriptor, piece.length, piece.offset)


class TestOpenFiles:
    """The same bytes, as ranges of open files for the system to send."""

    @pytest.fixture
    async def instances(self, house: House, retrieve: RetrieveService) -> list[StoredInstance]:
        study = generate_uid()
        for number, side in enumerate([1800, *[64] * 20]):
            await house.store(ct_slice(study=study, number=number, side=side))
        return await retrieve.instances(1, study)

    @pytest.mark.parametrize("most", [0, 12, MAX_OPEN_BLOBS])
    async def test_a_study_is_given_back_byte_for_byte_while_descriptors_last(
        self,
        house: House,
        retrieve: RetrieveService,
        instances: list[StoredInstance],
        monkeypatch: pytest.MonkeyPatch,
        most: int,
    ) -> None:
        monkeypatch.setattr("hilum.objectstore.open_files.MAX_OPEN_BLOBS", most)
        kinds = set()
        async for instance, content in retrieve.part10_pieces(instances):
            pieces = [(type(piece), _read(piece)) async for piece in content]
            assert b"".join(piece for _, piece in pieces) == await house.blobs.read(instance.blob.key)
            kinds |= {kind for kind, _ in pieces}
        assert (FilePiece in kinds, bytes in kinds) == (most > 0, most < MAX_OPEN_BLOBS)
        assert house.blobs._open_files.count == 0

    async def test_a_range_is_given(
        self, house: House, retrieve: RetrieveService, instances: list[StoredInstance]
    ) -> None:
        large = max(instances, key=lambda instance: instance.blob.size_bytes)
        content = await house.blobs.read(large.blob.key)
        for offset, length in ((0, None), (1000, 5_000_000), (len(content) - 10, 100)):
            given = b"".join([_read(piece) async for piece in retrieve.pieces(large, offset, length)])
            assert given == content[offset : None if length is None else offset + length]
        assert house.blobs._open_files.count == 0

    async def test_whoever_leaves_early_leaves_nothing_open(
        self, house: House, retrieve: RetrieveService, instances: list[StoredInstance]
    ) -> None:
        for count in (1, 9):
            giving = retrieve.part10_pieces(instances)
            for _ in range(count):
                await anext(giving)
            await giving.aclose()
            assert house.blobs._open_files.count == 0

    async def test_what_is_gone_or_too_short_is_an_error_and_leaves_nothing_open(
        self, house: House, retrieve: RetrieveService, instances: list[StoredInstance]
    ) -> None:
        short = instances[9]
        (house.root / "blobs" / short.blob.key).write_bytes(b"short")
        with pytest.raises(CorruptData):
            async for _ in retrieve.part10_pieces(instances):
                pass
        with pytest.raises(CorruptData):
            await anext(retrieve.pieces(short))
        await house.blobs.delete(short.blob.key)
        with pytest.raises(NotFound):
            async for _ in retrieve.part10_pieces(instances):
                pass
        assert house.blobs._open_files.count == 0


async def test_a_range_of_the_file_can_be_streamed(house: House, retrieve: RetrieveService) -> None:
    dataset = ct_slice(side=1500)
    await house.store(dataset)
    instance = await _only(retrieve, dataset)
    file = await house.blobs.read(instance.blob.key)
    assert await _joined(retrieve.stream(instance)) == file
    assert await _joined(retrieve.stream(instance, 1000, 2_000_000)) == file[1000:2_001_000]
    assert await _joined(retrieve.stream(instance, len(file) - 10, 100)) == file[-10:]


async def test_instances_are_selected_by_keys_up_to_a_bound(
    house: House, retrieve: RetrieveService, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = generate_uid()
    for number in (1, 2, 3):
        await house.store(ct_slice(study=study, number=number))
    found = await retrieve.instances(1, study)
    selection = InstanceSelection(sop_instance_uids=(found[1].sop_instance_uid,))
    assert await retrieve.select(1, selection) == [found[1]]
    assert await retrieve.select(2, selection) == []
    everything = InstanceSelection(study_instance_uids=(study,))
    monkeypatch.setattr("hilum.services.retrieve.MAX_RETRIEVED_INSTANCES", 3)
    assert await retrieve.select(1, everything) == found
    monkeypatch.setattr("hilum.services.retrieve.MAX_RETRIEVED_INSTANCES", 2)
    with pytest.raises(LimitExceeded, match="more than 2"):
        await retrieve.select(1, everything)


class TestDataSet:
    """What is sent of an instance: the data set without the file's meta information."""

    @pytest.fixture(params=["in files", "as bytes"], autouse=True)
    def given_as(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
        if request.param == "as bytes":
            monkeypatch.setattr("hilum.objectstore.open_files.MAX_OPEN_BLOBS", 0)
        return str(request.param)

    async def _given(self, retrieve: RetrieveService, instance: StoredInstance) -> bytes:
        content = await retrieve.data_set(instance)
        if isinstance(content, bytes):
            return content
        async with aclosing(content):
            return await _joined(chunks_of(content) if isinstance(content, FileRange) else content)

    @pytest.mark.parametrize("side", [64, 1800])
    async def test_it_is_what_was_stored(self, house: House, retrieve: RetrieveService, side: int) -> None:
        dataset = ct_slice(side=side)
        await house.store(dataset)
        assert await self._given(retrieve, await _only(retrieve, dataset)) == data_set_bytes(part10(dataset))

    async def test_a_small_one_is_one_read_a_large_one_is_read_as_it_goes(
        self, house: House, retrieve: RetrieveService, given_as: str
    ) -> None:
        small, large = ct_slice(side=512), ct_slice(side=1800)
        for dataset in (small, large):
            await house.store(dataset)
        found = await _only(retrieve, small), await _only(retrieve, large)
        sizes = _sizes_read(house)
        content = await retrieve.data_set(found[0])
        if isinstance(content, FileRange):
            assert given_as == "in files"
            assert content.length == found[0].blob.size_bytes - found[0].blob.data_set_offset
            assert not sizes
            await content.aclose()
            assert house.blobs._open_files.count == 0
            return
        assert sizes == [found[0].blob.size_bytes - found[0].blob.data_set_offset]
        assert await self._given(retrieve, found[1])
        assert max(sizes) <= BLOB_CHUNK_BYTES

    @pytest.mark.parametrize("size", [3_001, 5_000_001, 5_000_000])
    async def test_an_odd_one_is_made_even(self, house: House, retrieve: RetrieveService, size: int) -> None:
        await house.blobs.put("1/odd", [b"meta", content := os.urandom(size)])
        instance = StoredInstance(1, "1.2", "1.3", "1.4", "1.5", "1.6", BlobRef("1/odd", size + 4, 4), 0, False)
        assert await self._given(retrieve, instance) == content + bytes(size % 2)

    @pytest.mark.parametrize("size", [1_000, 5_000_000])
    async def test_what_is_gone_is_known_before_the_first_byte(self, retrieve: RetrieveService, size: int) -> None:
        gone = StoredInstance(1, "1.2", "1.3", "1.4", "1.5", "1.6", BlobRef("1/gone", size, 4), 0, False)
        with pytest.raises(NotFound):
            await retrieve.data_set(gone)


class TestFrames:
    """Frames by range reads."""

    @staticmethod
    def _multiframe(frames: int, side: int = 32) -> tuple[Dataset, np.ndarray[Any, Any]]:
        dataset = ct_slice(side=side)
        pixels = np.random.default_rng(1).integers(-1000, 1000, (frames, side, side), dtype=np.int16)
        dataset.NumberOfFrames, dataset.PixelData = frames, pixels.tobytes()
        return dataset, pixels

    async def test_native_frames_are_given_in_the_order_asked_for(
        self, house: House, retrieve: RetrieveService
    ) -> None:
        dataset, pixels = self._multiframe(7)
        await house.store(dataset)
        frames = await retrieve.frames(await _only(retrieve, dataset), [3, 7, 1, 3])
        assert frames == [pixels[index].tobytes() for index in (2, 6, 0, 2)]

    async def test_a_frame_that_is_not_there_is_not_found(self, house: House, retrieve: RetrieveService) -> None:
        dataset, _ = self._multiframe(2)
        await house.store(dataset)
        instance = await _only(retrieve, dataset)
        for number in (0, 3, -1):
            with pytest.raises(NotFound):
                await retrieve.frames(instance, [number])

    async def test_an_instance_without_pixels_has_no_frames(self, house: House, retrieve: RetrieveService) -> None:
        dataset = ct_slice()
        del dataset.PixelData
        await house.store(dataset)
        with pytest.raises(NotFound):
            await retrieve.frames(await _only(retrieve, dataset), [1])

    async def test_asking_without_the_frame_index_is_our_own_mistake(
        self, house: House, retrieve: RetrieveService
    ) -> None:
        dataset = ct_slice()
        await house.store(dataset)
        (instance,) = await retrieve.instances(1, dataset.StudyInstanceUID)
        with pytest.raises(LocalProtocolError):
            await retrieve.frames(instance, [1])

    async def test_encapsulated_fragments_of_a_frame_are_joined(self, house: House, retrieve: RetrieveService) -> None:
        dataset, _ = self._multiframe(3)
        frames = [os.urandom(size) for size in (1000, 5002, 64)]
        dataset.PixelData = encapsulate(frames, fragments_per_frame=2, has_bot=True)
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
        await house.store_bytes(data_set_bytes(part10(dataset)), JPEG2000Lossless)
        assert await retrieve.frames(await _only(retrieve, dataset), [2, 1, 3]) == [frames[1], frames[0], frames[2]]

    async def test_single_bit_frames_can_be_shifted_to_a_bytes_beginning(
        self, house: House, retrieve: RetrieveService
    ) -> None:
        dataset = ct_slice(side=5)
        bits = np.random.default_rng(3).integers(0, 2, (4, 25), dtype=np.uint8)
        dataset.NumberOfFrames = 4
        dataset.BitsAllocated = dataset.BitsStored = 1
        dataset.HighBit = 0
        packed = np.packbits(bits.reshape(-1), bitorder="little").tobytes()
        dataset.PixelData = packed + b"\0" * (len(packed) % 2)
        dataset["PixelData"].VR = "OB"
        await house.store(dataset)
        instance = await _only(retrieve, dataset)
        frames = await retrieve.frames(instance, [1, 2, 3, 4], byte_aligned=True)
        for frame, expected in zip(frames, bits, strict=True):
            assert frame == np.packbits(expected, bitorder="little").tobytes()
        raw = await retrieve.frames(instance, [2])
        assert raw == [packed[3:7]]

    async def test_frames_of_a_deflated_data_set_are_inflated(self, house: House, retrieve: RetrieveService) -> None:
        dataset, pixels = self._multiframe(5, side=200)
        content = data_set_bytes(part10(dataset))
        compressor = zlib.compressobj(wbits=-15)
        deflated = compressor.compress(content) + compressor.flush()
        await house.store_bytes(deflated, DeflatedExplicitVRLittleEndian)
        frames = await retrieve.frames(await _only(retrieve, dataset), [5, 2])
        assert frames == [pixels[4].tobytes(), pixels[1].tobytes()]

    @pytest.mark.parametrize("fragments", [0, 1, 3, 30])
    async def test_large_frames_are_streamed_in_small_reads(
        self, house: House, retrieve: RetrieveService, fragments: int
    ) -> None:
        dataset, pixels = self._multiframe(3, side=1500)
        frames = [frame.tobytes() for frame in pixels]
        syntax = ExplicitVRLittleEndian
        if fragments:
            frames[1] = frames[1][:5000]
            dataset.PixelData = encapsulate(frames, fragments_per_frame=fragments, has_bot=True)
            dataset["PixelData"].VR = "OB"
            dataset["PixelData"].is_undefined_length = True
            dataset.file_meta.TransferSyntaxUID = syntax = JPEG2000Lossless
        await house.store_bytes(data_set_bytes(part10(dataset)), syntax)
        instance = await _only(retrieve, dataset)
        reads = _sizes_read(house)
        found = [(size, await _joined(content)) async for size, content in retrieve.stored_frames(instance, [3, 2, 1])]
        assert found == [(len(frame), frame) for frame in reversed(frames)]
        assert max(reads) <= BLOB_CHUNK_BYTES

    async def test_small_frames_are_read_together_within_bounds(self, house: House, retrieve: RetrieveService) -> None:
        dataset, pixels = self._multiframe(12, side=800)
        await house.store(dataset)
        instance = await _only(retrieve, dataset)
        reads = _sizes_read(house)
        numbers = [*range(1, 13)]
        found = [await _joined(content) async for _, content in retrieve.stored_frames(instance, numbers)]
        assert found == [frame.tobytes() for frame in pixels]
        assert len(reads) == 4
        assert max(reads) <= RETRIEVE_READ_AHEAD_BYTES

    async def test_large_frames_that_must_be_inflated_or_shifted_are_given_too(
        self, house: House, retrieve: RetrieveService
    ) -> None:
        dataset, pixels = self._multiframe(2, side=1500)
        compressor = zlib.compressobj(1, wbits=-15)
        deflated = compressor.compress(data_set_bytes(part10(dataset))) + compressor.flush()
        await house.store_bytes(deflated, DeflatedExplicitVRLittleEndian)
        instance = await _only(retrieve, dataset)
        found = [await _joined(content) async for _, content in retrieve.stored_frames(instance, [2, 1])]
        assert found == [pixels[1].tobytes(), pixels[0].tobytes()]
        single_bits = ct_slice(side=6001)
        single_bits.NumberOfFrames = 2
        single_bits.BitsAllocated = single_bits.BitsStored = 1
        single_bits.HighBit = 0
        bits = np.random.default_rng(4).integers(0, 2, (2, 6001 * 6001), dtype=np.uint8)
        packed = np.packbits(bits.reshape(-1), bitorder="little").tobytes()
        single_bits.PixelData = packed + b"\0" * (len(packed) % 2)
        single_bits["PixelData"].VR = "OB"
        await house.store(single_bits)
        instance = await _only(retrieve, single_bits)
        found = [await _joined(content) async for _, content in retrieve.stored_frames(instance, [1, 2])]
        assert found == [np.packbits(frame, bitorder="little").tobytes() for frame in bits]


class TestBulkData:
    """Values the metadata only refer to."""

    @staticmethod
    def _with_bulk() -> Dataset:
        dataset = ct_slice(side=200)
        dataset.ICCProfile = os.urandom(300_000)
        block = dataset.private_block(0x0029, "OURS", create=True)
        block.add_new(0x10, "OB", os.urandom(5000))
        item = Dataset()
        item.EncapsulatedDocument = os.urandom(3_000_000)
        dataset.ReferencedInstanceSequence = [item]
        dataset.add_new(0xFFFCFFFC, "OB", os.urandom(70_000))
        return dataset

    @pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
    async def test_each_large_value_is_found_where_it_stands(
        self, house: House, retrieve: RetrieveService, syntax: str
    ) -> None:
        dataset = self._with_bulk()
        content = data_set_bytes(part10(dataset))
        if syntax == DeflatedExplicitVRLittleEndian:
            compressor = zlib.compressobj(wbits=-15)
            content = compressor.compress(content) + compressor.flush()
        await house.store_bytes(content, syntax)
        instance = await _only(retrieve, dataset)
        bulk = house.index.rows[0].draft.header.bulk
        expected = {
            "00282000": dataset.ICCProfile,
            "00291010": dataset[0x00291010].value,
            "0008114A/0/00420011": dataset.ReferencedInstanceSequence[0].EncapsulatedDocument,
            "FFFCFFFC": dataset[0xFFFCFFFC].value,
        }
        assert bulk.keys() >= expected.keys() - {"FFFCFFFC"}
        for path in expected.keys() & bulk.keys():
            for asked in (path, f"@@/{path}"):
                vr, chunks, length = await retrieve.bulk_data(instance, asked)
                value = await _joined(chunks)
                assert (vr, len(value)) == ("OB", length)
                assert value == expected[path]

    async def test_numbers_of_a_big_endian_data_set_come_in_little_endian(
        self, house: House, retrieve: RetrieveService
    ) -> None:
        dataset = ct_slice()
        table = np.arange(65_536, dtype="<u2")
        dataset.RedPaletteColorLookupTableData = table.astype(">u2").tobytes()
        dataset["RedPaletteColorLookupTableData"].VR = "OW"
        dataset["PixelData"].VR = "OW"
        buffer = DicomBytesIO()
        buffer.is_little_endian, buffer.is_implicit_VR = False, False
        write_dataset(buffer, dataset)
        await house.store_bytes(buffer.getvalue(), ExplicitVRBigEndian)
        _, chunks, length = await retrieve.bulk_data(await _only(retrieve, dataset), "00281201")
        assert length == 131_072
        assert await _joined(chunks) == table.tobytes()

    async def test_other_paths_are_not_found(self, house: House, retrieve: RetrieveService) -> None:
        for dataset in (self._with_bulk(), ct_slice()):
            await house.store(dataset)
            instance = await _only(retrieve, dataset)
            for path in ("00100010", "7FE00010", "../../etc/passwd", "0008114A/7/00420011", ""):
                with pytest.raises(NotFound):
                    await retrieve.bulk_data(instance, path)


class TestMetadata:
    """PS3.18 §10.4.1.1.2, Annex F."""

    async def test_the_metadata_of_a_series_are_its_attributes_tags_ascending(
        self, house: House, retrieve: RetrieveService
    ) -> None:
        study, series = generate_uid(), generate_uid()
        datasets = [ct_slice(study=study, series=series, number=number) for number in range(210)]
        for dataset in datasets:
            await house.store(dataset)
        (metadata,) = await retrieve.metadata(1, study)
        instances = orjson.loads(gzip.decompress(metadata.gzip_json))
        assert not metadata.has_placeholders
        assert {one["00080018"]["Value"][0] for one in instances} == {str(one.SOPInstanceUID) for one in datasets}
        for one in instances:
            assert list(one) == sorted(one)
            assert one["00083002"] == {"vr": "UI", "Value": [ExplicitVRLittleEndian]}
            assert one["00100010"]["Value"] == [{"Alphabetic": "Test^Tilda"}]

    async def test_ready_made_metadata_are_used_until_the_series_changes(
        self, house: House, retrieve: RetrieveService
    ) -> None:
        study, series = generate_uid(), generate_uid()
        await house.store(ct_slice(study=study, series=series))
        (first,) = await retrieve.metadata(1, study, series)
        (again,) = await retrieve.metadata(1, study, series)
        assert again is first
        await house.store(ct_slice(study=study, series=series, number=2))
        (changed,) = await retrieve.metadata(1, study, series)
        assert len(orjson.loads(gzip.decompress(changed.gzip_json))) == 2

    async def test_one_instance_is_answered_without_the_series(self, house: House, retrieve: RetrieveService) -> None:
        dataset = ct_slice()
        dataset.ICCProfile = bytes(5000)
        await house.store(dataset)
        (metadata,) = await retrieve.metadata(
            1, dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID
        )
        (one,) = orjson.loads(gzip.decompress(metadata.gzip_json))
        assert metadata.has_placeholders
        assert one["00282000"]["BulkDataURI"] == "@@/00282000"
        assert house.index.metadata == {}

    async def test_each_series_of_a_study_is_answered(self, house: House, retrieve: RetrieveService) -> None:
        study = generate_uid()
        for _ in range(3):
            await house.store(ct_slice(study=study))
        assert len(await retrieve.metadata(1, study)) == 3


async def test_what_is_given_back_is_readable_by_others(house: House, retrieve: RetrieveService) -> None:
    dataset = ct_slice(side=128)
    await house.store(dataset)
    read = dcmread(BytesIO(await _joined(retrieve.stream(await _only(retrieve, dataset)))))
    assert (read.pixel_array == dataset.pixel_array).all()
