"""Patterns that people write: `*` and `?` for any characters and for one, `!` in front for all but."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from hilum.kernel.errors import InvalidInput
from hilum.kernel.limits import MAX_RULE_VALUES

_MAX_LENGTH: Final = 200


def fits(patterns: Iterable[str], value: str | None) -> bool:
    """Return whether a pattern fits (or there is none but with `!`), and no pattern with `!` does.

    Case does not count. What is not said, or empty, fits no pattern but those with `!`.
    """
    text = (value or "").strip()
    refused = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    if text and any(_compiled(pattern).fullmatch(text) for pattern in refused):
        return False
    return not wanted or (bool(text) and any(_compiled(pattern).fullmatch(text) for pattern in wanted))


def check_patterns(noun: str, patterns: tuple[str, ...]) -> None:
    """The patterns can be used.

    Raises:
        InvalidInput: there are too many, or one is too long or empty; the message names the noun.
    """
    if len(patterns) > MAX_RULE_VALUES or not all(
        pattern.strip("! ") and len(pattern) <= _MAX_LENGTH for pattern in patterns
    ):
        raise InvalidInput(f"the patterns of the {noun} are too many, too long or empty", code="rule-patterns")


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    words = re.escape(pattern.strip()).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(words, re.IGNORECASE | re.DOTALL)
