"""Preamble and file meta information (PS3.10 §7.1), judged by pydicom and DCMTK."""

from __future__ import annotations

import subprocess
import zlib
from io import BytesIO
from pathlib import Path

import pydicom
import pytest

from hilum.dicom.part10 import read_file_meta, write_file_meta
from hilum.dicom.uids import (
    CT_IMAGE_STORAGE,
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLEMENTATION_CLASS_UID,
    IMPLICIT_VR_LITTLE_ENDIAN,
    JPEG_BASELINE,
)
from hilum.kernel.errors import InvalidInput

SOP_CLASS_ELEMENT = b"\x08\x00\x16\x00UI\x1a\x00" + CT_IMAGE_STORAGE.encode() + b"\0"
IMPLICIT_ELEMENT = b"\x08\x00\x16\x00\x1a\x00\x00\x00" + CT_IMAGE_STORAGE.encode() + b"\0"
BIG_ENDIAN_ELEMENT = b"\x00\x08\x00\x16UI\x00\x1a" + CT_IMAGE_STORAGE.encode() + b"\0"
BUNDLED = sorted((Path(pydicom.__file__).parent / "data" / "test_files").rglob("*.dcm"))
DCMDUMP = Path("/usr/bin/dcmdump")


def a_file(transfer_syntax_uid: str = EXPLICIT_VR_LITTLE_ENDIAN, data_set: bytes = SOP_CLASS_ELEMENT) -> bytes:
    return write_file_meta(CT_IMAGE_STORAGE, "1.2.3", transfer_syntax_uid, "MODALITY") + data_set


def test_what_is_written_is_read_back() -> None:
    meta = read_file_meta(a_file())
    assert meta.transfer_syntax_uid == EXPLICIT_VR_LITTLE_ENDIAN
    assert meta.media_storage_sop_class_uid == CT_IMAGE_STORAGE
    assert meta.media_storage_sop_instance_uid == "1.2.3"
    assert meta.source_ae_title == "MODALITY"
    assert a_file()[meta.data_set_offset :] == SOP_CLASS_ELEMENT
    assert not meta.is_transfer_syntax_guessed


@pytest.mark.parametrize("source_ae_title", [None, "", "ODD", "EVEN", "SIXTEEN_LETTERS_"])
@pytest.mark.parametrize("sop_instance_uid", ["1.2.3", "1.2.34", "1." + "2" * 62])
def test_pydicom_finds_every_element_and_the_right_group_length(
    sop_instance_uid: str, source_ae_title: str | None
) -> None:
    written = write_file_meta(CT_IMAGE_STORAGE, sop_instance_uid, JPEG_BASELINE, source_ae_title)
    assert written[:132] == bytes(128) + b"DICM"
    meta = pydicom.dcmread(BytesIO(written)).file_meta
    assert meta.FileMetaInformationGroupLength == len(written) - 144
    assert meta.FileMetaInformationVersion == b"\0\1"
    assert meta.MediaStorageSOPClassUID == CT_IMAGE_STORAGE
    assert meta.MediaStorageSOPInstanceUID == sop_instance_uid
    assert meta.TransferSyntaxUID == JPEG_BASELINE
    assert meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert meta.get("SourceApplicationEntityTitle") == (source_ae_title or None)


@pytest.mark.skipif(not DCMDUMP.exists(), reason="needs DCMTK: apt-get install dcmtk")
def test_dcmdump_reads_what_is_written_without_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "one.dcm"
    path.write_bytes(a_file())
    done = subprocess.run([DCMDUMP, path], capture_output=True, text=True, timeout=30, check=True)
    assert done.stderr == ""
    assert "=CTImageStorage" in done.stdout and "MODALITY" in done.stdout


@pytest.mark.parametrize("path", BUNDLED, ids=lambda p: p.name)
def test_file_meta_of_pydicoms_files_equals_what_pydicom_reads(path: Path) -> None:
    with path.open("rb") as file:
        theirs = pydicom.filereader._read_file_meta_info(file) if _has_preamble(file) else None
        end = file.tell()
    ours = None
    try:
        ours = read_file_meta(path.read_bytes()[: 1 << 16])
    except InvalidInput:
        assert theirs is None
    if theirs is None or ours is None:
        return
    assert ours.media_storage_sop_class_uid == (theirs.get("MediaStorageSOPClassUID") or None)
    assert ours.media_storage_sop_instance_uid == (theirs.get("MediaStorageSOPInstanceUID") or None)
    if "TransferSyntaxUID" in theirs:
        assert ours.transfer_syntax_uid == theirs.TransferSyntaxUID
    assert ours.data_set_offset == end


