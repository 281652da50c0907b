"""Stores instances until it is killed: `python storing_process.py ROOT WORKER`. Prints each UID once acknowledged."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from hilum.archive.model import DuplicatePolicy, Origin, OriginKind
from hilum.kernel.clock import SystemClock
from hilum.objectstore import FilesystemStore
from hilum.services.store import StoreService
from support.fake_index import FileIndex
from support.instances import ct_slice, data_set_bytes, part10


async def store_for_ever(root: Path, worker: str) -> None:
    """Store small and large instances from several senders at once."""
    store = StoreService(
        index=FileIndex(root / "rows"),
        blobs=FilesystemStore(root / "blobs"),
        staging_directory=root / "staging" / worker,
        policy=DuplicatePolicy.REPLACE,
        clock=SystemClock(),
    )
    await store.start()

    async def send(side: int) -> None:
        template = ct_slice(side=side)
        while True:
            template.SOPInstanceUID = template.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            content = data_set_bytes(part10(template))
            intake = store.begin(
                tenant_id=1, transfer_syntax_uid=ExplicitVRLittleEndian, origin=Origin(OriginKind.IMPORT)
            )
            for start in range(0, len(content), 100_000):
                waiting = intake.write(content[start : start + 100_000])
                if waiting is not None:
                    await waiting
            result = await intake.commit()
            os.write(sys.stdout.fileno(), f"{result.sop_instance_uid}\n".encode())

    await asyncio.gather(*(send(side) for side in (64, 64, 400, 1600)))


if __name__ == "__main__":
    asyncio.run(store_for_ever(Path(sys.argv[1]), sys.argv[2]))
