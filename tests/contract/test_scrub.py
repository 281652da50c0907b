"""Blobs and rows compared, with files and a real S3, and the index on a real PostgreSQL."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from hilum.archive.keys import instance_blob_key
from hilum.archive.scrubbing import BlobListing
from hilum.index.blob_rows import PostgresBlobRows
from hilum.index.embedded import EmbeddedPostgres
from hilum.kernel.clock import SystemClock
from hilum.kernel.errors import Conflict, InvalidInput
from hilum.kernel.ids import new_blob_name
from hilum.kernel.limits import MIN_ORPHAN_AGE_S
from hilum.objectstore import FilesystemStore, ObjectStore, open_object_store
from hilum.objectstore.listing import FilesystemListing
from hilum.services.scrub import ScrubReport, ScrubService
from support.in_process import InProcessArchive, in_process_archive
from support.instances import ct_slice, part10
from support.seaweed import BUCKET, S3Service

HOURS = timedelta(hours=2)


class LaterClock(SystemClock):
    """Tomorrow's clock: what has just been written is old."""

    def now(self):  # type: ignore[no-untyped-def]
        return super().now() + timedelta(days=1)


@pytest.fixture
async def archive(database: EmbeddedPostgres, tmp_path: Path) -> AsyncIterator[InProcessArchive]:
    async with in_process_archive(database, tmp_path) as opened:
        yield opened


@dataclass
class House:
    """An archive with instances, and its blobs from below."""

    archive: InProcessArchive
    blobs: FilesystemStore
    folder: Path

    def scrub(self, *, is_later: bool = True) -> ScrubService:
        return ScrubService(
            listing=FilesystemListing(self.folder),
            rows=PostgresBlobRows(self.archive.archive.index.connections),  # type: ignore[attr-defined]
            blobs=self.blobs,
            clock=LaterClock() if is_later else SystemClock(),
            min_age_s=HOURS.total_seconds(),
        )

    def files(self) -> set[str]:
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()}

    def damaged(self, report: ScrubReport) -> list[str]:
        """Of this archive: the blobs of other tests' tenants are not in its folder."""
        return [key for key in report.damaged if key.startswith(f"t{self.archive.tenant_id}/")]

    def orphan_key(self) -> str:
        return instance_blob_key(self.archive.tenant_id, "1.2.3", new_blob_name())


@pytest.fixture
async def house(archive: InProcessArchive, tmp_path: Path) -> AsyncIterator[House]:
    for number in range(3):
        await archive.store(part10(ct_slice(number=number)))
    folder = tmp_path / "archive" / "blobs"
    blobs = FilesystemStore(folder)
    yield House(archive, blobs, folder)
    await blobs.close()


def told() -> None:
    """Nobody looks."""


async def test_what_instances_point_to_is_no_orphan(house: House) -> None:
    before, report = house.files(), ScrubReport()
    await house.scrub().find_orphans(report, told)
    await house.scrub().remove_orphans(report)
    assert (report.blob_count, report.known_count, report.orphan_count) == (3, 3, 0)
    assert house.files() == before


async def test_an_earlier_version_is_no_orphan(house: House) -> None:
    dataset = ct_slice()
    await house.archive.store(part10(dataset))
    dataset.PatientComments = "other content"
    await house.archive.store(part10(dataset))
    report = ScrubReport()
    await house.scrub().find_orphans(report, told)
    await house.scrub().verify(report, told)
    assert (report.known_count, report.orphan_count) == (5, 0)
    assert report.verified_count >= 5
    assert house.damaged(report) == []


