"""Files to send: what an association has to know of each, and their bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import IO, Protocol

from hilum.dicom.header import read_header
from hilum.dicom.part10 import read_file_meta
from hilum.kernel.errors import HilumError, InvalidInput, Unavailable
from hilum.kernel.limits import FILE_META_PREFIX_BYTES, SEND_CHUNK_BYTES
from hilum.scu.contexts import InstanceKind

# The SOP class and instance stand at the beginning of a data set; more is read only where they do not.
_IDENTITY_BYTES = 2048


class InstanceSource(Protocol):
    """One DICOM file, wherever it lies."""

    @property
    def label(self) -> str:
        """How it is named to people."""
        ...

    def open(self) -> IO[bytes]:
        """Return its content as a binary stream; called from threads."""
        ...


@dataclass(frozen=True, slots=True)
class OutgoingInstance:
    """A file that can be sent: `data_set_offset` counts bytes from its start."""

    source: InstanceSource
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data_set_offset: int

    @property
    def kind(self) -> InstanceKind:
        """What its presentation context is for: it goes as it is."""
        return InstanceKind(self.sop_class_uid, (self.transfer_syntax_uid,))

    async def data_set(self, transfer_syntax_uid: str) -> bytes | AsyncGenerator[bytes, None]:
        """Return the data set's bytes: at once when they are few, else a generator that reads as they are sent.

        A data set of odd length, as deflated ones in careless files are, gets the zero byte that makes it even:
        receivers refuse odd fragments (PS3.5 §A.5, PS3.8 §9.3.5.1).

        Raises:
            Unavailable: the file cannot be read.
        """
        stream, first = await asyncio.to_thread(_open_at, self)
        return first if stream is None else _rest(stream, first)


def read_outgoing(source: InstanceSource) -> OutgoingInstance:
    """Return what has to be known of a file to send it. Blocks while it reads; meant for a thread.

    The data set's own UIDs count; those of the file meta information stand in where it cannot be read so far.

    Raises:
        InvalidInput: the file is no DICOM file, or no SOP class or instance can be found in it.
        Unavailable: the file cannot be read.

    Reference: PS3.10 §7.1, PS3.4 §B.2
    """
    try:
        with source.open() as stream:
            prefix = stream.read(FILE_META_PREFIX_BYTES)
            meta = read_file_meta(prefix)
            data_set = prefix[meta.data_set_offset :]
    except OSError as error:
        raise Unavailable("the file cannot be read", code="file-read") from error
    sop_class_uid = sop_instance_uid = ""
    for length in (_IDENTITY_BYTES, FILE_META_PREFIX_BYTES):
        try:
            header = read_header(data_set[:length], meta.transfer_syntax_uid)
        except HilumError:
            break
        sop_class_uid, sop_instance_uid = header.sop_class_uid, header.sop_instance_uid
        if sop_class_uid and sop_instance_uid:
            break
    sop_class_uid = sop_class_uid or meta.media_storage_sop_class_uid or ""
    sop_instance_uid = sop_instance_uid or meta.media_storage_sop_instance_uid or ""
    if not (_is_sendable(sop_class_uid) and _is_sendable(sop_instance_uid)):
        raise InvalidInput("the file has no usable SOP Class UID and SOP Instance UID", code="missing-attribute")
    if not _is_sendable(meta.transfer_syntax_uid):
        raise InvalidInput("the file names no usable transfer syntax", code="invalid-uid")
    return OutgoingInstance(source, sop_class_uid, sop_instance_uid, meta.transfer_syntax_uid, meta.data_set_offset)


def _is_sendable(uid: str) -> bool:
    """Return whether the text can stand in a UID field; whether it is a good UID is for the receiver to say."""
    return 0 < len(uid) <= 64 and uid.isascii() and uid.isprintable()


def _open_at(instance: OutgoingInstance) -> tuple[IO[bytes] | None, bytes]:
    """Return the first chunk of the data set, and the stream unless that was all."""
    try:
        stream = instance.source.open()
        try:
            if stream.seekable():
                stream.seek(instance.data_set_offset)
            else:
                stream.read(instance.data_set_offset)
            first = stream.read(SEND_CHUNK_BYTES)
        except BaseException:
            stream.close()
            raise
    except OSError as error:
        raise Unavailable("the file cannot be read", code="file-read") from error
    if len(first) < SEND_CHUNK_BYTES:
        stream.close()
        return None, even(first)
    return stream, first


async def _rest(stream: IO[bytes], chunk: bytes) -> AsyncGenerator[bytes, None]:
    try:
        while chunk:
            # The next chunk is read while this one is written.
            following = asyncio.ensure_future(asyncio.to_thread(stream.read, SEND_CHUNK_BYTES))
            try:
                yield chunk if len(chunk) == SEND_CHUNK_BYTES else even(chunk)
            finally:
                chunk = await following
    except OSError as error:
        raise Unavailable("the file cannot be read", code="file-read") from error
    finally:
        stream.close()


def even(last: bytes) -> bytes:
    """Return the last piece of a data set with the zero byte that makes its length even."""
    return last + b"\0" if len(last) % 2 else last
