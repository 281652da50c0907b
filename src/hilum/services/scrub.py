"""Scrub: blobs without rows are found and removed, and the bytes of those with rows are compared with their digests.

A power cut can leave a blob whose rows were never written: claims outlive a process, not the machine. Such a blob is
nobody's and only takes room. Nothing here waits for workers or keeps them from anything.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from blake3 import blake3

from hilum.archive.keys import require_blob_key
from hilum.archive.ports import BlobStore
from hilum.archive.scrubbing import BlobEntry, BlobListing, BlobRow, BlobRows
from hilum.kernel.clock import Clock
from hilum.kernel.errors import Conflict, CorruptData, InvalidInput, NotFound
from hilum.kernel.limits import MAX_BLOBS_REMEMBERED, MIN_ORPHAN_AGE_S
from hilum.observe.logs import get_logger

_log = get_logger("scrub")

_READ_AT_A_TIME: Final = 4
_BLOB: Final = re.compile(r"t[0-9]+/[0-9a-f]{2}/[0-9a-f]{32}/[0-9a-z_-]+\.dcm")


@dataclass(slots=True)
class ScrubReport:
    """What was found so far.

    `orphans` are blobs no row points to, old enough to be sure, with their sizes; `damaged` the keys of blobs that are
    gone, cut short or changed. Of each so many are remembered (`limits.MAX_BLOBS_REMEMBERED`); the counts are whole.
    """

    blob_count: int = 0
    size_bytes: int = 0
    known_count: int = 0
    young_count: int = 0
    foreign_count: int = 0
    orphan_count: int = 0
    orphan_bytes: int = 0
    removed_count: int = 0
    verified_count: int = 0
    damaged_count: int = 0
    orphans: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


class ScrubService:
    """Compares a store with the index.

    Args:
        listing: what lies in the store.
        rows: what the index points to.
        blobs: the store.
        min_age_s: how long ago a blob has to have been written to be taken for one whose rows never come.

    Raises:
        InvalidInput: the age is below `limits.MIN_ORPHAN_AGE_S`.
    """

    def __init__(
        self, *, listing: BlobListing, rows: BlobRows, blobs: BlobStore, clock: Clock, min_age_s: float
    ) -> None:
        if min_age_s < MIN_ORPHAN_AGE_S:
            raise InvalidInput(
                f"a blob is not taken for an orphan before {MIN_ORPHAN_AGE_S / 3600:g} hours", code="usage"
            )
        self._listing = listing
        self._rows = rows
        self._blobs = blobs
        self._clock = clock
        self._min_age = timedelta(seconds=min_age_s)

    async def find_orphans(self, report: ScrubReport, tell: Callable[[], object]) -> None:
        """Note in the report what lies in the store, and which of it no row points to.

        Raises:
            Unavailable: store or index do not answer.
        """
        oldest = self._clock.now() - self._min_age
        async for batch in self._listing.batches():
            known = await self._rows.known([entry.key for entry in batch])
            for entry in batch:
                report.blob_count += 1
                report.size_bytes += entry.size_bytes
                if entry.key in known:
                    report.known_count += 1
                elif not _is_ours(entry):
                    report.foreign_count += 1
                elif entry.written_at > oldest:
                    report.young_count += 1
                else:
                    report.orphan_count += 1
                    report.orphan_bytes += entry.size_bytes
                    if len(report.orphans) < MAX_BLOBS_REMEMBERED:
                        report.orphans.append(entry.key)
            tell()

    async def remove_orphans(self, report: ScrubReport, *, even_most: bool = False) -> None:
        """Remove the orphans the report remembers, having asked the index once more.

        Raises:
            Conflict: more blobs are unknown to the index than known, as when it is another archive's or was restored
                from an old backup; nothing is removed then, unless `even_most`.
            Unavailable: store or index do not answer.
        """
        if report.orphan_count > report.known_count and not even_most:
            raise Conflict(
                f"{report.orphan_count} blobs are unknown to the index and {report.known_count} known: is it the index "
                "of these blobs, or one from an old backup? Nothing was removed",
                code="scrub-doubtful",
            )
        known = await self._rows.known(report.orphans)
        for key in report.orphans:
            if key not in known:
                await self._blobs.delete(key)
                report.removed_count += 1
                _log.info("blob without rows removed", blob=key)

    async def verify(self, report: ScrubReport, tell: Callable[[], object]) -> None:
        """Read every blob a row points to, and note in the report those whose bytes are not what they were.

        Raises:
            Unavailable: store or index do not answer.
        """
        async for batch in self._rows.batches():
            for first in range(0, len(batch), _READ_AT_A_TIME):
                some = batch[first : first + _READ_AT_A_TIME]
                are_whole = await asyncio.gather(*(self._is_whole(row) for row in some))
                suspects = [row.key for row, is_whole in zip(some, are_whole, strict=True) if not is_whole]
                report.verified_count += len(some)
                # What was replaced or removed meanwhile is no damage.
                for key in sorted(await self._rows.known(suspects)) if suspects else ():
                    report.damaged_count += 1
                    _log.error("the bytes of a blob are gone or have changed", blob=key)
                    if len(report.damaged) < MAX_BLOBS_REMEMBERED:
                        report.damaged.append(key)
                tell()

    async def _is_whole(self, row: BlobRow) -> bool:
        digest = blake3()
        try:
            async for chunk in self._blobs.stream(row.key, row.data_set_offset):
                digest.update(chunk)
        except (NotFound, CorruptData):
            return False
        return bytes(digest.digest()) == row.digest


def _is_ours(entry: BlobEntry) -> bool:
    """Return whether it has the name of a blob, or of what a write of one left; other files are somebody's own."""
    try:
        key = require_blob_key(entry.key.removesuffix(".part"))
    except InvalidInput:
        return False
    return _BLOB.fullmatch(key) is not None
