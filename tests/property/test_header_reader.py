"""The header reader under mutation: any bytes give a header or a documented refusal, however they are cut."""

from __future__ import annotations

from io import BytesIO
from itertools import pairwise
from pathlib import Path

import orjson
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.filewriter import write_dataset

from hilum.dicom.frames import FrameIndex
from hilum.dicom.header import Header, HeaderReader, read_header, require_identity
from hilum.dicom.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    JPEG_BASELINE,
)
from hilum.kernel.errors import CorruptData, HilumError, InvalidInput, LimitExceeded
from support.header_oracle import differing_paths, normalise

_MAX_BYTES = 8 * 1024
_SYNTAXES = [
    IMPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    JPEG_BASELINE,
]


def _data_sets() -> list[tuple[str, bytes, str]]:
    found = []
    for path in sorted((Path(pydicom.__file__).parent / "data" / "test_files").glob("*.dcm")):
        raw = path.read_bytes()
        if len(raw) > _MAX_BYTES:
            continue
        file = BytesIO(raw)
        read_preamble(file, True)
        syntax = str(_read_file_meta_info(file).get("TransferSyntaxUID", IMPLICIT_VR_LITTLE_ENDIAN))
        found.append((path.name, raw[file.tell() :], syntax))
    return found


DATA_SETS = _data_sets()

mutations = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "insert", "remove", "repeat"]),
        st.floats(0, 1, exclude_max=True),
        st.binary(min_size=1, max_size=12),
    ),
    min_size=1,
    max_size=4,
)


def mutate(data: bytes, changes: list[tuple[str, float, bytes]]) -> bytes:
    """Return the data with bytes overwritten, cut off, inserted, removed or repeated."""
    for change, place, content in changes:
        at, size = int(place * len(data)), len(content)
        if change == "flip":
            data = data[:at] + content + data[at + size :]
        elif change == "cut":
            data = data[:at]
        elif change == "insert":
            data = data[:at] + content + data[at:]
        elif change == "remove":
            data = data[:at] + data[at + size :]
        else:
            data = data[:at] + data[at : at + 40 * size] + data[at:]
    return data


def outcome(reader: HeaderReader, data_set: bytes | memoryview) -> Header | str:
    """Return the header, or the code of the documented refusal."""
    try:
        return reader.finish(data_set)
    except (LimitExceeded, CorruptData) as refusal:
        return refusal.reason_code


@pytest.mark.parametrize(("name", "data_set", "syntax"), DATA_SETS, ids=[name for name, _, _ in DATA_SETS])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes=mutations, steps=st.lists(st.integers(1, 3000), max_size=6))
def test_mutated_data_set_is_read_or_refused_alike_in_one_piece_and_in_many(
    name: str, data_set: bytes, syntax: str, changes: list[tuple[str, float, bytes]], steps: list[int]
) -> None:
    mutated = mutate(data_set, changes)
    whole = outcome(HeaderReader(syntax), mutated)
    reader = HeaderReader(syntax)
    end = 0
    try:
        for step in steps:
            end += step
            if reader.read_prefix(mutated[:end]):
                break
        pieces = outcome(reader, memoryview(mutated))
    except (LimitExceeded, CorruptData) as refusal:
        pieces = refusal.reason_code
    assert pieces == whole
    if isinstance(whole, str):
        return
    assert orjson.loads(whole.json()).keys() == whole.attributes.keys()
    assert list(whole.attributes) == sorted(whole.attributes)
    if not whole.is_deflated:
        for location in whole.bulk.values():
            assert 0 <= location.offset <= location.offset + location.length <= len(mutated)
    if whole.pixel_data is not None and not whole.is_deflated:
        index = whole.pixel_data.frames
        for frame_index in range(min(index.frame_count, 8)):
            for offset, length in index.frame_ranges(frame_index):
                assert whole.pixel_data.offset <= offset <= offset + length <= len(mutated)
    try:
        require_identity(whole)
    except HilumError as refusal:
        assert isinstance(refusal, (InvalidInput, CorruptData))


