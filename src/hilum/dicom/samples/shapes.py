"""Soft-edged shapes on a grid of millimetres: what the phantoms are painted with."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Image: TypeAlias = NDArray[np.float32]
Points: TypeAlias = NDArray[np.float64]


def rng_of(seed: int, *salt: int) -> np.random.Generator:
    """Return the random source of one part of one phantom: the same numbers for the same seed and salt."""
    return np.random.default_rng([seed, *salt])


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], feature: float) -> Image:
    """Return noise of zero mean and unit variance whose blobs measure about `feature` pixels."""
    if feature > 16 and min(shape) > 64:
        # Coarse noise needs no fine grid.
        return enlarge(smooth_noise(rng, (shape[0] // 3, shape[1] // 3), feature / 3), shape)
    spectrum = np.fft.rfft2(rng.standard_normal(shape, dtype=np.float32))
    fy = np.fft.fftfreq(shape[0])[:, None]
    fx = np.fft.rfftfreq(shape[1])[None, :]
    spectrum *= np.exp(-((fx**2 + fy**2) * (feature * np.pi) ** 2) / 2)
    noise = np.fft.irfft2(spectrum, s=shape)
    noise -= noise.mean()
    return (noise / (noise.std() or 1.0)).astype(np.float32)


def enlarge(image: Image, shape: tuple[int, int]) -> Image:
    """Return the image at another size, interpolated linearly."""
    rows = np.linspace(0, image.shape[0] - 1, shape[0])
    columns = np.linspace(0, image.shape[1] - 1, shape[1])
    r0, c0 = rows.astype(int).clip(0, image.shape[0] - 2), columns.astype(int).clip(0, image.shape[1] - 2)
    fr, fc = (rows - r0)[:, None].astype(np.float32), (columns - c0)[None, :].astype(np.float32)
    upper = image[r0][:, c0] * (1 - fc) + image[r0][:, c0 + 1] * fc
    lower = image[r0 + 1][:, c0] * (1 - fc) + image[r0 + 1][:, c0 + 1] * fc
    return np.asarray(upper * (1 - fr) + lower * fr, dtype=np.float32)


class Canvas:
    """An image with coordinates in millimetres, into which shapes are painted one over the other.

    `x` grows to the patient's left, `y` to the back, as the patient coordinate system of PS3.3 §C.7.6.2.1.1 has it.
    The coordinates may be warped, which makes geometric shapes look grown.
    """

    def __init__(self, x: Image, y: Image, background: float) -> None:
        self.x = x
        self.y = y
        self.pixel = max(min(abs(float(x[0, 1] - x[0, 0])), abs(float(y[1, 0] - y[0, 0]))), 1e-3)
        self.image: Image = np.full(x.shape, background, dtype=np.float32)
        # The unwarped axes, to find the window a small shape lies in.
        self._columns = x[x.shape[0] // 2]
        self._rows = y[:, y.shape[1] // 2]

    def window(self, cx: float, cy: float, a: float, b: float) -> Canvas:
        """Return a part of the canvas; what is painted on it appears on the whole."""
        at = _window(self._rows, cy, b), _window(self._columns, cx, a)
        part = copy(self)
        part.x, part.y, part.image = self.x[at], self.y[at], self.image[at]
        part._rows, part._columns = self._rows[at[0]], self._columns[at[1]]
        return part

    def cover(self, distance: Image) -> Image:
        """Return how much of each pixel lies inside a shape, from its signed distance in millimetres."""
        inside = np.float32(0.5) - distance * np.float32(1 / self.pixel)
        return np.asarray(np.clip(inside, 0, 1, out=inside), dtype=np.float32)

    def paint(self, coverage: Image, value: float | Image) -> None:
        """Lay a value over the whole image where `coverage` says so."""
        self.image += (value - self.image) * coverage

    def ellipse_distance(self, cx: float, cy: float, a: float, b: float, angle: float = 0.0) -> Image:
        """Return the approximate signed distance to an ellipse, over the whole image."""
        return _ellipse(self.x, self.y, cx, cy, a, b, angle)

    def ellipse(
        self, cx: float, cy: float, a: float, b: float, value: float, *, angle: float = 0.0, amount: float = 1.0
    ) -> None:
        """Paint an ellipse of half axes `a` and `b`, turned by `angle` radians, touching only its own window."""
        if a <= 0 or b <= 0 or amount <= 0:
            return
        reach = max(a, b) + 6 * self.pixel + 8
        rows = _window(self._rows, cy, reach)
        columns = _window(self._columns, cx, reach)
        part = self.image[rows, columns]
        if part.size:
            distance = _ellipse(self.x[rows, columns], self.y[rows, columns], cx, cy, a, b, angle)
            part += (value - part) * (self.cover(distance) * np.float32(amount))

    def ring(self, cx: float, cy: float, a: float, b: float, wall: float, values: tuple[float, float]) -> None:
        """Paint a tube's cross-section: wall of the first value, inside of the second."""
        self.ellipse(cx, cy, a + wall, b + wall, values[0])
        self.ellipse(cx, cy, a, b, values[1])

    def balls(self, points: Points, radii: NDArray[np.float64]) -> Image:
        """Return how much of each pixel lies in discs given by rows of (x, y) and their radii."""
        covered: Image = np.zeros(self.image.shape, dtype=np.float32)
        if not len(points):
            return covered
        dx, dy = self._columns[1] - self._columns[0], self._rows[1] - self._rows[0]
        column = (points[:, 0] - self._columns[0]) / dx
        row = (points[:, 1] - self._rows[0]) / dy
        sizes = np.ceil(radii / min(abs(dx), abs(dy)) + 1).astype(int)
        for size in np.unique(sizes):
            chosen = sizes == size
            offsets = np.arange(-size, size + 1)
            rr = np.rint(row[chosen]).astype(int)[:, None, None] + offsets[None, :, None]
            cc = np.rint(column[chosen]).astype(int)[:, None, None] + offsets[None, None, :]
            distance = np.hypot((rr - row[chosen][:, None, None]) * dy, (cc - column[chosen][:, None, None]) * dx)
            amount = np.clip((radii[chosen][:, None, None] - distance) / self.pixel + 0.5, 0.0, 1.0)
            rr, cc = np.broadcast_arrays(rr, cc)
            inside = (rr >= 0) & (rr < covered.shape[0]) & (cc >= 0) & (cc < covered.shape[1])
            np.maximum.at(covered, (rr[inside], cc[inside]), amount[inside].astype(np.float32))
        return covered


