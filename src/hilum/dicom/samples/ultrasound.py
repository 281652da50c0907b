"""A beating heart in ultrasound: four chambers in a sector of speckle, one multi-frame cine."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sequence import Sequence

from hilum.dicom.samples.building import SeriesOf, code, new_instance, set_pixels
from hilum.dicom.samples.shapes import Canvas, Image, rng_of, smooth_noise
from hilum.dicom.uids import ULTRASOUND_MULTI_FRAME_IMAGE_STORAGE

_DEPTH_MM: Final = 165.0
_HALF_ANGLE: Final = 0.70
_FRAME_TIME_MS: Final = 33.3
_BLOOD, _MUSCLE, _LUNG_EDGE, _VALVE = 0.018, 0.22, 0.75, 0.8


def cine_pixels(seed: int, frames: int, rows: int, columns: int) -> NDArray[np.uint8]:
    """Return frames of one heart beat, seen from the apex."""
    rng = rng_of(seed, 21)
    pixel = (_DEPTH_MM + 8) / rows
    x1 = (np.arange(columns) - columns / 2 + 0.5) * pixel
    y1 = (np.arange(rows) + 0.5) * pixel - 4
    x, y = (np.ascontiguousarray(g, dtype=np.float32) for g in np.meshgrid(x1, y1))
    radius = np.hypot(x, y)
    angle = np.arctan2(x, y)
    sector = (radius > 6) & (radius < _DEPTH_MM) & (np.abs(angle) < _HALF_ANGLE)
    # Speckle is as fine as the pulse along the beam and as wide as the beam across it.
    speckle = np.hypot(*(smooth_noise(rng, (1024, 512), 1.7) for _ in range(2)))
    flicker = [np.hypot(*(smooth_noise(rng, (1024, 512), 1.7) for _ in range(2))) for _ in range(2)]
    bend = smooth_noise(rng, (rows, columns), 46)
    across = ((angle + 1) * 256).astype(np.intp).clip(0, 511)
    gain = 0.55 + 0.6 * radius / _DEPTH_MM
    out = np.zeros((frames, rows, columns), dtype=np.uint8)
    for frame in range(frames):
        squeeze = float(_contraction(frame / frames))
        echo = _echoes(x + 1.8 * bend, y, squeeze)
        # The pattern moves with the muscle; blood flickers from frame to frame.
        along = ((radius * (1 - 0.035 * squeeze)) / _DEPTH_MM * 900).astype(np.intp).clip(0, 1023)
        tissue = speckle[along, across]
        blood = np.roll(flicker[frame % 2], 67 * frame, axis=0)[along, across]
        envelope = echo * np.where(echo > 0.06, tissue, blood) * gain
        decibels = 20 * np.log10(envelope + 1e-4)
        out[frame] = np.where(sector, np.clip((decibels + 40) / 44 * 255, 0, 255), 0).astype(np.uint8)
        _draw_monitor_strip(out[frame], frame / frames)
    return out


def ultrasound_instance(series: SeriesOf, seed: int, frames: int, rows: int, columns: int) -> Dataset:
    """Return the multi-frame instance of a cine of the heart."""
    ds = new_instance(series, ULTRASOUND_MULTI_FRAME_IMAGE_STORAGE, 1)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "CARDIOLOGY", "0001"]
    ds.AcquisitionDateTime = ds.StudyDate + ds.SeriesTime
    ds.CineRate = ds.RecommendedDisplayFrameRate = 30
    ds.FrameTime = _FRAME_TIME_MS
    ds.FrameIncrementPointer = 0x00181063
    ds.HeartRate = 60
    ds.PatientOrientation = ""
    ds.LossyImageCompression = "00"
    ds.TransducerType = "SECTOR_PHASED"
    ds.StageName, ds.NumberOfStages, ds.StageNumber = "REST", 1, 1
    ds.ViewName, ds.NumberOfViewsInStage, ds.ViewNumber = "APICAL 4 CHAMBER", 1, 1
    ds.AnatomicRegionSequence = Sequence([code("80891009", "SCT", "Heart")])
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = 1, 1, 0
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 0, 0
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = columns - 1, rows - 1
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX = region.PhysicalDeltaY = (_DEPTH_MM + 8) / rows / 10
    ds.SequenceOfUltrasoundRegions = Sequence([region])
    set_pixels(ds, cine_pixels(seed, frames, rows, columns), bits_stored=8)
    return ds


def _contraction(phase: float) -> float:
    """Return how far the ventricles are contracted, 0 to 1, over one beat that begins with the R wave."""
    return float(np.exp(-(((phase - 0.28) / 0.15) ** 2)) + 0.12 * np.exp(-(((phase - 0.92) / 0.05) ** 2)))


def _echoes(x: Image, y: Image, squeeze: float) -> Image:
    """Return how strongly each point reflects."""
    canvas = Canvas(x, y, 0.10)
    drop = 9 * squeeze
    canvas.ellipse(2, 84, 58, 76, _LUNG_EDGE * 0.55)
    canvas.ellipse(2, 84, 55, 73, _MUSCLE)
    # Ventricles shrink, atria fill.
    canvas.ellipse(23, 66 + drop / 2, 21 - 7 * squeeze, 41 - 8 * squeeze, _BLOOD, angle=0.16)
    canvas.ellipse(-22, 70 + drop / 2, 17 - 5 * squeeze, 37 - 7 * squeeze, _BLOOD, angle=-0.2)
    canvas.ellipse(22, 128, 22 + 3 * squeeze, 18 + 2 * squeeze, _BLOOD)
    canvas.ellipse(-23, 128, 20 + 3 * squeeze, 17 + 2 * squeeze, _BLOOD)
    canvas.ellipse(0, 128, 2.2, 19, _MUSCLE * 0.8)
    ring = 107 + drop
    for side, width in ((1, 20), (-1, 17)):
        opening = 1.1 * (1 - min(1.0, 1.8 * squeeze))
        for leaf in (-1, 1):
            reach = width * 0.48
            cx = side * 22 + leaf * (width - reach * np.cos(opening))
            canvas.ellipse(cx, ring - reach * float(np.sin(opening)), reach, 1.1, _VALVE, angle=leaf * opening)
            canvas.ellipse(side * 22 + leaf * width, ring, 3, 2.4, _VALVE * 0.7)
    canvas.ellipse(38, 52 + drop, 5, 9, _MUSCLE * 1.3, angle=-0.3)
    canvas.ellipse(-24, 52, 2, 14, _MUSCLE * 1.2, angle=0.9)
    canvas.ellipse(2, 12, 60, 9, _MUSCLE * 1.1)
    return canvas.image


def _draw_monitor_strip(frame: NDArray[np.uint8], phase: float) -> None:
    """Draw an ECG along the lower edge with the moment of the frame marked on it."""
    rows, columns = frame.shape
    height = rows // 12
    at = np.arange(columns) / columns * 2 % 1
    trace = 0.12 * _bump(at, 0.86, 0.03) + 0.85 * _bump(at, 0.02, 0.01) - 0.2 * _bump(at, 0.045, 0.008)
    trace = trace + 0.25 * _bump(at, 0.33, 0.05)
    line = (rows - 4 - trace * height).astype(int).clip(0, rows - 1)
    for column in range(1, columns):
        low, high = sorted((line[column - 1], line[column]))
        frame[low : high + 1, column] = 200
    frame[rows - height - 4 :, int(phase / 2 * (columns - 1))] = 255


def _bump(at: NDArray[np.float64], centre: float, width: float) -> NDArray[np.float64]:
    return np.asarray(np.exp(-(((at - centre) / width) ** 2)))
