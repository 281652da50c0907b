"""What a compressed frame says about itself, read before a decoder is let loose on it.

A decoder allocates what the codestream's header asks for, so that header is compared with the data set first.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from hilum.kernel.errors import CorruptData

_JPEG_START = b"\xff\xd8"
_J2K_START = b"\xff\x4f\xff\x51"
_JP2_SIGNATURE = b"\x00\x00\x00\x0cjP  "
_JPEG_XL_START = b"\xff\x0a"
_JPEG_XL_CONTAINER = b"\x00\x00\x00\x0cJXL "
_JPEG_XL_RATIOS = ((1, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
# Frame headers: SOF0..SOF15 without DHT (C4), JPG (C8), DAC (CC); SOF55 is JPEG-LS (ITU-T T.87).
_JPEG_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
_JPEG_MARKERS_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})
_LOSSLESS_MARKERS = frozenset({0xC3, 0xC7, 0xCB, 0xCF})


@dataclass(frozen=True, slots=True)
class CodestreamHeader:
    """Size and sample format as the codestream has them.

    `colour_transform` of JPEG: what the stream itself says of its three components, "RGB" or "YCBCR", None when it
    says nothing.
    """

    rows: int
    columns: int
    components: int
    precision: int
    is_signed: bool = False
    is_lossless_jpeg: bool = False
    colour_transform: str | None = None


def read_jpeg_header(data: bytes | memoryview) -> CodestreamHeader:
    """Return what the frame header of a JPEG or JPEG-LS stream says.

    Raises:
        CorruptData: there is no frame header.

    Reference: ITU-T T.81 §B.2.2, T.87 §C.2.2
    """
    view = bytes(data[: 1 << 20])  # application segments (colour profiles) may stand before the frame header
    position = view.find(_JPEG_START)
    if position != 0:
        raise CorruptData("The frame does not begin like a JPEG stream.", code="corrupt-frame")
    position = 2
    declared: str | None = None
    while position + 4 <= len(view):
        if view[position] != 0xFF:
            break
        marker = view[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker in _JPEG_MARKERS_WITHOUT_LENGTH:
            position += 2
            continue
        (length,) = struct.unpack_from(">H", view, position + 2)
        segment = view[position + 4 : position + 2 + length]
        if marker in _JPEG_FRAME_MARKERS:
            return _jpeg_frame_header(marker, segment, declared)
        if marker == 0xEE and segment[:5] == b"Adobe" and len(segment) >= 12:
            declared = "RGB" if segment[11] == 0 else "YCBCR"
        elif marker == 0xE0 and segment[:5] == b"JFIF\x00" and declared is None:
            declared = "YCBCR"
        elif marker in (0xDA, 0xD9):
            break
        position += 2 + length
    raise CorruptData("The JPEG stream has no frame header.", code="corrupt-frame")


def _jpeg_frame_header(marker: int, segment: bytes, declared: str | None) -> CodestreamHeader:
    if len(segment) < 6:
        raise CorruptData("The JPEG frame header is cut off.", code="corrupt-frame")
    precision, rows, columns, components = struct.unpack_from(">BHHB", segment)
    identifiers = bytes(segment[6 + 3 * index] for index in range(components) if 6 + 3 * index < len(segment))
    if declared is None and identifiers == b"RGB":
        declared = "RGB"
    return CodestreamHeader(
        rows, columns, components, precision, is_lossless_jpeg=marker in _LOSSLESS_MARKERS, colour_transform=declared
    )


def read_jpeg_2000_header(data: bytes | memoryview) -> CodestreamHeader:
    """Return what the SIZ marker of a JPEG 2000 or HTJ2K codestream says, bare or in a JP2 container.

    Raises:
        CorruptData: there is no such marker, or its components differ in size.

    Reference: ITU-T T.800 §A.5.1
    """
    head = bytes(data[: 1 << 16])
    # PS3.5 §A.4.4 forbids the container, yet some devices write it.
    position = head.find(_J2K_START) if head.startswith(_JP2_SIGNATURE) else 0
    if position < 0 or head[position : position + 4] != _J2K_START or len(head) < position + 43:
        raise CorruptData("The frame does not begin like a JPEG 2000 codestream.", code="corrupt-frame")
    width, height, left, top = struct.unpack_from(">4I", head, position + 8)
    (components,) = struct.unpack_from(">H", head, position + 40)
    (size,) = struct.unpack_from(">B", head, position + 42)
    if width <= left or height <= top or not 0 < components <= 4:
        raise CorruptData("The JPEG 2000 codestream's image size is impossible.", code="corrupt-frame")
    return CodestreamHeader(height - top, width - left, components, (size & 0x7F) + 1, is_signed=bool(size & 0x80))


def read_jpeg_xl_size(data: bytes | memoryview) -> tuple[int, int]:
    """Return rows and columns of a JPEG XL image, bare or in a container.

    Raises:
        CorruptData: there is no codestream.

    Reference: ISO/IEC 18181-1 §D.2, 18181-2 §9
    """
    head = bytes(data[: 1 << 16])
    start = 0 if head.startswith(_JPEG_XL_START) else head.find(_JPEG_XL_START)
    if start < 0 or (start and not head.startswith(_JPEG_XL_CONTAINER)):
        raise CorruptData("The frame does not begin like a JPEG XL image.", code="corrupt-frame")
    bits = int.from_bytes(head[start + 2 : start + 14].ljust(12, b"\0"), "little")
    position = 0

    def take(count: int) -> int:
        nonlocal position
        value = bits >> position & ((1 << count) - 1)
        position += count
        return value

    is_small = take(1)

    def side() -> int:
        return 8 * (1 + take(5)) if is_small else 1 + take((9, 13, 18, 30)[take(2)])

    rows = side()
    ratio = take(3)
    return rows, rows * _JPEG_XL_RATIOS[ratio][0] // _JPEG_XL_RATIOS[ratio][1] if ratio else side()


def loss_of_codestream(media_type: str, data: bytes | memoryview) -> str | None:
    """Return the method by which a codestream has lost information for certain, None if it may be lossless.

    Args:
        media_type: of a frame in its transfer syntax.
        data: the frame.

    Reference: PS3.3 §C.7.6.1.1.5; ITU-T T.81 §B.2.2, T.87 §C.2.3, T.800 §A.6.1
    """
    head = bytes(data[: 1 << 16])
    if media_type == "image/jpeg":
        try:
            return None if read_jpeg_header(head).is_lossless_jpeg else "ISO_10918_1"
        except CorruptData:
            return None
    if media_type == "image/jls":
        scan = head.find(b"\xff\xda")
        # Length, number of components, two bytes for each, then the greatest difference.
        near = scan + 5 + 2 * head[scan + 4] if 0 <= scan < len(head) - 5 else len(head)
        return "ISO_14495_1" if near < len(head) and head[near] else None
    if media_type in ("image/jp2", "image/jphc"):
        style = head.find(b"\xff\x52")
        is_irreversible = 0 <= style < len(head) - 13 and head[style + 13] == 0
        method = "ISO_15444_15" if media_type == "image/jphc" else "ISO_15444_1"
        return method if is_irreversible else None
    return None
