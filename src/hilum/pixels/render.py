"""One frame as stored bytes to one picture."""

from __future__ import annotations

import numpy as np

from hilum.kernel.errors import Unsupported
from hilum.pixels.attributes import Attributes, BulkReader, describe_pixels, grayscale_transform, palette_of
from hilum.pixels.codecs import decode_frame
from hilum.pixels.colour import apply_palette, to_8_bit, ybr_to_rgb
from hilum.pixels.grayscale import Window, display_values
from hilum.pixels.picture import Picture, Viewport, fit


def render_frame(
    attributes: Attributes,
    transfer_syntax_uid: str,
    data: bytes,
    *,
    frame_number: int,
    read_bulk: BulkReader,
    window: Window | None = None,
    viewport: Viewport | None = None,
) -> Picture:
    """Return the picture of one frame.

    Args:
        attributes: the instance's attributes.
        transfer_syntax_uid: how `data` is encoded.
        data: the frame as stored, a native one little endian and from a byte's beginning.
        frame_number: 1-based; chooses the functional groups.
        read_bulk: gives palettes and LUTs that stand outside of the attributes.
        window: takes the place of the data set's own window; colours ignore it.
        viewport: the box to scale into.

    Raises:
        CorruptData, InvalidInput, LimitExceeded, Unsupported: it cannot be decoded or shown.

    Reference: PS3.18 §8.3.5, PS3.4 §N.2
    """
    description = describe_pixels(attributes)
    frame = decode_frame(transfer_syntax_uid, description, data)
    photometric = frame.photometric_interpretation
    picture: Picture
    if photometric == "PALETTE COLOR":
        picture = apply_palette(frame.samples, palette_of(attributes, read_bulk))
    elif description.samples_per_pixel == 1:
        transform = grayscale_transform(attributes, frame_number, read_bulk, window)
        picture = display_values(frame.samples, transform, description.bits_stored)
    elif description.samples_per_pixel == 3 and frame.samples.dtype.kind != "f":
        rgb = ybr_to_rgb(frame.samples, photometric, description.bits_stored)
        picture = to_8_bit(rgb.astype(_unsigned(rgb.dtype), copy=False), description.bits_stored)
    else:
        raise Unsupported("Pictures of this number of samples cannot be shown.", code="unsupported-photometric")
    return fit(picture, viewport)


def _unsigned(dtype: np.dtype[np.generic]) -> np.dtype[np.generic]:
    return np.dtype(f"u{dtype.itemsize}")