def step(value: float, begin: float, end: float) -> float:
    """Return 0 up to `begin`, 1 from `end`, smooth between; `begin` may lie above `end`."""
    t = min(max((value - begin) / (end - begin), 0.0), 1.0)
    return t * t * (3 - 2 * t)


def between(value: float, low: float, high: float, soft: float) -> float:
    """Return 1 inside an interval, falling to 0 over `soft` outside it."""
    return step(value, low - soft, low) * step(value, high + soft, high)


def profile(*points: tuple[float, float]) -> Callable[[float], float]:
    """Return the function that runs linearly through the given points and is constant beyond."""
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    return lambda value: float(np.interp(value, xs, ys))


def _ellipse(x: Image, y: Image, cx: float, cy: float, a: float, b: float, angle: float) -> Image:
    dx, dy = x - np.float32(cx), y - np.float32(cy)
    if angle:
        cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        dx, dy = dx * cosine + dy * sine, dy * cosine - dx * sine
    dx, dy = dx * np.float32(1 / a), dy * np.float32(1 / b)
    return np.asarray((np.sqrt(dx * dx + dy * dy) - 1) * np.float32(min(a, b)), dtype=np.float32)


def _window(axis: Image, centre: float, reach: float) -> slice:
    low, high = np.searchsorted(axis, (centre - reach, centre + reach))
    return slice(int(low), int(high))
