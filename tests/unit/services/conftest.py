"""A store service on a real file system with an index in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from hilum.archive.model import DuplicatePolicy
from hilum.archive.ports import BlobStore
from hilum.objectstore import FilesystemStore
from hilum.services.store import StoreResult, StoreService
from support.fake_index import MemoryIndex
from support.store_house import Heard, House, SteppedClock


@pytest.fixture
async def make_house(tmp_path: Path) -> AsyncIterator[Callable[..., House]]:
    async with AsyncExitStack() as stack:

        def make(
            *, policy: DuplicatePolicy = DuplicatePolicy.REPLACE, worker: str = "0", blobs: BlobStore | None = None
        ) -> House:
            index, clock, heard = MemoryIndex(), SteppedClock(), Heard()
            files = FilesystemStore(tmp_path / "blobs")
            changed: list[StoreResult] = []
            service = StoreService(
                index=index,
                blobs=blobs or files,
                staging_directory=tmp_path / "staging" / worker,
                policy=policy,
                clock=clock,
                observe=heard,
                on_stored=lambda tenant_id, result: changed.append(result),
            )
            stack.push_async_callback(files.close)
            stack.push_async_callback(service.close)
            return House(tmp_path, service, index, files, clock, heard, changed)

        yield make


@pytest.fixture
def house(make_house: Callable[..., House]) -> House:
    return make_house()
