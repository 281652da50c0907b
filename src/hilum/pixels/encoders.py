"""The registry of frame encoders, keyed by transfer syntax, and what each of them can hold."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, TypeAlias

import imagecodecs
import jpeg_ls
import numpy as np

from hilum.dicom import uids
from hilum.kernel.errors import InvalidInput, Unsupported
from hilum.pixels.description import PixelDescription, SampleKind
from hilum.pixels.native import Samples, encode_native
from hilum.pixels.rle import encode_rle

_MONOCHROME: Final = {"MONOCHROME1": "MONOCHROME1", "MONOCHROME2": "MONOCHROME2"}
_PALETTE: Final = {"PALETTE COLOR": "PALETTE COLOR"}
_TRUE_COLOUR: Final = {**_MONOCHROME, "RGB": "RGB", "YBR_FULL": "YBR_FULL"}
_UNTOUCHED: Final = {**_TRUE_COLOUR, **_PALETTE}
_DEFLATE_LEVEL: Final = 6
# One decomposition halves the sides; the smallest picture of HTJ2K RPCL has at most 64 (PS3.5 §10.18).
_SMALLEST_SIDE: Final = 64
_DECOMPOSITIONS: Final = 5
_MAX_DECOMPOSITIONS: Final = 32
_MAX_GUARD_BITS: Final = 7


class LossKind(StrEnum):
    """Whether what an encoder writes differs from what it was given."""

    NEVER = "never"
    IF_ASKED = "if asked"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class Loss:
    """That frames may lose what the eye does not miss: quality from 1 to 100, as JPEG has it.

    JPEG takes it as it is; JPEG 2000 and HTJ2K aim at a signal-to-noise ratio of 20 dB and a third of the quality;
    JPEG-LS lets each sample differ by 1 and another 1 for every 10 below 100, no more than a 32nd of the range; JPEG XL
    uses the distance its own tools derive from it.

    Raises:
        InvalidInput: the quality is out of range.
    """

    quality: int = 90

    def __post_init__(self) -> None:
        if not 1 <= self.quality <= 100:
            raise InvalidInput("A quality lies between 1 and 100.", code="invalid-quality")

    @property
    def peak_ratio_db(self) -> float:
        """What JPEG 2000 aims at."""
        return 20.0 + self.quality / 3

    @property
    def greatest_difference(self) -> int:
        """What JPEG-LS allows for one sample."""
        return 1 + (100 - self.quality) // 10

    @property
    def distance(self) -> float:
        """What JPEG XL goes by."""
        return max(0.1, 0.1 + (100 - self.quality) * 0.09)


@dataclass(frozen=True, slots=True)
class EncodingProfile:
    """What one transfer syntax can hold, and what it makes of it.

    Args:
        encode: from samples to one frame's bytes.
        bits_stored: all that it takes.
        bits_allocated: all that it takes.
        photometric_interpretations: before to after, without loss.
        lossy_photometric_interpretations: the same with loss.
        loss: whether anything is lost.
        method: the term for Lossy Image Compression Method.
        is_signed_lossless, is_signed_lossy: whether signed samples fit.
        is_tight: whether Bits Allocated becomes the least that holds Bits Stored, because decoders hand out no more.
    """

    encode: Encoder
    bits_stored: Container[int]
    bits_allocated: frozenset[int]
    photometric_interpretations: Mapping[str, str]
    lossy_photometric_interpretations: Mapping[str, str]
    loss: LossKind = LossKind.NEVER
    method: str | None = None
    is_signed_lossless: bool = True
    is_signed_lossy: bool = False
    is_tight: bool = True

    def photometric_after(self, photometric_interpretation: str, loss: Loss | None) -> str | None:
        """Return the photometric interpretation of what is written, None for what cannot be."""
        table = self.photometric_interpretations if loss is None else self.lossy_photometric_interpretations
        return table.get(photometric_interpretation)

    def fitted(self, description: PixelDescription) -> PixelDescription:
        """Return the description of the samples as they are encoded: Bits Stored begin at the lowest bit."""
        bits = description.bits_stored
        allocated = description.bits_allocated
        if self.is_tight and description.kind is SampleKind.INTEGER:
            allocated = next((width for width in (8, 16, 32) if bits <= width < allocated), allocated)
        return replace(description, bits_allocated=allocated, high_bit=bits - 1, is_planar=False)


Encoder: TypeAlias = Callable[[PixelDescription, Samples, Loss | None], bytes]


def profile_of(transfer_syntax_uid: str) -> EncodingProfile | None:
    """Return what frames of a transfer syntax may hold; None if there is no encoder for it."""
    return ENCODING_PROFILES.get(transfer_syntax_uid)


def check_encodable(transfer_syntax_uid: str, description: PixelDescription, loss: Loss | None) -> EncodingProfile:
    """Return the profile of a transfer syntax these frames can be encoded in.

    Args:
        transfer_syntax_uid: an encapsulated one.
        description: of the decoded frames, fitted: its photometric interpretation is theirs.
        loss: None if none is allowed.

    Raises:
        Unsupported: there is no encoder, or it cannot hold these samples; the message says which property it is.

    Reference: PS3.5 §8.2, Annex A
    """
    profile = ENCODING_PROFILES.get(transfer_syntax_uid)
    if profile is None:
        raise _unsupported("Frames of this transfer syntax cannot be encoded", transfer_syntax_uid)
    if profile.loss is LossKind.ALWAYS and loss is None:
        raise _unsupported("The transfer syntax loses information, which was not asked for", transfer_syntax_uid)
    is_signed_possible = profile.is_signed_lossless if loss is None else profile.is_signed_lossy
    reason = None
    if description.kind is not SampleKind.INTEGER:
        reason = "no floating point samples"
    elif description.bits_allocated not in profile.bits_allocated:
        reason = f"no samples of {description.bits_allocated} bits allocated"
    elif description.bits_stored not in profile.bits_stored:
        reason = f"no samples of {description.bits_stored} bits"
    elif description.is_signed and not is_signed_possible:
        reason = "no signed samples"
    elif profile.photometric_after(description.photometric_interpretation, loss) is None:
        reason = "not this photometric interpretation"
    if reason is not None:
        raise _unsupported(f"The transfer syntax holds {reason}", transfer_syntax_uid)
    return profile


def encode_frame(
    transfer_syntax_uid: str, description: PixelDescription, samples: Samples, loss: Loss | None = None
) -> bytes:
    """Return one frame encoded.

    Args:
        transfer_syntax_uid: how.
        description: of the samples, see `check_encodable`.
        samples: (rows, columns, samples); of the type that the description has, or a wider one.
        loss: None for exactly these samples.

    Raises:
        Unsupported: the encoder cannot hold these samples.

    Reference: PS3.5 §8.2, Annex A
    """
    profile = check_encodable(transfer_syntax_uid, description, loss)
    try:
        return profile.encode(description, samples.astype(description.dtype, copy=False), loss)
    except (RuntimeError, ValueError, TypeError) as error:
        # What the codec libraries raise for what they do not take.
        raise _unsupported("The encoder refuses these samples", transfer_syntax_uid) from error


def _unsupported(reason: str, transfer_syntax_uid: str) -> Unsupported:
    return Unsupported(f"{reason}.", code="cannot-encode", transfer_syntax_uid=transfer_syntax_uid)


def _as_image(samples: Samples) -> Samples:
    """Return samples as codec libraries want them: without a third axis of one."""
    return np.ascontiguousarray(samples[..., 0] if samples.shape[2] == 1 else samples)


def _precision(description: PixelDescription) -> int:
    """Return of how many bits JPEG and JPEG-LS streams are: some decoders refuse, or die of, fewer than 8."""
    return max(8, description.bits_stored)


def _bit_pattern(description: PixelDescription, samples: Samples) -> Samples:
    """Return samples as unsigned numbers of the stream's precision (PS3.5 §8.2.1, §8.2.3)."""
    unsigned: Samples = samples.view(np.dtype(f"u{samples.dtype.itemsize}"))
    if description.is_signed:
        unsigned = unsigned & unsigned.dtype.type((1 << _precision(description)) - 1)
    return unsigned


