"""From one transfer syntax to another: what has to be done with each frame, and what it changes in the header."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final

import imagecodecs
import numpy as np

from hilum.dicom import uids
from hilum.dicom.dictionary import tag_of
from hilum.dicom.elements import Attributes
from hilum.dicom.lossy_compression import compressed, element, is_marked_lossy
from hilum.dicom.uids import transfer_syntax
from hilum.kernel.errors import CorruptData, Unsupported
from hilum.pixels.codecs import can_decode, decode_frame
from hilum.pixels.codestream import loss_of_codestream, read_jpeg_header, read_jpeg_xl_size
from hilum.pixels.description import PixelDescription, SampleKind
from hilum.pixels.encoders import Loss, LossKind, check_encodable, encode_frame, profile_of
from hilum.pixels.native import Samples, encode_native

NATIVE_SYNTAXES: Final = frozenset(
    {
        uids.IMPLICIT_VR_LITTLE_ENDIAN,
        uids.EXPLICIT_VR_LITTLE_ENDIAN,
        uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
        uids.EXPLICIT_VR_BIG_ENDIAN,
    }
)
"""Transfer syntaxes in which pixel data stand as they are."""

# What the one syntax has written, the other allows as well: only the name changes.
_WIDER: Final = frozenset(
    {
        (uids.JPEG_LOSSLESS_SV1, uids.JPEG_LOSSLESS),
        (uids.JPEG_LS_LOSSLESS, uids.JPEG_LS_NEAR_LOSSLESS),
        (uids.JPEG_2000_LOSSLESS, uids.JPEG_2000),
        (uids.JPEG_XL_LOSSLESS, uids.JPEG_XL),
        (uids.HTJ2K_LOSSLESS_RPCL, uids.HTJ2K_LOSSLESS),
        (uids.HTJ2K_LOSSLESS_RPCL, uids.HTJ2K),
        (uids.HTJ2K_LOSSLESS, uids.HTJ2K),
    }
)
_JPEG_TO_XL: Final = frozenset(
    {(uids.JPEG_BASELINE, uids.JPEG_XL_JPEG_RECOMPRESSION), (uids.JPEG_EXTENDED, uids.JPEG_XL_JPEG_RECOMPRESSION)}
)
_XL_TO_JPEG: Final = frozenset({(uids.JPEG_XL_JPEG_RECOMPRESSION, uids.JPEG_BASELINE)})

_UNDONE_BY_DECODERS: Final = frozenset({"YBR_RCT", "YBR_ICT", "XYB"})


class Route(Enum):
    """What becomes of the pixel data."""

    COPY = "copied as they are"
    SWAP = "the bytes of each word put in the other order"
    REPACK = "the same JPEG codestream packed by JPEG XL, or unpacked"
    DECODE = "decoded"
    ENCODE = "decoded if need be, and encoded"


def can_transcode(source_uid: str, target_uid: str, loss: Loss | None = None) -> bool:
    """Return whether images in the one transfer syntax may become the other; their samples may still not fit it.

    Reference: PS3.5 Annex A
    """
    try:
        route_of(source_uid, target_uid, loss)
    except Unsupported:
        return False
    return True


def route_of(source_uid: str, target_uid: str, loss: Loss | None = None) -> Route:
    """Return what has to be done with pixel data.

    Raises:
        Unsupported: the one transfer syntax cannot be read or the other not written, or it would lose information
            that nobody asked to lose.

    Reference: PS3.5 Annex A
    """
    pair = (source_uid, target_uid)
    if loss is None and (source_uid == target_uid or pair in _WIDER):
        return Route.COPY
    if pair in _JPEG_TO_XL or pair in _XL_TO_JPEG:
        return Route.REPACK
    if source_uid in NATIVE_SYNTAXES and target_uid in NATIVE_SYNTAXES:
        is_same_order = transfer_syntax(source_uid).is_little_endian == transfer_syntax(target_uid).is_little_endian
        return Route.COPY if is_same_order else Route.SWAP
    if source_uid not in NATIVE_SYNTAXES and not can_decode(source_uid):
        raise Unsupported(
            "Frames of this transfer syntax cannot be decoded.",
            code="unsupported-transfer-syntax",
            transfer_syntax_uid=source_uid,
        )
    if target_uid in NATIVE_SYNTAXES:
        return Route.DECODE
    profile = profile_of(target_uid)
    if profile is None:
        raise Unsupported(
            "Frames of this transfer syntax cannot be encoded.", code="cannot-encode", transfer_syntax_uid=target_uid
        )
    if profile.loss is LossKind.ALWAYS and loss is None:
        raise Unsupported(
            "The transfer syntax loses information, which was not asked for.",
            code="cannot-encode",
            transfer_syntax_uid=target_uid,
        )
    return Route.ENCODE


def inherent_loss(target_uid: str) -> Loss | None:
    """Return the loss that who asks for a transfer syntax by name has asked for: some cannot be had without."""
    profile = profile_of(target_uid)
    return Loss() if profile is not None and profile.loss is LossKind.ALWAYS else None


def is_lossy_encoding(target_uid: str, loss: Loss | None) -> bool:
    """Return whether encoding in a transfer syntax, with the loss allowed, loses information."""
    profile = profile_of(target_uid)
    return loss is not None and profile is not None and profile.loss is not LossKind.NEVER


@dataclass(frozen=True, slots=True)
class ConvertedFrame:
    """One frame in the other transfer syntax.

    Args:
        data: its bytes; native ones little endian.
        description: of these bytes.
        method: the process by which the stored frame had lost information, None if it had not.
    """

    data: bytes
    description: PixelDescription
    method: str | None = None


@dataclass(frozen=True, slots=True)
class FrameTranscoder:
    """Converts the frames of one instance; any number of them at the same time.

    Args:
        source_uid, target_uid: the transfer syntaxes.
        description: of the stored frames.
        loss: what may be lost, None for nothing.
        has_embedded_overlays: bits above those stored hold overlays, which no encoder takes.

    Raises:
        Unsupported: see `route_of`.
    """

    source_uid: str
    target_uid: str
    description: PixelDescription
    loss: Loss | None = None
    has_embedded_overlays: bool = False

    @property
    def route(self) -> Route:
        """What is done with the pixel data."""
        return route_of(self.source_uid, self.target_uid, self.loss)

    def check(self) -> None:
        """Find out without a frame in hand what cannot be encoded whatever the frames hold.

        Raises:
            Unsupported: the target cannot hold such samples.
        """
        if self.route is not Route.ENCODE:
            return
        if self.has_embedded_overlays:
            raise Unsupported("Overlays embedded in the pixels cannot be encoded.", code="cannot-encode")
        profile = profile_of(self.target_uid)
        if profile is not None:
            description = replace(self.description, photometric_interpretation=self._expected_photometric())
            check_encodable(self.target_uid, profile.fitted(description), self._effective_loss)

    def convert(self, data: bytes) -> ConvertedFrame:
        """Return one frame converted.

        Args:
            data: as stored, native samples little endian and from a byte's beginning.

        Raises:
            CorruptData: it cannot be decoded.
            Unsupported: it cannot be encoded.
        """
        if self.route is Route.REPACK:
            return self._repacked(data)
        method = loss_of_codestream(transfer_syntax(self.source_uid).media_type, data)
        frame = decode_frame(self.source_uid, self.description, data)
        photometric = frame.photometric_interpretation
        if self.target_uid in NATIVE_SYNTAXES:
            # Chrominance shared by two pixels was given to each of them.
            description = self._unpacked(_encodable(photometric) if self.description.is_subsampled else photometric)
            return ConvertedFrame(encode_native(description, frame.samples), description, method)
        profile = profile_of(self.target_uid)
        assert profile is not None
        description = profile.fitted(self._unpacked(_encodable(photometric)))
        check_encodable(self.target_uid, description, self._effective_loss)
        _check_range(description, frame.samples)
        encoded = encode_frame(self.target_uid, description, frame.samples, self._effective_loss)
        after = profile.photometric_after(description.photometric_interpretation, self._effective_loss)
        return ConvertedFrame(encoded, replace(description, photometric_interpretation=after or ""), method)

    def _expected_photometric(self) -> str:
        """Return the photometric interpretation decoded frames will have, as far as the header tells."""
        photometric = self.description.photometric_interpretation
        is_decoded_to_rgb = transfer_syntax(self.source_uid).is_lossy and self.description.samples_per_pixel == 3
        if photometric in _UNDONE_BY_DECODERS or (photometric.startswith("YBR") and is_decoded_to_rgb):
            return "RGB"
        return _encodable(photometric)

    @property
    def _effective_loss(self) -> Loss | None:
        return self.loss if is_lossy_encoding(self.target_uid, self.loss) else None

    def _unpacked(self, photometric_interpretation: str) -> PixelDescription:
        bits = self.description.bits_stored
        high_bit = bits - 1 if self.description.kind is SampleKind.INTEGER else self.description.high_bit
        return replace(
            self.description,
            photometric_interpretation=photometric_interpretation,
            is_planar=False,
            high_bit=high_bit,
        )

    def _repacked(self, data: bytes) -> ConvertedFrame:
        """JPEG inside of JPEG XL keeps every bit of itself, colours included (PS3.5 §10.20)."""
        is_jpeg = (self.source_uid, self.target_uid) in _JPEG_TO_XL
        # The library allocates what the codestream asks for.
        if is_jpeg:
            header = read_jpeg_header(data)
            size = header.rows, header.columns
        else:
            size = read_jpeg_xl_size(data)
        if size != (self.description.rows, self.description.columns):
            raise CorruptData("The codestream has another size than the data set says.", code="corrupt-frame")
        try:
            if is_jpeg:
                # JPEG XL takes what is behind the end of the image for part of it.
                end = data.rfind(b"\xff\xd9")
                repacked = bytes(imagecodecs.jpegxl_encode_jpeg(data[: end + 2] if end > 0 else data))
            else:
                repacked = bytes(imagecodecs.jpegxl_decode_jpeg(data))  # type: ignore[call-arg]  # its stub is wrong
        except (RuntimeError, ValueError) as error:
            raise Unsupported("The JPEG codestream cannot be repacked.", code="cannot-encode") from error
        return ConvertedFrame(repacked, replace(self.description, is_planar=False), "ISO_10918_1")


def changed_attributes(
    before: Mapping[str, Any], description: PixelDescription, *, stored_loss: tuple[str, float] | None
) -> Attributes:
    """Return the Image Pixel attributes that differ once the frames are converted.

    Args:
        before: the attributes of the data set.
        description: of the converted frames.
        stored_loss: method and ratio of the loss that was found in the stored frames; noted where nobody had.

    Reference: PS3.3 §C.7.6.3, §C.7.6.1.1.5
    """
    after = dict(
        (
            element("PhotometricInterpretation", description.photometric_interpretation),
            element("BitsAllocated", description.bits_allocated),
        )
    )
    if description.kind is SampleKind.INTEGER:
        after.update((element("BitsStored", description.bits_stored), element("HighBit", description.high_bit)))
    if description.samples_per_pixel > 1:
        after.update((element("PlanarConfiguration", 0),))
    if stored_loss is not None and not is_marked_lossy(before):
        after.update(compressed(before, *stored_loss))
    return {tag: value for tag, value in after.items() if before.get(tag, {}).get("Value") != value["Value"]}


def has_embedded_overlays(keys: Mapping[str, Any]) -> bool:
    """Return whether overlays stand in the unused bits of the pixels: they have a position and no data of their own.

    Args:
        keys: the attributes of the data set with the groups of overlays.

    Reference: PS3.5 §8.1.2, PS3.3 §C.9.2
    """
    return any(
        key[:2] == "60" and key[4:] == "0102" and value.get("Value", [0])[0] and f"{key[:4]}3000" not in keys
        for key, value in keys.items()
    )


IMAGE_ATTRIBUTES: Final = tuple(
    map(
        tag_of,
        (
            "SamplesPerPixel",
            "PhotometricInterpretation",
            "PlanarConfiguration",
            "NumberOfFrames",
            "Rows",
            "Columns",
            "BitsAllocated",
            "BitsStored",
            "HighBit",
            "PixelRepresentation",
        ),
    )
)
"""What describes the frames of a data set."""


def _encodable(photometric_interpretation: str) -> str:
    """Shared chrominance is given to each pixel when a frame is decoded."""
    return "YBR_FULL" if photometric_interpretation == "YBR_FULL_422" else photometric_interpretation


def _check_range(description: PixelDescription, samples: Samples) -> None:
    """No sample has bits above those stored: an encoder would lose them, or take them for something else."""
    if description.kind is not SampleKind.INTEGER or description.bits_stored == samples.dtype.itemsize * 8:
        return
    bits = description.bits_stored - (1 if description.is_signed else 0)
    low = -(1 << bits) if description.is_signed else 0
    if int(np.max(samples)) >= 1 << bits or int(np.min(samples)) < low:
        raise CorruptData("Samples have more bits than the data set says.", code="corrupt-frame")
