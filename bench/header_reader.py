"""Time of reading a header to DICOM JSON, beside pydicom, on the same bytes.

    python -m bench.header_reader

Data sets: a CT slice of about 90 elements with its pixels, the same in implicit VR, pydicom's CT_small (most of whose
elements are private), its standard elements with a sequence of 20 items, and that slice with 1 GB of mapped pixels.
"""

from __future__ import annotations

import mmap
import tempfile
import time
import warnings
from collections.abc import Callable
from io import BytesIO
from struct import pack

import pydicom
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from hilum.dicom.header import read_header
from hilum.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN

_REPEATS = 5
_BAR_MS = {"CT slice, explicit": 0.35, "CT_small with a sequence": 1.5}


def best_ms(action: Callable[[], object], seconds: float = 0.2) -> float:
    """Return the best mean of several rounds, in milliseconds."""
    start = time.perf_counter()
    action()
    count = max(1, int(seconds / max(time.perf_counter() - start, 1e-6)))
    best = float("inf")
    for _ in range(_REPEATS):
        start = time.perf_counter()
        for _ in range(count):
            action()
        best = min(best, (time.perf_counter() - start) / count)
    return best * 1000


def encode(dataset: Dataset, syntax: str) -> bytes:
    """Return the data set's bytes."""
    file = DicomBytesIO()
    file.is_implicit_VR, file.is_little_endian = syntax == IMPLICIT_VR_LITTLE_ENDIAN, True
    write_dataset(file, dataset)
    return file.getvalue()


def ct_slice(small: Dataset) -> Dataset:
    """Return a slice of 512 x 512 with the 90 first standard elements of CT_small and more of their kind."""
    dataset = Dataset()
    for element in small:
        if not element.tag.is_private and element.tag.group < 0x7FE0:
            dataset.add(element)
    extra = [
        "PatientComments",
        "StationName",
        "ProtocolName",
        "BodyPartExamined",
        "InstitutionName",
        "StudyDescription",
    ]
    for keyword in extra:
        setattr(dataset, keyword, "text")
    dataset.Rows = dataset.Columns = 512
    dataset.add_new(0x7FE00010, "OW", bytes(512 * 512 * 2))
    return dataset


def with_sequence(small: Dataset) -> Dataset:
    """Return the standard elements of CT_small and a sequence of 20 items: nearly 400 elements in all."""
    elements = [element for element in small if element.tag.group <= 0x0010][:15]
    dataset = Dataset()
    dataset.update({e.tag: e for e in small if not e.tag.is_private})
    items = []
    for _ in range(20):
        item = Dataset()
        item.update({element.tag: element for element in elements})
        items.append(item)
    dataset.ReferencedImageSequence = items
    return dataset


def pydicom_json(data_set: bytes, syntax: str) -> object:
    """Do with pydicom what the header reader does."""
    dataset = read_dataset(BytesIO(data_set), syntax == IMPLICIT_VR_LITTLE_ENDIAN, True)
    if "PixelData" in dataset:
        del dataset.PixelData
    return dataset.to_json_dict(bulk_data_element_handler=lambda _: "bulk")


def count_elements(attributes: dict[str, dict[str, object]]) -> int:
    """Return the number of elements on all levels."""
    items = [item for e in attributes.values() if e["vr"] == "SQ" for item in e.get("Value", [])]
    return len(attributes) + sum(map(count_elements, items))


def main() -> None:
    """Print one line a data set: elements, bytes, Hilum, pydicom, ratio, bar."""
    warnings.simplefilter("ignore")
    small = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    slice_ = ct_slice(small)
    cases = {
        "CT slice, explicit": (encode(slice_, EXPLICIT_VR_LITTLE_ENDIAN), EXPLICIT_VR_LITTLE_ENDIAN),
        "CT slice, implicit": (encode(slice_, IMPLICIT_VR_LITTLE_ENDIAN), IMPLICIT_VR_LITTLE_ENDIAN),
        "CT_small": (encode(small, EXPLICIT_VR_LITTLE_ENDIAN), EXPLICIT_VR_LITTLE_ENDIAN),
        "CT_small with a sequence": (
            encode(with_sequence(small), EXPLICIT_VR_LITTLE_ENDIAN),
            EXPLICIT_VR_LITTLE_ENDIAN,
        ),
    }
    print(
        f"{'data set':28}{'elements':>9}{'bytes':>9}{'hilum ms':>10}"
        f"{'JSON ms':>9}{'pydicom ms':>12}{'ratio':>7}{'bar':>7}"
    )
    for name, (data_set, syntax) in cases.items():
        header = read_header(data_set, syntax)
        ours = best_ms(lambda d=data_set, s=syntax: read_header(d, s))
        theirs = best_ms(lambda d=data_set, s=syntax: pydicom_json(d, s))
        count = count_elements(header.attributes)
        print(
            f"{name:28}{count:9}{len(data_set):9}{ours:10.3f}{best_ms(header.json):9.3f}{theirs:12.2f}"
            f"{theirs / ours:7.0f}{_BAR_MS.get(name, ''):>7}"
        )
    head = encode(slice_, EXPLICIT_VR_LITTLE_ENDIAN)[: -512 * 512 * 2 - 4]
    size = 1 << 30
    with tempfile.TemporaryFile() as file:
        file.write(head + pack("<I", size))
        file.truncate(len(head) + 4 + size)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            print(
                f"{'the slice, 1 GB mapped':46}{best_ms(lambda: read_header(mapped, EXPLICIT_VR_LITTLE_ENDIAN)):10.3f}"
            )


if __name__ == "__main__":
    main()
