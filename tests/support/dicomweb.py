"""DICOMweb spoken plainly: bodies of STOW-RS requests, parts of answers."""

from __future__ import annotations

from collections.abc import Iterable

import httpx2

from hilum.multipart import PartBegin, PartData, RelatedReader, closing_delimiter, parse_content_type, part_head

BOUNDARY = "test-boundary"
STOW_TYPE = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'


def stow_body(files: Iterable[bytes], part_type: str = "application/dicom") -> bytes:
    """Return the body of a store request."""
    parts = [
        part_head(BOUNDARY, [("Content-Type", part_type)], is_first=index == 0) + file
        for index, file in enumerate(files)
    ]
    return b"".join(parts) + closing_delimiter(BOUNDARY)


def stow(client: httpx2.Client, files: Iterable[bytes], path: str = "/dicom-web/studies") -> httpx2.Response:
    """Store files and return the answer."""
    return client.post(path, content=stow_body(files), headers={"Content-Type": STOW_TYPE})


def parts_of(response: httpx2.Response) -> list[tuple[str, bytes]]:
    """Return content type and content of each part of an answer."""
    content_type = parse_content_type(response.headers["content-type"])
    assert content_type.media_type == "multipart/related"
    reader = RelatedReader(content_type.parameters["boundary"])
    parts: list[tuple[str, bytearray]] = []
    for event in reader.feed(response.content):
        if isinstance(event, PartBegin):
            parts.append((event.headers["content-type"], bytearray()))
        elif isinstance(event, PartData):
            parts[-1][1].extend(event.data)
    reader.finish()
    return [(media_type, bytes(content)) for media_type, content in parts]


def data_set_of(file: bytes) -> bytes:
    """Return what follows the file meta information of a Part 10 file."""
    group_length = int.from_bytes(file[140:144], "little")
    return file[144 + group_length :]
