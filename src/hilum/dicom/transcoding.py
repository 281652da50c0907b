"""A Part 10 file in another encoding: Explicit VR Little Endian with native pixels, by pydicom.

Files leave as they came; this is for the client that asks for the encoding everyone must read.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import Final

import pydicom
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filewriter import write_dataset
from pydicom.tag import Tag

from hilum.dicom.part10 import write_file_meta
from hilum.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from hilum.kernel.errors import CorruptData

# Words that pydicom leaves in the byte order in which it found them, with the size of one.
_WORD_VRS: Final = {"FloatPixelData": "OF", "DoubleFloatPixelData": "OD"}
_WORD_BYTES: Final = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}
_ENCAPSULATION_ONLY: Final = (
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "EncapsulatedPixelDataValueTotalLength",
)


@dataclass(frozen=True, slots=True)
class NativePixels:
    """Decoded frames, one after the other, little endian, samples of a pixel together."""

    data: bytes
    bits_allocated: int
    samples_per_pixel: int
    photometric_interpretation: str


def to_explicit_little_endian(file: bytes, pixels: NativePixels | None) -> bytes:
    """Return a Part 10 file with the same data set in Explicit VR Little Endian.

    Args:
        file: the Part 10 file as stored.
        pixels: what takes the place of the pixel data; None leaves them, which is right for native little endian ones.

    Raises:
        CorruptData: the data set cannot be read or cannot be written in the other encoding.

    Reference: PS3.5 §A.2, PS3.18 §8.7.3.5
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom warns of values that are odd, and they stay as they are
            data_set = pydicom.dcmread(io.BytesIO(file), force=True)
            if not data_set.original_encoding[1]:
                data_set.walk(_swap_words)
            if pixels is not None:
                _replace_pixels(data_set, pixels)
            buffer = pydicom.filebase.DicomBytesIO()
            buffer.is_implicit_VR, buffer.is_little_endian = False, True
            # The file meta information is our own; group 2 does not belong into the data set.
            write_dataset(buffer, data_set)
    except Exception as error:
        raise CorruptData("The data set cannot be written in another encoding.", code="not-transcodable") from error
    meta = write_file_meta(
        str(data_set.get("SOPClassUID", "")), str(data_set.get("SOPInstanceUID", "")), EXPLICIT_VR_LITTLE_ENDIAN
    )
    return meta + buffer.getvalue()


def _replace_pixels(data_set: Dataset, pixels: NativePixels) -> None:
    for keyword in _ENCAPSULATION_ONLY:
        if keyword in data_set:
            delattr(data_set, keyword)
    keyword = next(
        (name for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData") if name in data_set), "PixelData"
    )
    vr = {"FloatPixelData": "OF", "DoubleFloatPixelData": "OD"}.get(
        keyword, "OW" if pixels.bits_allocated > 8 else "OB"
    )
    padding = b"\0" * (len(pixels.data) % 2)
    tag = Tag(keyword)
    data_set[tag] = DataElement(tag, vr, pixels.data + padding)
    data_set.PhotometricInterpretation = pixels.photometric_interpretation
    if pixels.samples_per_pixel > 1:
        data_set.PlanarConfiguration = 0


def _swap_words(_data_set: Dataset, element: DataElement) -> None:
    size_bytes = _WORD_BYTES.get(element.VR)
    value = element.value
    if size_bytes is None or not isinstance(value, bytes) or len(value) % size_bytes:
        return
    swapped = bytearray(len(value))
    for index in range(size_bytes):
        swapped[index::size_bytes] = value[size_bytes - 1 - index :: size_bytes]
    element.value = bytes(swapped)
