"""Whatever an image is like, a lossless way to another transfer syntax and back gives the same samples."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hilum.dicom import uids
from hilum.kernel.errors import Unsupported
from hilum.pixels.encoders import ENCODING_PROFILES, Loss, LossKind
from hilum.pixels.transcode import NATIVE_SYNTAXES
from hilum.services.transcode import TranscodeService
from support.images import ImageKind
from support.transcoding import MemoryBlobs, read

LOSSLESS = sorted(
    NATIVE_SYNTAXES | {uid for uid, profile in ENCODING_PROFILES.items() if profile.loss is not LossKind.ALWAYS}
)
LOSSY = sorted(uid for uid, profile in ENCODING_PROFILES.items() if profile.loss is not LossKind.NEVER)


@st.composite
def image_kinds(draw: st.DrawFn) -> ImageKind:
    allocated = draw(st.sampled_from([1, 8, 8, 16, 16, 16, 32]))
    photometric = "MONOCHROME2"
    if allocated in (8, 16):
        photometric = draw(st.sampled_from(["MONOCHROME1", "MONOCHROME2", "RGB", "YBR_FULL", "PALETTE COLOR"]))
    stored = draw(st.integers(1, allocated))
    is_signed = draw(st.booleans()) if photometric.startswith("MONO") and allocated > 1 and stored > 1 else False
    return ImageKind(
        rows=draw(st.integers(1, 40)),
        columns=draw(st.integers(1, 40)),
        frames=draw(st.integers(1, 4)),
        photometric_interpretation=photometric,
        bits_allocated=allocated,
        bits_stored=stored,
        is_signed=is_signed,
    )


def samples_of(file: bytes, kind: ImageKind) -> NDArray[Any]:
    """Read native pixels by hand: only what the standard says, nothing of ours."""
    dataset = read(file)
    shape = (kind.frames, kind.rows, kind.columns, kind.samples)
    if dataset.BitsAllocated == 1:
        bits = np.unpackbits(np.frombuffer(dataset.PixelData, np.uint8), bitorder="little")
        return bits[: np.prod(shape)].reshape(shape)
    dtype = np.dtype(f"<{'i' if dataset.PixelRepresentation else 'u'}{dataset.BitsAllocated // 8}")
    count = int(np.prod(shape))
    assert len(dataset.PixelData) == -(-count * dtype.itemsize // 2) * 2
    assert dataset.HighBit == dataset.BitsStored - 1 == kind.bits_stored - 1
    if kind.samples > 1:
        assert dataset.PlanarConfiguration == 0
    return np.frombuffer(dataset.PixelData, dtype, count).reshape(shape)


async def along(file: bytes, way: list[str], loss: Loss | None = None) -> bytes:
    """Transcode a file from one syntax to the next."""
    blobs = MemoryBlobs()
    service = TranscodeService(blobs, thread_count=2)
    try:
        for uid in way:
            instance = blobs.keep(file)
            file = b"".join([piece async for piece in service.part10(instance, uid, loss=loss)])
        return file
    finally:
        service.close()


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(kind=image_kinds(), first=st.sampled_from(LOSSLESS), second=st.sampled_from(LOSSLESS), seed=st.integers(0, 99))
def test_samples_are_the_same_after_any_two_lossless_syntaxes(
    kind: ImageKind, first: str, second: str, seed: int
) -> None:
    pixels = kind.pixels(seed)
    try:
        file = asyncio.run(along(kind.file(pixels), [first, second, uids.EXPLICIT_VR_LITTLE_ENDIAN]))
    except Unsupported as error:
        assert error.reason_code == "cannot-encode"
        return
    assert np.array_equal(samples_of(file, kind), pixels)
    before, after = read(kind.file(pixels)), read(file)
    assert after.PatientName == before.PatientName
    assert after.PhotometricInterpretation == kind.photometric_interpretation
    assert "LossyImageCompression" not in after
    assert (after["PixelPaddingValue"].VR, after.PixelPaddingValue) == (
        before["PixelPaddingValue"].VR,
        before.PixelPaddingValue,
    )


# What each syntax must be able to hold: a refusal would be no failure of the test above.
HELD = {
    "grey 8": ImageKind(bits_allocated=8, bits_stored=8),
    "grey 12": ImageKind(bits_stored=12),
    "grey 16": ImageKind(),
    "signed 16": ImageKind(is_signed=True),
    "signed 12": ImageKind(is_signed=True, bits_stored=12),
    "colour": ImageKind(photometric_interpretation="RGB", bits_allocated=8, bits_stored=8),
    "colour 16": ImageKind(photometric_interpretation="RGB"),
    "palette": ImageKind(photometric_interpretation="PALETTE COLOR", bits_allocated=8, bits_stored=8),
    "YBR": ImageKind(photometric_interpretation="YBR_FULL", bits_allocated=8, bits_stored=8),
    "8 of 16": ImageKind(bits_stored=8),
    "32": ImageKind(bits_allocated=32, bits_stored=32),
    "bits": ImageKind(bits_allocated=1, bits_stored=1, rows=5, columns=5, frames=3),
}
NOT_HELD = {
    "signed 16": {uids.JPEG_XL, uids.JPEG_XL_LOSSLESS},
    "signed 12": {uids.JPEG_XL, uids.JPEG_XL_LOSSLESS},
    "YBR": {uids.JPEG_XL, uids.JPEG_XL_LOSSLESS},
    "palette": {uids.JPEG_LS_NEAR_LOSSLESS, uids.JPEG_2000, uids.JPEG_XL, uids.HTJ2K},
    "32": set(LOSSLESS)
    - NATIVE_SYNTAXES
    - {uids.RLE_LOSSLESS, uids.ENCAPSULATED_UNCOMPRESSED, uids.DEFLATED_IMAGE_FRAME},
    "bits": set(LOSSLESS) - NATIVE_SYNTAXES - {uids.ENCAPSULATED_UNCOMPRESSED, uids.DEFLATED_IMAGE_FRAME},
}


@pytest.mark.parametrize("name", HELD)
def test_every_pair_of_syntaxes_that_hold_an_image_is_exact(name: str) -> None:
    kind = HELD[name]
    able = [uid for uid in LOSSLESS if uid not in NOT_HELD.get(name, set())]
    # Every ordered pair once: round and round in steps of all sizes.
    way = [able[0]]
    pairs = {(one, other) for one in able for other in able if one != other}
    while pairs:
        step = next((other for other in able if (way[-1], other) in pairs), None)
        if step is None:
            step = min(pairs)[0]
        pairs.discard((way[-1], step))
        way.append(step)
    pixels = kind.pixels()
    file = asyncio.run(along(kind.file(pixels), [*way, uids.EXPLICIT_VR_LITTLE_ENDIAN]))
    assert len(set(pairwise(way))) >= len(able) * (len(able) - 1)
    assert np.array_equal(samples_of(file, kind), pixels)
    for uid in NOT_HELD.get(name, set()):
        with pytest.raises(Unsupported):
            asyncio.run(along(kind.file(pixels), [uid]))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(kind=image_kinds(), uid=st.sampled_from(LOSSY), quality=st.integers(60, 100), seed=st.integers(0, 99))
def test_what_loses_stays_close_and_says_so(kind: ImageKind, uid: str, quality: int, seed: int) -> None:
    pixels = kind.pixels(seed)
    original = kind.file(pixels)
    try:
        lossy = asyncio.run(along(original, [uid], Loss(quality)))
    except Unsupported as error:
        assert error.reason_code == "cannot-encode"
        return
    low, high = kind.bounds
    back = asyncio.run(along(lossy, [uids.EXPLICIT_VR_LITTLE_ENDIAN]))
    found = samples_of(back, kind).astype(np.float64)
    assert low <= found.min() and found.max() <= high
    if kind.photometric_interpretation != "YBR_FULL" and uid != uids.JPEG_XL:
        # Noise of a 64th of the range is not what these codecs are made for; wrapped samples would be far off.
        assert np.sqrt(((found - pixels) ** 2).mean()) <= (high - low) / 12 + 1
    before, after = read(original), read(back)
    assert after.LossyImageCompression == "01"
    assert after.LossyImageCompressionMethod == ENCODING_PROFILES[uid].method
    assert float(after.LossyImageCompressionRatio) > 0
    assert after.SOPInstanceUID != before.SOPInstanceUID
    assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID
    assert after.ImageType[0] == "DERIVED"
    assert after.SourceImageSequence[0].ReferencedSOPInstanceUID == before.SOPInstanceUID
