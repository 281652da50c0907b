"""A chest in three dimensions: Hounsfield values of any transverse slice, at any size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hilum.dicom.samples.mediastinum import (
    AIR,
    CARTILAGE,
    CORTEX,
    DISC,
    FAT,
    LIVER,
    LUNG,
    MARROW,
    MUSCLE,
    SPLEEN,
    VEIN,
    WATER,
    heart_size,
    paint_airways,
    paint_great_vessels,
    paint_heart,
)
from hilum.dicom.samples.shapes import Canvas, Image, Points, between, enlarge, profile, rng_of, smooth_noise, step
from hilum.dicom.samples.vessels import branching_vessels, spicules

FIELD_OF_VIEW_MM: Final = 390.0
LOWEST_MM: Final = -150.0
HIGHEST_MM: Final = 150.0

_NOISE_SIDE: Final = 256
_RIB_SPACING_MM: Final = 25.0
_VERTEBRA_MM: Final = 25.0
_SPINE_Y: Final = 46.0
_DIAPHRAGM_TOP_MM: Final = -58.0

# Half axes by height; z = 0 is the carina, feet below.
_BODY_A = profile((-150, 158), (-60, 168), (40, 174), (100, 180), (150, 168))
_BODY_B = profile((-150, 112), (-60, 113), (40, 108), (110, 96), (150, 84))
_CAVITY_A = profile((-150, 128), (-60, 134), (0, 126), (50, 108), (85, 82), (108, 52), (122, 24), (126, 2))
_CAVITY_B = profile((-150, 84), (-60, 85), (0, 80), (50, 70), (85, 54), (108, 36), (122, 18), (126, 2))
_CAVITY_Y = profile((-150, -4), (0, -4), (85, 8), (126, 20))
_MEDIASTINUM_A = profile((-150, 40), (-95, 40), (-20, 36), (20, 34), (60, 36), (100, 40), (126, 50))
_MEDIASTINUM_Y = profile((-150, 0), (-20, -4), (60, -8), (126, 4))

# Where the vessels of each lung begin, and the lobes and segments they run to.
_HILA: Final = np.array([[-38.0, 6, -4]] * 8 + [[38.0, 6, 0]] * 8)
_LOBES: Final = np.array(
    [
        *([-0.5, 0.1, 1.0], [-0.9, -0.4, 0.5], [-0.8, 0.5, 0.6], [-1.0, 0.2, -0.1]),
        *([-0.7, -0.8, -0.3], [-0.6, 0.4, -0.9], [-0.8, 0.7, -0.5], [-0.5, -0.2, -0.8]),
        *([0.5, 0.1, 1.0], [0.9, -0.4, 0.5], [0.8, 0.5, 0.6], [1.0, 0.2, -0.1]),
        *([0.9, -0.7, 0.1], [0.6, 0.5, -0.9], [0.8, 0.7, -0.5], [0.9, 0.2, -0.7]),
    ]
)


@dataclass(frozen=True)
class Nodule:
    """A round shadow in the lung, place and radius in millimetres."""

    x: float = -72.0
    y: float = 4.0
    z: float = 34.0
    radius: float = 8.0


class Thorax:
    """One patient's chest; `slice_at` gives its slices.

    Args:
        seed: makes the chest's individual shape.
        nodule: a nodule in the right upper lobe, or None for healthy lungs.
    """

    def __init__(self, seed: int, nodule: Nodule | None = None) -> None:
        self.seed = seed
        self.nodule = nodule
        rng = rng_of(seed, 1)
        side = (_NOISE_SIDE, _NOISE_SIDE)
        self._noise_maps = [
            *(smooth_noise(rng, side, 42) for _ in range(4)),
            *(smooth_noise(rng, side, 5) for _ in range(3)),
        ]
        # The maps at the size of the slices asked for last, so that a series stretches them once.
        self._stretched: list[Image] = []
        self._grain = [_noise_512(rng) for _ in range(4)]
        self.vessels, self.vessel_radii = branching_vessels(rng_of(seed, 2), _HILA, _LOBES, _is_lung)
        if nodule is not None:
            strands = spicules(rng_of(seed, 3), (nodule.x, nodule.y, nodule.z), nodule.radius)
            self.vessels = np.concatenate([self.vessels, strands])
            self.vessel_radii = np.concatenate([self.vessel_radii, np.full(len(strands), 0.5)])

    def slice_at(
        self,
        z: float,
        rows: int,
        columns: int,
        *,
        is_noisy: bool = True,
        has_vessels: bool = True,
        has_couch: bool = True,
    ) -> Image:
        """Return one transverse slice in Hounsfield units, first row in front, first column at the right hand."""
        canvas = self._canvas(z, rows, columns)
        if has_couch:
            self._paint_couch(canvas, z)
        self._paint_wall(canvas, z)
        lungs = self._lungs(canvas, z)
        self._paint_abdomen(canvas, z)
        self._paint_lungs(canvas, lungs, z)
        self._paint_mediastinum(canvas, z)
        if has_vessels:
            self._paint_vessels(canvas, lungs, z)
        self._paint_bones(canvas, z)
        paint_airways(canvas, z)
        if self.nodule is not None:
            canvas.paint(self.nodule_coverage(canvas, z), 62.0)
        if is_noisy:
            canvas.image += self._noise(z, canvas.image)
        return np.clip(canvas.image, -1024, 3071)

    def nodule_mask(self, z: float, rows: int, columns: int) -> NDArray[np.bool_]:
        """Return the pixels of the nodule in the slice at `z`."""
        if self.nodule is None:
            return np.zeros((rows, columns), dtype=np.bool_)
        return self.nodule_coverage(self._canvas(z, rows, columns), z) > 0.5

    def nodule_coverage(self, canvas: Canvas, z: float) -> Image:
        """Return how much of each pixel the nodule fills."""
        nodule = self.nodule
        if nodule is None or abs(z - nodule.z) > 1.4 * nodule.radius:
            return np.zeros(canvas.image.shape, dtype=np.float32)
        dx, dy, dz = canvas.x - nodule.x, canvas.y - nodule.y, z - nodule.z
        around = np.arctan2(dy, dx)
        lobes = 1 + 0.10 * np.sin(3 * around + dz / 3) + 0.06 * np.sin(7 * around - dz / 2)
        return canvas.cover((np.sqrt(dx**2 + dy**2 + dz**2) - nodule.radius * lobes).astype(np.float32))

    def _canvas(self, z: float, rows: int, columns: int) -> Canvas:
        half = FIELD_OF_VIEW_MM / 2
        x1 = ((np.arange(columns) + 0.5) / columns * 2 - 1) * half
        y1 = ((np.arange(rows) + 0.5) / rows * 2 - 1) * half
        x, y = (np.ascontiguousarray(g, dtype=np.float32) for g in np.meshgrid(x1, y1))
        u, v = z / 60.0, z / 45.0
        maps = self._maps((rows, columns))
        x += maps[0] * np.float32(2.6 * np.cos(u)) + maps[1] * np.float32(2.6 * np.sin(u))
        y += maps[2] * np.float32(2.2 * np.cos(v)) + maps[3] * np.float32(2.2 * np.sin(v))
        return Canvas(x, y, AIR)

    def _maps(self, shape: tuple[int, int]) -> list[Image]:
        if not self._stretched or self._stretched[0].shape != shape:
            self._stretched = [enlarge(noise, shape) for noise in self._noise_maps]
        return self._stretched

    def _texture(self, z: float, shape: tuple[int, int], scale_mm: float) -> Image:
        phase = z / scale_mm
        first, second, third = self._maps(shape)[4:]
        return np.asarray(
            first * np.float32(np.cos(phase))
            + second * np.float32(np.sin(phase))
            + third * np.float32(np.cos(2.3 * phase + 1)),
            dtype=np.float32,
        )

    def _noise(self, z: float, image: Image) -> Image:
        index = round(z * 8) % 97
        grain = np.roll(self._grain[index % 4], (index * 37, index * 53), axis=(0, 1))
        rows, columns = image.shape
        tiles = grain if image.shape == grain.shape else np.resize(grain, (rows, columns))
        # More photons are lost through shoulders and bone, so the noise grows there.
        return np.asarray(tiles * np.float32(11 + 6 * step(z, 60, 130)), dtype=np.float32)

    def _paint_couch(self, canvas: Canvas, z: float) -> None:
        bed = np.abs(canvas.y - (_BODY_B(z) + 16 - 26 * (canvas.x / 210) ** 2)) - 2.2
        canvas.paint(canvas.cover(np.maximum(bed, np.abs(canvas.x) - 190)), -520.0)

    def _paint_wall(self, canvas: Canvas, z: float) -> None:
        a, b = _BODY_A(z), _BODY_B(z)
        across, along = np.abs(canvas.x) / np.float32(a), np.abs(canvas.y) / np.float32(b)
        # A superellipse of exponent 2.5: chests are squarer than ellipses.
        power = across * across * np.sqrt(across) + along * along * np.sqrt(along)
        outline = (np.exp(np.log(power + np.float32(1e-6)) * np.float32(0.4)) - 1) * np.float32(b)
        canvas.paint(canvas.cover(outline), MUSCLE - 15)
        canvas.paint(canvas.cover(outline + 1.8), FAT + 4 * self._texture(z, canvas.image.shape, 9))
        # Fat is thicker at the flanks and the back.
        fat = 11 + 7 * across * across * across + 5 * np.clip(canvas.y / np.float32(b), 0, 1) ** 2
        inner = outline + fat
        canvas.paint(canvas.cover(inner), MUSCLE + 5 * self._texture(z, canvas.image.shape, 6))
        # Layers of muscle parted by fat: the serrated and broad muscles of chest and back.
        layers = np.abs(inner + 9 + 2.5 * np.sin(canvas.x / 19 + z / 30)) - 0.8
        apart = canvas.cover(np.maximum(layers, -np.abs(canvas.x) + 0.35 * a).astype(np.float32))
        canvas.paint(apart * np.float32(0.75), FAT + 20)
        if z > 20:
            # Pectoral muscles lie on the ribs in front, with fat between them.
            for side in (-1, 1):
                canvas.ellipse(side * 62, -0.86 * b + 14, 52, 9 + 3 * step(z, 20, 80), MUSCLE + 6, angle=side * 0.28)
            canvas.ellipse(0, -b + 13, 9, 7, FAT)
        if z > 60:
            amount = step(z, 60, 95)
            for side in (-1, 1):
                # The armpit: fat with vessels and nodes.
                canvas.ellipse(side * 132, -12, 20, 34, FAT, angle=side * 0.3, amount=amount)
                canvas.ellipse(side * 126, -22, 5, 5, VEIN - 60, amount=amount)
                canvas.ellipse(side * 133, -8, 4.5, 3, 45, amount=amount)

    def _cavity(self, canvas: Canvas, z: float) -> Image:
        return canvas.ellipse_distance(0.0, _CAVITY_Y(z), _CAVITY_A(z), _CAVITY_B(z))

    def _lungs(self, canvas: Canvas, z: float) -> Image:
        """Return how much of each pixel is lung."""
        if z > 125:
            return np.zeros(canvas.image.shape, dtype=np.float32)
        inside = canvas.cover(self._cavity(canvas, z))
        middle = canvas.ellipse_distance(0.0, _MEDIASTINUM_Y(z), _MEDIASTINUM_A(z), 62.0 + 20 * step(z, -10, -60))
        spine = canvas.ellipse_distance(0.0, _SPINE_Y + 14, 27.0, 36.0)
        centre = np.minimum(middle, spine)
        heart = heart_size(z)
        if heart > 0.05:
            shadow = canvas.ellipse_distance(20.0, -24.0, 68 * heart, 52 * heart, -0.5)
            centre = np.minimum(centre, shadow)
        lungs = inside * (1 - canvas.cover(centre))
        if z > _DIAPHRAGM_TOP_MM:
            return np.asarray(lungs)
        return np.asarray(lungs * canvas.cover((_diaphragm(canvas.x, canvas.y) - z).astype(np.float32)))

    def _paint_lungs(self, canvas: Canvas, lungs: Image, z: float) -> None:
        if not lungs.any():
            return
        # Blood sinks: the back of the lung is denser than the front.
        value = LUNG + 0.42 * (canvas.y + 40) + 14 * self._texture(z, canvas.image.shape, 4)
        canvas.paint(lungs, value.astype(np.float32))
        for side in (-1, 1):
            oblique = canvas.y - (18 - (z - 5) * 0.95 + 0.0016 * canvas.x**2 * side)
            line = np.maximum(np.abs(oblique) * 0.72 - 0.35, -side * canvas.x)
            canvas.paint(canvas.cover(line.astype(np.float32)) * lungs * np.float32(0.4), -560.0)

    def _paint_vessels(self, canvas: Canvas, lungs: Image, z: float) -> None:
        near = np.abs(self.vessels[:, 2] - z) < self.vessel_radii + 0.6
        dz = np.maximum(np.abs(self.vessels[near, 2] - z) - 0.6, 0)
        radii = np.sqrt(np.maximum(self.vessel_radii[near] ** 2 - dz**2, 0.04))
        canvas.paint(canvas.balls(self.vessels[near, :2], radii) * np.sqrt(lungs), 48.0)

    def _paint_abdomen(self, canvas: Canvas, z: float) -> None:
        if z > _DIAPHRAGM_TOP_MM:
            return
        dome = _diaphragm(canvas.x, canvas.y)
        below = canvas.cover((z - dome).astype(np.float32)) * canvas.cover(self._cavity(canvas, z) + 1.5)
        canvas.paint(below, FAT + 6 * self._texture(z, canvas.image.shape, 9))
        texture = 4 * self._texture(z, canvas.image.shape, 7)
        liver = canvas.ellipse_distance(-52.0, -2.0, 88.0, 84.0, 0.12)
        left_lobe = canvas.ellipse_distance(18.0, -40.0, 60.0, 34.0 * step(z, -75, -95) + 0.1, 0.3)
        organ = canvas.cover(np.minimum(liver, left_lobe + 2)) * below
        canvas.paint(organ, (LIVER + texture).astype(np.float32))
        for i, angle in enumerate((0.5, 1.3, 2.2)):
            reach = 28 + 6 * np.sin(z / 11 + i)
            canvas.ellipse(
                -50 + reach * float(np.cos(angle)),
                reach * float(np.sin(angle)) - 10,
                11,
                3.4,
                168,
                angle=angle,
                amount=step(z, -72, -88),
            )
        spleen = canvas.ellipse_distance(104.0, 34.0, 22.0, 46.0, 0.35)
        canvas.paint(canvas.cover(spleen) * below, (SPLEEN + texture).astype(np.float32))
        stomach = canvas.ellipse_distance(68.0, -12.0, 40.0, 34.0, -0.4)
        canvas.paint(canvas.cover(stomach) * below, MUSCLE)
        # Standing fluid with air above it, and the folds of the wall.
        inside = canvas.cover(stomach + 4 + 1.2 * np.sin(canvas.x / 3.1) * np.sin(canvas.y / 3.7)) * below
        canvas.paint(inside, WATER + 14)
        canvas.paint(inside * canvas.cover(canvas.y + 24), AIR + 10)

    def _paint_mediastinum(self, canvas: Canvas, z: float) -> None:
        fat = FAT + 12
        if z > -98:
            core = np.minimum(
                canvas.ellipse_distance(0.0, _MEDIASTINUM_Y(z), _MEDIASTINUM_A(z) - 1.5, 60.0 + 20 * step(z, -10, -60)),
                canvas.ellipse_distance(0.0, 10.0, 22.0, 40.0),
            )
            if z > -60:
                canvas.paint(canvas.cover(np.maximum(core, self._cavity(canvas, z) + 1)), fat)
        paint_heart(canvas, z)
        paint_great_vessels(canvas, z)

    def _paint_bones(self, canvas: Canvas, z: float) -> None:
        self._paint_ribs(canvas, z)
        self._paint_spine(canvas, z)
        if -75 < z < 92:
            wide = 13 + 9 * step(z, 40, 80)
            y = _CAVITY_Y(z) - _CAVITY_B(min(z, 60)) - 9 + 10 * step(z, 30, 92)
            canvas.ellipse(0, y, wide, 6.5, CORTEX - 250)
            canvas.ellipse(0, y, wide - 2.4, 4.2, MARROW - 60)
        for side in (-1, 1):
            if 25 < z < 132:
                shown = between(z, 32, 126, 8)
                canvas.ellipse(side * 113, 58, 27, 3.2, CORTEX - 150, angle=-side * 0.95, amount=shown)
                canvas.ellipse(side * 113, 58, 24, 1.4, MARROW + 120, angle=-side * 0.95, amount=shown)
                canvas.ellipse(side * 105, 66, 22, 8, MUSCLE + 6, angle=-side * 0.95, amount=0.35 * shown)
            if 96 < z < 132:
                at = (z - 96) / 36
                canvas.ellipse(side * (26 + 70 * at), -58 + 34 * at, 16, 6, CORTEX, angle=side * 0.5)
                canvas.ellipse(side * (26 + 70 * at), -58 + 34 * at, 13.5, 3.8, MARROW + 80, angle=side * 0.5)

    def _paint_ribs(self, canvas: Canvas, z: float) -> None:
        zc = min(z, 96.0)
        a, b, cy = _CAVITY_A(zc) + 6.0, _CAVITY_B(zc) + 6.5, _CAVITY_Y(zc)
        window = canvas.window(0.0, cy, a + 18, b + 18)
        radial = window.ellipse_distance(0.0, cy, a, b)
        # From the spine (0) round the side to the breastbone (1).
        round_ = np.arctan2(np.abs(window.x) / np.float32(a), (window.y - cy) / np.float32(b)) / np.float32(np.pi)
        drop = 118 * round_ * (0.72 + 0.28 * round_)
        number = (124 - z - drop) / np.float32(_RIB_SPACING_MM)
        nearest = np.rint(number)
        dz = (number - nearest) * np.float32(_RIB_SPACING_MM / 6.6)
        across = (radial - np.float32(0.5)) * np.float32(1 / 4.1)
        distance = (np.sqrt(dz * dz + across * across) - 1) * np.float32(4.1)
        # Floating ribs end early; the others become cartilage in front.
        ends = np.where(nearest > 9, 0.62, np.where(nearest > 6, 0.86, 0.965))
        outside = (nearest < 0) | (nearest > 11) | (round_ > ends) | (round_ < 0.08)
        distance = np.where(outside, np.float32(9), distance)
        gristle = round_ > 0.76
        window.paint(window.cover(distance), np.where(gristle, np.float32(CARTILAGE), np.float32(CORTEX - 60)))
        inner = window.cover(distance + np.float32(1.3)) * np.float32(0.9)
        window.paint(inner, np.where(gristle, np.float32(CARTILAGE), np.float32(MARROW + 30)))

    def _paint_spine(self, canvas: Canvas, z: float) -> None:
        phase = (z / _VERTEBRA_MM) % 1.0
        bone = 1 - between(phase, 0.86, 1.0, 0.05) - between(phase, -0.1, 0.02, 0.05)
        y = _SPINE_Y
        for side in (-1, 1):
            # The long muscles of the back.
            canvas.ellipse(side * 25, y + 36, 19, 14, MUSCLE + 8, angle=-side * 0.2)
            canvas.ellipse(side * 9, y + 41, 6.5, 9, MUSCLE + 6)
        canvas.ellipse(0, y, 18.5, 14.5, DISC)
        texture = 35 * self._texture(z, canvas.image.shape, 3)
        body = canvas.cover(canvas.ellipse_distance(0.0, y, 18.2, 14.2))
        canvas.paint(body * np.float32(bone), CORTEX - 330)
        inside = canvas.cover(canvas.ellipse_distance(0.0, y, 16.6, 12.6))
        canvas.paint(inside * np.float32(bone), (MARROW + texture).astype(np.float32))
        # Arch, canal and processes.
        arch = between(phase, 0.25, 0.72, 0.1)
        canvas.ellipse(0, y + 24, 15.5, 12.5, CORTEX - 220, amount=0.25 + 0.75 * arch)
        canvas.ellipse(0, y + 12, 13, 6, MARROW + 90, amount=bone * arch)
        for side in (-1, 1):
            canvas.ellipse(side * 28, y + 27, 14, 4.2, CORTEX - 240, angle=side * 0.45, amount=arch)
            canvas.ellipse(side * 28, y + 27, 11.5, 2.0, MARROW + 60, angle=side * 0.45, amount=arch)
        spinous = between(phase, 0.05, 0.55, 0.1)
        canvas.ellipse(0, y + 42, 3.6, 15, CORTEX - 200, amount=spinous)
        canvas.ellipse(0, y + 42, 1.6, 12, MARROW + 100, amount=spinous)
        canvas.ellipse(0, y + 23, 9.6, 8.2, WATER + 10)
        canvas.ellipse(0, y + 23, 5.2, 4.0, 42)


def _is_lung(points: Points) -> NDArray[np.bool_]:
    x, y, z = points.T
    zs = np.clip(z, LOWEST_MM, HIGHEST_MM)
    table = np.arange(LOWEST_MM, HIGHEST_MM + 1)
    a, b, cy, m, my = (
        np.interp(zs, table, [curve(t) for t in table])
        for curve in (_CAVITY_A, _CAVITY_B, _CAVITY_Y, _MEDIASTINUM_A, _MEDIASTINUM_Y)
    )
    inside = np.hypot(x / np.maximum(a - 5, 1), (y - cy) / np.maximum(b - 5, 1)) < 1
    middle = np.hypot(x / (m - 6), (y - my) / 58) < 1
    heart = np.interp(zs, table, [heart_size(t) for t in table])
    cardiac = np.hypot((x - 20) / np.maximum(66 * heart, 0.1), (y + 24) / np.maximum(50 * heart, 0.1)) < 1
    spine = np.hypot(x / 27, (y - _SPINE_Y - 14) / 36) < 1
    return np.asarray(inside & ~middle & ~cardiac & ~spine & (z > _diaphragm(x, y) + 4))


def _diaphragm(x: NDArray[np.float32] | NDArray[np.float64], y: NDArray[np.float32] | NDArray[np.float64]) -> Image:
    """Return the height of the diaphragm: two domes, steep to the sides and the back."""
    right = -62 - ((x + 58) / 62) ** 2 * 26 - ((y + 12) / 62) ** 2 * 24
    left = -74 - ((x - 66) / 58) ** 2 * 24 - ((y + 10) / 62) ** 2 * 24
    return np.asarray(np.maximum(right, left), dtype=np.float32)


def _noise_512(rng: np.random.Generator) -> Image:
    # Reconstruction leaves grain of about two pixels.
    return smooth_noise(rng, (512, 512), 0.9) * np.float32(0.9) + smooth_noise(rng, (512, 512), 2.4) * np.float32(0.45)
