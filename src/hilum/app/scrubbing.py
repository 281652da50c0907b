"""The blobs of a data folder and the index that points to them, opened for nothing but to be compared."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hilum.app.bootstrap import prepare_data_directory
from hilum.app.database import Database
from hilum.app.settings import Settings
from hilum.archive.scrubbing import BlobListing
from hilum.index.blob_rows import PostgresBlobRows
from hilum.index.pool import TenantPool
from hilum.kernel.clock import SystemClock
from hilum.objectstore import FilesystemStore, ObjectStore, open_object_store
from hilum.objectstore.listing import FilesystemListing
from hilum.services.scrub import ScrubService


@asynccontextmanager
async def open_scrub(settings: Settings, min_age_s: float) -> AsyncIterator[ScrubService]:
    """Yield the service, whether or not the data folder is being served.

    Raises:
        Unavailable: the database does not answer.
        InvalidInput: the data folder or the storage cannot be used, or the age is too low.
    """
    prepare_data_directory(settings)
    async with Database(settings) as database:
        pool = TenantPool(database.serving, 1, {})
        blobs, listing = _storage(settings)
        try:
            await pool.open()
            yield ScrubService(
                listing=listing,
                rows=PostgresBlobRows(pool),
                blobs=blobs,
                clock=SystemClock(),
                min_age_s=min_age_s,
            )
        finally:
            await blobs.close()
            await pool.close()


def _storage(settings: Settings) -> tuple[FilesystemStore | ObjectStore, BlobListing]:
    storage = settings.storage
    if storage.url:
        store = open_object_store(storage.url, endpoint=storage.endpoint, allow_http=storage.allow_http)
        return store, store.listing()
    folder = settings.data_directory / "blobs"
    return FilesystemStore(folder), FilesystemListing(folder)
