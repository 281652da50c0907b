"""Pictures: 8-bit grey or RGB arrays, cut, resized and encoded."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hilum.kernel.errors import InvalidInput, LimitExceeded
from hilum.kernel.limits import MAX_RENDERED_PIXELS, MAX_RENDERED_SIDE

Picture = NDArray[np.uint8]
"""(rows, columns) grey or (rows, columns, 3) RGB."""

# From this JPEG quality on colours are kept at full resolution.
_FULL_CHROMINANCE_QUALITY = 90
# Level 1 takes an eighth of the time of the library's default and gives nearly the same size on images.
_PNG_LEVEL = 1
_LONGEST_GIF_FRAME_MS = 650_000.0


@dataclass(frozen=True, slots=True)
class Viewport:
    """A box the picture is scaled into, aspect ratio kept, and the region of the source it shows.

    A negative width or height of the region mirrors it; 0 stands for all there is to the right or below.

    Reference: PS3.18 §8.3.5.1.3
    """

    width: int
    height: int
    left: int = 0
    top: int = 0
    region_width: int = 0
    region_height: int = 0


def fit(picture: Picture, viewport: Viewport | None) -> Picture:
    """Return the picture cut and scaled to the viewport; without one, as it is up to the largest side we send.

    Raises:
        InvalidInput: the region lies outside the picture.
        LimitExceeded: the viewport asks for a larger picture than we make.
    """
    if viewport is None:
        if max(picture.shape[:2]) <= MAX_RENDERED_SIDE:
            return picture
        return _scaled(picture, MAX_RENDERED_SIDE, MAX_RENDERED_SIDE)
    if max(viewport.width, viewport.height) > MAX_RENDERED_SIDE:
        raise LimitExceeded(f"A viewport's side is limited to {MAX_RENDERED_SIDE} pixels.", code="viewport-too-large")
    if min(viewport.width, viewport.height) < 1:
        raise InvalidInput("A viewport's sides must be at least one pixel.", code="invalid-viewport")
    return _scaled(_region(picture, viewport), viewport.width, viewport.height)


def _region(picture: Picture, viewport: Viewport) -> Picture:
    rows, columns = picture.shape[:2]
    if not (0 <= viewport.left < columns and 0 <= viewport.top < rows):
        raise InvalidInput("The viewport's region lies outside the picture.", code="invalid-viewport")
    width = abs(viewport.region_width) or columns - viewport.left
    height = abs(viewport.region_height) or rows - viewport.top
    region = picture[viewport.top : viewport.top + height, viewport.left : viewport.left + width]
    if viewport.region_width < 0:
        region = region[:, ::-1]
    if viewport.region_height < 0:
        region = region[::-1]
    return region


def _scaled(picture: Picture, width: int, height: int) -> Picture:
    rows, columns = picture.shape[:2]
    factor = min(width / columns, height / rows)
    size = (max(1, round(columns * factor)), max(1, round(rows * factor)))
    if size == (columns, rows):
        return picture
    if size[0] * size[1] > MAX_RENDERED_PIXELS:
        raise LimitExceeded(
            f"A rendered picture is limited to {MAX_RENDERED_PIXELS} pixels.", code="viewport-too-large"
        )
    # Shrinking averages what it drops; enlarging interpolates and invents no edges.
    resampling = Image.Resampling.BOX if factor < 1 else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize(size, resampling))


def encode_jpeg(picture: Picture, quality: int) -> bytes:
    """Return a baseline JPEG; quality is 1 to 100.

    Reference: PS3.18 §8.7.4
    """
    subsampling = "444" if quality >= _FULL_CHROMINANCE_QUALITY else "420"
    encoded = imagecodecs.jpeg8_encode(
        np.ascontiguousarray(picture), level=quality, subsampling=subsampling if picture.ndim == 3 else None
    )
    return bytes(encoded)


def encode_png(picture: Picture) -> bytes:
    """Return a PNG, without loss."""
    return bytes(imagecodecs.png_encode(np.ascontiguousarray(picture), level=_PNG_LEVEL))


def encode_gif(pictures: Sequence[Picture], frame_time_ms: float) -> bytes:
    """Return an animated GIF that loops for ever; colours are reduced to 256 for each picture."""
    images = [Image.fromarray(np.ascontiguousarray(picture)) for picture in pictures]
    buffer = io.BytesIO()
    # Browsers slow down what asks for less than 20 ms. The format ends at 655 seconds, and equal pictures become one.
    duration_ms = round(max(20.0, min(frame_time_ms, _LONGEST_GIF_FRAME_MS / len(pictures))))
    images[0].save(buffer, "GIF", save_all=True, append_images=images[1:], duration=duration_ms, loop=0)
    return buffer.getvalue()
