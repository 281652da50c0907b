"""How long one CT slice takes from stored bytes to JPEG, PNG and thumbnail, for each way it may be stored.

Run: python bench/render.py [--count 50]. No server is involved: this is the part that runs on the render threads.
The bar is 9.5 ms for the JPEG (half of what Orthanc 1.10.1 takes for /rendered on the same kind of machine).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np

from hilum.dicom import uids
from hilum.dicom.dictionary import tag_of
from hilum.pixels.picture import Viewport, encode_jpeg, encode_png
from hilum.pixels.render import render_frame

SIDE = 512
BAR_MS = 9.5


def slice_of_a_body() -> np.ndarray[Any, np.dtype[np.int16]]:
    """Return 512 x 512 values that compress about as well as a CT slice: air, an ellipse of tissue, noise."""
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    values = np.where(x**2 / 0.7 + y**2 / 0.4 < 1, 40 + 60 * np.sin(9 * x) * np.cos(7 * y), -1000.0)
    values += np.random.default_rng(1).normal(0, 12, values.shape)
    return np.clip(values, -1024, 3071).astype(np.int16)


def attributes_of_the_slice() -> dict[str, Any]:
    """Return what rendering reads of the data set."""
    values = {
        "Rows": SIDE, "Columns": SIDE, "SamplesPerPixel": 1, "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15,
        "PixelRepresentation": 1, "PhotometricInterpretation": "MONOCHROME2", "RescaleSlope": 1,
        "RescaleIntercept": 0, "WindowCenter": 40, "WindowWidth": 400,
    }  # fmt: skip
    return {tag_of(keyword): {"vr": "US", "Value": [value]} for keyword, value in values.items()}


def milliseconds(work: Callable[[], object], count: int) -> float:
    """Return the median duration of one call."""
    durations = []
    for _ in range(count):
        begun = time.perf_counter()
        work()
        durations.append(time.perf_counter() - begun)
    return float(np.median(durations)) * 1000


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--count", type=int, default=50)
    count = arguments.parse_args().count
    pixels = slice_of_a_body()
    unsigned = pixels.view(np.uint16)
    stored = {
        "native": (uids.EXPLICIT_VR_LITTLE_ENDIAN, pixels.tobytes()),
        "JPEG-LS": (uids.JPEG_LS_LOSSLESS, imagecodecs.jpegls_encode(unsigned)),
        "JPEG lossless": (uids.JPEG_LOSSLESS_SV1, imagecodecs.jpeg8_encode(unsigned, lossless=True, predictor=1)),
        "JPEG 2000": (uids.JPEG_2000_LOSSLESS, imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", level=0)),
        "HTJ2K": (uids.HTJ2K_LOSSLESS, imagecodecs.htj2k_encode(pixels, reversible=True)),
        "JPEG XL": (uids.JPEG_XL_LOSSLESS, imagecodecs.jpegxl_encode(unsigned, lossless=True, effort=3)),
    }
    attributes = attributes_of_the_slice()
    print(f"{'stored as':15}{'KB':>6}{'JPEG ms':>10}{'PNG ms':>10}{'thumbnail ms':>14}")
    for name, (uid, data) in stored.items():

        def picture(viewport: Viewport | None = None, uid: str = uid, data: bytes = bytes(data)) -> Any:
            return render_frame(attributes, uid, data, frame_number=1, read_bulk=lambda _: b"", viewport=viewport)

        jpeg = milliseconds(lambda: encode_jpeg(picture(), 90), count)
        png = milliseconds(lambda: encode_png(picture()), count)
        small = milliseconds(lambda: encode_jpeg(picture(Viewport(256, 256)), 80), count)
        print(f"{name:15}{len(data) // 1024:>6}{jpeg:>10.2f}{png:>10.2f}{small:>14.2f}{'' if jpeg < BAR_MS else '  !'}")


if __name__ == "__main__":
    main()
