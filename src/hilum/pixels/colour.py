"""Colour models: everything becomes RGB (PS3.3 §C.7.6.3.1.2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.kernel.errors import CorruptData, Unsupported
from hilum.pixels.native import Samples

_YBR_FULL = frozenset({"YBR_FULL", "YBR_FULL_422"})
_YBR_PARTIAL = frozenset({"YBR_PARTIAL_420", "YBR_PARTIAL_422"})
# Decoders undo these transforms themselves, so what they hand out is RGB.
_UNDONE_BY_DECODER = frozenset({"YBR_RCT", "YBR_ICT"})
_MAX_PALETTE_ENTRIES = 65_536


@dataclass(frozen=True, slots=True)
class Palette:
    """A colour palette: row `value - first_value` of `table` is the colour, as 8-bit RGB."""

    first_value: int
    table: NDArray[np.uint8]


def ybr_to_rgb(samples: Samples, photometric_interpretation: str, bits_stored: int) -> Samples:
    """Return RGB samples of the same type.

    Raises:
        Unsupported: the photometric interpretation is no three-colour model we know.

    Reference: PS3.3 §C.7.6.3.1.2
    """
    if photometric_interpretation == "RGB" or photometric_interpretation in _UNDONE_BY_DECODER:
        return samples
    top = float((1 << bits_stored) - 1)
    half = float(1 << (bits_stored - 1))
    ybr = samples.astype(np.float32)
    luminance, blue, red = ybr[..., 0], ybr[..., 1] - half, ybr[..., 2] - half
    if photometric_interpretation in _YBR_PARTIAL:
        luminance = (luminance - half / 8) * np.float32(255 / 219)
        blue = blue * np.float32(255 / 224)
        red = red * np.float32(255 / 224)
    elif photometric_interpretation not in _YBR_FULL:
        raise Unsupported(
            "The photometric interpretation is not one that can be shown.", code="unsupported-photometric"
        )
    rgb = np.empty(samples.shape, np.float32)
    rgb[..., 0] = luminance + np.float32(1.402) * red
    rgb[..., 1] = luminance - np.float32(0.344136) * blue - np.float32(0.714136) * red
    rgb[..., 2] = luminance + np.float32(1.772) * blue
    return np.clip(np.rint(rgb, out=rgb), 0.0, top, out=rgb).astype(samples.dtype)


def to_8_bit(samples: Samples, bits_stored: int) -> NDArray[np.uint8]:
    """Return unsigned samples scaled to 8 bits."""
    if bits_stored > 8:
        samples = np.right_shift(samples, bits_stored - 8)
    elif bits_stored < 8:
        samples = samples.astype(np.uint16) * 255 // ((1 << bits_stored) - 1)
    return samples.astype(np.uint8, copy=False)


def apply_palette(samples: Samples, palette: Palette) -> NDArray[np.uint8]:
    """Return the RGB picture of palette indices; values outside the table get its first or last colour.

    Reference: PS3.3 §C.7.6.3.1.5
    """
    indices = samples[..., 0].astype(np.int64) - palette.first_value
    return palette.table[np.clip(indices, 0, len(palette.table) - 1)]


def make_palette(
    descriptors: tuple[tuple[int, int, int], ...], channels: tuple[bytes, ...], *, is_segmented: bool, is_signed: bool
) -> Palette:
    """Return the palette that three LUT descriptors and their data make.

    Args:
        descriptors: entry count (0 stands for 65,536), first value mapped, bits per entry, each for red, green, blue.
        channels: the three tables as stored, little endian.
        is_segmented: whether the tables are segmented (PS3.3 §C.7.9.2).
        is_signed: whether pixel values, and so the first value mapped, are signed.

    Raises:
        CorruptData: the tables do not have what the descriptors promise.

    Reference: PS3.3 §C.7.6.3.1.5, §C.7.6.3.1.6
    """
    columns = []
    for (count, _, bits), data in zip(descriptors, channels, strict=True):
        entry_count = count or _MAX_PALETTE_ENTRIES
        if bits not in (8, 16) or not 0 < entry_count <= _MAX_PALETTE_ENTRIES:
            raise CorruptData("A palette's descriptor is impossible.", code="corrupt-palette")
        entries = _expand_segments(data, bits, entry_count) if is_segmented else _entries(data, bits, entry_count)
        # 16-bit descriptors over tables that only use the low byte are common; their colours would all be black.
        is_wide = bits == 16 and bool(entries.size) and int(entries.max()) > 255
        columns.append((entries >> 8 if is_wide else entries).astype(np.uint8))
    length = min(len(column) for column in columns)
    first_value = descriptors[0][1]
    if is_signed and first_value > 0x7FFF:
        first_value -= 0x10000
    return Palette(first_value, np.stack([column[:length] for column in columns], axis=-1))


def _entries(data: bytes, bits: int, entry_count: int) -> NDArray[np.uint16]:
    if len(data) >= 2 * entry_count:  # 8-bit entries may be stored in 16-bit words (§C.7.6.3.1.6)
        return np.frombuffer(data, "<u2", entry_count).astype(np.uint16)
    if bits == 8 and len(data) >= entry_count:
        return np.frombuffer(data, np.uint8, entry_count).astype(np.uint16)
    raise CorruptData("A palette's table is shorter than its descriptor says.", code="corrupt-palette")


def _expand_segments(data: bytes, bits: int, entry_count: int) -> NDArray[np.uint16]:
    is_bytes = bits == 8
    words = list(data) if is_bytes else list(struct.unpack_from(f"<{len(data) // 2}H", data)) if len(data) >= 2 else []
    entries: list[int] = []
    starts: list[int] = []
    position = 0
    while position < len(words) and len(entries) < entry_count:
        position = _expand_one(words, position, entries, starts, is_bytes=is_bytes, limit=entry_count)
    if len(entries) < entry_count:
        raise CorruptData("A segmented palette is shorter than its descriptor says.", code="corrupt-palette")
    return np.array(entries[:entry_count], np.uint16)


def _expand_one(
    words: list[int], position: int, entries: list[int], starts: list[int], *, is_bytes: bool, limit: int
) -> int:
    """Expand the segment at `position` and return where the next one begins."""
    if position + 2 > len(words):
        raise CorruptData("A segmented palette is cut off.", code="corrupt-palette")
    opcode, count = words[position], words[position + 1]
    body = position + 2
    if opcode == 0 and body + count <= len(words):
        starts.append(position)
        entries.extend(words[body : body + count])
        return body + count
    if opcode == 1 and entries and body < len(words):
        starts.append(position)
        first, last = entries[-1], words[body]
        entries.extend(first + round((last - first) * (step + 1) / count) for step in range(count))
        return body + 1
    offset_words = 4 if is_bytes else 2
    if opcode == 2 and body + offset_words <= len(words):
        parts = words[body : body + offset_words]
        shift = 8 if is_bytes else 16
        offset = sum(part << (shift * index) for index, part in enumerate(parts)) // (1 if is_bytes else 2)
        # An indirect segment repeats earlier direct ones and never another indirect one (§C.7.9.2.3).
        if offset not in starts:
            raise CorruptData("An indirect palette segment points nowhere.", code="corrupt-palette")
        for start in starts[starts.index(offset) : starts.index(offset) + count]:
            if len(entries) >= limit:
                break
            _expand_one(words, start, entries, [], is_bytes=is_bytes, limit=limit)
        return body + offset_words
    raise CorruptData("A segmented palette has an impossible segment.", code="corrupt-palette")
