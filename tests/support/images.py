"""Images of our own making in every shape that the Image Pixel module allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from support.instances import part10


@dataclass(frozen=True)
class ImageKind:
    """What an image is like; `pixels` are (frames, rows, columns, samples)."""

    rows: int = 8
    columns: int = 8
    frames: int = 1
    photometric_interpretation: str = "MONOCHROME2"
    bits_allocated: int = 16
    bits_stored: int = 16
    is_signed: bool = False

    @property
    def samples(self) -> int:
        return 3 if self.photometric_interpretation in ("RGB", "YBR_FULL") else 1

    @property
    def dtype(self) -> np.dtype[Any]:
        if self.bits_allocated == 1:
            return np.dtype(np.uint8)
        return np.dtype(f"{'i' if self.is_signed else 'u'}{self.bits_allocated // 8}")

    @property
    def bounds(self) -> tuple[int, int]:
        """Least and greatest value."""
        if self.is_signed:
            return -(1 << (self.bits_stored - 1)), (1 << (self.bits_stored - 1)) - 1
        return 0, (1 << self.bits_stored) - 1

    def pixels(self, seed: int = 0) -> NDArray[Any]:
        """Return a gradient with noise that touches both bounds."""
        generator = np.random.default_rng(seed)
        low, high = self.bounds
        shape = (self.frames, self.rows, self.columns, self.samples)
        ramp = np.linspace(low, high, self.rows * self.columns).reshape((1, self.rows, self.columns, 1))
        noise = generator.normal(0, max(0.5, (high - low) / 64), shape)
        values = np.clip(np.rint(ramp + noise), low, high).astype(np.int64)
        values.flat[0], values.flat[-1] = low, high
        return values.astype(self.dtype)

    def dataset(self, pixels: NDArray[Any] | None = None, syntax: str = ExplicitVRLittleEndian) -> Dataset:
        """Return an instance that holds the pixels natively."""
        pixels = self.pixels() if pixels is None else pixels
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.SpecificCharacterSet = "ISO_IR 100"
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
        dataset.Modality, dataset.ConversionType = "OT", "WSD"
        dataset.PatientName, dataset.PatientID = "Größe^Jörg", "IMAGE-1"
        dataset.SamplesPerPixel = self.samples
        dataset.PhotometricInterpretation = self.photometric_interpretation
        if self.samples > 1:
            dataset.PlanarConfiguration = 0
        if self.frames > 1:
            dataset.NumberOfFrames = self.frames
        dataset.Rows, dataset.Columns = self.rows, self.columns
        dataset.BitsAllocated, dataset.BitsStored = self.bits_allocated, self.bits_stored
        dataset.HighBit, dataset.PixelRepresentation = self.bits_stored - 1, int(self.is_signed)
        dataset.PixelPaddingValue = self.bounds[0] if self.bits_allocated <= 16 else 0
        dataset["PixelPaddingValue"].VR = "SS" if self.is_signed else "US"
        if self.photometric_interpretation == "PALETTE COLOR":
            for colour in ("Red", "Green", "Blue"):
                setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
                dataset[f"{colour}PaletteColorLookupTableDescriptor"].VR = "US"
                setattr(dataset, f"{colour}PaletteColorLookupTableData", bytes(range(256)) * 2)
        dataset.PixelData = native_bytes(self, pixels, is_big_endian=syntax == ExplicitVRBigEndian)
        is_wide = self.bits_allocated > 8 or syntax == ImplicitVRLittleEndian
        dataset["PixelData"].VR = "OW" if is_wide else "OB"
        return dataset

    def file(self, pixels: NDArray[Any] | None = None, syntax: str = ExplicitVRLittleEndian) -> bytes:
        """Return that instance as a Part 10 file."""
        return part10(self.dataset(pixels, syntax))


def native_bytes(kind: ImageKind, pixels: NDArray[Any], *, is_big_endian: bool = False) -> bytes:
    """Return pixels as native pixel data."""
    if kind.bits_allocated == 1:
        data = np.packbits(pixels.reshape(-1), bitorder="little").tobytes()
    else:
        data = pixels.astype(pixels.dtype.newbyteorder(">" if is_big_endian else "<")).tobytes()
    return data + b"\0" * (len(data) % 2)


def encapsulated(dataset: Dataset, frames: list[bytes], syntax: str) -> bytes:
    """Return the instance with encapsulated frames in another syntax, as a Part 10 file."""
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate(frames)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return part10(dataset)
