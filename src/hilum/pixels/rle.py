"""RLE frames: byte planes packed each for itself (PS3.5 Annex G)."""

from __future__ import annotations

import struct
from itertools import pairwise

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from hilum.kernel.errors import CorruptData
from hilum.pixels.description import PixelDescription
from hilum.pixels.native import Samples, restrict_bits

_HEADER = struct.Struct("<16I")
_MAX_PADDING_BYTES = 256


def decode_rle(description: PixelDescription, data: bytes | memoryview) -> Samples:
    """Return an RLE frame's samples.

    Raises:
        CorruptData: the segments are not where the header says, not as many as the samples need, or too short.

    Reference: PS3.5 Annex G
    """
    if len(data) < _HEADER.size:
        raise CorruptData("The RLE frame is shorter than its header.", code="corrupt-frame")
    segment_count, *offsets = _HEADER.unpack_from(data)
    planes_per_sample = max(1, description.bits_allocated // 8)
    if segment_count != planes_per_sample * description.samples_per_pixel or segment_count > len(offsets):
        raise CorruptData("The RLE frame has another number of segments than its samples need.", code="corrupt-frame")
    bounds = [*offsets[:segment_count], len(data)]
    if bounds[0] < _HEADER.size or any(low >= high for low, high in pairwise(bounds)):
        raise CorruptData("The RLE segments do not follow one another.", code="corrupt-frame")
    pixel_count = description.rows * description.columns
    if description.bits_allocated == 1:
        packed = _unpacked(data, bounds[0], bounds[1], (pixel_count + 7) // 8)
        bits = np.unpackbits(packed, count=pixel_count, bitorder="little")
        return bits.reshape((description.rows, description.columns, 1))
    planes = np.empty((description.samples_per_pixel, planes_per_sample, pixel_count), np.uint8)
    for index in range(segment_count):
        sample, plane = divmod(index, planes_per_sample)
        # The most significant byte comes first (§G.2); the view below wants it last.
        planes[sample, planes_per_sample - 1 - plane] = _unpacked(data, bounds[index], bounds[index + 1], pixel_count)
    if planes_per_sample == 1:
        values = planes[:, 0, :].view(description.dtype)
    else:
        little_endian = description.dtype.newbyteorder("<")
        values = np.ascontiguousarray(planes.transpose(0, 2, 1)).view(little_endian)[:, :, 0]
    shaped = values.reshape((description.samples_per_pixel, description.rows, description.columns))
    return restrict_bits(description, np.ascontiguousarray(shaped.transpose(1, 2, 0), description.dtype))


def encode_rle(description: PixelDescription, samples: Samples) -> bytes:
    """Return a frame as RLE segments: the most significant byte plane of the first sample first.

    Args:
        description: of the samples; Bits Allocated 8, 16 or 32.
        samples: (rows, columns, samples).

    Reference: PS3.5 Annex G
    """
    size_bytes = description.bits_allocated // 8
    most_significant_first = samples.astype(samples.dtype.newbyteorder(">"), copy=False)
    planes = np.ascontiguousarray(most_significant_first).view(np.uint8)
    planes = planes.reshape((description.rows, description.columns, description.samples_per_pixel * size_bytes))
    segments = []
    for index in range(planes.shape[2]):
        # Rows are packed each for itself (§G.3.1), which is what the library does with two axes.
        segment = bytes(imagecodecs.packbits_encode(np.ascontiguousarray(planes[..., index])))
        segments.append(segment + b"\0" * (len(segment) % 2))
    offsets = [_HEADER.size]
    for segment in segments[:-1]:
        offsets.append(offsets[-1] + len(segment))
    head = _HEADER.pack(len(segments), *offsets, *[0] * (15 - len(offsets)))
    return b"".join((head, *segments))


def _unpacked(data: bytes | memoryview, start: int, end: int, size_bytes: int) -> NDArray[np.uint8]:
    # PackBits makes at most 128 bytes of 2: what cannot fill the plane is not even tried, and what would overfill it
    # has no room to. Encoders may pad by a few bytes.
    if (end - start) * 64 < size_bytes:
        raise CorruptData("An RLE segment is too short for its plane.", code="corrupt-frame")
    try:
        plane = imagecodecs.packbits_decode(bytes(data[start:end]), out=bytearray(size_bytes + _MAX_PADDING_BYTES))
    except (RuntimeError, ValueError) as error:
        raise CorruptData("An RLE segment cannot be unpacked.", code="corrupt-frame") from error
    if len(plane) < size_bytes:
        raise CorruptData("An RLE segment is too short for its plane.", code="corrupt-frame")
    return np.frombuffer(plane, np.uint8, size_bytes)
