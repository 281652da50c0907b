"""Native (unencapsulated) frames: bytes as stored to samples."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hilum.kernel.errors import CorruptData
from hilum.pixels.description import PixelDescription, SampleKind

Samples: TypeAlias = NDArray[Any]
"""One frame as (rows, columns, samples)."""


def decode_native(description: PixelDescription, data: bytes | memoryview, first_bit: int = 0) -> Samples:
    """Return a native frame's samples, chrominance repeated where it is shared, bits outside Bits Stored cleared.

    Args:
        description: the instance's pixel description.
        data: the bytes that hold the frame, little endian; more than needed is ignored.
        first_bit: where the frame begins within the first byte, for frames of single bits.

    Raises:
        CorruptData: there are fewer bytes than the frame needs.

    Reference: PS3.5 §8.1.1, §8.2, Annex D; PS3.3 §C.7.6.3.1.2
    """
    needed = (first_bit + description.native_frame_bits + 7) // 8
    if len(data) < needed:
        raise CorruptData(
            f"The frame has {len(data)} bytes where {needed} are needed.", code="frame-too-short", needed=needed
        )
    shape = (description.rows, description.columns, description.samples_per_pixel)
    if description.bits_allocated == 1:
        packed = np.frombuffer(data, np.uint8, needed)
        # The first pixel is the least significant bit (PS3.5 §8.1.1).
        bits = np.unpackbits(packed, bitorder="little")
        return bits[first_bit : first_bit + description.sample_count].reshape(shape)
    stored = description.dtype.newbyteorder("<")
    samples = np.frombuffer(data, stored, needed // stored.itemsize).astype(description.dtype, copy=False)
    if description.is_subsampled:
        return restrict_bits(description, _expanded(description, samples))
    if description.is_planar and description.samples_per_pixel > 1:
        planes = samples.reshape((description.samples_per_pixel, description.rows, description.columns))
        return restrict_bits(description, np.ascontiguousarray(planes.transpose(1, 2, 0)))
    return restrict_bits(description, samples.reshape(shape))


def restrict_bits(description: PixelDescription, samples: Samples) -> Samples:
    """Return samples with the bits outside Bits Stored removed and the sign extended from the highest stored one.

    Older files keep overlays there (PS3.5 §8.1.1); a value must not depend on them.
    """
    if description.kind is not SampleKind.INTEGER or description.bits_stored == description.bits_allocated:
        return samples
    return extend_sign(samples, description.bits_stored, description.bits_allocated - 1 - description.high_bit)


def extend_sign(samples: Samples, bits: int, unused_high_bits: int | None = None) -> Samples:
    """Return integer samples made of `bits` bits only: signed types sign-extended, unsigned ones masked."""
    width = samples.dtype.itemsize * 8
    left = width - bits if unused_high_bits is None else unused_high_bits
    if bits >= width:
        return samples
    shifted = np.left_shift(samples, left)
    return np.right_shift(shifted, width - bits, out=shifted)


def _expanded(description: PixelDescription, samples: Samples) -> Samples:
    pairs = samples.reshape((description.rows, (description.columns + 1) // 2, 4))
    full = np.empty((description.rows, pairs.shape[1] * 2, 3), samples.dtype)
    full[:, 0::2, 0] = pairs[:, :, 0]
    full[:, 1::2, 0] = pairs[:, :, 1]
    full[:, 0::2, 1:] = pairs[:, :, 2:]
    full[:, 1::2, 1:] = pairs[:, :, 2:]
    return full[:, : description.columns]


def encode_native(description: PixelDescription, samples: Samples) -> bytes:
    """Return a frame little endian, the samples of a pixel together; single bits packed from a byte's beginning.

    Reference: PS3.5 §8.1.1, §8.2
    """
    if description.bits_allocated == 1:
        return np.packbits(samples.reshape(-1), bitorder="little").tobytes()
    return samples.astype(samples.dtype.newbyteorder("<"), copy=False).tobytes()