def _encode_jpeg_lossless(description: PixelDescription, samples: Samples, _loss: Loss | None) -> bytes:
    image = _as_image(_bit_pattern(description, samples))
    # Called RGB on both sides, the samples stay what they are; subsampled they would not under another name.
    space = "RGB" if description.samples_per_pixel == 3 else None
    data = imagecodecs.jpeg8_encode(
        image,
        lossless=True,
        predictor=1,  # the one that both processes allow
        bitspersample=_precision(description),
        colorspace=space,
        outcolorspace=space,
    )
    return _not_called_rgb(bytearray(data)) if description.photometric_interpretation == "YBR_FULL" else bytes(data)


def _not_called_rgb(data: bytearray) -> bytes:
    """Return a JPEG stream of three components without what says that they are red, green and blue."""
    frame, scan = data.index(b"\xff\xc3"), data.index(b"\xff\xda")
    for component in range(3):
        data[frame + 10 + 3 * component] = data[scan + 5 + 2 * component] = component + 1
    adobe = data.find(b"\xff\xee", 0, frame)
    if adobe > 0:
        (length,) = struct.unpack_from(">H", data, adobe + 2)
        del data[adobe : adobe + 2 + length]
    return bytes(data)


def _encode_jpeg(description: PixelDescription, samples: Samples, loss: Loss | None) -> bytes:
    image = _as_image(_bit_pattern(description, samples))
    quality = (loss or Loss()).quality
    if description.samples_per_pixel == 1:
        return bytes(imagecodecs.jpeg8_encode(image, level=quality, bitspersample=_precision(description)))
    space = "RGB" if description.photometric_interpretation == "RGB" else "YCBCR"
    data = imagecodecs.jpeg8_encode(
        image, level=quality, colorspace=space, outcolorspace="YCBCR", subsampling="422", bitspersample=8
    )
    return bytes(data)


