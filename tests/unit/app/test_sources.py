"""What an import is given: folders, ZIP archives, DICOMDIRs; hostile ones among them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from hilum.app.sources import Source, Unreadable, find_sources


def _labels(paths: list[Path], below: Path) -> list[str]:
    return [str(found.label).removeprefix(f"{below}/") for found in find_sources(paths)]


def test_folders_are_walked_in_order_and_every_file_comes_once(tmp_path: Path) -> None:
    for name in ("b/2", "b/1", "a/3"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "again").hardlink_to(tmp_path / "b/2")
    assert _labels([tmp_path, tmp_path / "b"], tmp_path) == ["again", "a/3", "b/1"]


def test_missing_path_is_reported() -> None:
    (found,) = find_sources([Path("/no/such/place")])
    assert isinstance(found, Unreadable)
    assert "no such file" in found.reason


def test_zip_members_are_sources(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        archive.writestr("a/1.dcm", b"content")
        archive.mkdir("empty")
    (found,) = find_sources([tmp_path / "study.zip"])
    assert isinstance(found, Source)
    with found.open() as stream:
        assert stream.read() == b"content"


def test_zip_bomb_is_refused_and_its_neighbours_are_not(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes(50_000_000))
        archive.writestr("good", b"content")
    bomb, good = find_sources([tmp_path / "bomb.zip"])
    assert isinstance(bomb, Unreadable)
    assert "unpacks" in bomb.reason
    assert isinstance(good, Source)


def test_damaged_zip_is_reported(tmp_path: Path) -> None:
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04 and nothing more")
    (found,) = find_sources([tmp_path / "bad.zip"])
    assert isinstance(found, Unreadable)
    assert "damaged" in found.reason


def test_dicomdir_stands_for_the_files_it_names() -> None:
    dicomdir = Path(str(get_testdata_file("DICOMDIR")))
    found = list(find_sources([dicomdir]))
    assert len(found) > 20
    present = [source for source in found if isinstance(source, Source)]
    assert all(dicomdir.parent in source.path.parents for source in present)


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS:UserWarning")
@pytest.mark.parametrize("components", [("..", "secret"), ("a/../../b",), ("C:",), ("x\0y",)])
def test_dicomdir_reference_that_leaves_its_folder_is_left_out(components: tuple[str, ...]) -> None:
    from io import BytesIO

    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.filewriter import dcmwrite

    from hilum.dicom.dicomdir import referenced_files

    record = Dataset()
    record.add_new("ReferencedFileID", "CS", list(components))
    directory = Dataset()
    directory.DirectoryRecordSequence = [record]
    directory.file_meta = FileMetaDataset()
    directory.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    directory.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    directory.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    buffer = BytesIO()
    dcmwrite(buffer, directory, enforce_file_format=True)
    assert referenced_files(buffer.getvalue()) == []
