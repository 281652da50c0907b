"""A worker's staging directory: spilled data sets, and claims that let an interrupted store be cleaned up.

Before a blob is written its key is claimed here, and the claim is given up when the index has answered. A claim found
later is therefore a store that was interrupted: if the index knows the key the store was complete, else the blob, or
what there is of it, is removed. The directory is locked while its worker lives.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from hilum.archive.keys import require_blob_key
from hilum.archive.ports import BlobStore, InstanceIndex
from hilum.kernel.clock import Clock
from hilum.kernel.errors import Conflict, InvalidInput, Unavailable
from hilum.kernel.ids import new_blob_name
from hilum.kernel.limits import MAX_BLOB_KEY_LENGTH, UNSETTLED_BLOB_GRACE_S

_LOCK: Final = "lock"
_CLAIMS: Final = "claims"
_FOUND: Final = "found"
_SPILL_SUFFIX: Final = ".spill"
_SLOT_BYTES: Final = MAX_BLOB_KEY_LENGTH + 8
_FREE_SLOT: Final = b" " * (_SLOT_BYTES - 1) + b"\n"
_FIRST_SLOTS: Final = 256
_KEYS_PER_QUESTION: Final = 1000
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class StagingDirectory:
    """The staging directory of the running worker.

    Claims stand in one small mapped file of fixed slots: to make one is to copy a few bytes, without a system call on
    the event loop. It outlives the process, not the machine: after a power cut a blob without rows may remain, which
    is invisible and harmless.

    Args:
        directory: made if it is not there; one that a dead worker left is taken over with its claims.
        clock: tells the age of claims.

    Raises:
        Conflict: a living worker uses the directory.
        Unavailable: the directory cannot be made or written.
    """

    def __init__(self, directory: Path, clock: Clock) -> None:
        self.directory = directory
        self._clock = clock
        self._doubtful: dict[int, tuple[str, float]] = {}
        self._is_closed = False
        with translated():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = _try_lock(directory)
            if lock is None:
                raise Conflict("another worker uses this staging directory", code="staging-locked")
            self._lock = lock
            (directory / _FOUND).unlink(missing_ok=True)
            # What was spilled is no one's; what was claimed has to be looked at.
            for spilled in directory.glob(f"*{_SPILL_SUFFIX}"):
                spilled.unlink()
            self._claims = os.open(directory / _CLAIMS, os.O_RDWR | os.O_CREAT, 0o600)
            self._slot_count = os.fstat(self._claims).st_size // _SLOT_BYTES
            self._free: list[int] = list(range(self._slot_count))
            self._grow(max(self._slot_count, _FIRST_SLOTS))
        for slot, key in _parse_claims(self._slots[:]):
            self._free.remove(slot)
            self._doubtful[slot] = (key, clock.monotonic())

    def claim(self, key: str) -> int:
        """Note that a blob is about to be written under the key; return the claim.

        Raises:
            Unavailable: the disk is full.
        """
        if not self._free:
            with translated():
                self._grow(2 * self._slot_count)
        slot = self._free.pop()
        self._write_slot(slot, require_blob_key(key).encode().ljust(_SLOT_BYTES - 1) + b"\n")
        return slot

    def give_up(self, claim: int) -> None:
        """Forget a claim: its rows are written, or its blob is gone."""
        self._write_slot(claim, _FREE_SLOT)
        self._free.append(claim)

    def doubt(self, claim: int, key: str) -> None:
        """Leave a claim whose outcome is unknown to a later sweep."""
        self._doubtful[claim] = (key, self._clock.monotonic())

    def new_spill_path(self) -> Path:
        """Return the path of a new staging file."""
        return self.directory / f"{new_blob_name()}{_SPILL_SUFFIX}"

    async def sweep(self, blobs: BlobStore, index: InstanceIndex) -> tuple[int, int]:
        """Settle doubtful claims that are old enough; return how many blobs were kept and how many removed.

        Raises:
            Unavailable: index or store do not answer; what is not settled stays for the next sweep.
        """
        ripe = self._clock.monotonic() - UNSETTLED_BLOB_GRACE_S
        due = [(claim, key) for claim, (key, since) in self._doubtful.items() if since <= ripe]
        if not due:
            return 0, 0
        known = await _known(index, [key for _, key in due])
        for claim, key in due:
            if key not in known:
                await blobs.delete(key)
            del self._doubtful[claim]
            self.give_up(claim)
        return len(known), len(due) - len(known)

    def close(self) -> None:
        """Release the lock; a directory without open claims is removed."""
        if self._is_closed:
            return
        self._is_closed = True
        self._slots.close()
        os.close(self._claims)
        if len(self._free) == self._slot_count:
            _remove(self.directory)
        os.close(self._lock)

    def _grow(self, slot_count: int) -> None:
        """Make room for more claims. Written, not only allotted: a full disk shows now and not at a claim."""
        more = slot_count - self._slot_count
        written = os.pwrite(self._claims, _FREE_SLOT * more, self._slot_count * _SLOT_BYTES)
        if written != more * _SLOT_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._slots = mmap.mmap(self._claims, slot_count * _SLOT_BYTES)
        self._free.extend(range(self._slot_count, slot_count))
        self._slot_count = slot_count

    def _write_slot(self, slot: int, record: bytes) -> None:
        self._slots[slot * _SLOT_BYTES : (slot + 1) * _SLOT_BYTES] = record


async def repair_staging(staging_root: Path, blobs: BlobStore, index: InstanceIndex, clock: Clock) -> tuple[int, int]:
    """Clean up what dead workers left below the root; return how many blobs were kept and how many removed.

    Blobs the index knows stay, others are removed; directories of living workers are left alone. Unknown claims stay
    for a later call until their worker has been seen dead for so long that the database must be done with their
    transactions.

    Raises:
        Unavailable: index or store do not answer, or the directory cannot be read.
    """
    kept = removed = 0
    for directory in _directories(staging_root):
        with translated():
            lock = _try_lock(directory)
        if lock is None:
            continue
        try:
            known, unknown, is_finished = await _repair(directory, blobs, index, clock)
            kept, removed = kept + known, removed + unknown
            if is_finished:
                with translated():
                    _remove(directory)
        finally:
            os.close(lock)
    return kept, removed


def _directories(root: Path) -> list[Path]:
    """Return the staging directories below the root; what has no claims file is not ours to touch."""
    with translated():
        return [path.parent for path in root.glob(f"*/{_CLAIMS}")]


async def _repair(directory: Path, blobs: BlobStore, index: InstanceIndex, clock: Clock) -> tuple[int, int, bool]:
    """Return how many claimed blobs were kept and removed, and whether all claims are settled."""
    path = directory / _CLAIMS
    with translated():
        found_s = _seconds_since_found(directory, clock)
        content = path.read_bytes() if path.exists() else b""
    keys = [key for _, key in _parse_claims(content)]
    known = await _known(index, keys)
    unknown = [key for key in keys if key not in known]
    if unknown and found_s < UNSETTLED_BLOB_GRACE_S:
        return 0, 0, False
    for key in unknown:
        await blobs.delete(key)
    return len(known), len(unknown), True


def _seconds_since_found(directory: Path, clock: Clock) -> float:
    """Return how long ago the worker was first seen to be dead, which is noted in its directory.

    The claims file tells nothing of it: what is written to mapped memory changes no time of the file.
    """
    note = directory / _FOUND
    if not note.exists():
        note.touch(mode=0o600)
        return 0.0
    return clock.now().timestamp() - note.stat().st_mtime


async def _known(index: InstanceIndex, keys: list[str]) -> set[str]:
    known: set[str] = set()
    for first in range(0, len(keys), _KEYS_PER_QUESTION):
        known |= await index.known_blob_keys(keys[first : first + _KEYS_PER_QUESTION])
    return known


def _parse_claims(content: bytes) -> Iterator[tuple[int, str]]:
    for slot, start in enumerate(range(0, len(content), _SLOT_BYTES)):
        record = content[start : start + _SLOT_BYTES]
        text = record.strip(b" \0\n").decode("ascii", "replace")
        try:
            if text:
                yield slot, require_blob_key(text)
        except InvalidInput:
            # Torn by a full disk or a power cut: the claim was never made, so no blob was written under it.
            continue


def _try_lock(directory: Path) -> int | None:
    """Return the descriptor that holds the directory's lock, or None if a living worker has it or it is gone."""
    path = directory / _LOCK
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever held the lock before may have removed the directory meanwhile.
        if path.stat().st_ino == os.fstat(descriptor).st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


def _remove(directory: Path) -> None:
    """Remove a locked directory of which nothing is needed any more; the lock goes last."""
    for path in (*directory.glob(f"*{_SPILL_SUFFIX}"), directory / _FOUND, directory / _CLAIMS, directory / _LOCK):
        path.unlink(missing_ok=True)
    try:
        directory.rmdir()
    except OSError as error:
        # A worker with the same name is starting at this moment, or someone keeps files of his own here.
        if error.errno != errno.ENOTEMPTY:
            raise


@contextmanager
def translated() -> Iterator[None]:
    """Turn errors of the operating system on staging files into Unavailable."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise Unavailable("the staging disk is full", code="storage-full") from error
        raise Unavailable(f"the staging directory fails: {error.strerror}", code="staging-failed") from error
