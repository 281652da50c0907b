"""Fuzz the header reader: whatever the bytes, only documented errors escape and the JSON is JSON.

    uv run --group fuzz python fuzz/header_reader.py -max_total_time=300 [CORPUS_FOLDER]

The first byte chooses the transfer syntax and how the bytes arrive, the rest is the data set. Without a corpus folder
pydicom's small test files are the seeds.
"""

from __future__ import annotations

import sys
import tempfile
from io import BytesIO
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["hilum.dicom"]):
    from hilum.dicom.header import Header, HeaderReader, require_identity

import orjson
from pydicom.data import get_testdata_files
from pydicom.filereader import _read_file_meta_info, read_preamble

from hilum.kernel.errors import CorruptData, InvalidInput, LimitExceeded

_SYNTAXES = (
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.100",
    "1.2.3.4",
)
_MAX_SEED_BYTES = 16 * 1024


def read_one(data: bytes) -> None:
    """Read one data set in every way it can arrive; all have to give the same header."""
    if not data:
        return
    syntax, chunk, data_set = _SYNTAXES[data[0] % len(_SYNTAXES)], 1 + data[0] // len(_SYNTAXES), data[1:]
    header = _outcome(HeaderReader(syntax), data_set)
    piecewise = HeaderReader(syntax)
    try:
        end = 0
        while end < len(data_set) and not piecewise.read_prefix(data_set[:end]):
            end = 2 * end + chunk
    except (LimitExceeded, CorruptData) as error:
        assert isinstance(header, str), error
    else:
        again = _outcome(piecewise, memoryview(data_set))
        assert again == header, (header, again)
    if isinstance(header, str):
        return
    assert orjson.loads(header.json()) is not None
    for location in header.bulk.values():
        assert header.is_deflated or 0 <= location.offset <= location.offset + location.length <= len(data_set)
    if header.pixel_data is not None:
        frames = header.pixel_data.frames
        assert type(frames).from_bytes(frames.to_bytes()).frame_count == frames.frame_count
        for frame_index in range(min(frames.frame_count, 16)):
            for offset, length in frames.frame_ranges(frame_index):
                assert header.is_deflated or 0 <= offset <= offset + length <= len(data_set)
    try:
        require_identity(header)
    except (InvalidInput, CorruptData):
        pass


def _outcome(reader: HeaderReader, data_set: bytes | memoryview) -> Header | str:
    try:
        return reader.finish(data_set)
    except (LimitExceeded, CorruptData) as error:
        return error.reason_code


def _write_seeds(folder: Path) -> None:
    for name in get_testdata_files("*.dcm"):
        path = Path(name)
        if path.stat().st_size > _MAX_SEED_BYTES:
            continue
        file = BytesIO(path.read_bytes())
        try:
            read_preamble(file, True)
            syntax = str(_read_file_meta_info(file).get("TransferSyntaxUID", _SYNTAXES[1]))
        except (EOFError, OSError, ValueError, NotImplementedError) as error:
            print(f"{path.name} is no seed: {error}", file=sys.stderr)
            continue
        choice = _SYNTAXES.index(syntax) if syntax in _SYNTAXES else 0
        (folder / path.name).write_bytes(bytes([choice]) + file.read())


def main() -> None:
    """Run libFuzzer over `read_one`."""
    arguments = sys.argv
    with tempfile.TemporaryDirectory() as seeds:
        if not any(not argument.startswith("-") for argument in arguments[1:]):
            _write_seeds(Path(seeds))
            arguments = [*arguments, seeds]
        atheris.Setup(arguments, read_one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