def _encode_jpeg_ls(description: PixelDescription, samples: Samples, loss: Loss | None) -> bytes:
    image = _bit_pattern(description, samples)
    data = jpeg_ls.encode_buffer(
        np.ascontiguousarray(image, image.dtype.newbyteorder("<")).tobytes(),
        description.rows,
        description.columns,
        description.samples_per_pixel,
        # With loss a wider stream could hold more than Bits Stored.
        _precision(description) if loss is None else description.bits_stored,
        lossy_error=0 if loss is None else min(loss.greatest_difference, max(1, (1 << description.bits_stored) // 32)),
        interleave_mode=2 if description.samples_per_pixel == 3 else 0,
    )
    return bytes(data)


def _encode_jpeg_2000(description: PixelDescription, samples: Samples, loss: Loss | None) -> bytes:
    data = imagecodecs.jpeg2k_encode(
        _as_image(samples),
        level=0 if loss is None else round(loss.peak_ratio_db),
        codecformat="j2k",
        reversible=loss is None,
        mct=description.photometric_interpretation == "RGB",
        bitspersample=description.bits_stored,
        numthreads=1,
    )
    return bytes(data)


def _encode_htj2k(description: PixelDescription, samples: Samples, loss: Loss | None) -> bytes:
    return _htj2k(description, samples, loss)


def _encode_htj2k_rpcl(description: PixelDescription, samples: Samples, loss: Loss | None) -> bytes:
    return _htj2k(description, samples, loss, is_indexed=True)


def _htj2k(description: PixelDescription, samples: Samples, loss: Loss | None, *, is_indexed: bool = False) -> bytes:
    """Return an HTJ2K codestream whose precision is Bits Stored.

    The library knows 8 and 16 bits only. A codestream of signed numbers has no level shift, so samples shifted here go
    in as signed ones, and the precision written afterwards makes decoders shift them back. The progression is RPCL.
    """
    bits = description.bits_stored
    width = 8 if bits <= 8 else 16
    half = 0 if description.is_signed else 1 << (bits - 1)
    shifted = (samples.astype(np.int32) - half).astype(np.dtype(f"i{width // 8}"))
    is_colour = description.samples_per_pixel == 3
    level = None
    if loss is not None:
        # The step is a fraction of the library's range; an error is a step over the square root of 12.
        level = 12**0.5 * 10 ** (-loss.peak_ratio_db / 20) * 2.0 ** (bits - width) / 2
    data = imagecodecs.htj2k_encode(
        _as_image(shifted),
        level,
        reversible=loss is None,
        rgb=(description.photometric_interpretation == "RGB") if is_colour else None,
        planar=False if is_colour else None,
        resolutions=_decompositions(description) if is_indexed else _DECOMPOSITIONS,
        tlm=is_indexed or None,
        tilepart=imagecodecs.HTJ2K.TILEPART.RESOLUTIONS if is_indexed else None,
    )
    return _with_precision(bytearray(data), bits, width, is_signed=description.is_signed, is_reversible=loss is None)


def _decompositions(description: PixelDescription) -> int:
    side, count = min(description.rows, description.columns), 0
    while -(-side // (1 << count)) > _SMALLEST_SIDE and count < _MAX_DECOMPOSITIONS:
        count += 1
    return max(count, _DECOMPOSITIONS)


def _with_precision(data: bytearray, bits: int, width: int, *, is_signed: bool, is_reversible: bool) -> bytes:
    """Return a codestream of signed `width`-bit samples as one of `bits` bits.

    Quantization steps are relative to the precision; what the exponents lose, the guard bits get, so that the number
    of bit planes stays (ITU-T T.800 §A.6.4, §E.1).
    """
    size = data.index(b"\xff\x51")
    (components,) = struct.unpack_from(">H", data, size + 38)
    for component in range(components):
        data[size + 40 + 3 * component] = (bits - 1) | (0x80 if is_signed else 0)
    less = width - bits
    if less and not is_reversible:
        steps = data.index(b"\xff\x5c", size)
        (length,) = struct.unpack_from(">H", data, steps + 2)
        guard = (data[steps + 4] >> 5) + less
        if guard > _MAX_GUARD_BITS:
            raise Unsupported(f"HTJ2K with loss holds no samples of {bits} bits.", code="cannot-encode")
        data[steps + 4] = (data[steps + 4] & 0x1F) | guard << 5
        for offset in range(steps + 5, steps + 2 + length, 2):
            (step,) = struct.unpack_from(">H", data, offset)
            struct.pack_into(">H", data, offset, step - (less << 11))
    return bytes(data)


def _encode_jpeg_xl(description: PixelDescription, samples: Samples, loss: Loss | None) -> bytes:
    image = _as_image(_bit_pattern(description, samples))
    if loss is None:
        data = imagecodecs.jpegxl_encode(
            image,
            lossless=True,
            effort=1,  # 30 times as fast as 3, for a twentieth more bytes
            bitspersample=description.bits_stored,
            usecontainer=False,
            numthreads=1,
        )
    else:
        data = imagecodecs.jpegxl_encode(
            image,
            lossless=False,
            distance=loss.distance,
            effort=4,
            bitspersample=description.bits_stored,
            usecontainer=False,
            numthreads=1,
        )
    return bytes(data)


def _encode_rle(description: PixelDescription, samples: Samples, _loss: Loss | None) -> bytes:
    return encode_rle(description, samples)


def _encode_uncompressed(description: PixelDescription, samples: Samples, _loss: Loss | None) -> bytes:
    return encode_native(description, samples)


def _encode_deflated(description: PixelDescription, samples: Samples, _loss: Loss | None) -> bytes:
    deflater = zlib.compressobj(_DEFLATE_LEVEL, wbits=-zlib.MAX_WBITS)
    return deflater.compress(encode_native(description, samples)) + deflater.flush()


_8_16: Final = frozenset({8, 16})
_8_16_32: Final = frozenset({8, 16, 32})
_ALL_WIDTHS: Final = frozenset({1, 8, 16, 32, 64})
_JPEG_2000_LOSSLESS: Final = {**_UNTOUCHED, "RGB": "YBR_RCT"}
# Syntaxes that allow loss have no palettes (PS3.5 Table 8.2.3-1, Table 8.2.4-1).
_JPEG_2000_EXACT: Final = {**_TRUE_COLOUR, "RGB": "YBR_RCT"}
_JPEG_2000_LOSSY: Final = {**_MONOCHROME, "RGB": "YBR_ICT", "YBR_FULL": "YBR_FULL"}
_JPEG_XL_LOSSLESS: Final = {**_MONOCHROME, **_PALETTE, "RGB": "RGB"}

_jpeg_lossless = EncodingProfile(_encode_jpeg_lossless, range(2, 17), _8_16, _UNTOUCHED, {})
_jpeg_2000 = EncodingProfile(_encode_jpeg_2000, range(1, 25), _8_16_32, _JPEG_2000_LOSSLESS, {})
_htj2k_lossless = EncodingProfile(_encode_htj2k, range(1, 17), _8_16, _JPEG_2000_LOSSLESS, {})

ENCODING_PROFILES: Final[dict[str, EncodingProfile]] = {
    uids.JPEG_BASELINE: EncodingProfile(
        _encode_jpeg,
        range(8, 9),
        frozenset({8}),
        {},
        {**_MONOCHROME, "RGB": "YBR_FULL_422", "YBR_FULL": "YBR_FULL_422"},
        LossKind.ALWAYS,
        "ISO_10918_1",
        is_signed_lossless=False,
    ),
    uids.JPEG_EXTENDED: EncodingProfile(
        _encode_jpeg, (8, 12), _8_16, {}, _MONOCHROME, LossKind.ALWAYS, "ISO_10918_1", is_signed_lossless=False
    ),
    uids.JPEG_LOSSLESS: _jpeg_lossless,
    uids.JPEG_LOSSLESS_SV1: _jpeg_lossless,
    uids.JPEG_LS_LOSSLESS: EncodingProfile(_encode_jpeg_ls, range(2, 17), _8_16, _UNTOUCHED, {}),
    uids.JPEG_LS_NEAR_LOSSLESS: EncodingProfile(
        _encode_jpeg_ls, range(2, 17), _8_16, _TRUE_COLOUR, _TRUE_COLOUR, LossKind.IF_ASKED, "ISO_14495_1"
    ),
    uids.JPEG_2000_LOSSLESS: _jpeg_2000,
    uids.JPEG_2000: EncodingProfile(
        _encode_jpeg_2000,
        range(1, 25),
        _8_16_32,
        _JPEG_2000_EXACT,
        _JPEG_2000_LOSSY,
        LossKind.IF_ASKED,
        "ISO_15444_1",
        is_signed_lossy=True,
    ),
    uids.JPEG_XL_LOSSLESS: EncodingProfile(
        _encode_jpeg_xl, range(1, 17), _8_16, _JPEG_XL_LOSSLESS, {}, is_signed_lossless=False
    ),
    uids.JPEG_XL: EncodingProfile(
        _encode_jpeg_xl,
        range(1, 17),
        _8_16,
        {**_MONOCHROME, "RGB": "RGB"},
        {**_MONOCHROME, "RGB": "XYB"},
        LossKind.IF_ASKED,
        "ISO_18181_1",
        is_signed_lossless=False,
    ),
    uids.HTJ2K_LOSSLESS: _htj2k_lossless,
    uids.HTJ2K_LOSSLESS_RPCL: EncodingProfile(_encode_htj2k_rpcl, range(1, 17), _8_16, _JPEG_2000_LOSSLESS, {}),
    uids.HTJ2K: EncodingProfile(
        _encode_htj2k,
        range(1, 17),
        _8_16,
        _JPEG_2000_EXACT,
        _JPEG_2000_LOSSY,
        LossKind.IF_ASKED,
        "ISO_15444_15",
        is_signed_lossy=True,
    ),
    uids.RLE_LOSSLESS: EncodingProfile(_encode_rle, range(1, 33), _8_16_32, _UNTOUCHED, {}, is_tight=False),
    uids.ENCAPSULATED_UNCOMPRESSED: EncodingProfile(
        _encode_uncompressed, range(1, 65), _ALL_WIDTHS, _UNTOUCHED, {}, is_tight=False
    ),
    uids.DEFLATED_IMAGE_FRAME: EncodingProfile(
        _encode_deflated, range(1, 65), _ALL_WIDTHS, _UNTOUCHED, {}, is_tight=False
    ),
}
"""What can be written, by transfer syntax. JPEG XL JPEG Recompression is no encoding of samples, see `transcode`."""
