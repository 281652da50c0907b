"""Stored instances leave in another transfer syntax: what changes, what stays, and what it costs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import generate_fragments, generate_frames, parse_basic_offsets
from pydicom.sequence import Sequence
from pydicom.uid import EncapsulatedPDFStorage

from hilum.dicom import uids
from hilum.dicom.encapsulation import encapsulated_head
from hilum.dicom.part10 import write_file_meta
from hilum.dicom.raw_elements import encoding_of, read_raw
from hilum.kernel.errors import CorruptData, LimitExceeded, NotFound, Unsupported
from hilum.kernel.limits import RETRIEVE_READ_AHEAD_BYTES
from hilum.pixels.encoders import Loss
from hilum.services import conversion, transcode
from hilum.services.allowance import Allowance
from hilum.services.retrieve import RetrieveService
from hilum.services.transcode import TranscodeService
from support.fake_index import MemoryIndex
from support.images import ImageKind, encapsulated
from support.instances import ct_slice, part10
from support.transcoding import MemoryBlobs, read, transcoded

GREY = ImageKind(32, 48, frames=3, bits_stored=12)
COLOUR = ImageKind(33, 47, photometric_interpretation="RGB", bits_allocated=8, bits_stored=8)


@pytest.fixture
async def service() -> AsyncIterator[TranscodeService]:
    opened = TranscodeService(MemoryBlobs(), thread_count=2)
    yield opened
    opened.close()


def blobs_of(service: TranscodeService) -> MemoryBlobs:
    blobs = service._blobs
    assert isinstance(blobs, MemoryBlobs)
    return blobs


def sample(name: str) -> bytes:
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str)
    with open(path, "rb") as opened:  # noqa: PTH123
        return opened.read()


def jpeg_file(kind: ImageKind = COLOUR) -> bytes:
    """An ultrasound as devices write it: JPEG with subsampled chrominance that forgets to say that it is lossy."""
    pixels = kind.pixels()
    frames = [
        bytes(imagecodecs.jpeg8_encode(frame, level=90, colorspace="RGB", outcolorspace="YCBCR", subsampling="422"))
        for frame in pixels
    ]
    dataset = kind.dataset(pixels)
    dataset.PhotometricInterpretation = "YBR_FULL_422"
    return encapsulated(dataset, frames, uids.JPEG_BASELINE)


class TestHeader:
    """PS3.3 §C.7.6.3: what describes the pixels follows them, all else stays byte for byte."""

    async def test_only_what_changed_is_written_anew(self) -> None:
        file = GREY.file()
        out = await transcoded(file, uids.HTJ2K_LOSSLESS)
        before, after = (read_raw(one[one.index(b"\x08\x00\x05\x00") :], encoding_of("")) for one in (file, out))
        assert [element.key for element in before.elements] == [element.key for element in after.elements]
        for one, other in zip(before.elements, after.elements, strict=True):
            assert one.data[one.start : one.after] == other.data[other.start : other.after]

    @pytest.mark.parametrize(
        ("uid", "photometric"),
        [
            (uids.JPEG_2000_LOSSLESS, "YBR_RCT"),
            (uids.HTJ2K_LOSSLESS_RPCL, "YBR_RCT"),
            (uids.JPEG_LS_LOSSLESS, "RGB"),
            (uids.JPEG_XL_LOSSLESS, "RGB"),
            (uids.RLE_LOSSLESS, "RGB"),
            (uids.JPEG_LOSSLESS_SV1, "RGB"),
        ],
    )
    async def test_colours_are_called_what_they_have_become(self, uid: str, photometric: str) -> None:
        dataset = COLOUR.dataset()
        dataset.PlanarConfiguration = 1
        pixels = COLOUR.pixels()
        dataset.PixelData = pixels.transpose(0, 3, 1, 2).tobytes() + b"\0"
        out = await transcoded(part10(dataset), uid)
        made = read(out)
        assert (made.PhotometricInterpretation, made.PlanarConfiguration) == (photometric, 0)
        back = read(await transcoded(out, uids.EXPLICIT_VR_LITTLE_ENDIAN))
        assert (back.PhotometricInterpretation, back.PlanarConfiguration) == ("RGB", 0)
        assert np.array_equal(back.pixel_array, pixels[0])

    @pytest.mark.parametrize(
        ("uid", "photometric", "method"),
        [
            (uids.JPEG_BASELINE, "YBR_FULL_422", "ISO_10918_1"),
            (uids.JPEG_2000, "YBR_ICT", "ISO_15444_1"),
            (uids.HTJ2K, "YBR_ICT", "ISO_15444_15"),
            (uids.JPEG_LS_NEAR_LOSSLESS, "RGB", "ISO_14495_1"),
            (uids.JPEG_XL, "XYB", "ISO_18181_1"),
        ],
    )
    async def test_loss_makes_another_instance_that_says_so(self, uid: str, photometric: str, method: str) -> None:
        original = read(COLOUR.file())
        made = read(await transcoded(part10(original), uid, loss=Loss(85)))
        again = read(await transcoded(part10(original), uid, loss=Loss(85)))
        assert made.PhotometricInterpretation == photometric
        assert (made.LossyImageCompression, made.LossyImageCompressionMethod) == ("01", method)
        assert made.SOPInstanceUID == again.SOPInstanceUID != original.SOPInstanceUID
        assert made.file_meta.MediaStorageSOPInstanceUID == made.SOPInstanceUID
        assert list(made.ImageType) == ["DERIVED", "PRIMARY", "AXIAL"]
        assert made.DerivationCodeSequence[0].CodeValue == "113040"
        assert made.SourceImageSequence[0].ReferencedSOPInstanceUID == original.SOPInstanceUID
        encoded = sum(len(frame) for frame in generate_frames(made.PixelData, number_of_frames=1))
        assert float(made.LossyImageCompressionRatio) == pytest.approx(33 * 47 * 3 / encoded, rel=0.01)

    async def test_a_second_loss_is_appended_to_the_first(self) -> None:
        first = await transcoded(COLOUR.file(), uids.JPEG_BASELINE, loss=Loss(90))
        made = read(await transcoded(first, uids.JPEG_2000, loss=Loss(90)))
        assert made.LossyImageCompressionMethod == ["ISO_10918_1", "ISO_15444_1"]
        assert len(made.LossyImageCompressionRatio) == 2

    async def test_loss_sticks_when_pixels_are_decoded_and_is_found_where_nobody_noted_it(self) -> None:
        file = jpeg_file()
        original = read(file)
        made = read(await transcoded(file, uids.EXPLICIT_VR_LITTLE_ENDIAN))
        assert (made.LossyImageCompression, made.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
        assert made.PhotometricInterpretation == "RGB"
        assert made.SOPInstanceUID == original.SOPInstanceUID
        lossless = read(await transcoded(file, uids.HTJ2K_LOSSLESS))
        assert lossless.LossyImageCompression == "01"
        assert lossless.PhotometricInterpretation == "YBR_RCT"

    async def test_a_lossless_codestream_in_a_syntax_that_allows_loss_is_not_called_lossy(self) -> None:
        general = await transcoded(GREY.file(), uids.JPEG_2000)
        assert "LossyImageCompression" not in read(await transcoded(general, uids.EXPLICIT_VR_LITTLE_ENDIAN))

    async def test_bits_allocated_fit_what_decoders_hand_out(self) -> None:
        made = read(await transcoded(ImageKind(bits_stored=8).file(), uids.JPEG_LS_LOSSLESS))
        assert (made.BitsAllocated, made.BitsStored, made.HighBit) == (8, 8, 7)

    async def test_samples_above_the_lowest_bit_are_moved_down(self) -> None:
        kind = ImageKind(bits_stored=12)
        pixels = kind.pixels()
        dataset = kind.dataset()
        dataset.HighBit = 15
        dataset.PixelData = (pixels << 4).tobytes()
        made = read(await transcoded(part10(dataset), uids.RLE_LOSSLESS))
        assert made.HighBit == 11
        assert np.array_equal(made.pixel_array, pixels[0, ..., 0])

    async def test_an_icon_encoded_as_the_frames_were_goes_with_them(self) -> None:
        dataset = read(jpeg_file())
        icon = Dataset()
        icon.Rows = icon.Columns = 8
        icon.PixelData = dataset.PixelData
        icon["PixelData"].VR = "OB"
        icon["PixelData"].is_undefined_length = True
        dataset.IconImageSequence = Sequence([icon])
        file = part10(dataset)
        assert "IconImageSequence" not in read(await transcoded(file, uids.EXPLICIT_VR_LITTLE_ENDIAN))
        native = COLOUR.dataset()
        icon.PixelData = bytes(64)
        icon["PixelData"].is_undefined_length = False
        native.IconImageSequence = Sequence([icon])
        assert "IconImageSequence" in read(await transcoded(part10(native), uids.RLE_LOSSLESS))

    async def test_what_follows_the_pixel_data_stays_behind_them(self) -> None:
        dataset = GREY.dataset()
        dataset.DataSetTrailingPadding = bytes(20)
        for uid in (uids.RLE_LOSSLESS, uids.EXPLICIT_VR_BIG_ENDIAN, uids.IMPLICIT_VR_LITTLE_ENDIAN):
            assert read(await transcoded(part10(dataset), uid)).DataSetTrailingPadding == bytes(20)


class TestEncapsulation:
    """PS3.5 §A.4."""

    @pytest.mark.parametrize("uid", [uids.RLE_LOSSLESS, uids.JPEG_LS_LOSSLESS, uids.JPEG_2000_LOSSLESS])
    async def test_each_frame_is_one_even_fragment_and_the_table_points_to_it(self, uid: str) -> None:
        kind = ImageKind(17, 19, frames=5, bits_allocated=8, bits_stored=8)
        made = read(await transcoded(kind.file(), uid))
        offsets = parse_basic_offsets(made.PixelData)
        fragments = list(generate_fragments(made.PixelData))[1:]
        assert len(offsets) == len(fragments) == 5
        position = 0
        for offset, fragment in zip(offsets, fragments, strict=True):
            assert offset == position
            assert len(fragment) % 2 == 0
            position += 8 + len(fragment)

    def test_beyond_4_gib_the_extended_table_has_the_offsets(self) -> None:
        lengths = [1 << 30] * 5 + [7]
        head = encapsulated_head(lengths)
        data_set = read(part10_of("1.2.3", uids.RLE_LOSSLESS, head + b"\xfe\xff\xdd\xe0\0\0\0\0"))
        offsets = np.frombuffer(data_set.ExtendedOffsetTable, "<u8")
        assert offsets.tolist() == [index * ((1 << 30) + 8) for index in range(6)]
        assert np.frombuffer(data_set.ExtendedOffsetTableLengths, "<u8").tolist() == [1 << 30] * 5 + [8]
        assert head.endswith(b"\xfe\xff\x00\xe0\0\0\0\0")
        assert b"\x01\x00\xe0\x7f" not in encapsulated_head(lengths[:4])

    def test_a_frame_of_4_gib_fits_no_fragment(self) -> None:
        with pytest.raises(LimitExceeded):
            encapsulated_head([1 << 32])

    async def test_fragments_of_one_frame_are_joined_before_it_is_decoded(self) -> None:
        dataset = read(await transcoded(ImageKind().file(), uids.JPEG_2000_LOSSLESS))
        (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
        dataset.PixelData = pydicom.encaps.encapsulate([frame], fragments_per_frame=3)
        back = read(await transcoded(part10(dataset), uids.EXPLICIT_VR_LITTLE_ENDIAN))
        assert np.array_equal(back.pixel_array, ImageKind().pixels()[0, ..., 0])

    async def test_jpeg_in_jpeg_xl_comes_out_bit_by_bit(self) -> None:
        file = jpeg_file(replace(COLOUR, rows=200, columns=200))
        packed = await transcoded(file, uids.JPEG_XL_JPEG_RECOMPRESSION)
        made = read(packed)
        assert made.PhotometricInterpretation == "YBR_FULL_422"
        assert (made.SOPInstanceUID, made.LossyImageCompression) == (read(file).SOPInstanceUID, "01")
        unpacked = read(await transcoded(packed, uids.JPEG_BASELINE))
        (before,), (after,) = (
            [frame.rstrip(b"\0") for frame in generate_frames(one.PixelData, number_of_frames=1)]
            for one in (read(file), unpacked)
        )
        assert before == after
        assert len(made.PixelData) < len(read(file).PixelData)


class TestNative:
    """PS3.5 §8.1."""

    @pytest.mark.parametrize(
        "name", ["SC_rgb_small_odd_big_endian.dcm", "OBXXXX1A_expb.dcm", "MR_small_bigendian.dcm", "liver_expb.dcm"]
    )
    async def test_big_endian_words_are_put_in_order(self, name: str, service: TranscodeService) -> None:
        file = sample(name)
        original = read(file)
        made = read(await transcoded(file, uids.EXPLICIT_VR_LITTLE_ENDIAN))
        assert np.array_equal(made.pixel_array, original.pixel_array)
        back = read(await transcoded(part10(made), uids.EXPLICIT_VR_BIG_ENDIAN))
        assert np.array_equal(back.pixel_array, original.pixel_array)
        instance = blobs_of(service).keep(file)
        frames = await RetrieveService(MemoryIndex(), blobs_of(service)).decodable_frames(
            instance, [1], original.BitsAllocated
        )
        if original.BitsAllocated > 1:
            first = original.pixel_array if instance.frame_count == 1 else original.pixel_array[0]
            assert frames[0] == first.astype(first.dtype.newbyteorder("<")).tobytes()

    async def test_frames_of_odd_length_in_words_are_each_found(self, service: TranscodeService) -> None:
        kind = ImageKind(3, 3, frames=4, photometric_interpretation="RGB", bits_allocated=8, bits_stored=8)
        pixels = kind.pixels()
        dataset = kind.dataset(pixels, uids.EXPLICIT_VR_BIG_ENDIAN)
        dataset["PixelData"].VR = "OW"
        dataset.PixelData = np.frombuffer(pixels.tobytes(), "<u2").astype(">u2").tobytes()
        instance = blobs_of(service).keep(part10(dataset))
        found = [frame async for frame in service.frames(instance, [3, 1, 4, 2], uids.EXPLICIT_VR_LITTLE_ENDIAN)]
        assert found == [pixels[index].tobytes() for index in (2, 0, 3, 1)]

    async def test_single_bits_run_on_from_frame_to_frame(self) -> None:
        kind = ImageKind(3, 3, frames=5, bits_allocated=1, bits_stored=1)
        pixels = kind.pixels()
        packed = await transcoded(kind.file(pixels), uids.DEFLATED_IMAGE_FRAME)
        assert len(list(generate_frames(read(packed).PixelData, number_of_frames=5))) == 5
        back = read(await transcoded(packed, uids.EXPLICIT_VR_LITTLE_ENDIAN))
        assert np.array_equal(back.pixel_array.reshape(pixels.shape), pixels)
        assert len(back.PixelData) == 6

    @pytest.mark.parametrize(("keyword", "dtype"), [("FloatPixelData", "<f4"), ("DoubleFloatPixelData", "<f8")])
    async def test_floating_point_pixels_stay_native(self, keyword: str, dtype: str) -> None:
        values = np.linspace(-1, 1, 64).reshape((8, 8)).astype(dtype)
        dataset = ImageKind().dataset()
        for unused in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue"):
            delattr(dataset, unused)
        dataset.BitsAllocated = values.itemsize * 8
        setattr(dataset, keyword, values.tobytes())
        file = part10(dataset)
        out = await transcoded(file, uids.EXPLICIT_VR_BIG_ENDIAN)
        assert values.astype(dtype.replace("<", ">")).tobytes() in out
        back = await transcoded(out, uids.IMPLICIT_VR_LITTLE_ENDIAN)
        assert read(back)[keyword].value == values.tobytes()
        with pytest.raises(Unsupported, match="floating"):
            await transcoded(file, uids.RLE_LOSSLESS)

    async def test_shared_chrominance_becomes_each_pixels_own_only_when_encoded(self) -> None:
        file = sample("SC_ybr_full_422_uncompressed.dcm")
        plain = read(await transcoded(file, uids.IMPLICIT_VR_LITTLE_ENDIAN))
        assert plain.PhotometricInterpretation == "YBR_FULL_422"
        assert plain.PixelData == read(file).PixelData
        made = read(await transcoded(file, uids.RLE_LOSSLESS))
        assert made.PhotometricInterpretation == "YBR_FULL"


class TestRefusals:
    """Nothing is changed to make it fit."""

    async def test_what_has_no_pixels_is_not_encapsulated_but_re_encoded(self) -> None:
        dataset = ct_slice()
        for keyword in ("PixelData", "Rows", "Columns"):
            delattr(dataset, keyword)
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = EncapsulatedPDFStorage
        dataset.EncapsulatedDocument = b"%PDF-1.4\n" * 1000
        with pytest.raises(Unsupported, match="no pixels"):
            await transcoded(part10(dataset), uids.JPEG_2000_LOSSLESS)
        for uid in (uids.IMPLICIT_VR_LITTLE_ENDIAN, uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN):
            made = read(await transcoded(part10(dataset), uid))
            assert made.EncapsulatedDocument == dataset.EncapsulatedDocument
            assert made.PatientName == dataset.PatientName

    async def test_loss_has_to_be_asked_for(self, service: TranscodeService) -> None:
        with pytest.raises(Unsupported, match="not asked"):
            await transcoded(COLOUR.file(), uids.JPEG_BASELINE)
        assert not service.can(uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.JPEG_BASELINE)
        assert service.can(uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.JPEG_2000)

    async def test_missing_frames_are_corrupt_data(self) -> None:
        dataset = GREY.dataset()
        dataset.NumberOfFrames = 4
        with pytest.raises(CorruptData, match="frames"):
            await transcoded(part10(dataset), uids.RLE_LOSSLESS)

    async def test_a_damaged_frame_is_corrupt_data(self) -> None:
        dataset = read(await transcoded(GREY.file(), uids.JPEG_LS_LOSSLESS))
        frames = list(generate_frames(dataset.PixelData, number_of_frames=3))
        file = encapsulated(dataset, [frames[0], frames[1][:40], frames[2]], uids.JPEG_LS_LOSSLESS)
        with pytest.raises(CorruptData):
            await transcoded(file, uids.EXPLICIT_VR_LITTLE_ENDIAN)

    async def test_frames_of_different_kinds_are_corrupt_data(self) -> None:
        pixels = COLOUR.pixels()
        frames = [
            bytes(imagecodecs.jpeg8_encode(pixels[0], level=90, colorspace="RGB", outcolorspace="YCBCR")),
            bytes(imagecodecs.jpeg8_encode(pixels[0], lossless=True, colorspace="RGB", outcolorspace="RGB")),
        ]
        dataset = COLOUR.dataset(pixels)
        dataset.NumberOfFrames = 2
        dataset.PhotometricInterpretation = "YBR_FULL"
        with pytest.raises(CorruptData, match="differ"):
            await transcoded(encapsulated(dataset, frames, uids.JPEG_BASELINE), uids.EXPLICIT_VR_LITTLE_ENDIAN)

    async def test_frames_that_are_not_there_are_not_found(self, service: TranscodeService) -> None:
        instance = blobs_of(service).keep(GREY.file())
        with pytest.raises(NotFound):
            [frame async for frame in service.frames(instance, [4], uids.RLE_LOSSLESS)]


class TestCost:
    """Work is done beside the event loop, in memory that does not grow with the instance."""

    async def test_the_loop_turns_while_frames_are_encoded(self, service: TranscodeService) -> None:
        instance = blobs_of(service).keep(ImageKind(1500, 1500, frames=2, bits_stored=12).file())
        turns = 0
        task = asyncio.ensure_future(service.data_set(instance, uids.JPEG_2000_LOSSLESS))
        while not task.done():
            await asyncio.sleep(0.001)
            turns += 1
        await task
        # Encoding takes some hundred milliseconds; were it done on the loop, this would be one or two.
        assert turns > 20

    async def test_a_long_instance_is_read_and_kept_in_pieces(
        self, service: TranscodeService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kind = ImageKind(256, 256, frames=80)
        file = kind.file()
        assert len(file) > 2 * RETRIEVE_READ_AHEAD_BYTES
        blobs = blobs_of(service)
        instance = blobs.keep(file)
        longest = 0
        read_blob = blobs.read

        async def reading(key: str, offset: int = 0, length: int | None = None) -> bytes:
            nonlocal longest
            content = await read_blob(key, offset, length)
            longest = max(longest, len(content))
            return content

        monkeypatch.setattr(blobs, "read", reading)
        monkeypatch.setattr(conversion, "TRANSCODING_SPOOL_BYTES", 1 << 20)
        spools: list[Any] = []
        make_spool = conversion.SpooledTemporaryFile

        def spool(*args: Any, **options: Any) -> Any:
            spools.append(make_spool(*args, **options))
            return spools[-1]

        monkeypatch.setattr(conversion, "SpooledTemporaryFile", spool)
        pieces = [piece async for piece in service.stream(instance, uids.RLE_LOSSLESS)]
        assert longest <= 1 << 20
        assert max(map(len, pieces)) <= 1 << 20
        assert spools[0]._rolled
        made = read(part10_of(instance.sop_instance_uid, uids.RLE_LOSSLESS, b"".join(pieces)))
        assert np.array_equal(made.pixel_array.reshape(kind.pixels().shape), kind.pixels())

    async def test_without_its_frame_index_an_instance_is_transcoded_all_the_same(
        self, service: TranscodeService
    ) -> None:
        instance = blobs_of(service).keep(GREY.file(), with_frame_index=False)
        data_set = await service.data_set(instance, uids.RLE_LOSSLESS)
        made = read(part10_of(instance.sop_instance_uid, uids.RLE_LOSSLESS, data_set))
        assert np.array_equal(made.pixel_array[..., None], GREY.pixels())

    async def test_instances_of_a_study_are_made_ahead_and_come_in_order(
        self, service: TranscodeService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(transcode, "TRANSCODING_SPOOL_BYTES", 10_000)
        kinds = [ImageKind(40, 40, is_signed=number == 2, bits_stored=12) for number in range(6)]
        instances = [blobs_of(service).keep(kind.file(kind.pixels(number))) for number, kind in enumerate(kinds)]
        wanted = [(instance, uids.JPEG_XL_LOSSLESS, None) for instance in instances]
        files = [
            None if content is None else b"".join([piece async for piece in content])
            async for content in service.part10_of_all(wanted)
        ]
        assert [file is None for file in files] == [False, False, True, False, False, False]
        for number in (0, 1, 3, 4, 5):
            file = files[number]
            assert file is not None
            back = read(await transcoded(file, uids.EXPLICIT_VR_LITTLE_ENDIAN))
            assert np.array_equal(back.pixel_array, kinds[number].pixels(number)[0, ..., 0])
        some = service.part10_of_all(wanted)
        await anext(some)
        await some.aclose()
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []

    async def test_many_large_instances_at_once_do_not_wait_for_each_other_for_ever(
        self, service: TranscodeService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(transcode, "RETRIEVE_READ_AHEAD_BYTES", 1)
        monkeypatch.setattr(service._workshop, "whole_instances", Allowance(300_000))
        monkeypatch.setattr(service._workshop, "frames", Allowance(300_000))
        file = ImageKind(64, 64, frames=20).file()
        instances = [blobs_of(service).keep(file, with_frame_index=number % 2 == 0) for number in range(8)]
        async with asyncio.timeout(60):
            made = await asyncio.gather(*(service.data_set(one, uids.RLE_LOSSLESS) for one in instances))
        assert len(set(made)) == 1

    async def test_leaving_early_leaves_nothing_running(self, service: TranscodeService) -> None:
        instance = blobs_of(service).keep(ImageKind(256, 256, frames=40).file())
        stream = service.stream(instance, uids.EXPLICIT_VR_BIG_ENDIAN)
        await anext(stream)
        await stream.aclose()
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
        await service.data_set(instance, uids.HTJ2K_LOSSLESS)

    async def test_the_same_syntax_is_the_stored_bytes(self, service: TranscodeService) -> None:
        file = sample("JPEG2000.dcm")
        instance = blobs_of(service).keep(file)
        stored = file[instance.blob.data_set_offset :]
        assert await service.data_set(instance, uids.JPEG_2000) == stored
        lossless = await transcoded(GREY.file(), uids.JPEG_2000_LOSSLESS)
        instance = blobs_of(service).keep(lossless)
        assert await service.data_set(instance, uids.JPEG_2000) == lossless[instance.blob.data_set_offset :]


def part10_of(sop_instance_uid: str, transfer_syntax_uid: str, data_set: bytes) -> bytes:
    """Return a data set with file meta information before it."""
    return write_file_meta("1.2.840.10008.5.1.4.1.1.7", sop_instance_uid, transfer_syntax_uid) + data_set