@settings(max_examples=300, deadline=None)
@given(data_set=st.binary(max_size=400), syntax=st.sampled_from(_SYNTAXES))
def test_random_bytes_are_read_or_refused(data_set: bytes, syntax: str) -> None:
    header = outcome(HeaderReader(syntax), data_set)
    if isinstance(header, Header):
        orjson.loads(header.json())


_texts = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x2FFF, exclude_characters="\\^="), max_size=20)
_values = st.fixed_dictionaries(
    {},
    optional={
        "StudyDescription": _texts,
        "PatientName": st.builds(lambda a, b: f"{a}^{b}", _texts, _texts),
        "PatientComments": _texts,
        "InstanceNumber": st.integers(-(2**31), 2**31 - 1),
        "PixelSpacing": st.lists(st.floats(-1000, 1000).map(lambda x: round(x, 3)), min_size=2, max_size=2),
        "Rows": st.integers(0, 65535),
        "DiffusionBValue": st.floats(allow_nan=False, allow_infinity=False),
        "StudyDate": st.dates().map(lambda d: d.strftime("%Y%m%d").zfill(8)),
        "FrameIncrementPointer": st.just(0x00181063),
        "ImageType": st.lists(st.sampled_from(["ORIGINAL", "PRIMARY", "AXIAL"]), min_size=1, max_size=3),
        "ICCProfile": st.binary(min_size=2, max_size=40).map(lambda b: b[: len(b) // 2 * 2]),
    },
)


@st.composite
def _datasets(draw: st.DrawFn, depth: int = 0) -> Dataset:
    dataset = Dataset()
    for keyword, value in draw(_values).items():
        setattr(dataset, keyword, value)
    if depth < 3 and draw(st.booleans()):
        dataset.ReferencedImageSequence = draw(st.lists(_datasets(depth=depth + 1), max_size=3))
        dataset["ReferencedImageSequence"].is_undefined_length = draw(st.booleans())
    return dataset


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(dataset=_datasets(), syntax=st.sampled_from(_SYNTAXES[:3]))
def test_written_data_set_reads_back_as_pydicom_has_it(dataset: Dataset, syntax: str) -> None:
    dataset.SpecificCharacterSet = "ISO_IR 192"
    file = DicomBytesIO()
    file.is_implicit_VR = syntax == IMPLICIT_VR_LITTLE_ENDIAN
    file.is_little_endian = syntax != EXPLICIT_VR_BIG_ENDIAN
    write_dataset(file, dataset)
    data_set = file.getvalue()
    again = pydicom.filereader.read_dataset(BytesIO(data_set), file.is_implicit_VR, file.is_little_endian)
    header = read_header(data_set, syntax)
    assert differing_paths(orjson.loads(header.json()), normalise(again.to_json_dict(), syntax)) == set()


@given(
    lengths=st.lists(st.integers(0, 2**32 - 2), min_size=1, max_size=60),
    first_offset=st.integers(0, 2**40),
    data=st.data(),
)
def test_frame_index_survives_storing(lengths: list[int], first_offset: int, data: st.DataObject) -> None:
    starts = data.draw(st.none() | st.sets(st.integers(1, max(1, len(lengths) - 1)), max_size=len(lengths) - 1))
    firsts = None if starts is None else sorted({0, *(start for start in starts if start < len(lengths))})
    count = len(lengths) if firsts is None else len(firsts)
    index = FrameIndex(count, first_offset, 0, True, lengths, firsts)
    again = FrameIndex.from_bytes(index.to_bytes())
    ranges = [again.frame_ranges(i) for i in range(count)]
    assert ranges == [index.frame_ranges(i) for i in range(count)]
    pieces = [piece for frame in ranges for piece in frame]
    assert [length for _, length in pieces] == lengths
    assert all(b[0] == a[0] + a[1] + 8 for a, b in pairwise(pieces))
