"""Ranges of open files: bytes that the system can send without their passing through this process."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol, TypeAlias


class OpenFile(Protocol):
    """A file that stays as it is while it is open, even if its name is taken from it meanwhile."""

    @property
    def descriptor(self) -> int:
        """The descriptor, open for reading."""
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


@dataclass(frozen=True, slots=True)
class FilePiece:
    """A range that is in memory. The descriptor stays open until whoever yielded this is asked for the next piece."""

    descriptor: int
    offset: int
    length: int

    def fileno(self) -> int:
        """Return the descriptor."""
        return self.descriptor


@dataclass(frozen=True, slots=True)
class FileRange:
    """A range to be sent. Whoever gets it closes it, and with it the file."""

    file: OpenFile
    offset: int
    length: int

    async def aclose(self) -> None:
        """Close the file."""
        self.file.close()


Content: TypeAlias = bytes | AsyncGenerator[bytes, None] | FileRange
"""What is to be sent: at hand, read on while it is sent, or in a file. Whoever gets one that has `aclose` closes it."""
