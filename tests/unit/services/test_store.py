"""Store: what is acknowledged is durable, what is refused leaves nothing."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Callable
from io import BytesIO

import pytest
from blake3 import blake3
from pydicom import dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    generate_uid,
)

from hilum.archive.model import DuplicatePolicy, IngestStatus
from hilum.kernel.errors import (
    Conflict,
    CorruptData,
    InvalidInput,
    LimitExceeded,
    LocalProtocolError,
    Unavailable,
)
from hilum.kernel.limits import MAX_INSTANCE_BYTES, STAGING_MEMORY_BYTES
from support.instances import ct_slice, data_set_bytes, part10
from support.store_house import ORIGIN, House, until


async def test_a_stored_instance_is_a_part_10_file_with_the_data_set_unchanged(house: House) -> None:
    dataset = ct_slice(side=512)
    sent = data_set_bytes(part10(dataset))

    result = await house.store_bytes(sent, chunk=16_000)

    (row,) = house.index.rows
    blob = row.draft.blob
    file = await house.blobs.read(blob.key)
    assert file[blob.data_set_offset :] == sent
    assert len(file) == blob.size_bytes
    assert row.draft.digest == blake3(sent).digest()
    read = dcmread(BytesIO(file))
    assert read.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert read.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID == result.sop_instance_uid
    assert read.file_meta.SourceApplicationEntityTitle == "SENDER"
    assert result.status is IngestStatus.STORED
    assert (result.study_instance_uid, result.series_instance_uid) == (
        dataset.StudyInstanceUID,
        dataset.SeriesInstanceUID,
    )
    assert house.staged() == []
    assert house.changed == [result]
    assert house.heard.stored_statuses == [IngestStatus.STORED]


async def test_written_views_may_be_overwritten_by_the_sender_at_once(house: House) -> None:
    sent = data_set_bytes(part10(ct_slice(side=300)))
    intake = house.service.begin(tenant_id=1, transfer_syntax_uid=ExplicitVRLittleEndian, origin=ORIGIN)
    reused = bytearray(4096)
    for start in range(0, len(sent), len(reused)):
        piece = sent[start : start + len(reused)]
        reused[: len(piece)] = piece
        assert intake.write(memoryview(reused)[: len(piece)]) is None
    await intake.commit()
    (row,) = house.index.rows
    assert (await house.blobs.read(row.draft.blob.key, row.draft.blob.data_set_offset)) == sent


@pytest.mark.parametrize("side", [64, 2000])
async def test_the_same_bytes_again_change_nothing_and_leave_no_second_blob(house: House, side: int) -> None:
    dataset = ct_slice(side=side)
    await house.store(dataset)
    again = await house.store(dataset)
    assert again.status is IngestStatus.IDENTICAL
    await house.service.close()
    assert len(house.blob_files()) == 1
    assert house.staged() == []
    assert len(house.changed) == 1


async def test_other_content_replaces_and_the_earlier_content_stays(house: House) -> None:
    first, second = ct_slice(seed=1), ct_slice(seed=2)
    second.SOPInstanceUID = first.SOPInstanceUID
    await house.store(first)
    assert (await house.store(second)).status is IngestStatus.REPLACED
    assert len(house.blob_files()) == 2


async def test_other_content_is_refused_under_the_policy_keep(make_house: Callable[..., House]) -> None:
    house = make_house(policy=DuplicatePolicy.KEEP)
    first, second = ct_slice(seed=1), ct_slice(seed=2)
    second.SOPInstanceUID = first.SOPInstanceUID
    await house.store(first)
    with pytest.raises(Conflict) as caught:
        await house.store(second)
    assert caught.value.reason_code == "duplicate"
    await house.service.close()
    assert len(house.blob_files()) == 1
    assert house.staged() == []
    assert house.heard.refusals == ["duplicate"]


async def test_tenants_do_not_share_instances(house: House) -> None:
    dataset = ct_slice()
    await house.store(dataset, tenant_id=1)
    assert (await house.store(dataset, tenant_id=2)).status is IngestStatus.STORED
    assert {path.relative_to(house.root / "blobs").parts[0] for path in house.blob_files()} == {"t1", "t2"}


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
async def test_an_instance_without_identity_is_refused_and_the_attribute_named(house: House, keyword: str) -> None:
    dataset = ct_slice()
    delattr(dataset, keyword)
    del dataset.file_meta
    buffer = BytesIO()
    dataset.save_as(buffer, implicit_vr=False, little_endian=True)
    with pytest.raises(InvalidInput) as caught:
        await house.store_bytes(buffer.getvalue())
    assert caught.value.reason_code == "missing-attribute"
    assert caught.value.facts == {"attribute": keyword}
    assert house.blob_files() == []
    assert house.staged() == []


@pytest.mark.parametrize(
    ("announced", "keyword"),
    [
        ("expected_sop_class_uid", "SOPClassUID"),
        ("expected_sop_instance_uid", "SOPInstanceUID"),
        ("expected_study_instance_uid", "StudyInstanceUID"),
    ],
)
async def test_a_data_set_that_contradicts_what_was_announced_is_refused(
    house: House, announced: str, keyword: str
) -> None:
    dataset = ct_slice()
    content = data_set_bytes(part10(dataset))
    with pytest.raises(InvalidInput) as caught:
        await house.store_bytes(content, **{announced: generate_uid()})
    assert caught.value.reason_code == "uid-mismatch"
    assert caught.value.facts == {"attribute": keyword}
    agreed = await house.store_bytes(content, **{announced: str(dataset[keyword].value)})
    assert agreed.status is IngestStatus.STORED


async def test_an_empty_data_set_is_refused(house: House) -> None:
    with pytest.raises(InvalidInput, match="no data set"):
        await house.store_bytes(b"")


async def test_what_is_no_deflate_stream_is_refused(house: House) -> None:
    with pytest.raises(CorruptData):
        await house.store_bytes(b"\xff" * 1000, DeflatedExplicitVRLittleEndian)
    assert house.blob_files() == []


async def test_an_instance_announced_beyond_bounds_is_refused_and_none_of_it_kept(house: House) -> None:
    intake = house.service.begin(
        tenant_id=1,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        origin=ORIGIN,
        announced_size_bytes=MAX_INSTANCE_BYTES + 1,
    )
    for _ in range(8):
        assert intake.write(bytes(STAGING_MEMORY_BYTES)) is None
    with pytest.raises(LimitExceeded):
        await intake.commit()
    assert house.staged() == []


class TestLargeInstances:
    """Instances beyond the memory bound are received into a staging file."""

    async def test_a_spilled_instance_is_stored_unchanged(self, house: House) -> None:
        sent = data_set_bytes(part10(ct_slice(side=3000)))
        assert len(sent) > 3 * STAGING_MEMORY_BYTES
        await house.store_bytes(sent)
        (row,) = house.index.rows
        blob = row.draft.blob
        file = await house.blobs.read(blob.key)
        assert file[blob.data_set_offset :] == sent
        assert row.draft.digest == blake3(sent).digest()
        assert dcmread(BytesIO(file)).Rows == 3000
        assert row.draft.header.pixel_data is not None
        assert row.draft.header.pixel_data.offset + row.draft.header.pixel_data.length == len(sent)
        assert house.staged() == []

    async def test_an_identity_behind_a_large_first_element_is_found_all_the_same(self, house: House) -> None:
        dataset = ct_slice(side=2500)
        # Before SOP Instance UID, and longer than what is looked at when the staging file begins.
        dataset.add_new(0x00080006, "SQ", [])
        dataset.add_new(0x00080001, "UN", b"\x01" * 200_000)
        sent = data_set_bytes(part10(dataset))
        result = await house.store_bytes(sent)
        assert result.sop_instance_uid == dataset.SOPInstanceUID
        (row,) = house.index.rows
        assert (await house.blobs.read(row.draft.blob.key, row.draft.blob.data_set_offset)) == sent
        assert dcmread(BytesIO(await house.blobs.read(row.draft.blob.key))).Rows == 2500

    async def test_memory_stays_flat_while_a_large_instance_arrives(self, house: House) -> None:
        head = data_set_bytes(part10(ct_slice(side=64)))
        chunk = os.urandom(1024 * 1024)
        intake = house.service.begin(tenant_id=1, transfer_syntax_uid=ExplicitVRLittleEndian, origin=ORIGIN)
        # The pixel data element becomes one of 400 MiB: its length is the last thing before the pixels.
        pixels_at = head.rindex(b"\xe0\x7f\x10\x00")
        size = 400 * len(chunk)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        intake.write(head[: pixels_at + 8] + size.to_bytes(4, "little"))
        for _ in range(400):
            waiting = intake.write(chunk)
            if waiting is not None:
                await waiting
        await intake.commit()
        grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown_kib < 64 * 1024
        (row,) = house.index.rows
        assert row.draft.blob.size_bytes > size

    async def test_discarding_removes_the_staging_file(self, house: House) -> None:
        intake = house.service.begin(tenant_id=1, transfer_syntax_uid=ExplicitVRLittleEndian, origin=ORIGIN)
        for _ in range(3):
            waiting = intake.write(bytes(STAGING_MEMORY_BYTES))
            if waiting is not None:
                await waiting
        assert house.staged() != []
        await intake.discard()
        await intake.discard()
        assert house.staged() == []
        with pytest.raises(LocalProtocolError):
            intake.write(b"more")


class TestGroupCommit:
    """All drafts that wait at a moment go to the index at once."""

    async def test_drafts_that_wait_are_committed_together(self, house: House) -> None:
        house.index.gate.clear()
        storing = [asyncio.create_task(house.store(ct_slice())) for _ in range(20)]
        await until(lambda: len(house.blob_files()) == 20)
        await asyncio.sleep(0.05)
        house.index.gate.set()
        await asyncio.gather(*storing)
        assert sum(house.index.batches) == 20
        assert len(house.index.batches) <= 4
        assert house.heard.batches == house.index.batches

    async def test_a_draft_the_index_cannot_take_does_not_fail_its_neighbours(self, house: House) -> None:
        bad = ct_slice(patient_id="POISON")
        house.index.refuses = lambda draft: (
            InvalidInput("no", code="poison") if draft.header.patient_id == "POISON" else None
        )
        house.index.gate.clear()
        storing = [asyncio.create_task(house.store(dataset)) for dataset in (ct_slice(), ct_slice(), bad, ct_slice())]
        await until(lambda: len(house.blob_files()) == 4)
        house.index.gate.set()
        results = await asyncio.gather(*storing, return_exceptions=True)
        assert [isinstance(result, InvalidInput) for result in results] == [False, False, True, False]
        assert len(house.blob_files()) == 3
        assert house.staged() == []


class TestTrouble:
    """What is not certain is never thrown away, what is certain to be refused leaves nothing."""

    async def test_when_the_database_is_away_the_answer_is_unavailable_and_the_blob_waits(self, house: House) -> None:
        house.index.failure = Unavailable("the database is away")
        with pytest.raises(Unavailable):
            await house.store(ct_slice())
        assert len(house.blob_files()) == 1
        assert len(house.staged()) == 1

        house.index.failure = None
        await house.service.start()
        assert len(house.blob_files()) == 1, "the database may still be at work on it"
        house.clock.offset_s += 60
        await house.service.start()
        assert house.blob_files() == []
        assert house.staged() == []
        assert house.heard.repairs == [(0, 0), (0, 1)]

    async def test_when_the_connection_was_lost_after_the_commit_the_instance_stays(self, house: House) -> None:
        house.index.failure_after_write = Unavailable("the connection is lost")
        with pytest.raises(Unavailable):
            await house.store(ct_slice())
        house.clock.offset_s += 60
        await house.service.start()
        assert len(house.blob_files()) == 1
        assert house.staged() == []
        assert house.heard.repairs == [(1, 0)]

    async def test_a_cancelled_caller_leaves_the_store_to_its_end(self, house: House) -> None:
        house.index.gate.clear()
        storing = asyncio.create_task(house.store(ct_slice()))
        await until(lambda: len(house.blob_files()) == 1)
        storing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await storing
        house.index.gate.set()
        await house.service.close()
        assert len(house.index.rows) == 1
        assert house.staged() == []

    async def test_discard_after_commit_takes_nothing_back(self, house: House) -> None:
        intake = house.service.begin(tenant_id=1, transfer_syntax_uid=ExplicitVRLittleEndian, origin=ORIGIN)
        intake.write(data_set_bytes(part10(ct_slice())))
        await intake.commit()
        await intake.discard()
        assert len(house.blob_files()) == 1
        with pytest.raises(LocalProtocolError):
            await intake.commit()

    @pytest.mark.parametrize("side", [1000, 3000])
    async def test_a_full_disk_refuses_cleanly(self, house: House, side: int) -> None:
        sent = data_set_bytes(part10(ct_slice(side=side)))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, hard))
        try:
            with pytest.raises(Unavailable) as caught:
                await house.store_bytes(sent)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert caught.value.reason_code == "storage-full"
        assert house.blob_files() == []
        assert house.staged() == []
        assert (await house.store_bytes(sent)).status is IngestStatus.STORED