def _has_preamble(file: object) -> bool:
    return pydicom.filereader.read_preamble(file, True) is not None  # type: ignore[arg-type]


def test_a_wrong_group_length_does_not_matter() -> None:
    good = a_file()
    for length in (0, 7, 2**32 - 1):
        broken = good[:140] + length.to_bytes(4, "little") + good[144:]
        assert read_file_meta(broken) == read_file_meta(good)


def test_a_missing_preamble_does_not_matter() -> None:
    whole = a_file()
    for cut in (128, 132):
        meta = read_file_meta(whole[cut:])
        assert meta.transfer_syntax_uid == EXPLICIT_VR_LITTLE_ENDIAN
        assert whole[cut:][meta.data_set_offset :] == SOP_CLASS_ELEMENT


def test_file_meta_in_implicit_vr_is_read() -> None:
    uid = EXPLICIT_VR_BIG_ENDIAN.encode() + b"\0"
    data = bytes(128) + b"DICM" + b"\x02\x00\x10\x00" + len(uid).to_bytes(4, "little") + uid + BIG_ENDIAN_ELEMENT
    meta = read_file_meta(data)
    assert meta.transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN
    assert data[meta.data_set_offset :] == BIG_ENDIAN_ELEMENT


@pytest.mark.parametrize(
    ("element", "transfer_syntax_uid"),
    [
        (SOP_CLASS_ELEMENT, EXPLICIT_VR_LITTLE_ENDIAN),
        (IMPLICIT_ELEMENT, IMPLICIT_VR_LITTLE_ENDIAN),
        (BIG_ENDIAN_ELEMENT, EXPLICIT_VR_BIG_ENDIAN),
    ],
)
@pytest.mark.parametrize("head", [b"", bytes(128), bytes(128) + b"DICM", b"DICM"])
def test_a_missing_transfer_syntax_is_guessed_from_the_data_set(
    head: bytes, element: bytes, transfer_syntax_uid: str
) -> None:
    meta = read_file_meta(head + element)
    assert meta.transfer_syntax_uid == transfer_syntax_uid
    assert meta.data_set_offset == len(head)
    assert meta.is_transfer_syntax_guessed
    assert meta.media_storage_sop_class_uid is None


def test_deflated_bytes_that_look_like_a_meta_element_are_left_to_the_data_set() -> None:
    deflated = b"\x02\x00" + zlib.compress(SOP_CLASS_ELEMENT)
    data = a_file(DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, deflated)
    assert data[read_file_meta(data).data_set_offset :] == deflated


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        bytes(200),
        b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" * 20,
        b"<!DOCTYPE html><html><body>" * 20,
        b"%PDF-1.7\n" * 20,
        b"PK\x03\x04" + bytes(300),
        b"\x89PNG\r\n\x1a\n" + bytes(300),
        b"hello world " * 30,
        b"\x08\x00",
        bytes(128) + b"DICM" + b"nothing of a data set here",
    ],
    ids=range(11),
)
def test_other_content_is_refused_as_not_dicom(content: bytes) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_file_meta(content)
    assert refused.value.reason_code == "not-dicom"


def test_a_file_that_ends_inside_its_meta_information_is_refused_at_every_length() -> None:
    whole = a_file(data_set=b"")
    for length in range(133, len(whole)):
        try:
            meta = read_file_meta(whole[:length])
        except InvalidInput as refused:
            assert refused.reason_code in {"truncated-file-meta", "not-dicom"}
        else:
            # Ended between two elements, after the transfer syntax: legal, only shorter.
            assert meta.transfer_syntax_uid == EXPLICIT_VR_LITTLE_ENDIAN


@pytest.mark.parametrize("buffer", [bytes, bytearray, memoryview])
def test_any_buffer_can_be_read(buffer: type) -> None:
    assert read_file_meta(buffer(a_file())).transfer_syntax_uid == EXPLICIT_VR_LITTLE_ENDIAN


@pytest.mark.parametrize(("uid", "title"), [("1.2.ü", "A"), ("1" * 65, "A"), ("1.2", "SEVENTEEN_LETTERS"), ("1", "Ä")])
def test_what_does_not_fit_a_meta_element_is_not_written(uid: str, title: str) -> None:
    with pytest.raises(InvalidInput):
        write_file_meta(CT_IMAGE_STORAGE, uid, EXPLICIT_VR_LITTLE_ENDIAN, title)
