"""MR of a head: one phantom of tissues, seen with the contrast of several sequences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from pydicom import Dataset

from hilum.dicom.samples.building import SeriesOf, StudyOf, new_instance, sample_uid, set_pixels
from hilum.dicom.samples.shapes import Canvas, Image, between, enlarge, rng_of, smooth_noise, step
from hilum.dicom.uids import MR_IMAGE_STORAGE

FIELD_OF_VIEW_MM: Final = 230.0
_LOWEST_MM: Final = -62.0
_HIGHEST_MM: Final = 72.0


@dataclass(frozen=True, slots=True)
class Weighting:
    """How bright each tissue is in a sequence, and the sequence's parameters."""

    name: str
    repetition_time_ms: float
    echo_time_ms: float
    sequence: tuple[str, str]
    grey: float
    white: float
    fluid: float
    fat: float
    muscle: float
    lesion: float
    inversion_time_ms: float | None = None


T1 = Weighting("T1 SE", 560, 12, ("SE", "NONE"), 300, 480, 95, 820, 290, 270)
T2 = Weighting("T2 TSE", 4200, 98, ("SE", "SK"), 500, 345, 1080, 620, 210, 760)
FLAIR = Weighting("T2 FLAIR", 8800, 118, ("IR", "SK"), 470, 365, 70, 560, 240, 880, 2500)
LOCALIZER = Weighting("Localizer", 8.6, 4.0, ("GR", "SP"), 360, 420, 150, 700, 340, 350)


class Head:
    """One patient's head; `slice_at` gives transverse slices, `volume` a coarse block for other planes."""

    def __init__(self, seed: int, lesions: int = 9) -> None:
        rng = rng_of(seed, 11)
        side = (256, 256)
        self._folds = [smooth_noise(rng, side, 7.5) for _ in range(3)]
        self._warps = [smooth_noise(rng, side, 34) for _ in range(2)]
        self._grain = [smooth_noise(rng, side, 0.7) for _ in range(3)]
        # The maps at the size of the slices asked for last, so that a series stretches them once.
        self._stretched: tuple[list[Image], list[Image], list[Image]] | None = None
        around = rng.uniform(0, 2 * np.pi, lesions)
        self._lesions = np.column_stack(
            [
                np.sign(np.cos(around)) * rng.uniform(18, 34, lesions),
                rng.uniform(-34, 38, lesions),
                rng.uniform(4, 34, lesions),
                rng.uniform(1.6, 4.2, lesions),
            ]
        )

    def slice_at(self, z: float, rows: int, columns: int, weighting: Weighting) -> Image:
        """Return one transverse slice, z in millimetres above the middle of the brain."""
        half = FIELD_OF_VIEW_MM / 2
        axes = (((np.arange(n) + 0.5) / n * 2 - 1) * half for n in (columns, rows))
        x, y = (np.ascontiguousarray(g, dtype=np.float32) for g in np.meshgrid(*axes))
        folds, warps, grain = self._maps((rows, columns))
        canvas = Canvas(x + 1.6 * warps[0], y + 1.6 * warps[1], 0.0)
        # Two arcs of the same sine make the folds run on smoothly from slice to slice.
        fold = folds[0] * np.float32(np.cos(z / 9)) + folds[1] * np.float32(np.sin(z / 9)) + 0.4 * folds[2]
        _paint_scalp(canvas, z, weighting)
        brain = _paint_brain(canvas, z, fold.astype(np.float32), weighting)
        if brain is not None:
            _paint_deep(canvas, z, weighting)
            for lx, ly, lz, radius in self._lesions:
                size = radius**2 - (z - lz) ** 2 / 2
                if size > 0.3:
                    canvas.ellipse(
                        float(lx), float(ly), float(np.sqrt(size)) * 1.2, float(np.sqrt(size)), weighting.lesion
                    )
        _paint_face(canvas, z, weighting)
        return _with_noise(canvas.image, grain, z)

    def volume(self, side: int, depth: int, weighting: Weighting) -> Image:
        """Return a block of `depth` slices of `side` pixels, lowest first."""
        heights = np.linspace(_LOWEST_MM - 38, _HIGHEST_MM + 30, depth)
        return np.stack([self.slice_at(float(z), side, side, weighting) for z in heights])

    def _maps(self, shape: tuple[int, int]) -> tuple[list[Image], list[Image], list[Image]]:
        if self._stretched is None or self._stretched[0][0].shape != shape:
            folds, warps, grain = (
                [enlarge(noise, shape) for noise in maps] for maps in (self._folds, self._warps, self._grain)
            )
            self._stretched = folds, warps, grain
        return self._stretched


