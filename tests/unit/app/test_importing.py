"""One bad file costs an import none of the others."""

from __future__ import annotations

import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hilum.app.importing import ImportReport, import_sources
from hilum.app.sources import find_sources
from hilum.archive.model import DuplicatePolicy, IngestStatus, Origin, OriginKind
from hilum.objectstore import FilesystemStore
from hilum.services.store import StoreService
from support.fake_index import MemoryIndex
from support.instances import ct_slice, part10
from support.store_house import SteppedClock


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[StoreService]:
    blobs = FilesystemStore(tmp_path / "blobs")
    service = StoreService(
        index=MemoryIndex(),
        blobs=blobs,
        staging_directory=tmp_path / "staging" / "0",
        policy=DuplicatePolicy.REPLACE,
        clock=SteppedClock(),
    )
    yield service
    await service.close()
    await blobs.close()


async def _imported(store: StoreService, path: Path) -> ImportReport:
    return await import_sources(store, 1, iter(find_sources([path])), Origin(OriginKind.IMPORT))


async def test_damaged_members_of_an_archive_are_refused_and_their_neighbours_stored(
    store: StoreService, tmp_path: Path
) -> None:
    path = tmp_path / "study.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        for name in ("good", "bad-head", "bad-method", "bad-content"):
            archive.writestr(name, part10(ct_slice()))
        places = {info.filename: info.header_offset for info in archive.infolist()}
    content = bytearray(path.read_bytes())
    content[places["bad-head"]] ^= 0xFF
    entry = content.index(b"bad-method", content.index(b"PK\x01\x02")) - 46
    content[entry + 10 : entry + 12] = b"\x61\x00"
    content[places["bad-content"] + 100 : places["bad-content"] + 300] = bytes(200)
    path.write_bytes(content)
    report = await _imported(store, path)
    assert report.by_status[IngestStatus.STORED] == 1
    assert sorted(label.rpartition("!")[2] for label, _ in report.refused) == ["bad-content", "bad-head", "bad-method"]


async def test_file_whose_transfer_syntax_is_no_uid_is_refused(store: StoreService, tmp_path: Path) -> None:
    good = part10(ct_slice())
    assert good.count(b"1.2.840.10008.1.2.1\0") == 1
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bad.dcm").write_bytes(good.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840\0../../../x/\0"))
    (tmp_path / "in" / "good.dcm").write_bytes(part10(ct_slice()))
    report = await _imported(store, tmp_path / "in")
    assert report.by_status[IngestStatus.STORED] == 1
    assert report.refused_by_reason == {"invalid-uid": 1}
