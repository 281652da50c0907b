"""What the Image Pixel attributes say about the stored frames, checked before anything is believed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from hilum.kernel.errors import InvalidInput, LimitExceeded, Unsupported
from hilum.kernel.limits import MAX_FRAME_SAMPLES


class SampleKind(StrEnum):
    """Which of the three pixel data elements holds the samples."""

    INTEGER = "integer"
    FLOAT = "float"
    DOUBLE = "double"


@dataclass(frozen=True, slots=True)
class PixelDescription:
    """The Image Pixel module of one instance; building one checks it.

    Raises:
        InvalidInput: the values contradict each other or the standard.
        LimitExceeded: one frame would take more samples than we decode.
        Unsupported: a legal layout nobody writes (packed 12-bit samples).

    Reference: PS3.3 §C.7.6.3
    """

    rows: int
    columns: int
    samples_per_pixel: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    is_signed: bool
    photometric_interpretation: str
    frame_count: int = 1
    is_planar: bool = False
    kind: SampleKind = SampleKind.INTEGER

    def __post_init__(self) -> None:
        if not (0 < self.rows <= 0xFFFF and 0 < self.columns <= 0xFFFF):
            raise InvalidInput("Rows and Columns must be between 1 and 65535.", code="invalid-image")
        if self.samples_per_pixel not in (1, 3, 4) or self.frame_count < 1:
            raise InvalidInput("Samples per Pixel or Number of Frames is out of range.", code="invalid-image")
        if self.sample_count > MAX_FRAME_SAMPLES:
            raise LimitExceeded(
                f"A frame of {self.sample_count} samples is larger than the {MAX_FRAME_SAMPLES} we decode.",
                code="frame-too-large",
                samples=self.sample_count,
            )
        if self.bits_allocated not in (1, 8, 16, 32, 64):
            raise Unsupported("Bits Allocated is none of 1, 8, 16, 32, 64.", code="unsupported-bits-allocated")
        if not (0 < self.bits_stored <= self.bits_allocated and self.bits_stored - 1 <= self.high_bit):
            raise InvalidInput("Bits Stored contradicts Bits Allocated or High Bit.", code="invalid-image")
        if self.high_bit >= self.bits_allocated:
            raise InvalidInput("High Bit lies outside Bits Allocated.", code="invalid-image")

    @property
    def sample_count(self) -> int:
        """Samples of one frame."""
        return self.rows * self.columns * self.samples_per_pixel

    @property
    def is_subsampled(self) -> bool:
        """Whether native chrominance is stored for every second pixel of a row only."""
        return self.samples_per_pixel == 3 and self.photometric_interpretation in (
            "YBR_FULL_422",
            "YBR_PARTIAL_422",
        )

    @property
    def native_frame_bits(self) -> int:
        """Length of one frame in native encoding, in bits: frames of single bits follow without padding."""
        if self.is_subsampled:
            # Two pixels share one pair of chrominance samples (PS3.3 §C.7.6.3.1.2).
            return self.rows * ((self.columns + 1) // 2) * 4 * self.bits_allocated
        return self.sample_count * self.bits_allocated

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The sample type in the machine's byte order."""
        if self.kind is SampleKind.FLOAT:
            return np.dtype(np.float32)
        if self.kind is SampleKind.DOUBLE:
            return np.dtype(np.float64)
        size_bytes = max(1, self.bits_allocated // 8)
        return np.dtype(f"{'i' if self.is_signed and self.bits_allocated > 1 else 'u'}{size_bytes}")
