"""The metadata of instances as one compressed answer per series, ready-made where the series has settled."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Sequence
from typing import Final

import orjson

from hilum.archive.model import SeriesMetadata, StoredInstance
from hilum.archive.ports import InstanceIndex
from hilum.dicom.dictionary import tag_of
from hilum.dicom.elements import BULK_DATA_PREFIX
from hilum.kernel.errors import NotFound, Unavailable
from hilum.kernel.limits import METADATA_BATCH_INSTANCES

# Level 1 takes a third of the time of level 6 and gives 1.3 times the size.
_COMPRESSION_LEVEL: Final = 1
_GZIP: Final = 16 + zlib.MAX_WBITS
_AVAILABLE_TRANSFER_SYNTAX: Final = tag_of("AvailableTransferSyntaxUID")
_PLACEHOLDER: Final = f'"BulkDataURI":"{BULK_DATA_PREFIX}'.encode()


class MetadataMaker:
    """Makes, keeps and finds the metadata of series."""

    def __init__(self, index: InstanceIndex) -> None:
        self._index = index

    async def series(self, tenant_id: int, study_instance_uid: str, series_instance_uid: str) -> SeriesMetadata:
        """Return the metadata of a series: ready-made, or made now and kept for the next.

        Raises:
            NotFound: there is no such series.
        """
        ready = await self._index.read_series_metadata(tenant_id, study_instance_uid, series_instance_uid)
        if ready is not None:
            return ready
        # Read before the instances: should one come in between, the answer is not taken for a later one.
        stamp = await self._index.series_stamp(tenant_id, study_instance_uid, series_instance_uid)
        instances = await self._index.find_instances(tenant_id, study_instance_uid, series_instance_uid)
        if stamp is None or not instances:
            raise NotFound("there is no such series", code="no-instances")
        made = await self.make(tenant_id, instances, stamp)
        try:
            await self._index.write_series_metadata(tenant_id, study_instance_uid, series_instance_uid, made)
        except Unavailable:
            pass  # it only spares work later; the one who asked has his answer
        return made

    async def make(self, tenant_id: int, instances: Sequence[StoredInstance], stamp: str = "") -> SeriesMetadata:
        """Return the metadata of these instances, in their order."""
        compressor = zlib.compressobj(_COMPRESSION_LEVEL, wbits=_GZIP)
        pieces = [compressor.compress(b"[")]
        has_placeholders = False
        for first in range(0, len(instances), METADATA_BATCH_INSTANCES):
            batch = instances[first : first + METADATA_BATCH_INSTANCES]
            texts = await self._index.read_attributes(tenant_id, [instance.instance_key for instance in batch])
            piece, has_any = await asyncio.to_thread(_add, compressor, texts, batch, is_first=first == 0)
            pieces.append(piece)
            has_placeholders |= has_any
        pieces += (compressor.compress(b"]"), compressor.flush())
        return SeriesMetadata(b"".join(pieces), stamp, has_placeholders)


def _add(
    compressor: zlib._Compress, texts: Sequence[bytes], instances: Sequence[StoredInstance], *, is_first: bool
) -> tuple[bytes, bool]:
    """Compress the instances' attributes; return what came out, and whether they refer to bulk data."""
    completed = [
        _with_transfer_syntax(text, instance.transfer_syntax_uid)
        for text, instance in zip(texts, instances, strict=True)
    ]
    joined = b",".join(completed if is_first else (b"", *completed))
    return compressor.compress(joined), _PLACEHOLDER in joined


def _with_transfer_syntax(text: bytes, transfer_syntax_uid: str) -> bytes:
    """Return the data set with Available Transfer Syntax UID, tags ascending (PS3.18 §F.2.1, §10.6.3.1)."""
    attributes = orjson.loads(text)
    attributes[_AVAILABLE_TRANSFER_SYNTAX] = {"vr": "UI", "Value": [transfer_syntax_uid]}
    return orjson.dumps(attributes, option=orjson.OPT_SORT_KEYS)
