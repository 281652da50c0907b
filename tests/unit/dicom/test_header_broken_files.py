"""Each deliberately bad file of the corpus has the fate its row in the table says."""

from __future__ import annotations

from pathlib import Path

import pytest

from hilum.dicom.header import Header, read_header, require_identity
from hilum.dicom.part10 import read_file_meta
from hilum.kernel.errors import HilumError
from support.broken_files import BROKEN_FILES


def store(path: Path) -> Header:
    """Do with a file what every door does before an instance is kept."""
    data = path.read_bytes()
    meta = read_file_meta(data)
    header = read_header(data[meta.data_set_offset :], meta.transfer_syntax_uid)
    require_identity(header)
    return header


def test_every_broken_file_of_the_corpus_has_a_row(corpus: Path) -> None:
    assert {path.name for path in (corpus / "broken").iterdir()} == set(BROKEN_FILES)


@pytest.mark.parametrize("name", BROKEN_FILES)
def test_broken_file_is_kept_and_flagged_or_refused_as_its_row_says(corpus: Path, name: str) -> None:
    expectation = BROKEN_FILES[name]
    if expectation.error is None:
        header = store(corpus / "broken" / name)
        assert {damage.kind for damage in header.damage} == expectation.damage
    else:
        with pytest.raises(HilumError) as refusal:
            store(corpus / "broken" / name)
        assert type(refusal.value) is expectation.error
        assert refusal.value.reason_code == expectation.code
        assert refusal.value.facts.get("attribute") == expectation.attribute


def test_refusals_carry_no_value_of_the_data_set(corpus: Path) -> None:
    with pytest.raises(HilumError) as refusal:
        store(corpus / "broken" / "uid_path_traversal.dcm")
    assert "etc" not in str(refusal.value) and "SOPInstanceUID" in str(refusal.value)
