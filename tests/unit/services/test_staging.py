"""Interrupted stores: nothing acknowledged is lost, and nothing is left that no row names."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread

from hilum.kernel.errors import Conflict, Unavailable
from hilum.kernel.limits import UNSETTLED_BLOB_GRACE_S
from hilum.objectstore import FilesystemStore
from hilum.services.staging import StagingDirectory, repair_staging
from support.fake_index import FileIndex, MemoryIndex
from support.instances import ct_slice
from support.store_house import House, SteppedClock

TESTS = Path(__file__).parents[2]
KEY = "t1/ab/" + 32 * "a" + "/" + 32 * "0" + ".dcm"


def _killed_while_storing(root: Path, worker: str) -> list[str]:
    """Return the UIDs a process acknowledged before it was killed."""
    process = subprocess.Popen(
        [sys.executable, TESTS / "support" / "storing_process.py", root, worker],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    assert first, "the process stores before it is killed"
    time.sleep(random.uniform(0, 0.3))
    process.send_signal(signal.SIGKILL)
    output = first + process.stdout.read()
    process.stdout.close()
    process.wait()
    # The last line may be cut off: then it was not heard.
    return output.decode().split("\n")[:-1]


async def test_killed_while_storing_nothing_acknowledged_is_lost_and_nothing_is_left_over(tmp_path: Path) -> None:
    acknowledged: set[str] = set()
    for life in range(6):
        acknowledged.update(_killed_while_storing(tmp_path, f"worker-{life % 2}"))

    index, blobs, clock = FileIndex(tmp_path / "rows"), FilesystemStore(tmp_path / "blobs"), SteppedClock()
    await repair_staging(tmp_path / "staging", blobs, index, clock)
    clock.offset_s = 2 * UNSETTLED_BLOB_GRACE_S
    await repair_staging(tmp_path / "staging", blobs, index, clock)

    committed = index.committed()
    assert acknowledged <= set(committed.values())
    for key, uid in committed.items():
        assert dcmread(BytesIO(await blobs.read(key))).SOPInstanceUID == uid
    files = {str(path.relative_to(tmp_path / "blobs")) for path in (tmp_path / "blobs").rglob("*") if path.is_file()}
    assert files == committed.keys()
    assert list((tmp_path / "staging").iterdir()) == []
    await blobs.close()


class TestStagingDirectory:
    """One worker, one directory."""

    def test_a_directory_in_use_is_refused(self, tmp_path: Path) -> None:
        first = StagingDirectory(tmp_path / "0", SteppedClock())
        with pytest.raises(Conflict):
            StagingDirectory(tmp_path / "0", SteppedClock())
        first.close()
        first.close()
        StagingDirectory(tmp_path / "0", SteppedClock()).close()
        assert list(tmp_path.iterdir()) == []

    def test_claims_grow_as_needed_and_are_used_again(self, tmp_path: Path) -> None:
        staging = StagingDirectory(tmp_path / "0", SteppedClock())
        claims = [staging.claim(KEY) for _ in range(1000)]
        assert len(set(claims)) == 1000
        size = (tmp_path / "0" / "claims").stat().st_size
        for claim in claims:
            staging.give_up(claim)
        for _ in range(1000):
            staging.claim(KEY)
        assert (tmp_path / "0" / "claims").stat().st_size == size

    def test_a_directory_that_cannot_be_made_is_unavailable(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(Unavailable):
            StagingDirectory(tmp_path / "file" / "0", SteppedClock())

    async def test_claims_of_a_dead_worker_are_taken_over_with_its_directory(self, tmp_path: Path) -> None:
        blobs, index, clock = FilesystemStore(tmp_path / "blobs"), MemoryIndex(), SteppedClock()
        dead = StagingDirectory(tmp_path / "staging" / "0", clock)
        dead.claim(KEY)
        (tmp_path / "staging" / "0" / "x.spill").write_bytes(b"half")
        os.close(dead._lock)  # as its death would
        await blobs.put(KEY, [b"content"])

        assert await repair_staging(tmp_path / "staging", blobs, index, clock) == (0, 0)
        heir = StagingDirectory(tmp_path / "staging" / "0", clock)
        assert not (tmp_path / "staging" / "0" / "found").exists(), "it lives again; its next death is seen anew"
        assert not (tmp_path / "staging" / "0" / "x.spill").exists()
        assert await heir.sweep(blobs, index) == (0, 0)
        clock.offset_s += UNSETTLED_BLOB_GRACE_S
        assert await heir.sweep(blobs, index) == (0, 1)
        assert not (tmp_path / "blobs" / KEY).exists()
        await blobs.close()


class TestRepair:
    """At start-up and every minute."""

    async def test_the_directory_of_a_living_worker_is_left_alone(self, make_house: Callable[..., House]) -> None:
        house = make_house(worker="alive")
        house.index.failure_after_write = Unavailable("lost")
        with pytest.raises(Unavailable):
            await house.store(ct_slice())
        house.clock.offset_s += 100
        assert await repair_staging(house.root / "staging", house.blobs, MemoryIndex(), house.clock) == (0, 0)
        assert len(house.blob_files()) == 1

    async def test_claims_wait_for_the_database_to_be_done_with_them(self, tmp_path: Path) -> None:
        blobs, clock = FilesystemStore(tmp_path / "blobs"), SteppedClock()
        dead = StagingDirectory(tmp_path / "staging" / "0", clock)
        dead.claim(KEY)
        await blobs.put(KEY, [b"content"])
        os.close(dead._lock)
        # The file is as old as the worker, however young the claim is.
        os.utime(tmp_path / "staging" / "0" / "claims", (1, 1))
        assert await repair_staging(tmp_path / "staging", blobs, MemoryIndex(), clock) == (0, 0)
        assert (tmp_path / "blobs" / KEY).exists()
        clock.offset_s += 2 * UNSETTLED_BLOB_GRACE_S
        assert await repair_staging(tmp_path / "staging", blobs, MemoryIndex(), clock) == (0, 1)
        assert not (tmp_path / "blobs" / KEY).exists()
        assert list((tmp_path / "staging").iterdir()) == []
        await blobs.close()

    async def test_nothing_is_removed_while_the_index_does_not_answer(self, tmp_path: Path) -> None:
        blobs, index, clock = FilesystemStore(tmp_path / "blobs"), MemoryIndex(), SteppedClock()
        dead = StagingDirectory(tmp_path / "staging" / "0", clock)
        dead.claim(KEY)
        await blobs.put(KEY, [b"content"])
        os.close(dead._lock)
        assert await repair_staging(tmp_path / "staging", blobs, index, clock) == (0, 0)
        clock.offset_s += 100
        index.failure = Unavailable("away")
        with pytest.raises(Unavailable):
            await repair_staging(tmp_path / "staging", blobs, index, clock)
        assert (tmp_path / "blobs" / KEY).exists()
        index.failure = None
        assert await repair_staging(tmp_path / "staging", blobs, index, clock) == (0, 1)
        await blobs.close()

    async def test_a_claims_file_torn_by_a_power_cut_stops_nothing(self, tmp_path: Path) -> None:
        directory = tmp_path / "staging" / "0"
        directory.mkdir(parents=True)
        (directory / "claims").write_bytes(os.urandom(1000) + b"../../etc/passwd".ljust(200))
        blobs, clock = FilesystemStore(tmp_path / "blobs"), SteppedClock()
        assert await repair_staging(tmp_path / "staging", blobs, MemoryIndex(), clock) == (0, 0)
        assert list((tmp_path / "staging").iterdir()) == []
        await blobs.close()

    async def test_what_is_no_staging_directory_is_not_touched(self, tmp_path: Path) -> None:
        (tmp_path / "staging" / "postgres").mkdir(parents=True)
        kept = tmp_path / "staging" / "postgres" / "PG_VERSION"
        kept.write_text("18")
        blobs, clock = FilesystemStore(tmp_path / "blobs"), SteppedClock()
        assert await repair_staging(tmp_path / "staging", blobs, MemoryIndex(), clock) == (0, 0)
        assert list((tmp_path / "staging").rglob("*")) == [kept.parent, kept]
        await blobs.close()

    async def test_a_root_that_is_not_there_has_nothing_to_repair(self, tmp_path: Path) -> None:
        blobs = FilesystemStore(tmp_path / "blobs")
        assert await repair_staging(tmp_path / "no", blobs, MemoryIndex(), SteppedClock()) == (0, 0)
        await blobs.close()
