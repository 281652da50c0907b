"""Single frames out of native pixel data: from the stored words to little endian bytes that begin with the frame."""

from __future__ import annotations

from hilum.dicom.frames import FrameIndex
from hilum.dicom.raw_elements import swapped_words, word_bytes_of


def pixel_word_bytes(vr: str, bits_allocated: int) -> int:
    """Return of how many bytes the words are that big endian pixel data are made of.

    Samples of up to 8 bits stand in words of 16 if the VR is OW.

    Reference: PS3.5 §7.3, §8.1.1
    """
    return bits_allocated // 8 if bits_allocated > 8 else word_bytes_of(vr)


def words_of_frame(frames: FrameIndex, frame_index: int, word_bytes: int) -> tuple[int, int]:
    """Return offset and length of the whole words that hold a frame, 0-based.

    Args:
        word_bytes: 1 for little endian pixel data.

    Raises:
        NotFound: there is no such frame.
    """
    ((offset, length),) = frames.frame_ranges(frame_index)
    before = (offset - frames.first_offset) % word_bytes
    return offset - before, -(-(before + length) // word_bytes) * word_bytes


def frame_of_words(frames: FrameIndex, frame_index: int, word_bytes: int, words: bytes) -> bytes:
    """Return a frame, little endian, from the words that hold it; one of single bits is shifted to a byte's beginning.

    Reference: PS3.5 §7.3, §8.1.1
    """
    ((offset, length),) = frames.frame_ranges(frame_index)
    before = (offset - frames.first_offset) % word_bytes
    content = swapped_words(words, word_bytes)[before : before + length] if word_bytes > 1 else words
    if frames.is_byte_aligned:
        return content
    return aligned(content, frames.frame_bit_offset(frame_index), frames.frame_bits)


def aligned(content: bytes, bit_offset: int, bit_count: int) -> bytes:
    """Return the bits of one frame from a byte's beginning on, the rest of the last byte zero.

    Reference: PS3.5 §8.1.1
    """
    bits = (int.from_bytes(content, "little") >> bit_offset) & ((1 << bit_count) - 1)
    return bits.to_bytes(-(-bit_count // 8), "little")
