"""The registry of frame decoders, keyed by transfer syntax."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import imagecodecs
import numpy as np

from hilum.dicom import uids
from hilum.kernel.errors import CorruptData, Unsupported
from hilum.pixels.codestream import CodestreamHeader, read_jpeg_2000_header, read_jpeg_header, read_jpeg_xl_size
from hilum.pixels.description import PixelDescription
from hilum.pixels.native import Samples, decode_native, extend_sign
from hilum.pixels.rle import decode_rle


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """Samples of one frame as (rows, columns, samples), and the colour model they are in after decoding."""

    samples: Samples
    photometric_interpretation: str


Decoder: TypeAlias = Callable[[PixelDescription, bytes], DecodedFrame]


def decode_frame(
    transfer_syntax_uid: str, description: PixelDescription, data: bytes, *, first_bit: int = 0
) -> DecodedFrame:
    """Return the samples of one frame.

    Args:
        transfer_syntax_uid: how the bytes are encoded.
        description: the instance's pixel description, already checked.
        data: one frame, the fragments of an encapsulated one joined; native samples little endian, whatever the
            transfer syntax, because only who reads them knows of which words they are made.
        first_bit: where a native frame of single bits begins within the first byte.

    Raises:
        CorruptData: the bytes do not decode to what the description says.
        Unsupported: there is no decoder for this transfer syntax (video, JPIP, private ones).

    Reference: PS3.5 §8, Annex A
    """
    if transfer_syntax_uid in _NATIVE:
        return DecodedFrame(decode_native(description, data, first_bit), description.photometric_interpretation)
    decoder = _DECODERS.get(transfer_syntax_uid)
    if decoder is None:
        raise Unsupported(
            "Frames of this transfer syntax cannot be decoded.",
            code="unsupported-transfer-syntax",
            transfer_syntax_uid=transfer_syntax_uid,
        )
    try:
        frame = decoder(description, data)
    except (RuntimeError, ValueError, TypeError, zlib.error) as error:
        # What the codec libraries raise when a stream is damaged.
        raise CorruptData("The frame cannot be decoded.", code="corrupt-frame") from error
    expected = (description.rows, description.columns, description.samples_per_pixel)
    if frame.samples.shape != expected:
        raise CorruptData("The decoded frame has another size than the data set says.", code="corrupt-frame")
    return frame


def can_decode(transfer_syntax_uid: str) -> bool:
    """Return whether frames of this transfer syntax can be decoded."""
    return transfer_syntax_uid in _NATIVE or transfer_syntax_uid in _DECODERS


def _decode_jpeg(description: PixelDescription, data: bytes) -> DecodedFrame:
    header = read_jpeg_header(data)
    _check(description, header)
    if header.components == 1:
        return _finished(description, header, imagecodecs.jpeg8_decode(data), description.photometric_interpretation)
    # A lossless process never transforms colours (PS3.5 §8.2.1). Otherwise the stream itself knows best, and where it
    # says nothing the data set does: many devices write RGB over YCbCr streams.
    declared = description.photometric_interpretation
    space = header.colour_transform or ("YCBCR" if declared.startswith("YBR") else "RGB")
    if header.is_lossless_jpeg or header.components != 3:
        raw = imagecodecs.jpeg8_decode(data, colorspace="RGB", outcolorspace="RGB")
        return _finished(description, header, raw, declared)
    return _finished(description, header, imagecodecs.jpeg8_decode(data, colorspace=space, outcolorspace="RGB"), "RGB")


def _decode_jpeg_ls(description: PixelDescription, data: bytes) -> DecodedFrame:
    header = read_jpeg_header(data)
    _check(description, header)
    return _finished(description, header, imagecodecs.jpegls_decode(data), description.photometric_interpretation)


def _decode_jpeg_2000(description: PixelDescription, data: bytes) -> DecodedFrame:
    header = read_jpeg_2000_header(data)
    _check(description, header)
    return _finished(description, header, imagecodecs.jpeg2k_decode(data), _undone(description))


def _decode_htj2k(description: PixelDescription, data: bytes) -> DecodedFrame:
    header = read_jpeg_2000_header(data)
    _check(description, header)
    # Without a component transform the library would hand out planes.
    planar = False if header.components > 1 else None
    return _finished(description, header, imagecodecs.htj2k_decode(data, planar=planar), _undone(description))


def _decode_jpeg_xl(description: PixelDescription, data: bytes) -> DecodedFrame:
    if read_jpeg_xl_size(data) != (description.rows, description.columns):
        raise CorruptData("The codestream has another size than the data set says.", code="corrupt-frame")
    shape: tuple[int, ...] = (description.rows, description.columns)
    if description.samples_per_pixel > 1:
        shape = (*shape, description.samples_per_pixel)
    out = np.empty(shape, np.uint8 if description.bits_stored <= 8 else np.uint16)
    samples = imagecodecs.jpegxl_decode(data, out=out, keeporientation=True)
    header = CodestreamHeader(
        description.rows, description.columns, description.samples_per_pixel, description.bits_stored
    )
    photometric = description.photometric_interpretation
    # JPEG XL hands out RGB whatever it keeps inside (XYB, or the YCbCr of a recompressed JPEG).
    return _finished(description, header, samples, "RGB" if description.samples_per_pixel == 3 else photometric)


def _decode_rle(description: PixelDescription, data: bytes) -> DecodedFrame:
    return DecodedFrame(decode_rle(description, data), description.photometric_interpretation)


def _decode_deflated(description: PixelDescription, data: bytes) -> DecodedFrame:
    needed = (description.native_frame_bits + 7) // 8
    inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, needed)
    return DecodedFrame(decode_native(description, inflated), description.photometric_interpretation)


def _undone(description: PixelDescription) -> str:
    """Return the colour model after a JPEG 2000 decoder has undone its component transform."""
    photometric = description.photometric_interpretation
    return "RGB" if photometric in ("YBR_RCT", "YBR_ICT") else photometric


def _check(description: PixelDescription, header: CodestreamHeader) -> None:
    if (header.rows, header.columns, header.components) != (
        description.rows,
        description.columns,
        description.samples_per_pixel,
    ):
        raise CorruptData("The codestream has another size than the data set says.", code="corrupt-frame")
    if not 0 < header.precision <= description.bits_allocated:
        raise CorruptData("The codestream has more bits than the data set allocates.", code="corrupt-frame")


def _finished(
    description: PixelDescription, header: CodestreamHeader, samples: Samples, photometric_interpretation: str
) -> DecodedFrame:
    """Give decoded samples their third axis and the data set's sample type.

    Codestreams may be unsigned where the data set is signed and the other way round: the bit pattern counts, of the
    codestream's precision (PS3.5 §8.2.3, §8.2.4).
    """
    shaped = samples.reshape((*samples.shape[:2], -1))
    target = description.dtype
    if shaped.dtype != target:
        if shaped.dtype.itemsize > target.itemsize and header.precision > target.itemsize * 8:
            raise CorruptData("The codestream has more bits than the data set allocates.", code="corrupt-frame")
        shaped = shaped.astype(target)
    if description.is_signed != header.is_signed or description.is_signed:
        shaped = extend_sign(shaped, header.precision)
    return DecodedFrame(shaped, photometric_interpretation)


_BY_MEDIA_TYPE: dict[str, Decoder] = {
    "image/jpeg": _decode_jpeg,
    "image/jls": _decode_jpeg_ls,
    "image/jp2": _decode_jpeg_2000,
    "image/jpx": _decode_jpeg_2000,
    "image/jphc": _decode_htj2k,
    "image/jxl": _decode_jpeg_xl,
    "image/dicom-rle": _decode_rle,
    "application/x-deflate": _decode_deflated,
}
_NATIVE = frozenset(
    {
        uids.IMPLICIT_VR_LITTLE_ENDIAN,
        uids.EXPLICIT_VR_LITTLE_ENDIAN,
        uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
        uids.EXPLICIT_VR_BIG_ENDIAN,
        uids.ENCAPSULATED_UNCOMPRESSED,
    }
)
_DECODERS: dict[str, Decoder] = {
    syntax.uid: _BY_MEDIA_TYPE[syntax.media_type]
    for syntax in uids.TRANSFER_SYNTAXES.values()
    if syntax.is_encapsulated and syntax.media_type in _BY_MEDIA_TYPE
}
# Where samples were quantized, decoded ones may lie beyond their range: the HTJ2K decoder lets those wrap around, black
# for white, the JPEG 2000 decoder, which knows HTJ2K as well, does not.
_DECODERS[uids.HTJ2K] = _decode_jpeg_2000
