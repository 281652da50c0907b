"""CT series of the chest phantom, with the header of a clinical scanner."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydicom import Dataset
from pydicom.sequence import Sequence

from hilum.dicom.samples.building import (
    Person,
    SeriesOf,
    StudyOf,
    code,
    new_instance,
    sample_uid,
    set_pixels,
    to_part10,
)
from hilum.dicom.samples.thorax import FIELD_OF_VIEW_MM, HIGHEST_MM, LOWEST_MM, Nodule, Thorax
from hilum.dicom.uids import CT_IMAGE_STORAGE


def ct_instances(series: SeriesOf, thorax: Thorax, slices: int, rows: int, columns: int) -> Iterator[Dataset]:
    """Yield a transverse CT series of the whole chest, feet first in z, one data set a slice."""
    spacing = slice_spacing(slices)
    for index in range(slices):
        z = slice_position(index, slices)
        ds = new_instance(series, CT_IMAGE_STORAGE, index + 1)
        _describe_acquisition(ds, index)
        ds.FrameOfReferenceUID = frame_of_reference(series.study)
        ds.PositionReferenceIndicator = "SN"
        ds.PatientPosition = "HFS"
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.ImagePositionPatient = image_position(z, rows, columns)
        ds.PixelSpacing = [round(FIELD_OF_VIEW_MM / rows, 6), round(FIELD_OF_VIEW_MM / columns, 6)]
        ds.SliceThickness = spacing
        ds.SpacingBetweenSlices = spacing
        ds.SliceLocation = round(z, 3)
        ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = -1024, 1, "HU"
        ds.WindowCenter, ds.WindowWidth = [40, -600], [400, 1500]
        ds.WindowCenterWidthExplanation = ["MEDIASTINUM", "LUNG"]
        stored = np.rint(thorax.slice_at(z, rows, columns) + 1024).astype(np.uint16)
        ds.SmallestImagePixelValue, ds.LargestImagePixelValue = int(stored.min()), int(stored.max())
        set_pixels(ds, stored, bits_stored=12)
        yield ds


def ct_series(slices: int, rows: int, columns: int, seed: int) -> Iterator[bytes]:
    """Yield the PS3.10 files of one CT series of its own patient and study; other seeds give other UIDs.

    Reference: PS3.3 §A.3
    """
    person = Person(f"BENCH{seed:06d}", f"Bench^Patient {seed}", "19620228", "F")
    study = StudyOf(person, f"bench/{seed}", "CT Chest", "20260105", "080000", f"B{seed:07d}")
    series = chest_series(study, 2, "Chest 1.5 mm")
    for ds in ct_instances(series, Thorax(seed, Nodule()), slices, rows, columns):
        yield to_part10(ds)


def chest_series(study: StudyOf, number: int, description: str) -> SeriesOf:
    """Return the description of a CT series of the chest."""
    return SeriesOf(
        study, number, "CT", description, "Hilum Imaging", "Sample CT 64", "CT01", "CHEST", "Thorax routine"
    )


def frame_of_reference(study: StudyOf) -> str:
    """Return the Frame of Reference UID that all series of a study share."""
    return sample_uid(f"{study.key}/frame of reference")


def slice_spacing(slices: int) -> float:
    """Return the distance of neighbouring slices in millimetres."""
    return round((HIGHEST_MM - LOWEST_MM) / slices, 6)


def slice_position(index: int, slices: int) -> float:
    """Return the z of a slice in the phantom and in the patient."""
    return LOWEST_MM + (index + 0.5) * slice_spacing(slices)


def image_position(z: float, rows: int, columns: int) -> list[float]:
    """Return the position of the centre of a slice's first pixel."""
    half = FIELD_OF_VIEW_MM / 2
    return [round(half / columns - half, 4), round(half / rows - half, 4), round(z, 4)]


def _describe_acquisition(ds: Dataset, index: int) -> None:
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.AcquisitionDate = ds.StudyDate
    ds.AcquisitionTime = ds.SeriesTime
    ds.AcquisitionNumber = 1
    ds.ContrastBolusAgent = "Iohexol 350"
    ds.ContrastBolusRoute = "IV"
    ds.ContrastBolusVolume = "80"
    ds.ContrastFlowRate = "3"
    ds.ContrastBolusIngredient = "IODINE"
    ds.ScanOptions = "HELICAL MODE"
    ds.KVP = "120"
    ds.DataCollectionDiameter = "500"
    ds.ReconstructionDiameter = str(FIELD_OF_VIEW_MM)
    ds.DistanceSourceToDetector = "949"
    ds.DistanceSourceToPatient = "541"
    ds.GantryDetectorTilt = "0"
    ds.TableHeight = "158.5"
    ds.RotationDirection = "CW"
    ds.ExposureTime = "500"
    ds.XRayTubeCurrent = str(210 + int(60 * np.sin(index / 23)))
    ds.Exposure = str(105 + int(30 * np.sin(index / 23)))
    ds.FilterType = "BODY FILTER"
    ds.GeneratorPower = "36000"
    ds.FocalSpots = "1.2"
    ds.ConvolutionKernel = "STANDARD"
    ds.RevolutionTime = 0.5
    ds.SingleCollimationWidth = 0.625
    ds.TotalCollimationWidth = 40.0
    ds.TableSpeed = 79.375
    ds.TableFeedPerRotation = 39.6875
    ds.SpiralPitchFactor = 0.984375
    ds.CTDIvol = 7.42
    ds.ExposureModulationType = "Z_XY"
    ds.PatientWeight = "78"
    ds.PatientSize = "1.74"
    ds.ProcedureCodeSequence = Sequence([code("CTCHCON", "99HILUM", "CT of the chest with contrast medium")])
    ds.AnatomicRegionSequence = Sequence([code("51185008", "SCT", "Thorax")])
    ds.CTDIPhantomTypeCodeSequence = Sequence([code("113691", "DCM", "IEC Body Dosimetry Phantom")])
    ds.BurnedInAnnotation = "NO"
    ds.LossyImageCompression = "00"
