"""The bytes around the parts of a multipart/related response."""

from __future__ import annotations

from collections.abc import Iterable

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
    """
    lines = [f"--{boundary}" if is_first else f"\r\n--{boundary}"]
    lines.extend(f"{name}: {value}" for name, value in headers)
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def closing_delimiter(boundary: str) -> bytes:
    """Return what stands after the last part's content."""
    return f"\r\n--{boundary}--\r\n".encode("ascii")
