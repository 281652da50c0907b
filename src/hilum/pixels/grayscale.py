"""Grey values to display: modality, VOI and presentation look-up (PS3.3 §C.11, PS3.4 §N.2)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from hilum.pixels.native import Samples

# Integer samples that span no more values than this go through one table; wider ones are computed pixel by pixel.
_MAX_TABLE_ENTRIES = 1 << 18
# Without any window the brightest and darkest thousandth of the pixels may saturate.
_TAIL = 0.001


class WindowFunction(StrEnum):
    """How a window maps values (PS3.3 §C.11.2.1.2, §C.11.2.1.3)."""

    LINEAR = "LINEAR"
    LINEAR_EXACT = "LINEAR_EXACT"
    SIGMOID = "SIGMOID"


@dataclass(frozen=True, slots=True)
class Window:
    """A window in units after the modality transformation."""

    center: float
    width: float
    function: WindowFunction = WindowFunction.LINEAR


@dataclass(frozen=True, slots=True)
class LookUpTable:
    """A LUT: the entry for `first_value` comes first; values outside take the first or last entry."""

    first_value: int
    bits: int
    entries: NDArray[np.uint16]

    def apply(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the entries the values are mapped to."""
        indices = np.clip(np.rint(values) - self.first_value, 0, len(self.entries) - 1)
        entries: NDArray[np.float64] = self.entries[indices.astype(np.intp)].astype(np.float64)
        return entries


@dataclass(frozen=True, slots=True)
class GrayscaleTransform:
    """All that stands between stored grey values and display values.

    `voi` None asks for a window made from the frame itself; `padding` are the stored values, both included, that are no
    picture.
    """

    slope: float = 1.0
    intercept: float = 0.0
    modality: LookUpTable | None = None
    voi: Window | LookUpTable | None = None
    is_inverted: bool = False
    padding: tuple[int, int] | None = None


def display_values(samples: Samples, transform: GrayscaleTransform, bits_stored: int) -> NDArray[np.uint8]:
    """Return a one-sample frame of shape (rows, columns, 1) as (rows, columns) display values, 0 is black.

    Reference: PS3.4 §N.2.1
    """
    plane = samples[..., 0]
    if plane.dtype.kind == "f":
        return _by_pixel(plane, transform)
    low, high = int(plane.min()), int(plane.max())
    if high - low >= _MAX_TABLE_ENTRIES:
        return _by_pixel(plane, transform)
    indices = np.subtract(plane, low, dtype=np.intp)
    domain = np.arange(low, high + 1, dtype=np.float64)
    values = _modality(domain, transform)
    voi = transform.voi
    if voi is None:
        voi = _default_window(transform, values, indices, low, bits_stored)
    return _to_bytes(values, voi, is_inverted=transform.is_inverted).take(indices)


def _by_pixel(plane: Samples, transform: GrayscaleTransform) -> NDArray[np.uint8]:
    values = _modality(np.nan_to_num(plane.astype(np.float64), posinf=0.0, neginf=0.0), transform)
    voi = transform.voi
    if voi is None:
        low, high = np.quantile(values, (_TAIL, 1 - _TAIL))
        voi = _spanning(float(low), float(high))
    return _to_bytes(values, voi, is_inverted=transform.is_inverted)


def _modality(values: NDArray[np.float64], transform: GrayscaleTransform) -> NDArray[np.float64]:
    if transform.modality is not None:
        return transform.modality.apply(values)
    if transform.slope == 1.0 and transform.intercept == 0.0:
        return values
    return values * transform.slope + transform.intercept


def _default_window(
    transform: GrayscaleTransform, values: NDArray[np.float64], indices: NDArray[np.intp], low: int, bits_stored: int
) -> Window:
    is_plain = transform.modality is None and transform.slope == 1.0 and transform.intercept == 0.0
    if is_plain and bits_stored <= 8 and low >= 0:
        return _spanning(0.0, float((1 << bits_stored) - 1))
    counts = np.bincount(indices.reshape(-1), minlength=len(values))
    if transform.padding is not None:
        first, last = (bound - low for bound in transform.padding)
        counts[max(0, first) : max(0, last + 1)] = 0
    order = np.argsort(values, kind="stable")
    cumulated = np.cumsum(counts[order])
    total = int(cumulated[-1])
    if total == 0:
        return _spanning(float(values.min()), float(values.max()))
    bottom = int(np.searchsorted(cumulated, total * _TAIL, side="right"))
    top = int(np.searchsorted(cumulated, total * (1 - _TAIL), side="left"))
    return _spanning(float(values[order[bottom]]), float(values[order[top]]))


def _spanning(low: float, high: float) -> Window:
    width = high - low
    return Window((low + high) / 2, width if width > 0 else 1.0, WindowFunction.LINEAR_EXACT)


def _to_bytes(values: NDArray[np.float64], voi: Window | LookUpTable, *, is_inverted: bool) -> NDArray[np.uint8]:
    if isinstance(voi, LookUpTable):
        # The entries say what is white, whatever the descriptor's number of bits claims beyond them.
        top = max(float((1 << voi.bits) - 1) if voi.bits < 16 else 0.0, float(voi.entries.max()), 1.0)
        share = voi.apply(values) / top
    else:
        share = _windowed(values, voi)
    if is_inverted:
        share = 1.0 - share
    return (np.clip(share, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def _windowed(values: NDArray[np.float64], window: Window) -> NDArray[np.float64]:
    """Return the share of full brightness, not yet clipped."""
    center, width = window.center, window.width
    if window.function is WindowFunction.SIGMOID:
        exponent = np.clip(-4.0 * (values - center) / width, -700.0, 700.0)
        return 1.0 / (1.0 + np.exp(exponent))
    if window.function is WindowFunction.LINEAR_EXACT:
        return (values - center) / width + 0.5
    if width <= 1.0:
        return np.where(values <= center - 0.5, 0.0, 1.0)
    return (values - (center - 0.5)) / (width - 1.0) + 0.5