async def test_orphans_and_leftovers_of_writes_are_removed_and_files_of_others_are_not(house: House) -> None:
    kept = house.files()
    orphan = house.orphan_key()
    await house.blobs.put(orphan, [b"bytes without rows"])
    (house.folder / f"{house.orphan_key()}.part").parent.mkdir(parents=True, exist_ok=True)
    (house.folder / f"{house.orphan_key()}.part").write_bytes(b"half")
    (house.folder / "README").write_text("do not touch")
    (house.folder / "t1" / "notes.txt").parent.mkdir(exist_ok=True)
    (house.folder / "t1" / "notes.txt").write_text("mine")
    report = ScrubReport()
    await house.scrub().find_orphans(report, told)
    assert (report.orphan_count, report.orphan_bytes, report.foreign_count) == (2, 18 + 4, 2)
    assert orphan in report.orphans
    await house.scrub().remove_orphans(report)
    assert report.removed_count == 2
    assert house.files() == kept | {"README", "t1/notes.txt"}


async def test_what_is_young_is_left_alone(house: House) -> None:
    orphan = house.orphan_key()
    await house.blobs.put(orphan, [b"rows to come"])
    report = ScrubReport()
    await house.scrub(is_later=False).find_orphans(report, told)
    assert (report.young_count, report.orphan_count) == (1, 0)
    long_ago = time.time() - 3 * 3600
    os.utime(house.folder / orphan, (long_ago, long_ago))
    report = ScrubReport()
    await house.scrub(is_later=False).find_orphans(report, told)
    assert (report.young_count, report.orphan_count) == (0, 1)


async def test_most_are_not_removed_unless_one_insists(house: House) -> None:
    for _ in range(4):
        await house.blobs.put(house.orphan_key(), [b"another archive's"])
    before, report = house.files(), ScrubReport()
    await house.scrub().find_orphans(report, told)
    with pytest.raises(Conflict, match="4 blobs are unknown"):
        await house.scrub().remove_orphans(report)
    assert house.files() == before
    await house.scrub().remove_orphans(report, even_most=True)
    assert len(house.files()) == 3


async def test_blobs_that_are_gone_cut_short_or_changed_are_told_of(house: House) -> None:
    gone, short, changed = sorted(house.files())
    (house.folder / gone).unlink()
    content = (house.folder / short).read_bytes()
    (house.folder / short).chmod(0o640)
    (house.folder / short).write_bytes(content[:-2])
    content = (house.folder / changed).read_bytes()
    (house.folder / changed).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    report = ScrubReport()
    await house.scrub().verify(report, told)
    assert house.damaged(report) == [gone, short, changed]


def test_an_age_at_which_a_store_may_be_under_way_is_refused(tmp_path: Path) -> None:
    blobs = FilesystemStore(tmp_path)
    with pytest.raises(InvalidInput):
        ScrubService(
            listing=FilesystemListing(tmp_path), rows=None, blobs=blobs,  # type: ignore[arg-type]
            clock=SystemClock(), min_age_s=MIN_ORPHAN_AGE_S - 1,
        )  # fmt: skip


@pytest.fixture(params=["files", "s3"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[FilesystemStore | ObjectStore, BlobListing]]:
    opened: FilesystemStore | ObjectStore
    listing: BlobListing
    if request.param == "files":
        opened, listing = FilesystemStore(tmp_path / "blobs"), FilesystemListing(tmp_path / "blobs")
    else:
        service: S3Service = request.getfixturevalue("s3")
        for name, value in service.environment.items():
            monkeypatch.setenv(name, value)
        opened = open_object_store(f"s3://{BUCKET}/listed", endpoint=service.endpoint, allow_http=True)
        listing = opened.listing()
    yield opened, listing
    await opened.close()


async def test_a_store_lists_what_was_put_and_no_more(
    store: tuple[FilesystemStore | ObjectStore, BlobListing],
) -> None:
    blobs, listing = store
    keys = {instance_blob_key(1, f"1.2.{number}", new_blob_name()): number for number in range(20)}
    for key, number in keys.items():
        await blobs.put(key, [bytes(number)])
    listed = [each async for batch in listing.batches() for each in batch]
    assert {each.key: each.size_bytes for each in listed} == keys
    now = SystemClock().now()
    assert all(abs(now - each.written_at) < timedelta(minutes=5) for each in listed)
    for key in keys:
        await blobs.delete(key)
    assert [each async for batch in listing.batches() for each in batch] == []
