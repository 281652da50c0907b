"""The bytes around the parts of a multipart/related response."""

from __future__ import annotations

from collections.abc import Iterable

from hilum.kernel.errors import LocalProtocolError
from hilum.kernel.ids import new_blob_name


def new_boundary() -> str:
    """Return a boundary that occurs in no part but by a chance of 1 in 2^122."""
    return f"hilum-{new_blob_name()}"


def related_content_type(boundary: str, part_type: str) -> str:
    """Return the Content-Type of a message whose parts are `part_type` (RFC 2387 §3.1)."""
    return f'multipart/related; type="{part_type}"; boundary={boundary}'


def part_head(boundary: str, headers: Iterable[tuple[str, str]], *, is_first: bool) -> bytes:
    """Return the delimiter and header section that stand before a part's content.

    The line break that ends the previous part belongs to the delimiter of every part but the first.

    Raises:
        LocalProtocolError: a header has a line break, another control character, or is not ASCII.
    """
    lines = [f"--{boundary}" if is_first else f"\r\n--{boundary}"]
    lines.extend(f"{name}: {value}" for name, value in headers)
    if not all(line.lstrip("\r\n").isprintable() and line.isascii() for line in lines):
        raise LocalProtocolError("A part header has characters that would break out of it.", code="part-header")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def closing_delimiter(boundary: str) -> bytes:
    """Return what stands after the last part's content."""
    return f"\r\n--{boundary}--\r\n".encode("ascii")
