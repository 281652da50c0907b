"""Stand-ins for values while a statement is compiled that is to serve for other values too."""

from __future__ import annotations

import secrets
from typing import Final

PLACES: Final = tuple(f"p{secrets.token_hex(16)}" for _ in range(16))
"""Nobody can ask for one of these."""

_ALL: Final = frozenset(PLACES)


def is_place(text: str) -> bool:
    """Return whether a text stands for a value that is filled in later."""
    return text in _ALL
