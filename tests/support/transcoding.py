"""Stored instances out of bytes in memory, for what transcodes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from io import BytesIO
from pathlib import Path

import pydicom

from hilum.archive.model import BlobRef, StoredInstance
from hilum.dicom.header import read_header
from hilum.dicom.part10 import read_file_meta
from hilum.pixels.encoders import Loss
from hilum.services.transcode import TranscodeService


class MemoryBlobs:
    """Blobs in memory, kept by `keep` alone."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.read_bytes = 0

    async def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        content = self.blobs[key]
        piece = content[offset : len(content) if length is None else offset + length]
        self.read_bytes += len(piece)
        return piece

    async def read_many(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        return [await self.read(key, offset, length) for offset, length in ranges]

    async def stream(self, key: str, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        content = await self.read(key, offset, length)
        for start in range(0, len(content), 1 << 20):
            yield content[start : start + (1 << 20)]

    async def open_files(self, keys: Sequence[str]) -> None:
        """There are none."""

    async def put(self, key: str, parts: Sequence[bytes | bytearray | memoryview]) -> None:
        self.blobs[key] = b"".join(parts)

    async def put_file(self, key: str, path: str) -> None:
        self.blobs[key] = await asyncio.to_thread(Path(path).read_bytes)

    async def delete(self, key: str) -> None:
        self.blobs.pop(key, None)

    def keep(self, file: bytes, *, with_frame_index: bool = True) -> StoredInstance:
        """Return a Part 10 file as the index would know it."""
        meta = read_file_meta(file)
        header = read_header(file[meta.data_set_offset :], meta.transfer_syntax_uid)
        key = f"blob-{len(self.blobs)}"
        self.blobs[key] = file

        def uid(tag: str) -> str:
            return str((header.attributes.get(tag, {}).get("Value") or ["1.2.3"])[0])

        frames = header.pixel_data.frames if header.pixel_data is not None else None
        return StoredInstance(
            instance_key=1,
            study_instance_uid=uid("0020000D"),
            series_instance_uid=uid("0020000E"),
            sop_instance_uid=uid("00080018"),
            sop_class_uid=uid("00080016"),
            transfer_syntax_uid=meta.transfer_syntax_uid,
            blob=BlobRef(key, len(file), meta.data_set_offset),
            frame_count=frames.frame_count if frames is not None else 0,
            has_bulk_data=bool(header.bulk),
            frame_index=frames.to_bytes() if frames is not None and with_frame_index else None,
        )


async def transcoded(file: bytes, transfer_syntax_uid: str, *, loss: Loss | None = None) -> bytes:
    """Return a Part 10 file transcoded by the service."""
    blobs = MemoryBlobs()
    service = TranscodeService(blobs, thread_count=2)
    try:
        instance = blobs.keep(file)
        return b"".join([piece async for piece in service.part10(instance, transfer_syntax_uid, loss=loss)])
    finally:
        service.close()


def transcode(file: bytes, transfer_syntax_uid: str, *, loss: Loss | None = None) -> bytes:
    """The same without an event loop at hand."""
    return asyncio.run(transcoded(file, transfer_syntax_uid, loss=loss))


def read(file: bytes) -> pydicom.Dataset:
    """Return a Part 10 file read by pydicom."""
    return pydicom.dcmread(BytesIO(file), force=True)
