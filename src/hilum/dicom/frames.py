"""Where the frames of an instance stand, so that one of them is one range read (PS3.5 §8, §A.4, PS3.3 §C.7.6.3)."""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from struct import Struct
from struct import error as struct_error
from typing import Final

from hilum.kernel.errors import CorruptData, NotFound

_ITEM_HEAD: Final = 8
_VERSION: Final = 1
_HEAD: Final = Struct("<BBQQQQ")
_NATIVE, _ENCAPSULATED = 0, 1


@dataclass(frozen=True, slots=True)
class FrameIndex:
    """Ranges of all frames of one instance, by offsets in its data set; a hundred thousand frames are little.

    Native frames are computed: they follow each other bit by bit. With Bits Allocated 1 (or 12) a frame may begin
    inside a byte, so neighbours share one: `frame_bit_offset` says how many bits of a range's first byte belong to the
    frame before. Encapsulated frames are runs of fragments; an item head of 8 bytes stands before each fragment.

    Args:
        frame_count: frames that can be addressed. A video stream is one, whatever Number of Frames says.
        first_offset: native: of the pixel data; encapsulated: of the first fragment's bytes.
        frame_bits: native only.
        fragment_lengths: encapsulated only, in order, gapless.
        first_fragments: the fragment each frame begins with, or None if each is one fragment.
    """

    frame_count: int
    first_offset: int = 0
    frame_bits: int = 0
    is_encapsulated: bool = False
    fragment_lengths: Sequence[int] = ()
    first_fragments: Sequence[int] | None = None
    _offsets: list[int] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def is_byte_aligned(self) -> bool:
        """Whether every frame begins and ends with a whole byte."""
        return self.is_encapsulated or not self.frame_bits % 8 or self.frame_count <= 1

    def frame_bit_offset(self, frame_index: int) -> int:
        """Return how many low bits of the first byte of a frame's range belong to the frame before it.

        Reference: PS3.5 §8.1.1
        """
        return 0 if self.is_encapsulated else frame_index * self.frame_bits % 8

    def frame_ranges(self, frame_index: int) -> list[tuple[int, int]]:
        """Return offset and length of each piece of one frame, 0-based, in the data set.

        Raises:
            NotFound: there is no such frame.
        """
        if not 0 <= frame_index < self.frame_count:
            raise NotFound(
                f"There is no frame {frame_index + 1}, only {self.frame_count}",
                code="frame",
                frame_count=self.frame_count,
            )
        if not self.is_encapsulated:
            first, last = frame_index * self.frame_bits, (frame_index + 1) * self.frame_bits
            return [(self.first_offset + first // 8, -(-last // 8) - first // 8)]
        first, after = frame_index, frame_index + 1
        if self.first_fragments is not None:
            first = self.first_fragments[frame_index]
            after = (
                self.first_fragments[frame_index + 1]
                if frame_index + 1 < self.frame_count
                else len(self.fragment_lengths)
            )
        offsets = self._fragment_offsets()
        return [(offsets[i], self.fragment_lengths[i]) for i in range(first, after)]

    def _fragment_offsets(self) -> list[int]:
        if not self._offsets and self.fragment_lengths:
            steps = (length + _ITEM_HEAD for length in self.fragment_lengths)
            self._offsets.extend(accumulate(steps, initial=self.first_offset))
        return self._offsets

    def to_bytes(self) -> bytes:
        """Return the index in a compact form for storing; `from_bytes` reads it."""
        kind = _ENCAPSULATED if self.is_encapsulated else _NATIVE
        fragments = len(self.fragment_lengths)
        head = _HEAD.pack(_VERSION, kind, self.frame_count, self.first_offset, self.frame_bits, fragments)
        if not self.is_encapsulated:
            return head
        body = array("I", self.fragment_lengths).tobytes()
        if self.first_fragments is not None:
            # Steps are mostly equal, so they compress to next to nothing.
            steps = (b - a for a, b in pairwise((0, *self.first_fragments)))
            body += array("I", steps).tobytes()
        return head + zlib.compress(body, 6)

    @classmethod
    def from_bytes(cls, data: bytes) -> FrameIndex:
        """Return the index that `to_bytes` wrote.

        Raises:
            CorruptData: the bytes are no frame index.
        """
        try:
            version, kind, frames, first_offset, bits, fragments = _HEAD.unpack_from(data)
            if version != _VERSION:
                raise ValueError(version)
            if kind == _NATIVE:
                return cls(frames, first_offset, bits)
            numbers = array("I", zlib.decompress(data[_HEAD.size :]))
        except (ValueError, zlib.error, struct_error) as error:
            raise CorruptData("A stored frame index cannot be read", code="frame-index") from error
        lengths, steps = numbers[:fragments], numbers[fragments:]
        if len(lengths) != fragments or len(steps) not in (0, frames) or (not steps and frames > fragments):
            raise CorruptData("A stored frame index contradicts itself", code="frame-index")
        firsts = array("I", accumulate(steps)) if steps else None
        return cls(frames, first_offset, 0, True, lengths, firsts)
