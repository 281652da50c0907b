"""Frames encoded by us are read by decoders that are not ours, and what a syntax cannot hold is refused."""

from __future__ import annotations

import struct
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder

from hilum.dicom import uids
from hilum.kernel.errors import CorruptData, InvalidInput, Unsupported
from hilum.pixels.codecs import decode_frame
from hilum.pixels.codestream import read_jpeg_xl_size
from hilum.pixels.description import PixelDescription
from hilum.pixels.encoders import ENCODING_PROFILES, Loss, LossKind, encode_frame
from hilum.pixels.transcode import FrameTranscoder, Route, can_transcode, has_embedded_overlays, route_of
from support.images import ImageKind

KINDS = {
    "grey 8": ImageKind(23, 31, bits_allocated=8, bits_stored=8),
    "grey 10": ImageKind(23, 31, bits_stored=10),
    "grey 12": ImageKind(23, 31, bits_stored=12),
    "grey 16": ImageKind(23, 31),
    "signed 12": ImageKind(23, 31, bits_stored=12, is_signed=True),
    "signed 16": ImageKind(23, 31, is_signed=True),
    "colour 8": ImageKind(23, 31, photometric_interpretation="RGB", bits_allocated=8, bits_stored=8),
    "colour 16": ImageKind(23, 31, photometric_interpretation="RGB"),
    "YBR": ImageKind(23, 31, photometric_interpretation="YBR_FULL", bits_allocated=8, bits_stored=8),
}
PYDICOM = {
    uids.JPEG_LOSSLESS: "gdcm",
    uids.JPEG_LOSSLESS_SV1: "gdcm",
    uids.JPEG_LS_LOSSLESS: "gdcm",
    uids.JPEG_2000_LOSSLESS: "gdcm",
    uids.JPEG_2000: "gdcm",
    uids.RLE_LOSSLESS: "pydicom",
}


def describe(kind: ImageKind, photometric_interpretation: str | None = None) -> PixelDescription:
    return PixelDescription(
        kind.rows,
        kind.columns,
        kind.samples,
        kind.bits_allocated,
        kind.bits_stored,
        kind.bits_stored - 1,
        kind.is_signed,
        photometric_interpretation or kind.photometric_interpretation,
    )


def decoded_by_pydicom(uid: str, plugin: str, kind: ImageKind, photometric: str, data: bytes) -> NDArray[Any]:
    array, _ = get_decoder(uid).as_array(
        encapsulate([data]),
        decoding_plugin=plugin,
        raw=True,
        rows=kind.rows,
        columns=kind.columns,
        samples_per_pixel=kind.samples,
        bits_allocated=kind.bits_allocated,
        bits_stored=kind.bits_stored,
        pixel_representation=int(kind.is_signed),
        photometric_interpretation=photometric,
        number_of_frames=1,
        planar_configuration=0,
        pixel_keyword="PixelData",
    )
    return array.reshape((kind.rows, kind.columns, kind.samples))


class TestOtherDecoders:
    """PS3.5 §8.2."""

    @pytest.mark.parametrize("name", KINDS)
    @pytest.mark.parametrize("uid", PYDICOM)
    def test_pydicoms_decoders_find_the_same_samples(self, uid: str, name: str) -> None:
        kind = KINDS[name]
        (samples,) = kind.pixels()
        data = encode_frame(uid, describe(kind), samples)
        photometric = ENCODING_PROFILES[uid].photometric_after(kind.photometric_interpretation, None)
        assert photometric is not None
        assert np.array_equal(decoded_by_pydicom(uid, PYDICOM[uid], kind, photometric, data), samples)

    @pytest.mark.parametrize("name", KINDS)
    @pytest.mark.parametrize("uid", [uids.HTJ2K_LOSSLESS, uids.HTJ2K_LOSSLESS_RPCL, uids.HTJ2K])
    def test_openjpeg_reads_htj2k_that_openjph_has_written(self, uid: str, name: str) -> None:
        kind = KINDS[name]
        (samples,) = kind.pixels()
        found = imagecodecs.jpeg2k_decode(encode_frame(uid, describe(kind), samples))
        assert np.array_equal(found.reshape(samples.shape), samples)

    @pytest.mark.parametrize("name", ["grey 8", "grey 10", "grey 12", "grey 16", "signed 12", "signed 16", "colour 8"])
    def test_htj2k_with_loss_is_close_at_every_precision_and_never_wraps(self, name: str) -> None:
        kind = KINDS[name]
        (samples,) = kind.pixels()
        low, high = kind.bounds
        data = encode_frame(uids.HTJ2K, describe(kind), samples, Loss(80))
        ours = decode_frame(uids.HTJ2K, describe(kind), data).samples.astype(np.int64)
        assert np.abs(ours - samples).max() <= (high - low) / 8
        assert np.array_equal(ours, imagecodecs.jpeg2k_decode(data).reshape(samples.shape))

    @pytest.mark.parametrize("bits", range(2, 17))
    def test_jpeg_lossless_keeps_every_precision(self, bits: int) -> None:
        kind = ImageKind(23, 31, bits_allocated=8 if bits <= 8 else 16, bits_stored=bits)
        (samples,) = kind.pixels()
        data = encode_frame(uids.JPEG_LOSSLESS_SV1, describe(kind), samples)
        assert np.array_equal(imagecodecs.jpegsof3_decode(data).reshape(samples.shape), samples)
        assert data[data.index(b"\xff\xc3") + 4] == max(8, bits)


