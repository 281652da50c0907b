"""Data sets on their way out: even pieces, large ones made as they go."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from hilum.archive.model import StoredInstance
from hilum.dicom.part10 import write_file_meta
from hilum.kernel.errors import Unsupported
from hilum.kernel.limits import RETRIEVE_READ_AHEAD_BYTES
from hilum.services.outgoing import OutgoingTranscoder, in_even_pieces
from hilum.services.retrieve import RetrieveService
from hilum.services.transcode import TranscodeService
from support.instances import ct_slice
from support.store_house import House


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([b"ab", b"cd"], [b"ab", b"cd"]),
        ([b"abc", b"de", b"f"], [b"ab", b"cd", b"ef"]),
        ([b"abc"], [b"ab", b"c\0"]),
        ([b"ab", b"c"], [b"ab", b"", b"c\0"]),
    ],
)
async def test_each_piece_is_even_and_nothing_is_lost(pieces: list[bytes], expected: list[bytes]) -> None:
    async def rest() -> AsyncGenerator[bytes, None]:
        for piece in pieces[1:]:
            yield piece

    assert [piece async for piece in in_even_pieces(pieces[0], rest())] == expected
    assert all(len(piece) % 2 == 0 for piece in expected)


async def test_what_is_read_from_is_closed_with_the_reader() -> None:
    closed = []

    async def source() -> AsyncGenerator[bytes, None]:
        try:
            yield b"ab"
            yield b"cd"
        finally:
            closed.append(True)

    rest = source()
    reading = in_even_pieces(await anext(rest), rest)
    await anext(reading)
    await reading.aclose()
    assert closed == [True]


class TestOutgoingTranscoder:
    """Small instances at once, large ones as they are made."""

    @pytest.fixture
    async def converted(self, house: House) -> AsyncGenerator[OutgoingTranscoder, None]:
        transcode = TranscodeService(house.blobs)
        yield OutgoingTranscoder(transcode)
        transcode.close()

    async def stored(self, house: House, side: int) -> tuple[StoredInstance, np.ndarray]:
        dataset = ct_slice(side=side)
        await house.store(dataset)
        retrieve = RetrieveService(house.index, house.blobs)
        (instance,) = await retrieve.instances(1, dataset.StudyInstanceUID, with_frame_index=True)
        return instance, dataset.pixel_array

    @pytest.mark.parametrize("side", [64, 1600])
    @pytest.mark.parametrize("target", [ImplicitVRLittleEndian, RLELossless])
    async def test_the_other_syntax_has_the_same_pixels(
        self, house: House, converted: OutgoingTranscoder, side: int, target: str
    ) -> None:
        instance, pixels = await self.stored(house, side)
        assert converted.can(ExplicitVRLittleEndian, target)
        content = await converted.data_set(instance, target)
        assert isinstance(content, bytes) == (instance.blob.size_bytes <= RETRIEVE_READ_AHEAD_BYTES)
        if not isinstance(content, bytes):
            pieces = [piece async for piece in content]
            assert all(len(piece) % 2 == 0 for piece in pieces)
            content = b"".join(pieces)
        meta = write_file_meta(instance.sop_class_uid, instance.sop_instance_uid, target)
        received = dcmread(BytesIO(meta + content))
        assert np.array_equal(received.pixel_array, pixels)

    @pytest.mark.parametrize("side", [64, 1600])
    async def test_what_cannot_be_is_known_before_the_first_piece(
        self, house: House, converted: OutgoingTranscoder, side: int
    ) -> None:
        instance, _ = await self.stored(house, side)
        with pytest.raises(Unsupported):
            await converted.data_set(instance, "1.2.840.10008.1.2.4.50")
