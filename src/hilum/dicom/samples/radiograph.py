"""Projection radiographs: the chest phantom seen from behind, and the breast."""

from __future__ import annotations

from typing import Final

import numpy as np
from pydicom import Dataset
from pydicom.sequence import Sequence

from hilum.dicom.samples.building import SeriesOf, code, new_instance, set_pixels
from hilum.dicom.samples.shapes import Canvas, Image, enlarge, rng_of, smooth_noise
from hilum.dicom.samples.thorax import FIELD_OF_VIEW_MM, HIGHEST_MM, LOWEST_MM, Thorax
from hilum.dicom.uids import DIGITAL_MAMMOGRAPHY_FOR_PRESENTATION_STORAGE, DIGITAL_X_RAY_FOR_PRESENTATION_STORAGE

_HEIGHT_MM: Final = HIGHEST_MM - LOWEST_MM


def chest_projection(thorax: Thorax, heights: int, depths: int, columns: int) -> Image:
    """Return how much of the beam each line from back to front takes away, in millimetres of water."""
    step = FIELD_OF_VIEW_MM / depths
    rows = []
    for z in np.linspace(HIGHEST_MM, LOWEST_MM, heights):
        slice_ = thorax.slice_at(float(z), depths, columns, is_noisy=False, has_vessels=False, has_couch=False)
        # Bone takes away more than its density: its calcium absorbs.
        water = 1 + slice_ / 1000 + np.clip(slice_ - 150, 0, None) / 1400
        rows.append(water.sum(axis=0) * np.float32(step))
    return np.stack(rows)