class TestCodestreams:
    """What the standard asks of codestreams beside that they decode."""

    def test_htj2k_rpcl_has_tile_part_lengths_and_a_small_first_resolution(self) -> None:
        kind = ImageKind(700, 3000, bits_stored=12)
        data = encode_frame(uids.HTJ2K_LOSSLESS_RPCL, describe(kind), kind.pixels()[0])
        assert b"\xff\x55" in data[:200]  # TLM
        style = data.index(b"\xff\x52")
        assert data[style + 5] == 2  # RPCL
        assert 700 / 2 ** data[style + 9] <= 64

    @pytest.mark.parametrize("uid", [uids.HTJ2K_LOSSLESS, uids.JPEG_2000_LOSSLESS, uids.JPEG_LS_LOSSLESS])
    def test_precision_is_bits_stored(self, uid: str) -> None:
        kind = ImageKind(bits_stored=12, is_signed=uid != uids.JPEG_LS_LOSSLESS)
        data = encode_frame(uid, describe(kind), kind.pixels()[0])
        if uid == uids.JPEG_LS_LOSSLESS:
            assert data[data.index(b"\xff\xf7") + 4] == 12
        else:
            assert data[data.index(b"\xff\x51") + 40] == 0x80 | 11

    def test_rle_rows_are_packed_each_for_itself(self) -> None:
        kind = ImageKind(3, 10, bits_allocated=8, bits_stored=8)
        data = encode_frame(uids.RLE_LOSSLESS, describe(kind), np.full((3, 10, 1), 7, np.uint8))
        assert struct.unpack_from("<2I", data) == (1, 64)
        assert data[64:] == bytes.fromhex("f707f707f707")

    def test_colour_of_jpeg_2000_has_its_component_transform_and_ybr_has_none(self) -> None:
        for name, transform in (("colour 8", 1), ("YBR", 0)):
            kind = KINDS[name]
            for uid in (uids.JPEG_2000_LOSSLESS, uids.HTJ2K_LOSSLESS):
                data = encode_frame(uid, describe(kind), kind.pixels()[0])
                assert data[data.index(b"\xff\x52") + 8] == transform


class TestRefusals:
    """What a transfer syntax cannot hold is Unsupported, with the reason."""

    @pytest.mark.parametrize(
        ("uid", "kind", "reason"),
        [
            (uids.JPEG_BASELINE, KINDS["grey 12"], "16 bits allocated"),
            (uids.JPEG_EXTENDED, KINDS["grey 10"], "10 bits"),
            (uids.JPEG_XL_LOSSLESS, KINDS["signed 12"], "no signed"),
            (uids.JPEG_XL_LOSSLESS, KINDS["YBR"], "photometric"),
            (uids.JPEG_LS_LOSSLESS, ImageKind(bits_allocated=32, bits_stored=20), "32 bits allocated"),
            (uids.RLE_LOSSLESS, ImageKind(bits_allocated=1, bits_stored=1), "1 bits allocated"),
        ],
    )
    def test_samples_that_do_not_fit(self, uid: str, kind: ImageKind, reason: str) -> None:
        loss = Loss() if ENCODING_PROFILES[uid].loss is LossKind.ALWAYS else None
        with pytest.raises(Unsupported, match=reason):
            encode_frame(uid, describe(kind), kind.pixels()[0], loss)

    def test_loss_is_never_a_surprise(self) -> None:
        with pytest.raises(Unsupported, match="not asked"):
            encode_frame(uids.JPEG_BASELINE, describe(KINDS["grey 8"]), KINDS["grey 8"].pixels()[0])
        assert not can_transcode(uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.JPEG_BASELINE)
        assert can_transcode(uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.JPEG_BASELINE, Loss())
        with pytest.raises(Unsupported, match="no signed"):
            encode_frame(
                uids.JPEG_LS_NEAR_LOSSLESS, describe(KINDS["signed 12"]), KINDS["signed 12"].pixels()[0], Loss()
            )

    @pytest.mark.parametrize("quality", [0, 101])
    def test_a_quality_out_of_range_is_invalid(self, quality: int) -> None:
        with pytest.raises(InvalidInput):
            Loss(quality)

    def test_bits_above_those_stored_are_corrupt_data_not_other_samples(self) -> None:
        kind = ImageKind(bits_stored=12)
        wide = encode_frame(uids.JPEG_2000_LOSSLESS, describe(ImageKind()), ImageKind().pixels()[0])
        with pytest.raises(CorruptData, match="more bits"):
            FrameTranscoder(uids.JPEG_2000_LOSSLESS, uids.RLE_LOSSLESS, describe(kind)).convert(wide)

    def test_overlays_in_the_pixels_are_not_encoded_away(self) -> None:
        assert has_embedded_overlays({"60000102": {"vr": "US", "Value": [12]}})
        assert not has_embedded_overlays({"60000102": {"vr": "US", "Value": [0]}})
        assert not has_embedded_overlays({"60000102": {"vr": "US", "Value": [12]}, "60003000": {"vr": "OW"}})
        transcoder = FrameTranscoder(
            uids.EXPLICIT_VR_LITTLE_ENDIAN,
            uids.HTJ2K_LOSSLESS,
            describe(KINDS["grey 12"]),
            has_embedded_overlays=True,
        )
        with pytest.raises(Unsupported, match="verlays"):
            transcoder.check()

    def test_video_and_private_syntaxes_are_neither_read_nor_written(self) -> None:
        for uid in ("1.2.840.10008.1.2.4.102", "1.2.3.4", "1.2.840.10008.1.2.4.94"):
            assert not can_transcode(uid, uids.EXPLICIT_VR_LITTLE_ENDIAN)
            assert not can_transcode(uids.EXPLICIT_VR_LITTLE_ENDIAN, uid)


