"""What looking after the blobs needs: which lie in the store, and which the index points to."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class BlobEntry:
    """A blob as its store lists it. What an interrupted write left has an entry of its own."""

    key: str
    size_bytes: int
    written_at: datetime


@dataclass(frozen=True, slots=True)
class BlobRow:
    """A blob the index points to, and the BLAKE3 digest of the data set in it."""

    key: str
    data_set_offset: int
    digest: bytes


class BlobListing(Protocol):
    """All that lies in a store."""

    def batches(self) -> AsyncGenerator[Sequence[BlobEntry]]:
        """Yield what is there, some at a time and in any order; what comes or goes meanwhile may be missed.

        Raises:
            Unavailable: the store does not answer.
        """
        ...


class BlobRows(Protocol):
    """What the index points to, of all tenants and with earlier versions. All raise Unavailable."""

    async def known(self, keys: Collection[str]) -> set[str]:
        """Return those of the keys an instance or an earlier version of one points to."""
        ...

    def batches(self) -> AsyncGenerator[Sequence[BlobRow]]:
        """Yield all, some at a time."""
        ...
