"""Frames taken out of stored instances, and instances without bulk data: PS3.4 §Y.3.3, §Z.1.3."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import generate_fragments, parse_basic_offsets

from hilum.archive.model import StoredInstance
from hilum.archive.sending import InstanceSource
from hilum.dicom import uids
from hilum.dicom.frame_lists import CalculatedFrameList, FrameList, SimpleFrameList, TimeRange
from hilum.dicom.part10 import write_file_meta
from hilum.kernel.errors import CorruptData, NotFound, Unsupported
from hilum.kernel.limits import RETRIEVE_READ_AHEAD_BYTES
from hilum.services.extraction import ExtractionService
from hilum.services.transcode import TranscodeService
from support.corpus import corpus_files
from support.images import ImageKind
from support.instances import part10
from support.transcoding import MemoryBlobs, read, transcoded

EVERY_OTHER = CalculatedFrameList(((1, 0xFFFFFFFF, 2),))
FRAME_BYTES = 2 * 1024 * 1024


@asynccontextmanager
async def extraction(*files: bytes) -> AsyncIterator[tuple[ExtractionService, list[StoredInstance]]]:
    blobs = MemoryBlobs()
    transcode = TranscodeService(blobs, thread_count=2)
    try:
        yield ExtractionService(blobs, transcode), [blobs.keep(file) for file in files]
    finally:
        transcode.close()


async def given(source: InstanceSource, instance: StoredInstance, syntax: str | None = None) -> Dataset:
    """Read what leaves, as its receiver does."""
    data = await source.data_set(instance, syntax)
    if isinstance(data, AsyncGenerator):
        data = b"".join([piece async for piece in data])
    assert len(data) % 2 == 0
    uid = syntax or instance.transfer_syntax_uid
    return pydicom.dcmread(BytesIO(write_file_meta(instance.sop_class_uid, instance.sop_instance_uid, uid) + data))


async def extract(file: bytes, wanted: FrameList, syntax: str | None = None) -> Dataset:
    async with extraction(file) as (service, (instance,)):
        extracted, source = await service.extract(instance, wanted)
        return await given(source, extracted, syntax)


def pixels_of(dataset: Dataset) -> NDArray[Any]:
    """All frames, as (frames, ...)."""
    array = dataset.pixel_array
    return array if int(dataset.get("NumberOfFrames") or 1) > 1 else array[None]


KINDS = {
    "16 bits": ImageKind(frames=5),
    "8 bits, odd size": ImageKind(rows=3, columns=5, frames=5, bits_allocated=8, bits_stored=8),
    "signed": ImageKind(frames=5, is_signed=True, bits_stored=12),
    "colours": ImageKind(frames=5, photometric_interpretation="RGB", bits_allocated=8, bits_stored=8),
    "single bits": ImageKind(rows=3, columns=5, frames=5, bits_allocated=1, bits_stored=1),
}
NATIVE = [
    uids.IMPLICIT_VR_LITTLE_ENDIAN,
    uids.EXPLICIT_VR_LITTLE_ENDIAN,
    uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    uids.EXPLICIT_VR_BIG_ENDIAN,
]
ENCAPSULATED = [uids.RLE_LOSSLESS, uids.JPEG_LS_LOSSLESS, uids.JPEG_2000_LOSSLESS]


@pytest.mark.parametrize("target", [None, *NATIVE])
@pytest.mark.parametrize("syntax", NATIVE)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
async def test_frames_of_native_pixel_data_are_what_they_were(kind: ImageKind, syntax: str, target: str | None) -> None:
    file = await transcoded(kind.file(), syntax)
    found = await extract(file, SimpleFrameList((2, 3, 5)), target)
    assert found.NumberOfFrames == 3
    assert np.array_equal(pixels_of(found), pixels_of(read(kind.file()))[[1, 2, 4]])


@pytest.mark.parametrize("target", [None, uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.JPEG_LS_LOSSLESS])
@pytest.mark.parametrize("syntax", ENCAPSULATED)
async def test_frames_of_encapsulated_pixel_data_are_what_they_were(syntax: str, target: str | None) -> None:
    kind = ImageKind(rows=9, columns=13, frames=5, bits_allocated=8, bits_stored=8)
    file = await transcoded(kind.file(), syntax)
    found = await extract(file, SimpleFrameList((1, 4)), target)
    assert np.array_equal(pixels_of(found), pixels_of(read(kind.file()))[[0, 3]])


async def test_the_offset_table_is_of_the_frames_that_are_there() -> None:
    file = await transcoded(KINDS["16 bits"].file(), uids.RLE_LOSSLESS)
    found = await extract(file, SimpleFrameList((2, 5)))
    before = list(generate_fragments(read(file).PixelData))[1:]
    fragments = list(generate_fragments(found.PixelData))
    assert fragments[1:] == [before[1], before[4]]
    assert parse_basic_offsets(found.PixelData) == [0, len(before[1]) + 8]


async def test_large_instances_are_given_in_pieces_and_frames_are_read_alone() -> None:
    kind = ImageKind(rows=1024, columns=1024, frames=12)
    blobs = MemoryBlobs()
    transcode = TranscodeService(blobs, thread_count=2)
    try:
        instance = blobs.keep(kind.file())
        wanted = SimpleFrameList((1, 3, 4, 7, 12))
        extracted, source = await ExtractionService(blobs, transcode).extract(instance, wanted)
        data = await source.data_set(extracted)
        assert isinstance(data, AsyncGenerator)
        pieces = [piece async for piece in data]
        assert all(len(piece) <= RETRIEVE_READ_AHEAD_BYTES + FRAME_BYTES + 4096 for piece in pieces)
        assert blobs.read_bytes < (len(wanted.numbers) + 1) * FRAME_BYTES
        found = await given(source, extracted)
    finally:
        transcode.close()
    assert np.array_equal(pixels_of(found), kind.pixels()[[0, 2, 3, 6, 11], ..., 0])


async def test_what_becomes_large_when_it_is_decoded_is_given_in_pieces() -> None:
    kind = ImageKind(rows=1024, columns=1024, frames=4)
    file = await transcoded(kind.file(np.zeros_like(kind.pixels())), uids.RLE_LOSSLESS)
    async with extraction(file) as (service, (instance,)):
        extracted, source = await service.extract(instance, SimpleFrameList((1, 2, 4)))
        assert isinstance(await source.data_set(extracted), bytes)
        data = await source.data_set(extracted, uids.EXPLICIT_VR_LITTLE_ENDIAN)
        assert isinstance(data, AsyncGenerator)
        assert sum([len(piece) async for piece in data]) > 3 * 2 * 1024 * 1024


def cine(**changes: Any) -> Dataset:
    dataset = ImageKind(frames=5).dataset()
    dataset.FrameIncrementPointer = 0x00181063
    dataset.FrameTime = 40
    dataset.ContentDate, dataset.ContentTime = "20260105", "101500"
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    return dataset


async def test_a_new_instance_says_what_it_is() -> None:
    source = cine(InstanceNumber=7, StartTrim=1, ConcatenationUID="1.2.3", InConcatenationNumber=1)
    source.private_block(0x0011, "SOMEBODY", create=True).add_new(1, "US", [1, 2, 3, 4, 5])
    found = await extract(part10(source), CalculatedFrameList(((2, 9, 2),)))
    kept = ("SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientName", "PatientID", "ImageType", "Rows")
    assert all(found[keyword] == source[keyword] for keyword in kept)
    assert found.PatientName == "Größe^Jörg"
    assert found.InstanceNumber == 7
    assert found.SOPInstanceUID != source.SOPInstanceUID
    (extracted,) = found.FrameExtractionSequence
    assert extracted.MultiFrameSourceSOPInstanceUID == source.SOPInstanceUID
    # From 2 to 9 there are frames 2 and 4.
    assert extracted.CalculatedFrameList == [2, 5, 2]
    assert found.NumberOfFrames == 2
    (equipment,) = found.ContributingEquipmentSequence
    purpose = equipment.PurposeOfReferenceCodeSequence[0]
    assert (purpose.CodeValue, purpose.CodingSchemeDesignator) == ("109105", "DCM")
    gone = ("StartTrim", "ConcatenationUID", "InConcatenationNumber")
    assert not any(keyword in found for keyword in gone)
    assert not any(element.tag.is_private for element in found)


async def test_what_is_extracted_again_tells_of_both_times() -> None:
    source = cine()
    async with extraction(part10(source)) as (service, (instance,)):
        first, giver = await service.extract(instance, SimpleFrameList((2, 3, 5)))
        once = await given(giver, first)
    twice = await extract(part10(once), SimpleFrameList((3,)))
    assert [item.MultiFrameSourceSOPInstanceUID for item in twice.FrameExtractionSequence] == [
        source.SOPInstanceUID,
        once.SOPInstanceUID,
    ]
    assert [item.SimpleFrameList for item in twice.FrameExtractionSequence] == [[2, 3, 5], 3]
    assert len(twice.ContributingEquipmentSequence) == 2


async def test_frames_begin_when_they_did() -> None:
    regular = await extract(part10(cine(FrameDelay=100)), CalculatedFrameList(((2, 5, 2),)))
    assert (regular.FrameTime, regular.FrameDelay) == (80, 140)
    irregular = await extract(part10(cine()), SimpleFrameList((1, 2, 5)))
    assert irregular.FrameTimeVector == [0, 40, 120]
    assert irregular.FrameIncrementPointer == 0x00181065
    assert "FrameTime" not in irregular
    vector = cine(FrameIncrementPointer=0x00181065, FrameTimeVector=[0, 10, 20, 30, 40])
    del vector.FrameTime
    chosen = await extract(part10(vector), SimpleFrameList((2, 4)))
    assert (chosen.FrameTimeVector, chosen.FrameDelay) == ([0, 50], 10)


@pytest.mark.parametrize(
    ("wanted", "frames", "told"),
    [
        (TimeRange(0.0, 0.04), 2, [0.0, 0.04]),
        (TimeRange(0.05, 0.2), 3, [0.08, 0.16]),
        (TimeRange(0.08, 0.08), 1, [0.08, 0.08]),
    ],
)
async def test_frames_are_chosen_by_their_times(wanted: TimeRange, frames: int, told: list[float]) -> None:
    found = await extract(part10(cine()), wanted)
    assert found.NumberOfFrames == frames
    assert found.FrameExtractionSequence[0].TimeRange == pytest.approx(told)


async def test_a_time_between_frames_finds_none_and_without_times_there_are_none() -> None:
    with pytest.raises(NotFound) as caught:
        await extract(part10(cine()), TimeRange(0.041, 0.079))
    assert caught.value.reason_code == "no-frames"
    with pytest.raises(Unsupported) as refused:
        await extract(ImageKind(frames=5).file(), TimeRange(0, 1))
    assert refused.value.reason_code == "frames-without-times"


def enhanced(frame_count: int = 4) -> Dataset:
    """An image with functional groups of each frame."""
    dataset = ImageKind(frames=frame_count).dataset()
    dataset.ContentDate, dataset.ContentTime = "20260105", "101500"
    shared = Dataset()
    shared.PixelMeasuresSequence = [Dataset()]
    shared.PixelMeasuresSequence[0].SliceThickness = 2
    dataset.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for number in range(frame_count):
        content, position, group = Dataset(), Dataset(), Dataset()
        content.FrameReferenceDateTime = f"202601051015{number:02}+0100"
        content.DimensionIndexValues = [1, number + 1]
        position.ImagePositionPatient = [0, 0, number]
        group.FrameContentSequence, group.PlanePositionSequence = [content], [position]
        groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = groups
    dataset.PhaseVector = list(range(1, frame_count + 1))
    return dataset


@pytest.mark.parametrize("syntax", NATIVE)
async def test_functional_groups_are_those_of_the_frames(syntax: str) -> None:
    source = enhanced()
    file = await transcoded(part10(source), syntax)
    found = await extract(file, SimpleFrameList((2, 4)), uids.EXPLICIT_VR_LITTLE_ENDIAN)
    positions = [
        group.PlanePositionSequence[0].ImagePositionPatient for group in found.PerFrameFunctionalGroupsSequence
    ]
    assert positions == [[0, 0, 1], [0, 0, 3]]
    assert found.SharedFunctionalGroupsSequence == source.SharedFunctionalGroupsSequence
    assert found.PhaseVector == [2, 4]
    timed = await extract(file, TimeRange(0.5, 2.0))
    assert timed.NumberOfFrames == 2
    assert timed.FrameExtractionSequence[0].TimeRange == [1.0, 2.0]


async def test_what_cannot_be_parted_is_refused() -> None:
    tiles = enhanced()
    tiles.DimensionOrganizationType = "TILED_FULL"
    with pytest.raises(Unsupported) as caught:
        await extract(part10(tiles), SimpleFrameList((1,)))
    assert caught.value.reason_code == "frames-indivisible"
    assert (await extract(part10(tiles), EVERY_OTHER.__class__(((1, 4, 1),)))).NumberOfFrames == 4
    short = enhanced()
    del short.PerFrameFunctionalGroupsSequence[3]
    with pytest.raises(CorruptData):
        await extract(part10(short), SimpleFrameList((1,)))
    ecg = pydicom.dcmread(get_testdata_file("waveform_ecg.dcm"))
    with pytest.raises(Unsupported):
        await extract(part10(ecg), SimpleFrameList((1,)))


async def test_frames_beyond_the_end_are_passed_over() -> None:
    found = await extract(ImageKind(frames=5).file(), SimpleFrameList((4, 5, 6, 100)))
    assert found.NumberOfFrames == 2
    assert found.FrameExtractionSequence[0].SimpleFrameList == [4, 5]
    with pytest.raises(NotFound):
        await extract(ImageKind(frames=5).file(), SimpleFrameList((6, 7)))


@pytest.mark.parametrize("name", ["CT_small.dcm", "waveform_ecg.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm"])
@pytest.mark.parametrize("target", [None, *NATIVE])
async def test_what_is_large_is_left_out_and_the_rest_is_there(name: str, target: str | None) -> None:
    source = pydicom.dcmread(get_testdata_file(name))
    async with extraction(part10(source)) as (service, (instance,)):
        found = await given(service.without_bulk_data(), instance, target)
    expected = pydicom.dcmread(get_testdata_file(name))
    if "PixelData" in expected:
        del expected.PixelData
    for group in expected.get("WaveformSequence", ()):
        del group.WaveformData
    if target in (uids.IMPLICIT_VR_LITTLE_ENDIAN, uids.EXPLICIT_VR_BIG_ENDIAN):
        # Without VRs pydicom takes private values for bytes, and words of the other order for others.
        assert {element.tag for element in found} == {element.tag for element in expected}
        found.remove_private_tags()
        expected.remove_private_tags()
    assert found == expected


async def test_each_large_attribute_of_the_table_is_left_out() -> None:
    """PS3.4 Table Z.1-1."""
    dataset = ImageKind().dataset()
    dataset.add_new(0x60003000, "OW", b"\1\0")
    dataset.add_new(0x60000010, "US", 1)
    dataset.add_new(0x50003000, "OW", b"\1\0")
    dataset.add_new(0x5000200C, "OW", b"\1\0")
    dataset.SpectroscopyData = b"\0\0\0\0"
    dataset.PixelDataProviderURL = "http://example.org/"
    dataset.EncapsulatedDocument = b"%PDF"
    dataset.private_block(0x0011, "SOMEBODY", create=True).add_new(1, "OB", b"\1\2")
    icon = Dataset()
    icon.PixelData = b"\1\2"
    icon["PixelData"].VR = "OB"
    dataset.IconImageSequence = [icon]
    async with extraction(part10(dataset)) as (service, (instance,)):
        found = await given(service.without_bulk_data(), instance)
    gone = set(dataset.keys()) - set(found.keys())
    assert {f"{tag:08X}" for tag in gone} == {
        *("60003000", "50003000", "5000200C", "56000020", "00287FE0", "00420011", "7FE00010"),
    }
    assert found.IconImageSequence[0].PixelData == b"\1\2"
    assert found.SOPInstanceUID == dataset.SOPInstanceUID


MULTI_FRAME = 2
READABLE = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", uids.RLE_LOSSLESS, uids.JPEG_BASELINE}


async def test_every_other_frame_of_every_multi_frame_instance_of_the_corpus_is_what_it_was(corpus: Path) -> None:
    tried = 0
    for each in corpus_files(corpus):
        file = each.path.read_bytes()
        try:
            source = read(file)
            frames = int(source.get("NumberOfFrames") or 1)
        except Exception:  # noqa: BLE001 - damaged files are of no use here
            continue
        syntax = getattr(source.file_meta, "TransferSyntaxUID", None)
        if frames < MULTI_FRAME or syntax not in READABLE or "PixelData" not in source or len(file) > 20_000_000:
            continue
        try:
            found = await extract(file, EVERY_OTHER)
        except (Unsupported, CorruptData):
            continue
        tried += 1
        try:
            expected = pixels_of(source)[::2]
        except Exception:  # noqa: BLE001 - pydicom cannot decode them
            continue
        assert np.array_equal(pixels_of(found), expected), each.name
        assert len(found.get("PerFrameFunctionalGroupsSequence", ())) in (0, len(expected))
    assert tried
