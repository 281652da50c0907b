"""Fuzz the frame decoders and transcoding: whatever the bytes, only documented errors escape, in bounded memory.

    uv run --group fuzz python fuzz/frame_decoders.py -max_total_time=300 [CORPUS_FOLDER]

The first bytes choose transfer syntax, image size and sample format, the rest is one frame. The seeds are frames that
our own encoders have made, so that mutations get past their headers. Sizes that lie and bombs are what codestreams do.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["hilum.pixels", "hilum.dicom"]):
    from hilum.dicom import uids
    from hilum.dicom.raw_elements import encoding_of, read_raw, write_raw
    from hilum.pixels.codecs import decode_frame
    from hilum.pixels.description import PixelDescription
    from hilum.pixels.encoders import ENCODING_PROFILES, Loss, LossKind, encode_frame
    from hilum.pixels.transcode import FrameTranscoder

import numpy as np

from hilum.kernel.errors import HilumError

_SYNTAXES = (*sorted(ENCODING_PROFILES), uids.JPEG_XL_JPEG_RECOMPRESSION, uids.EXPLICIT_VR_LITTLE_ENDIAN)
_TARGETS = (uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.RLE_LOSSLESS, uids.JPEG_BASELINE, uids.JPEG_XL_JPEG_RECOMPRESSION)
_FORMATS = (
    (1, 8, 8, False, "MONOCHROME2"),
    (1, 16, 12, False, "MONOCHROME2"),
    (1, 16, 16, True, "MONOCHROME2"),
    (3, 8, 8, False, "RGB"),
    (3, 8, 8, False, "YBR_FULL_422"),
    (1, 1, 1, False, "MONOCHROME2"),
    (1, 32, 32, False, "MONOCHROME2"),
)
_HEAD_BYTES = 4
_SIDES = (1, 8, 16, 17, 64)


def describe(head: bytes) -> PixelDescription:
    """Return the description that the first bytes choose."""
    samples, allocated, stored, is_signed, photometric = _FORMATS[head[1] % len(_FORMATS)]
    rows, columns = _SIDES[head[2] % len(_SIDES)], _SIDES[head[3] % len(_SIDES)]
    return PixelDescription(rows, columns, samples, allocated, stored, stored - 1, is_signed, photometric)


def convert_one(data: bytes) -> None:
    """Decode and transcode one frame, and read the same bytes as a data set."""
    head, frame = data[:_HEAD_BYTES], data[_HEAD_BYTES:]
    if len(head) < _HEAD_BYTES:
        return
    description = describe(head)
    uid = _SYNTAXES[head[0] % len(_SYNTAXES)]
    try:
        samples = decode_frame(uid, description, frame).samples
    except HilumError:
        pass
    else:
        assert samples.shape == (description.rows, description.columns, description.samples_per_pixel)
        assert samples.dtype == description.dtype
    for target in _TARGETS:
        try:
            FrameTranscoder(uid, target, description, Loss() if target == uids.JPEG_BASELINE else None).convert(frame)
        except HilumError:
            pass
    for one, other in (
        (uids.IMPLICIT_VR_LITTLE_ENDIAN, uids.EXPLICIT_VR_BIG_ENDIAN),
        (uids.RLE_LOSSLESS, uids.RLE_LOSSLESS),
    ):
        try:
            write_raw(read_raw(frame, encoding_of(one)).elements, encoding_of(other))
        except HilumError:
            pass


def make_seeds(folder: Path) -> None:
    """Write a frame of every syntax and format that fit."""
    for number, uid in enumerate(_SYNTAXES):
        profile = ENCODING_PROFILES.get(uid)
        for kind in range(len(_FORMATS)):
            head = bytes([number, kind, 2, 2])
            description = describe(head)
            samples = np.arange(description.sample_count).reshape((16, 16, -1)).astype(description.dtype)
            samples &= (1 << min(description.bits_stored, 15)) - 1
            try:
                loss = Loss() if profile is not None and profile.loss is LossKind.ALWAYS else None
                frame = encode_frame(uid, description, samples, loss) if profile is not None else samples.tobytes()
            except HilumError:
                continue
            (folder / f"{number}-{kind}").write_bytes(head + frame)


def main() -> None:
    """Fuzz until stopped; the seeds stand in a folder of their own unless one is named."""
    with tempfile.TemporaryDirectory() as seeds:
        arguments = sys.argv
        if all(argument.startswith("-") for argument in sys.argv[1:]):
            make_seeds(Path(seeds))
            arguments = [*sys.argv, seeds]
        atheris.Setup(arguments, convert_one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