class TestSizesThatLie:
    """A library allocates what a codestream asks for, so that is compared with the data set first."""

    @pytest.mark.parametrize(
        ("rows", "columns"), [(8, 8), (16, 24), (33, 47), (500, 3), (600, 800), (9000, 2), (64, 64)]
    )
    def test_the_size_of_a_jpeg_xl_image_is_read(self, rows: int, columns: int) -> None:
        image = np.zeros((rows, columns), np.uint8)
        for has_container in (False, True):
            data = imagecodecs.jpegxl_encode(image, lossless=True, effort=1, usecontainer=has_container)
            assert read_jpeg_xl_size(data) == (rows, columns)
        packed = imagecodecs.jpegxl_encode_jpeg(imagecodecs.jpeg8_encode(image))
        assert read_jpeg_xl_size(packed) == (rows, columns)

    def test_a_jpeg_of_another_size_is_not_repacked(self) -> None:
        small, large = (
            bytes(imagecodecs.jpeg8_encode(np.zeros((side, side), np.uint8), level=50)) for side in (8, 4000)
        )
        description = describe(ImageKind(8, 8, bits_allocated=8, bits_stored=8))
        there = FrameTranscoder(uids.JPEG_BASELINE, uids.JPEG_XL_JPEG_RECOMPRESSION, description)
        back = FrameTranscoder(uids.JPEG_XL_JPEG_RECOMPRESSION, uids.JPEG_BASELINE, description)
        assert back.convert(there.convert(small).data).data == small
        with pytest.raises(CorruptData, match="another size"):
            there.convert(large)
        with pytest.raises(CorruptData, match="another size"):
            back.convert(bytes(imagecodecs.jpegxl_encode_jpeg(large)))
        with pytest.raises(CorruptData, match="begin"):
            back.convert(b"garbage")


class TestRoutes:
    """Work is only done where it is needed."""

    @pytest.mark.parametrize(
        ("source", "target", "route"),
        [
            (uids.IMPLICIT_VR_LITTLE_ENDIAN, uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, Route.COPY),
            (uids.EXPLICIT_VR_BIG_ENDIAN, uids.IMPLICIT_VR_LITTLE_ENDIAN, Route.SWAP),
            (uids.JPEG_LS_LOSSLESS, uids.JPEG_LS_NEAR_LOSSLESS, Route.COPY),
            (uids.HTJ2K_LOSSLESS_RPCL, uids.HTJ2K_LOSSLESS, Route.COPY),
            (uids.HTJ2K_LOSSLESS, uids.HTJ2K_LOSSLESS_RPCL, Route.ENCODE),
            (uids.JPEG_2000, uids.JPEG_2000_LOSSLESS, Route.ENCODE),
            (uids.JPEG_BASELINE, uids.JPEG_XL_JPEG_RECOMPRESSION, Route.REPACK),
            (uids.JPEG_XL_JPEG_RECOMPRESSION, uids.JPEG_BASELINE, Route.REPACK),
            (uids.RLE_LOSSLESS, uids.EXPLICIT_VR_LITTLE_ENDIAN, Route.DECODE),
        ],
    )
    def test_the_route_is_the_shortest(self, source: str, target: str, route: Route) -> None:
        assert route_of(source, target) is route
