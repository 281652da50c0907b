"""Stored instances as open files, opened some at a time and a little ahead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from hilum.archive.model import StoredInstance
from hilum.archive.ports import BlobStore
from hilum.kernel.errors import CorruptData
from hilum.kernel.files import FilePiece, FileRange, OpenFile
from hilum.kernel.limits import BLOBS_OPENED_AHEAD, FILE_PIECE_BYTES


async def opened_in_turn(
    blobs: BlobStore, instances: Sequence[StoredInstance]
) -> AsyncGenerator[tuple[Sequence[StoredInstance], Sequence[OpenFile] | None], None]:
    """Yield some instances after the others with their files, which stay open until the next are asked for.

    None stands for the files where the store has none to give now. Whoever leaves early closes the generator.

    Raises:
        NotFound: a blob is not there.
        CorruptData: it is shorter than the index says.
    """
    batches = [instances[start : start + BLOBS_OPENED_AHEAD] for start in range(0, len(instances), BLOBS_OPENED_AHEAD)]
    ahead: asyncio.Task[Sequence[OpenFile] | None] | None = None
    try:
        for number, batch in enumerate(batches):
            opening = ahead or asyncio.ensure_future(open_files(blobs, batch))
            ahead = opening
            files = await opening
            ahead = None
            if number + 1 < len(batches):
                ahead = asyncio.ensure_future(open_files(blobs, batches[number + 1]))
            try:
                yield batch, files
            finally:
                _close(files)
    finally:
        if ahead is not None:
            ahead.cancel()
            await asyncio.wait([ahead])
            if not ahead.cancelled() and ahead.exception() is None:
                _close(ahead.result())


async def open_files(blobs: BlobStore, instances: Sequence[StoredInstance]) -> Sequence[OpenFile] | None:
    """Return the instances' files, which the caller closes; None where the store has none to give now.

    Raises:
        NotFound: a blob is not there.
        CorruptData: it is shorter than the index says.
    """
    files = await blobs.open_files([instance.blob.key for instance in instances])
    for instance, file in zip(instances, files or (), strict=files is not None):
        if file.size_bytes < instance.blob.size_bytes:
            _close(files)
            raise CorruptData(
                "a stored blob is shorter than recorded", code="short-blob", expected=instance.blob.size_bytes
            )
    return files


async def file_pieces(file: OpenFile, offset: int, length: int) -> AsyncIterator[FilePiece]:
    """Yield a range of a file in pieces, each once it is in memory."""
    end = offset + length
    while offset < end:
        size = min(FILE_PIECE_BYTES, end - offset)
        await file.load(offset, size)
        yield FilePiece(file.descriptor, offset, size)
        offset += size


async def open_range(blobs: BlobStore, instance: StoredInstance, offset: int, length: int) -> FileRange | None:
    """Return a range of an instance's file, its beginning in memory; None where the store has no file to give now.

    Raises:
        NotFound, CorruptData: as `open_files`.
    """
    files = await open_files(blobs, [instance])
    if files is None:
        return None
    try:
        await files[0].load(offset, min(length, FILE_PIECE_BYTES))
    except BaseException:
        _close(files)
        raise
    return FileRange(files[0], offset, length)


def _close(files: Sequence[OpenFile] | None) -> None:
    for file in files or ():
        file.close()
