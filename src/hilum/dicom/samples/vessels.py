"""Branching vessels in three dimensions, as rows of balls along their courses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hilum.dicom.samples.shapes import Points

_GENERATIONS = 10
_STEP_MM = 0.9


def branching_vessels(
    rng: np.random.Generator, roots: Points, directions: Points, is_inside: Callable[[Points], NDArray[np.bool_]]
) -> tuple[Points, NDArray[np.float64]]:
    """Return centres and radii of the balls that make up vessel trees growing from `roots` within a region.

    Each generation is shorter and thinner than the last; a branch that would leave the region turns back once, then
    ends. All branches of a generation grow at once.
    """
    starts, ways = roots.copy(), directions / np.linalg.norm(directions, axis=1, keepdims=True)
    radii = np.full(len(starts), 4.0)
    lengths = np.full(len(starts), 27.0)
    points, sizes = [], []
    for generation in range(_GENERATIONS):
        bent = _turned(rng, ways, 0.22)
        ends = starts + bent * lengths[:, None]
        if generation:
            lost = ~is_inside(ends)
            bent[lost] = _turned(rng, ways[lost], 0.9)
            ends[lost] = starts[lost] + bent[lost] * lengths[lost][:, None]
            kept = is_inside(ends)
            starts, ends, bent, radii, lengths = starts[kept], ends[kept], bent[kept], radii[kept], lengths[kept]
        balls, ball_radii = _along(rng, starts, ends, radii)
        points.append(balls)
        sizes.append(ball_radii)
        children = rng.integers(2, 4, len(ends)) if generation < 5 else np.full(len(ends), 2)
        parent = np.repeat(np.arange(len(ends)), children)
        starts = ends[parent]
        ways = _turned(rng, bent[parent], 0.42)
        radii = radii[parent] * rng.uniform(0.6, 0.84, len(parent))
        lengths = lengths[parent] * rng.uniform(0.68, 1.0, len(parent))
    return np.concatenate(points), np.concatenate(sizes)


def spicules(rng: np.random.Generator, centre: tuple[float, float, float], radius: float) -> Points:
    """Return ball centres of the fine strands that run from a tumour into the lung around it."""
    ways = rng.standard_normal((14, 3))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    starts = np.array(centre) + ways * radius * 0.8
    ends = np.array(centre) + ways * radius * rng.uniform(1.5, 2.3, (14, 1))
    return _along(rng, starts, ends, np.full(14, 0.5))[0]


def _turned(rng: np.random.Generator, ways: Points, amount: float) -> Points:
    turned = ways + rng.standard_normal(ways.shape) * amount
    return np.asarray(turned / np.linalg.norm(turned, axis=1, keepdims=True))


def _along(
    rng: np.random.Generator, starts: Points, ends: Points, radii: NDArray[np.float64]
) -> tuple[Points, NDArray[np.float64]]:
    """Return balls along slightly bent lines, tapering to three quarters."""
    lengths = np.linalg.norm(ends - starts, axis=1)
    counts = np.maximum((lengths / _STEP_MM).astype(int), 1)
    line = np.repeat(np.arange(len(starts)), counts)
    at = (np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)) / counts[line]
    sag = rng.standard_normal(starts.shape) * lengths[:, None] * 0.09
    balls = starts[line] + (ends - starts)[line] * at[:, None] + sag[line] * np.sin(np.pi * at)[:, None]
    return balls, radii[line] * (1 - 0.25 * at)
