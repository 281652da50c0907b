"""Person names made comparable: one normal form that search, index and matching share."""

from __future__ import annotations

import unicodedata

# Letters that carry a stroke or are ligatures have no decomposition in Unicode, yet people type them plainly.
_PLAIN_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"}
)
# Delimiters of PS3.5 §6.2.1 and the marks that join or part words inside a component.
_WORD_BREAKS = str.maketrans(dict.fromkeys("^=,-\u2010\u2011\u2013", " "))


def normalise_name(text: str) -> str:
    """Return a person name in the form in which names are compared and stored for search.

    Case is folded; Latin, Greek, Cyrillic, Hebrew and Arabic accents and points are dropped; full- and
    half-width forms become one; carets, equal signs, commas and hyphens become spaces; runs of spaces become
    one. Wildcard characters pass unchanged, so a pattern is normalised by the same function. The result of a
    second pass equals the first. The voicing marks of kana and the vowel signs of Indic and Thai script
    stay: without them other names would be the same.

    Reference: PS3.4 §C.2.2.2.1.1
    """
    if text.isascii():
        return " ".join(text.translate(_WORD_BREAKS).lower().split())
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    kept = "".join(c for c in decomposed if not _is_accent(c))
    composed = unicodedata.normalize("NFKC", kept.translate(_PLAIN_LETTERS)).casefold()
    return " ".join(composed.translate(_WORD_BREAKS).split())


def name_groups(text: str) -> tuple[str, ...]:
    """Return the normalised alphabetic, ideographic and phonetic groups of a PN text, empty ones kept.

    Reference: PS3.5 §6.2.1.2
    """
    return tuple(normalise_name(group) for group in text.split("="))


def name_pattern_forms(pattern: str) -> tuple[str, ...]:
    """Return the normalised patterns of one component group that together mean what `pattern` means.

    "DOE^*" asks for the family name alone or with anything after it, since delimiters at the end of a name may be
    left out; so it has two forms, "doe" and "doe *". Other patterns have one.

    Reference: PS3.4 §C.2.2.2.4, PS3.5 §6.2.1.1
    """
    normal = normalise_name(pattern)
    bare = normal
    while bare.endswith(" *"):
        bare = bare[:-2]
    return (normal,) if bare == normal else (bare, f"{bare} *")


def _is_accent(character: str) -> bool:
    combining = unicodedata.combining(character)
    # Canonical classes: 1 overlays, 10-35 Hebrew and Arabic points, 200-240 marks above, below and beside a
    # letter. Class 8 (kana voicing), 7 and 9 (Indic), 84-132 (vowel signs) are letters for our purpose.
    return combining == 1 or 10 <= combining <= 35 or 200 <= combining <= 240
