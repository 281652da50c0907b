"""Content-Type values: a media type and its parameters, quoted or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from hilum.kernel.errors import InvalidInput

# RFC 9110 §5.6.2 tokens, and "/" besides: PS3.18 clients send type=application/octet-stream without quotes.
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_LENIENT_VALUE = _TOKEN | frozenset("/:=?()<>@[]{}")
_NO_PARAMETERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ContentType:
    """A media type in lower case and its parameters (names in lower case, values as sent)."""

    media_type: str
    parameters: Mapping[str, str] = field(default_factory=lambda: _NO_PARAMETERS)


def split_outside_quotes(text: str, separator: str) -> Iterator[str]:
    """Yield the stripped pieces between separators that stand outside quoted strings."""
    start = 0
    is_quoted = False
    is_escaped = False
    for position, character in enumerate(text):
        if is_escaped:
            is_escaped = False
        elif is_quoted and character == "\\":
            is_escaped = True
        elif character == '"':
            is_quoted = not is_quoted
        elif character == separator and not is_quoted:
            yield text[start:position].strip(" \t")
            start = position + 1
    yield text[start:].strip(" \t")


def parse_content_type(text: str) -> ContentType:
    """Return the media type and parameters of a Content-Type value (or of one element of Accept).

    Parameter values may stand in quotes or not, also where RFC 9110 asks for quotes, because clients leave them out.

    Raises:
        InvalidInput: the value is no media type or a parameter is malformed or given twice.
    """
    pieces = split_outside_quotes(text, ";")
    media_type = next(pieces).lower()
    main_type, slash, sub_type = media_type.partition("/")
    if not slash or not _is_token(main_type) or not _is_token(sub_type):
        raise InvalidInput("The media type is malformed.", code="invalid-media-type")
    parameters: dict[str, str] = {}
    for piece in pieces:
        if not piece:
            continue  # a trailing semicolon is common and harmless
        name, equals, value = piece.partition("=")
        name = name.strip(" \t").lower()
        if not equals or not _is_token(name) or name in parameters:
            raise InvalidInput("A media type parameter is malformed or given twice.", code="invalid-media-type")
        parameters[name] = _unquote(value.strip(" \t"))
    return ContentType(media_type, parameters)


def _is_token(text: str) -> bool:
    return bool(text) and all(character in _TOKEN for character in text)


def _unquote(value: str) -> str:
    if len(value) >= 2 and value[0] == '"' and value[-1] == '"':
        unquoted: list[str] = []
        is_escaped = False
        for character in value[1:-1]:
            if character == "\\" and not is_escaped:
                is_escaped = True
                continue
            unquoted.append(character)
            is_escaped = False
        if not is_escaped:
            return "".join(unquoted)
    elif value and all(character in _LENIENT_VALUE for character in value):
        return value
    raise InvalidInput("A media type parameter's value is malformed.", code="invalid-media-type")
