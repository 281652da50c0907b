"""Blobs as open files: what a store on a local file system can hand out besides bytes, for the system to send."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class FilePiece:
    """A range of an open file. The descriptor stays open until whoever yielded the piece is asked for the next one."""

    descriptor: int
    offset: int
    length: int

    def fileno(self) -> int:
        """Return the descriptor."""
        return self.descriptor


class BlobFile(Protocol):
    """A blob as an open file. Deleted meanwhile, it can still be read to its end."""

    @property
    def descriptor(self) -> int:
        """The file's descriptor, open for reading."""
        ...

    @property
    def size_bytes(self) -> int:
        """How long it was when it was opened."""
        ...

    async def load(self, offset: int, length: int) -> None:
        """Return when the range is in memory, so that no event loop waits for a disk when it is sent.

        Raises Unavailable when it cannot be read.
        """
        ...

    def close(self) -> None:
        """Close it; further calls do nothing."""
        ...
