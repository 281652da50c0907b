"""Blobs in S3, Azure Blob Storage or Google Cloud Storage."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import AzureStore, GCSStore, S3Store, from_url

from hilum.archive.keys import require_blob_key
from hilum.kernel.errors import Conflict, CorruptData, InvalidInput, NotFound, Unavailable
from hilum.kernel.limits import UPLOAD_PART_BYTES
from hilum.objectstore.listing import ObjectListing
from hilum.objectstore.ranges import read_ahead, require_length

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

_SCHEMES: Final = ("s3", "s3a", "az", "azure", "abfs", "abfss", "gs")
_UPLOADS_AT_A_TIME: Final = 4
_REQUEST_TIMEOUT: Final = timedelta(seconds=60)
_RETRIES: Final = 3


def open_object_store(url: str, *, endpoint: str = "", allow_http: bool = False) -> ObjectStore:
    """Return the store at `s3://bucket/prefix`, `az://container/prefix` or `gs://bucket/prefix`.

    Credentials and region come from the provider's own environment variables or the machine's role. Aborted uploads
    of large instances are not visible but may cost storage until the bucket's life-cycle rule removes them.

    Args:
        url: bucket or container, and the prefix of all keys in it.
        endpoint: address of an S3-compatible service other than Amazon's.
        allow_http: whether the endpoint may be spoken to without TLS.

    Raises:
        InvalidInput: the URL names no such store, or its configuration is not complete.
    """
    scheme = url.partition("://")[0]
    if scheme not in _SCHEMES:
        raise InvalidInput(f"a storage URL begins with s3://, az:// or gs://, not {scheme}", code="storage-url")
    client: ClientConfig = {"allow_http": allow_http, "timeout": _REQUEST_TIMEOUT}
    retries: RetryConfig = {"max_retries": _RETRIES}
    try:
        if endpoint:
            store = from_url(
                url,
                client_options=client,
                retry_config=retries,
                endpoint=endpoint,
                virtual_hosted_style_request=False,
            )
        else:
            store = from_url(url, client_options=client, retry_config=retries)
    except (BaseError, ValueError) as error:
        raise InvalidInput("the object store's configuration is not complete", code="storage-url") from error
    if not isinstance(store, S3Store | AzureStore | GCSStore):
        raise InvalidInput("the URL names no bucket or container", code="storage-url")
    return ObjectStore(store)


class ObjectStore:
    """Keeps each blob as an object; the provider acknowledges a write only when it is durable."""

    def __init__(self, store: S3Store | AzureStore | GCSStore) -> None:
        self._store = store

    async def put(self, key: str, parts: Sequence[bytes | bytearray | memoryview]) -> None:
        """Keep the concatenated parts under a new key; durable once it returns.

        Raises:
            Conflict: the key is taken.
            Unavailable: the store does not answer; whether the object came to be is then unknown.
        """
        require_blob_key(key)
        with _translated():
            await obstore.put_async(self._store, key, b"".join(parts), mode="create", use_multipart=False)

    async def put_file(self, key: str, path: str) -> None:
        """Keep a staged file's content under a new key, in several parts at a time; durable once it returns."""
        require_blob_key(key)
        if await self._size_or_none(key) is not None:
            # Uploads in parts know no condition; keys are unique, so this guards against our own mistakes only.
            raise Conflict("the blob's key is taken", code="blob-exists")
        with _translated():
            await obstore.put_async(
                self._store,
                key,
                Path(path),
                chunk_size=UPLOAD_PART_BYTES,
                max_concurrency=_UPLOADS_AT_A_TIME,
            )

    async def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """Return `length` bytes from `offset`, or all to the end.

        Raises:
            NotFound: no such blob.
            CorruptData: the blob ends before.
        """
        require_blob_key(key)
        if length is None and offset == 0:
            with _translated():
                result = await obstore.get_async(self._store, key)
                return bytes(await result.bytes_async())
        if length is None:
            length = max(await self._size(key) - offset, 0)
        return (await self.read_many(key, [(offset, length)]))[0]

    async def read_many(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return the bytes of each (offset, length); neighbours share a request."""
        require_blob_key(key)
        # A range of no bytes is no HTTP range; the object has to exist all the same.
        wanted = [(offset, length) for offset, length in ranges if length]
        if not wanted:
            await self._size(key)
            return [b""] * len(ranges)
        try:
            found = await obstore.get_ranges_async(
                self._store, key, starts=[offset for offset, _ in wanted], lengths=[length for _, length in wanted]
            )
        except (BaseError, OSError) as error:
            # A range beyond the end is answered by less, or by an error that does not say so.
            if await self._size(key) >= max(offset + length for offset, length in wanted):
                with _translated():
                    raise
            raise CorruptData("a stored blob is shorter than recorded", code="short-blob") from error
        contents = iter(found)
        return [require_length(bytes(next(contents)), length) if length else b"" for _, length in ranges]

    async def stream(self, key: str, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Yield the bytes in chunks of a mebibyte, flat in memory."""
        if length is None:
            length = await self._size(require_blob_key(key)) - offset

        async def read(start: int, size: int) -> bytes:
            return await self.read(key, start, size)

        async for chunk in read_ahead(read, offset, length):
            yield chunk

    async def open_files(self, keys: Sequence[str]) -> None:
        """Return None: objects are no files."""

    async def delete(self, key: str) -> None:
        """Remove the blob; a key that is not there is no error."""
        require_blob_key(key)
        try:
            with _translated():
                await obstore.delete_async(self._store, key)
        except NotFound:
            pass

    def listing(self) -> ObjectListing:
        """Return what lists the store's objects."""
        return ObjectListing(self._store)

    async def close(self) -> None:
        """Nothing is held open between calls."""

    async def _size(self, key: str) -> int:
        with _translated():
            return (await obstore.head_async(self._store, key))["size"]

    async def _size_or_none(self, key: str) -> int | None:
        try:
            return await self._size(key)
        except NotFound:
            return None


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:
        raise NotFound("there is no such blob", code="blob-not-found") from error
    except (AlreadyExistsError, PreconditionError) as error:
        raise Conflict("the blob's key is taken", code="blob-exists") from error
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise Unavailable("the object store refuses our credentials", code="storage-credentials") from error
    except (BaseError, OSError) as error:
        raise Unavailable("the object store does not answer", code="storage-failed") from error
