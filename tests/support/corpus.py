"""What Hilum answers to every file of the corpus: the bad ones by their table, the others by the manifest."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from hilum.dicom.damage import DamageKind
from hilum.kernel.errors import CorruptData, InvalidInput
from support.broken_files import BROKEN_FILES, Expectation

# In the order in which they are looked for.
_IDENTITY = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")

REFUSED = {
    "pydicom/test_files/dicomdirtests/DICOMDIR-nooffset": Expectation(
        error=CorruptData, code="incomplete-data-set", attribute="SOPClassUID"
    ),
    "pydicom/data/test_files/no_meta.dcm": Expectation(error=InvalidInput, code="not-dicom"),
    "pydicom-data/data_store/data/bad_sequence.dcm": Expectation(
        error=InvalidInput, code="invalid-uid", attribute="SOPInstanceUID"
    ),
}
"""Files outside of `broken` that are refused for another reason than the lack of a UID."""

_UNPARSABLE = Expectation(frozenset({DamageKind.UNPARSABLE_VALUE}))
FLAGGED = {
    "pydicom/data/test_files/MR_truncated.dcm": Expectation(frozenset({DamageKind.TRUNCATED_PIXEL_DATA})),
    "pydicom/data/test_files/SC_rgb_jpeg.dcm": Expectation(frozenset({DamageKind.ENCODING_MISMATCH})),
    "pydicom/data/test_files/badVR.dcm": _UNPARSABLE,
    # The manifest's reader found no UIDs in it; ours does, and misses only the end of the fragments.
    "pydicom-data/data_store/data/emri_small_jpeg_2k_lossless_too_short.dcm": Expectation(
        frozenset({DamageKind.TRUNCATED_PIXEL_DATA})
    ),
    "pydicom/data/test_files/rtplan_truncated.dcm": Expectation(frozenset({DamageKind.LENGTH_BEYOND_END})),
    "pylibjpeg-data/ds/JPEGLossless/JPEGLossless_1s_1f_i_16_16_bad.dcm": _UNPARSABLE,
    "ms-dicom-server/Microsoft.Health.Dicom.Tests.Common/ImageSamples/XRJPEGProcess1.dcm": _UNPARSABLE,
    "deid-data/data/humans/ctbrain1.dcm": Expectation(frozenset({DamageKind.ODD_LENGTH, DamageKind.UNPARSABLE_VALUE})),
    "deid-data/data/humans/ctbrain2.dcm": Expectation(frozenset({DamageKind.ODD_LENGTH, DamageKind.UNPARSABLE_VALUE})),
    "dcmjs/test/sample-op.dcm": _UNPARSABLE,
    "google/test/resources/1.2.840.113543.6.6.1.1.2.2415947926921624359.201235357587280": _UNPARSABLE,
    "nibabel/tests/data/csa_slice_norm.dcm": _UNPARSABLE,
    "nibabel/tests/data/slicethickness_empty_string.dcm": _UNPARSABLE,
}
"""Files outside of `broken` that are kept and flagged."""


@dataclass(frozen=True, slots=True)
class CorpusFile:
    """One file, and what becomes of it whichever way it comes in."""

    name: str
    path: Path
    expectation: Expectation

    @property
    def is_kept(self) -> bool:
        """Whether Hilum keeps it."""
        return self.expectation.error is None

    @property
    def complaint(self) -> str:
        """What the answer to a refused file names."""
        return self.expectation.attribute or {"not-dicom": "not DICOM"}.get(self.expectation.code or "", "ends")


def corpus_files(corpus: Path) -> list[CorpusFile]:
    """Return every file of the manifest."""
    with (corpus / "manifest.csv").open(newline="") as manifest:
        return [
            CorpusFile(row["file"], corpus / row["file"], _expectation(row["file"], row["oddity"]))
            for row in csv.DictReader(manifest)
        ]


def _expectation(name: str, oddity: str) -> Expectation:
    folder, _, base = name.partition("/")
    if folder == "broken":
        return BROKEN_FILES[base]
    special = REFUSED.get(name) or FLAGGED.get(name)
    if special is not None:
        return special
    for keyword in _IDENTITY:
        if f"no {keyword}" in oddity.split("; "):
            return Expectation(error=InvalidInput, code="missing-attribute", attribute=keyword)
    return Expectation()
