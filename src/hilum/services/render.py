"""Pictures of stored instances, and their frames decoded: the work is done on threads, never on the event loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeVar

import orjson

from hilum.archive.model import StoredInstance
from hilum.archive.ports import InstanceIndex
from hilum.dicom.frames import FrameIndex
from hilum.kernel.errors import LimitExceeded, NotFound
from hilum.kernel.limits import (
    MAX_ANIMATED_FRAMES,
    MAX_LOOK_UP_DATA_BYTES,
    MAX_RENDERED_PIXELS,
    MAX_RENDERING_BYTES,
    MAX_RENDERINGS_IN_FLIGHT,
)
from hilum.pixels.attributes import bulk_references, describe_pixels, frame_time_ms
from hilum.pixels.grayscale import Window
from hilum.pixels.picture import Picture, Viewport, encode_gif, encode_jpeg, encode_png
from hilum.pixels.render import render_frame
from hilum.services.allowance import Allowance
from hilum.services.retrieve import RetrieveService

T = TypeVar("T")

_DEFAULT_QUALITY = 90
# Stored, decoded, indices of 8 bytes into the table of grey values: measured at 16 bits.
_COPIES_OF_A_FRAME = 7


class PictureFormat(StrEnum):
    """What pictures are encoded as, by media type."""

    JPEG = "image/jpeg"
    PNG = "image/png"
    GIF = "image/gif"


@dataclass(frozen=True, slots=True)
class PictureOptions:
    """How a picture is to look.

    Args:
        quality: of JPEG, 1 to 100.
        window: in the place of the data set's own.
        viewport: the box it is scaled into.
    """

    format: PictureFormat = PictureFormat.JPEG
    quality: int = _DEFAULT_QUALITY
    window: Window | None = None
    viewport: Viewport | None = None


@dataclass(frozen=True, slots=True)
class _Source:
    """All that decoding the frames of one instance needs."""

    instance: StoredInstance
    attributes: dict[str, Any]
    frames: FrameIndex


class RenderService:
    """Renders and decodes frames, a bounded number at a time.

    Args:
        index: knows the attributes.
        retrieve: gives frames and bulk data.
        thread_count: how many frames are worked on at the same time; by default one for each processor.
    """

    def __init__(self, *, index: InstanceIndex, retrieve: RetrieveService, thread_count: int | None = None) -> None:
        self._index = index
        self._retrieve = retrieve
        self._threads = ThreadPoolExecutor(thread_count or os.cpu_count() or 1, thread_name_prefix="render")
        self._slots = asyncio.Semaphore(MAX_RENDERINGS_IN_FLIGHT)
        self._memory = Allowance(MAX_RENDERING_BYTES)

    def close(self) -> None:
        """Let the threads end once they have finished what is under way."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def attributes(self, tenant_id: int, instance: StoredInstance) -> dict[str, Any]:
        """Return the instance's attributes in the DICOM JSON model, bulk data references without an address.

        Raises:
            Unavailable: the index does not answer.
        """
        (text,) = await self._index.read_attributes(tenant_id, [instance.instance_key])
        attributes: dict[str, Any] = orjson.loads(text)
        return attributes

    async def picture(
        self, tenant_id: int, instance: StoredInstance, frame_number: int, options: PictureOptions
    ) -> bytes:
        """Return the encoded picture of one frame, 1-based.

        The instance must have been found with its frame index.

        Raises:
            NotFound: there is no such frame, or no pixels at all.
            CorruptData, InvalidInput, LimitExceeded, Unsupported: the frame cannot be shown.

        Reference: PS3.18 §8.3.5
        """
        async with self._slots:
            source = await self._source(tenant_id, instance)
            async with self._memory.share(_frame_memory_bytes(source)):
                return await self._rendered(source, frame_number, options, lambda picture: _encoded(picture, options))

    async def animation(self, tenant_id: int, instance: StoredInstance, options: PictureOptions) -> bytes:
        """Return all frames as an animated GIF; of very many, evenly spaced ones.

        Raises:
            As `picture` does.
        """
        async with self._slots:
            source = await self._source(tenant_id, instance)
            count = source.frames.frame_count
            step = -(-count // MAX_ANIMATED_FRAMES)
            options = replace(options, viewport=_viewport_of_many(source, options.viewport, -(-count // step)))
            async with self._memory.share(_frame_memory_bytes(source) + 3 * MAX_RENDERED_PIXELS):
                pictures = [
                    await self._rendered(source, number, options, lambda picture: picture)
                    for number in range(1, count + 1, step)
                ]
                duration_ms = frame_time_ms(source.attributes) * step
                return await self._on_thread(lambda: encode_gif(pictures, duration_ms))

    async def _source(self, tenant_id: int, instance: StoredInstance) -> _Source:
        if instance.frame_index is None:
            raise NotFound("The instance has no pixels.", code="no-pixels")
        frames = FrameIndex.from_bytes(instance.frame_index)
        return _Source(instance, await self.attributes(tenant_id, instance), frames)

    async def _rendered(
        self, source: _Source, frame_number: int, options: PictureOptions, finish: Callable[[Picture], T]
    ) -> T:
        (data,) = await self._frame(source, frame_number)
        tables = {
            reference: await self._table(source.instance, reference)
            for reference in bulk_references(source.attributes, frame_number)
        }
        return await self._on_thread(
            lambda: finish(
                render_frame(
                    source.attributes,
                    source.instance.transfer_syntax_uid,
                    data,
                    frame_number=frame_number,
                    read_bulk=tables.__getitem__,
                    window=options.window,
                    viewport=options.viewport,
                )
            )
        )

    async def _frame(self, source: _Source, frame_number: int) -> list[bytes]:
        bits_allocated = describe_pixels(source.attributes).bits_allocated
        return await self._retrieve.decodable_frames(source.instance, [frame_number], bits_allocated)

    async def _table(self, instance: StoredInstance, reference: str) -> bytes:
        _, content, size_bytes = await self._retrieve.bulk_data(instance, reference)
        if size_bytes > MAX_LOOK_UP_DATA_BYTES:
            raise LimitExceeded("A palette or look-up table is too long.", code="look-up-table-too-long")
        return b"".join([chunk async for chunk in content])

    async def _on_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _viewport_of_many(source: _Source, wanted: Viewport | None, picture_count: int) -> Viewport | None:
    """Return a viewport with which so many pictures together stay within the pixels one picture may have."""
    description = describe_pixels(source.attributes)
    width, height = (wanted.width, wanted.height) if wanted else (description.columns, description.rows)
    share = MAX_RENDERED_PIXELS / (picture_count * max(1, width * height))
    if share >= 1:
        return wanted
    factor = share**0.5
    smaller = Viewport(max(1, int(width * factor)), max(1, int(height * factor)))
    return smaller if wanted is None else replace(wanted, width=smaller.width, height=smaller.height)


def _frame_memory_bytes(source: _Source) -> int:
    """Return about how much memory the work on one frame takes: stored, decoded, and on its way to display values."""
    return _COPIES_OF_A_FRAME * (describe_pixels(source.attributes).native_frame_bits // 8)


def _encoded(picture: Picture, options: PictureOptions) -> bytes:
    match options.format:
        case PictureFormat.JPEG:
            return encode_jpeg(picture, options.quality)
        case PictureFormat.PNG:
            return encode_png(picture)
        case PictureFormat.GIF:
            return encode_gif([picture], 0)
