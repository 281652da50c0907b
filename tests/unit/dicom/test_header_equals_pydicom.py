"""The header reader's DICOM JSON is pydicom's on every readable file, but for differences that are named."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import orjson
import pydicom
import pytest

from hilum.dicom.header import read_header
from support.header_oracle import DIFFERENCES, MISREAD, differing_paths, judge, normalise

# Everything inline, as pydicom has it.
NO_LIMIT = 1 << 40
_DATA = Path(pydicom.__file__).parent / "data"
BUNDLED = sorted(
    path
    for folder in ("test_files", "charset_files", "palettes")
    for path in (_DATA / folder).rglob("*")
    if path.is_file() and path.suffix in ("", ".dcm") and "README" not in path.name
)


def pydicom_data() -> list[Path]:
    """The files of the package pydicom-data."""
    spec = find_spec("data_store")
    assert spec is not None and spec.submodule_search_locations, "pydicom-data is in the dev dependencies"
    folder = Path(next(iter(spec.submodule_search_locations))) / "data"
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix in ("", ".dcm"))


def assert_equals_pydicom(path: Path) -> None:
    """Fail with the paths that differ."""
    judgement = judge(path)
    if judgement is None or path.name in MISREAD:
        return
    header = read_header(
        judgement.data_set, judgement.transfer_syntax_uid, inline_binary_bytes=NO_LIMIT, inline_text_bytes=NO_LIMIT
    )
    ours = orjson.loads(header.json())
    theirs = normalise(judgement.attributes, judgement.transfer_syntax_uid)
    different = differing_paths(ours, theirs)
    expected = {place for name, place in DIFFERENCES if name == path.name}
    # What pydicom could not turn to JSON has to be explained too.
    assert judgement.raised <= expected
    assert different <= expected, f"{path.name}: {sorted(different - expected)[:10]} differ"


class TestFilesOfPydicom:
    """PS3.18 Annex F, judged by pydicom's to_json_dict."""

    @pytest.mark.parametrize("path", BUNDLED, ids=lambda path: path.name)
    def test_attributes_equal_pydicom_s(self, path: Path) -> None:
        assert_equals_pydicom(path)

    @pytest.mark.parametrize("path", pydicom_data(), ids=lambda path: path.name)
    def test_attributes_equal_pydicom_s_in_the_large_files(self, path: Path) -> None:
        assert_equals_pydicom(path)


def test_attributes_equal_pydicom_s_in_the_whole_corpus(corpus: Path) -> None:
    files = [path for path in sorted(corpus.rglob("*")) if path.is_file() and _is_data(path)]
    assert len(files) > 500
    for path in files:
        assert_equals_pydicom(path)


def _is_data(path: Path) -> bool:
    return (
        "LICENSES" not in path.parts and path.suffix not in (".csv", ".tsv", ".md", ".txt") and path.name != "html.dcm"
    )
