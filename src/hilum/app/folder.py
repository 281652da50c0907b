"""A folder as a store of instances: where `hilum get` puts what does not go into an archive."""

from __future__ import annotations

import asyncio
from pathlib import Path

from hilum.archive.model import Origin
from hilum.dicom.part10 import write_file_meta
from hilum.kernel.errors import Unavailable
from hilum.kernel.limits import MIB
from hilum.ul.primitives import Buffer

_PART_BYTES = MIB


class FolderStore:
    """Keeps each instance as a Part 10 file named by its SOP Instance UID, whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(
        self,
        *,
        tenant_id: int,
        transfer_syntax_uid: str,
        origin: Origin,
        expected_sop_instance_uid: str | None = None,
        expected_sop_class_uid: str | None = None,
    ) -> FileIntake:
        """Return the sink of one instance, whose UIDs are known and have been checked."""
        sop_class_uid, sop_instance_uid = expected_sop_class_uid or "", expected_sop_instance_uid or ""
        meta = write_file_meta(sop_class_uid, sop_instance_uid, transfer_syntax_uid, origin.calling_ae_title)
        return FileIntake(self._folder / f"{sop_instance_uid}.dcm", meta)


class FileIntake:
    """The sink of one instance."""

    def __init__(self, path: Path, meta: bytes) -> None:
        self._path = path
        self._part = path.with_suffix(".part")
        self._waiting = bytearray(meta)
        self._has_begun = False

    def write(self, data: Buffer) -> asyncio.Future[None] | None:
        """Take the next bytes; a mebibyte at a time goes to the disk."""
        self._waiting += data
        if len(self._waiting) < _PART_BYTES:
            return None
        return asyncio.ensure_future(self._flush())

    async def _flush(self) -> None:
        content, self._waiting = self._waiting, bytearray()
        try:
            await asyncio.to_thread(self._append, content)
        except OSError as error:
            raise Unavailable("the file cannot be written", code="file-write") from error

    def _append(self, content: bytearray) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._part.open("ab" if self._has_begun else "wb") as stream:
            self._has_begun = True
            stream.write(content)

    async def commit(self) -> None:
        """Give the file its name."""
        await self._flush()
        try:
            await asyncio.to_thread(self._part.replace, self._path)
        except OSError as error:
            raise Unavailable("the file cannot be written", code="file-write") from error

    async def discard(self) -> None:
        """Leave nothing behind."""
        await asyncio.to_thread(self._part.unlink, missing_ok=True)