def mr_instances(series: SeriesOf, head: Head, weighting: Weighting, slices: int, side: int) -> Iterator[Dataset]:
    """Yield a transverse MR series of the brain."""
    spacing = round((_HIGHEST_MM - _LOWEST_MM) / slices, 4)
    for index in range(slices):
        z = _LOWEST_MM + (index + 0.5) * spacing
        pixels = head.slice_at(z, side, side, weighting)
        yield _instance(series, index + 1, pixels, weighting, ([1, 0, 0], [0, 1, 0]), z, spacing)


def localizer_instances(series: SeriesOf, head: Head, side: int) -> Iterator[Dataset]:
    """Yield three planes through the middle of the head: sagittal, coronal, transverse."""
    block = head.volume(side, side // 2, LOCALIZER)
    upright = block[::-1]
    middle = side // 2
    planes = (
        (upright[:, :, middle], ([0, 1, 0], [0, 0, -1])),
        (upright[:, middle, :], ([1, 0, 0], [0, 0, -1])),
        (block[block.shape[0] // 2], ([1, 0, 0], [0, 1, 0])),
    )
    for number, (plane, orientation) in enumerate(planes, start=1):
        pixels = enlarge(np.ascontiguousarray(plane), (side, side))
        yield _instance(series, number, pixels, LOCALIZER, orientation, 0.0, 8.0)


def _instance(
    series: SeriesOf,
    number: int,
    pixels: Image,
    weighting: Weighting,
    orientation: tuple[list[int], list[int]],
    offset: float,
    thickness: float,
) -> Dataset:
    ds = new_instance(series, MR_IMAGE_STORAGE, number)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "NORM"]
    ds.AcquisitionDate, ds.AcquisitionTime = ds.SeriesDate, ds.SeriesTime
    ds.AcquisitionNumber = 1
    ds.ScanningSequence, ds.SequenceVariant = weighting.sequence
    ds.ScanOptions = ""
    ds.MRAcquisitionType = "2D"
    ds.SequenceName = weighting.name.replace(" ", "_").lower()
    ds.SliceThickness = thickness
    ds.SpacingBetweenSlices = thickness
    ds.RepetitionTime, ds.EchoTime = weighting.repetition_time_ms, weighting.echo_time_ms
    if weighting.inversion_time_ms is not None:
        ds.InversionTime = weighting.inversion_time_ms
    ds.EchoTrainLength = 15 if weighting.sequence[1] == "SK" else 1
    ds.NumberOfAverages = 1
    ds.ImagingFrequency = 123.2
    ds.ImagedNucleus = "1H"
    ds.EchoNumbers = 1
    ds.MagneticFieldStrength = 3
    ds.PixelBandwidth = 180
    ds.FlipAngle = 90
    ds.ReceiveCoilName = "Head_20"
    ds.PatientPosition = "HFS"
    ds.PatientWeight = "64"
    ds.FrameOfReferenceUID = sample_uid(f"{series.study.key}/frame of reference")
    ds.PositionReferenceIndicator = ""
    row, column = (np.array(direction, dtype=float) for direction in orientation)
    ds.ImageOrientationPatient = [*orientation[0], *orientation[1]]
    pixel = FIELD_OF_VIEW_MM / pixels.shape[1]
    centre = np.cross(row, column) * offset
    corner = centre - (row + column) * (FIELD_OF_VIEW_MM / 2 - pixel / 2)
    ds.ImagePositionPatient = [round(float(v), 4) for v in corner]
    ds.SliceLocation = round(offset, 4)
    ds.PixelSpacing = [round(pixel, 6)] * 2
    ds.WindowCenter, ds.WindowWidth = (480, 960) if weighting is not T2 else (560, 1200)
    ds.LossyImageCompression = "00"
    set_pixels(ds, np.rint(np.clip(pixels, 0, 4095)).astype(np.uint16), bits_stored=12)
    return ds


def head_study(study: StudyOf, number: int, weighting: Weighting) -> SeriesOf:
    """Return the description of one series of a head MR."""
    return SeriesOf(
        study, number, "MR", weighting.name, "Hilum Imaging", "Sample MR 3T", "MR02", "BRAIN", "Brain routine"
    )


def _with_noise(image: Image, grain: list[Image], z: float) -> Image:
    index = round(z * 4) % 89
    real, imaginary = (np.roll(grain[(index + k) % 3], (17 * index, 29 * index), (0, 1)) for k in (0, 1))
    # The coil's field is uneven; noise of a magnitude image is Rician.
    ramp = np.linspace(1.08, 0.92, image.shape[0], dtype=np.float32)[:, None]
    signal = image * ramp + 13 * real
    return np.asarray(np.sqrt(signal * signal + (13 * imaginary) ** 2), dtype=np.float32)


def _section(z: float, lowest: float, highest: float) -> float:
    """Return the radius of a section through a ball that reaches from `lowest` to `highest`, as a fraction."""
    t = (2 * z - lowest - highest) / (highest - lowest)
    return float(np.sqrt(max(1 - t * t, 0.0)))


def _paint_scalp(canvas: Canvas, z: float, w: Weighting) -> None:
    size = _section(z, -125, 86)
    narrow = 1 - 0.2 * step(z, -20, -90)
    a, b = 79 * size * narrow, 99 * size
    canvas.ellipse(0, 0, a, b, w.muscle * 0.8)
    canvas.ellipse(0, 0, a - 1.6, b - 1.6, w.fat)
    if z < 10:
        # Chewing and neck muscles below the vault.
        for side in (-1, 1):
            canvas.ellipse(side * 62 * narrow, -18, 12, 34, w.muscle, amount=step(z, 12, -14))
            canvas.ellipse(side * 26, 76, 24, 16, w.muscle, amount=step(z, -28, -50))
    if size > 0.12:
        # Bone gives no signal, its marrow a little.
        canvas.ellipse(0, 1, a - 5.5, b - 6, 25)
        canvas.ellipse(0, 1, a - 7.2, b - 7.8, w.fat * 0.34)
        canvas.ellipse(0, 1, a - 9, b - 9.6, 25)


def _paint_brain(canvas: Canvas, z: float, fold: Image, w: Weighting) -> Image | None:
    size = _section(z, -78, 75)
    if size < 0.15:
        return None
    a, b = 66.5 * size, 84.5 * size
    skull = canvas.ellipse_distance(0, 1, a + 3.2, b + 3.4)
    canvas.paint(canvas.cover(skull), w.fluid * 0.92)
    surface = canvas.ellipse_distance(0, 1, a, b)
    if z < -22:
        # Below the tent: temporal lobes and cerebellum instead of hemispheres.
        low = step(z, -22, -34)
        canvas.paint(canvas.cover(skull) * np.float32(low), w.muscle * 0.62)
        apart = np.minimum(
            canvas.ellipse_distance(-40, -14, 27 * size + 4, 38 * size + 3),
            canvas.ellipse_distance(40, -14, 27 * size + 4, 38 * size + 3),
        )
        surface = (surface * (1 - low) + apart * low).astype(np.float32)
        canvas.paint(canvas.cover(surface - 2), w.fluid * 0.92)
    depth = -surface
    # Furrows follow the ridges of the noise and reach less than 17 mm inwards; the cleft parts the hemispheres.
    furrow = np.abs(fold) * 4.2 - 0.95 + np.maximum(depth - 14, 0) * 0.5
    cleft = np.abs(canvas.x + 1.2 * fold) - 1.1 + np.float32(8 * between(z, -20, 22, 6)) * (np.abs(canvas.y) < 34)
    sylvian = np.hypot((np.abs(canvas.x) - 47) / 13, (canvas.y + 8 - 0.25 * (np.abs(canvas.x) - 47)) / 2.0) - 1
    sylvian = sylvian * 2.0 + 6 * (1 - between(z, -18, 16, 6))
    fluid = np.minimum(np.minimum(furrow, cleft), sylvian).astype(np.float32)
    brain = canvas.cover(np.maximum(surface, -fluid - 0.15).astype(np.float32))
    canvas.paint(brain, w.grey)
    ribbon = 3.1 + 0.5 * np.sin(canvas.x / 7 + z / 5)
    white = np.maximum(surface + ribbon, ribbon - 0.6 - fluid).astype(np.float32)
    canvas.paint(canvas.cover(white), w.white)
    return brain


def _paint_deep(canvas: Canvas, z: float, w: Weighting) -> None:
    for side in (-1, 1):
        # Basal ganglia and thalamus: ellipsoids, given by centre, half axes, angle and heights.
        for x, y, across, along, angle, low, high, value in (
            (24.0, -6.0, 6.0, 17.0, 0.28, -16.0, 24.0, w.grey * 0.97),
            (10.5, 13.0, 8.6, 13.5, -0.3, -13.0, 21.0, w.grey * 0.95),
            (14.0, -24.0, 5.2, 9.5, -0.3, -8.0, 30.0, w.grey),
            (9.5, -24.0, 4.2, 12.0, -0.32, -6.0, 26.0, w.fluid),
            (24.0, 36.0, 4.8, 15.0, 0.35, -12.0, 22.0, w.fluid),
            (12.0, 4.0, 5.6, 33.0, 0.16, 10.0, 33.0, w.fluid),
            (38.0, -2.0, 3.2, 16.0, 0.3, -36.0, -14.0, w.fluid),
        ):
            size = _section(z, low, high)
            canvas.ellipse(side * x, y, across * size, along * size, value, angle=side * angle)
    canvas.ellipse(0, 6, 1.6, 11 * _section(z, -20, 14), w.fluid)
    canvas.ellipse(0, -29, 6, 4 * _section(z, -4, 32), w.white)
    canvas.ellipse(0, 31, 11, 5 * _section(z, -2, 28), w.white)
    if z < -8:
        stem = step(z, -8, -14)
        canvas.ellipse(0, 2, 20 * _section(z, -34, -6), 15 * _section(z, -34, -6), w.fluid)
        canvas.ellipse(0, 12, 15 - 5 * step(z, -40, -60), 13.5 - 4 * step(z, -40, -60), w.white * 0.93, amount=stem)
        canvas.ellipse(0, 27, 5 * _section(z, -52, -16), 3.6, w.fluid)
    size = _section(z, -72, -12)
    if size > 0.05:
        for side in (-1, 1):
            canvas.ellipse(side * 21, 50, 27 * size, 23 * size, w.fluid * 0.9)
            canvas.ellipse(side * 21, 50, 25.5 * size, 21.5 * size, w.grey)
            for leaf in range(6):
                height = (leaf - 2.5) * 6.3 * size
                width = 20 * size * float(np.sqrt(1 - ((leaf - 2.5) / 3.4) ** 2))
                canvas.ellipse(side * 22, 50 + height, width, 1.3, w.white, angle=side * 0.2, amount=0.85)
            canvas.ellipse(side * 14, 48, 9 * size, 8 * size, w.white)
        canvas.ellipse(0, 54, 5.5, 15 * size, w.grey * 0.96)


def _paint_face(canvas: Canvas, z: float, w: Weighting) -> None:
    if z > -20:
        return
    shown = between(z, -58, -34, 8)
    for side in (-1, 1):
        canvas.ellipse(side * 31, -64, 15, 20, w.fat, amount=shown)
        canvas.ellipse(side * 31, -71, 11.6, 11.8, w.fluid * 0.95, amount=shown)
        canvas.ellipse(side * 31, -80.5, 4.4, 1.8, w.muscle, amount=shown)
        canvas.ellipse(side * 26, -50, 2.0, 13, w.muscle * 1.1, angle=-side * 0.35, amount=shown)
    for cell in range(4):
        canvas.ellipse(0, -84 + 9 * cell, 8.5, 3.6, 20, amount=between(z, -62, -36, 6))
    canvas.ellipse(0, -48, 13, 8, 20, amount=between(z, -60, -46, 5))
