"""The guide's table of transfer syntaxes says what the registries say."""

from __future__ import annotations

import re
from pathlib import Path

from hilum.dicom import uids
from hilum.pixels.codecs import can_decode
from hilum.pixels.encoders import ENCODING_PROFILES, LossKind
from hilum.pixels.transcode import NATIVE_SYNTAXES, can_transcode

GUIDE = Path(__file__).parents[3] / "docs" / "guide" / "transfer-syntaxes.md"
ROW = re.compile(r"^\| [^|]+ \| (1\.2\.840\.[0-9.]+) \| (\S+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


def test_every_syntax_that_is_written_has_a_row_that_is_true() -> None:
    rows = {uid: (read, written, holds) for uid, read, written, holds in ROW.findall(GUIDE.read_text())}
    assert rows.keys() == ENCODING_PROFILES.keys() | NATIVE_SYNTAXES | {uids.JPEG_XL_JPEG_RECOMPRESSION}
    for uid, (read, written, holds) in rows.items():
        assert (read == "yes") == can_decode(uid)
        profile = ENCODING_PROFILES.get(uid)
        if profile is None:
            continue
        assert (written == "with loss") == (profile.loss is LossKind.ALWAYS)
        assert ("signed" in holds.replace("unsigned", "")) == (
            profile.is_signed_lossless and uid not in (uids.ENCAPSULATED_UNCOMPRESSED, uids.DEFLATED_IMAGE_FRAME)
        )
        if span := re.match(r"(?:integer samples of )?(\d+) to (\d+) bits", holds):
            low, high = int(span[1]), int(span[2])
            assert low in profile.bits_stored
            assert high in profile.bits_stored
            assert high + 1 not in profile.bits_stored
        tables = {**profile.photometric_interpretations, **profile.lossy_photometric_interpretations}
        assert ("PALETTE COLOR" in tables) == (
            "no palettes" not in holds and uid not in (uids.JPEG_BASELINE, uids.JPEG_EXTENDED, uids.JPEG_XL)
        )
    assert can_transcode(uids.JPEG_BASELINE, uids.JPEG_XL_JPEG_RECOMPRESSION)