def chest_beam(thorax: Thorax, rows: int, columns: int) -> Image:
    """Return the projection of a chest with its vessels at full size, in millimetres of water."""
    coarse = chest_projection(thorax, max(rows // 8, 40), min(max(columns // 16, 32), 120), max(columns // 4, 64))
    vessels = _vessel_shadows(thorax, rows // 2, columns // 2)
    return enlarge(coarse, (rows, columns)) + enlarge(vessels, (rows, columns))


def chest_radiograph(beam: Image, seed: int) -> Image:
    """Return a postero-anterior chest radiograph, 0 to 4095, bone bright; top row at the shoulders."""
    rows, columns = beam.shape
    # The processing of a digital detector: coarse structures softened, fine ones lifted.
    fine = beam - _blurred(beam, 26.0 * rows / 1600)
    low, high = np.percentile(beam[::8, ::8], (12, 97))
    tone = np.clip((beam - low) / (high - low), -0.35, 1.2)
    # Where nothing is in the way of the beam, the picture is black.
    picture = (900 + 2300 * tone + 11.0 * fine) * np.clip(beam / 25, 0.03, 1)
    grain = rng_of(seed, 31).standard_normal((rows, columns), dtype=np.float32)
    return np.asarray(np.clip(picture + grain * (14 + 18 * np.abs(tone)), 0, 4095), dtype=np.float32)


def _vessel_shadows(thorax: Thorax, rows: int, columns: int) -> Image:
    """Return the millimetres of blood in the way of the beam, from the balls of the vessel trees."""
    points, radii = thorax.vessels, thorax.vessel_radii
    row = ((HIGHEST_MM - points[:, 2]) / _HEIGHT_MM * rows).astype(int)
    column = ((points[:, 0] / FIELD_OF_VIEW_MM + 0.5) * columns).astype(int)
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    pixel = FIELD_OF_VIEW_MM / columns
    shadows = np.zeros((rows, columns), dtype=np.float32)
    for thinnest, thickest in ((0.0, 0.5), (0.5, 0.9), (0.9, 1.6), (1.6, 2.6), (2.6, 9.0)):
        chosen = inside & (radii >= thinnest) & (radii < thickest)
        # Each ball stands for 0.9 mm of a tube, whose volume is spread over the tube's width.
        volume = np.pi * radii[chosen] ** 2 * 0.9
        flat = np.bincount(row[chosen] * columns + column[chosen], weights=volume, minlength=rows * columns)
        width = 1.1 * float(radii[chosen].mean()) / pixel if chosen.any() else 1.0
        shadows += _blurred((flat.reshape(rows, columns) / pixel**2).astype(np.float32), width)
    return shadows


def chest_instance(series: SeriesOf, picture: Image) -> Dataset:
    """Return a digital chest radiograph for presentation."""
    ds = new_instance(series, DIGITAL_X_RAY_FOR_PRESENTATION_STORAGE, 1)
    rows, columns = picture.shape
    _describe_projection(ds, picture, (_HEIGHT_MM / rows, FIELD_OF_VIEW_MM / columns))
    ds.KVP, ds.ExposureTime, ds.XRayTubeCurrent, ds.Exposure = "120", "8", "320", "3"
    ds.WindowCenter, ds.WindowWidth = 1900, 3200
    ds.ViewPosition = "PA"
    ds.PatientOrientation = ["L", "F"]
    ds.ImageLaterality = "U"
    ds.AnatomicRegionSequence = Sequence([code("51185008", "SCT", "Thorax")])
    ds.ViewCodeSequence = Sequence([code("399148008", "SCT", "postero-anterior")])
    ds.ViewCodeSequence[0].ViewModifierCodeSequence = Sequence([])
    ds.PositionerType = "NONE"
    ds.Grid = "FIXED"
    return ds


def breast_picture(seed: int, rows: int, columns: int, *, is_oblique: bool, has_mass: bool) -> Image:
    """Return a mammogram, 0 to 4095, glandular tissue bright, chest wall at the left edge."""
    rng = rng_of(seed, 32 + is_oblique)
    height = 200.0
    width = height * columns / rows
    x1, y1 = (np.arange(columns) + 0.5) / columns * width, ((np.arange(rows) + 0.5) / rows - 0.5) * height
    x, y = (np.ascontiguousarray(g, dtype=np.float32) for g in np.meshgrid(x1, y1))
    warp = [smooth_noise(rng, (rows, columns), rows / 7) for _ in range(2)]
    canvas = Canvas(x, y, 0.0)
    drop = 8.0 if is_oblique else 0.0
    shape = canvas.ellipse_distance(-6.0, drop, 0.72 * width, 78.0)
    inside = np.clip(-shape, 0, None)
    nipple = canvas.ellipse_distance(0.72 * width - 6, drop, 5.0, 4.0)
    inside = np.maximum(inside, np.clip(-nipple, 0, None) * 1.4)
    # Compressed to an even thickness, rounded off towards the skin.
    thickness = 1 - np.exp(-inside / 9.0)
    fat = 0.30 + 0.025 * smooth_noise(rng, (rows, columns), rows / 60)
    # Glandular tissue: a cone behind the nipple, broken up at all scales.
    gx, gy = x - 0.40 * width + 4 * warp[0], y - drop + 6 * warp[1]
    cone = np.exp(-((gx / (0.25 * width)) ** 2) - (gy / (30 + 0.22 * x)) ** 2)
    cloud = sum(
        smooth_noise(rng, (rows, columns), rows / scale) / weight for scale, weight in ((9, 1.6), (22, 2.2), (55, 3.2))
    )
    gland = cone * np.clip(0.62 + 0.42 * np.asarray(cloud), 0.05, 1.7)
    strands = np.exp(-((smooth_noise(rng, (rows, columns), rows / 26) / 0.075) ** 2))
    strands += 0.8 * np.exp(-((smooth_noise(rng, (rows, columns), rows / 50) / 0.09) ** 2))
    picture = thickness * (fat + 0.36 * gland + 0.045 * strands * (0.35 + cone))
    if is_oblique:
        muscle = canvas.cover((x * 1.0 + (y + 100) * 0.36 - 44 + 2 * warp[0]) * np.float32(0.9))
        fibres = 0.03 * smooth_noise(rng, (rows, columns), rows / 40)
        picture = picture + muscle * (0.26 + fibres) * (thickness > 0)
    if has_mass:
        mx, my = 0.42 * width, drop - 22.0
        around = np.arctan2(y - my, x - mx)
        spikes = 6.2 * (1 + 0.16 * np.sin(9 * around + 4 * warp[0]) + 0.1 * np.sin(17 * around))
        distance = np.hypot(x - mx, y - my) - spikes
        picture = picture + 0.2 * thickness / (1 + np.exp(np.clip(distance / 1.1, -30, 30)))
        cluster = np.column_stack([mx + 14 + rng.normal(0, 3.4, 16), my + 9 + rng.normal(0, 3.0, 16)])
        picture = picture + 0.34 * canvas.balls(cluster, rng.uniform(0.18, 0.42, 16))
    grain = rng.standard_normal((rows, columns), dtype=np.float32)
    return np.asarray(np.clip(4095 * picture * 1.15 + grain * 16 * (thickness > 0), 0, 4095), dtype=np.float32)


def breast_instance(series: SeriesOf, picture: Image, number: int, *, laterality: str, view: str) -> Dataset:
    """Return one view of a mammogram for presentation; a left breast has the chest wall at the left edge."""
    rows = picture.shape[0]
    ds = new_instance(series, DIGITAL_MAMMOGRAPHY_FOR_PRESENTATION_STORAGE, number)
    pixels = picture if laterality == "L" else np.ascontiguousarray(picture[:, ::-1])
    _describe_projection(ds, pixels, (200 / rows, 200 / rows))
    ds.KVP, ds.ExposureTime, ds.XRayTubeCurrent, ds.Exposure = "29", "820", "100", "82"
    ds.SeriesDescription = f"{laterality} {view}"
    ds.ImageLaterality = laterality
    ds.ViewPosition = view
    if view == "CC":
        ds.PatientOrientation = ["A", "R"] if laterality == "L" else ["P", "L"]
        ds.ViewCodeSequence = Sequence([code("399162004", "SCT", "cranio-caudal")])
    else:
        ds.PatientOrientation = ["A", "FR"] if laterality == "L" else ["P", "FL"]
        ds.ViewCodeSequence = Sequence([code("399368009", "SCT", "medio-lateral oblique")])
    ds.ViewCodeSequence[0].ViewModifierCodeSequence = Sequence([])
    ds.AnatomicRegionSequence = Sequence([code("76752008", "SCT", "Breast")])
    ds.OrganExposed = "BREAST"
    ds.PositionerType = "MAMMOGRAPHIC"
    ds.BreastImplantPresent = "NO"
    ds.PartialView = "NO"
    ds.CompressionForce, ds.BodyPartThickness = "110", "52"
    return ds


def _describe_projection(ds: Dataset, picture: Image, spacing: tuple[float, float]) -> None:
    ds.ImageType = ["ORIGINAL", "PRIMARY", ""]
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.AcquisitionDate, ds.AcquisitionTime = ds.StudyDate, ds.SeriesTime
    ds.ImagerPixelSpacing = [round(value, 6) for value in spacing]
    ds.DetectorType = "DIRECT"
    ds.PixelIntensityRelationship, ds.PixelIntensityRelationshipSign = "LOG", 1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "US"
    ds.PresentationLUTShape = "IDENTITY"
    ds.WindowCenter, ds.WindowWidth = 2048, 4096
    ds.BurnedInAnnotation = "NO"
    ds.LossyImageCompression = "00"
    ds.AcquisitionContextSequence = Sequence([])
    set_pixels(ds, np.rint(picture).astype(np.uint16), bits_stored=12)


def _blurred(image: Image, feature: float) -> Image:
    spectrum = np.fft.rfft2(image)
    fy, fx = np.fft.fftfreq(image.shape[0])[:, None], np.fft.rfftfreq(image.shape[1])[None, :]
    spectrum *= np.exp(-((fx**2 + fy**2) * (feature * np.pi) ** 2) / 2)
    return np.fft.irfft2(spectrum, s=image.shape).astype(np.float32)
