"""What lies in a store, listed in flat memory."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from hilum.archive.scrubbing import BlobEntry
from hilum.kernel.errors import Unavailable
from hilum.kernel.limits import BLOBS_LISTED_AT_A_TIME


class FilesystemListing:
    """Lists the files below a folder by their keys; implements `hilum.archive.scrubbing.BlobListing`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def batches(self) -> AsyncGenerator[Sequence[BlobEntry]]:
        """Yield what is there, some at a time.

        Raises:
            Unavailable: a folder cannot be read.
        """
        entries = self._walk()
        while batch := await asyncio.to_thread(_some_of, entries):
            yield batch

    def _walk(self) -> Iterator[BlobEntry]:
        prefix = len(str(self._root)) + 1
        folders = [str(self._root)]
        while folders:
            try:
                with os.scandir(folders.pop()) as found:
                    for each in found:
                        if each.is_dir(follow_symlinks=False):
                            folders.append(each.path)
                            continue
                        try:
                            state = each.stat(follow_symlinks=False)
                        except FileNotFoundError:
                            continue  # written to its end, or removed, since it was listed
                        yield BlobEntry(each.path[prefix:], state.st_size, datetime.fromtimestamp(state.st_mtime, UTC))
            except FileNotFoundError:
                continue
            except OSError as error:
                raise Unavailable(f"the folder of blobs cannot be read: {error.strerror}", code="storage") from error


class ObjectListing:
    """Lists the objects of a bucket or container; implements `hilum.archive.scrubbing.BlobListing`."""

    def __init__(self, store: S3Store | AzureStore | GCSStore) -> None:
        self._store = store

    async def batches(self) -> AsyncGenerator[Sequence[BlobEntry]]:
        """Yield what is there, some at a time.

        Raises:
            Unavailable: the store does not answer.
        """
        try:
            async for found in obstore.list(self._store, chunk_size=BLOBS_LISTED_AT_A_TIME):
                yield [BlobEntry(each["path"], each["size"], each["last_modified"]) for each in found]
        except BaseError as error:
            raise Unavailable("the object store does not list what it holds", code="storage") from error


def _some_of(entries: Iterator[BlobEntry]) -> list[BlobEntry]:
    return list(islice(entries, BLOBS_LISTED_AT_A_TIME))
