"""What a client accepts: the Accept header and the `accept` query parameter (PS3.18 §8.7)."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from hilum.kernel.errors import InvalidInput, Unsupported
from hilum.kernel.limits import MAX_ACCEPT_LENGTH
from hilum.multipart import parse_content_type, split_outside_quotes

DICOM = "application/dicom"
DICOM_JSON = "application/dicom+json"
DICOM_XML = "application/dicom+xml"
OCTET_STREAM = "application/octet-stream"
RELATED = "multipart/related"

_UID_CHARACTERS = frozenset("0123456789.")
# Other names under which clients ask for the same frames.
_SYNONYMS = {
    "image/x-jls": "image/jls",
    "image/dicom+jpeg": "image/jpeg",
    "image/dicom+jpeg-jpx": "image/jpx",
    "image/dicom+jpeg-jp2": "image/jp2",
    "image/dicom+jpeg-ls": "image/jls",
    "image/dicom+rle": "image/dicom-rle",
    "image/x-dicom-rle": "image/dicom-rle",
    "image/j2c": "image/jp2",
    "image/jph": "image/jphc",
    "video/mpeg2": "video/mpeg",
}


@dataclass(frozen=True, slots=True)
class Accepted:
    """One media range a client accepts.

    `media_type` is the type of the content; `is_multipart` says that it comes in parts of a multipart/related message.
    `is_any` says that the client left the form open (`*/*`). `transfer_syntax_uid` None: not named; "*": any.
    """

    media_type: str
    is_multipart: bool = False
    is_any: bool = False
    transfer_syntax_uid: str | None = None
    quality: float = 1.0

    def allows(self, media_type: str) -> bool:
        """Return whether content of this type satisfies the range."""
        if self.media_type in ("*/*", media_type):
            return True
        main_type, _, sub_type = self.media_type.partition("/")
        return sub_type == "*" and media_type.startswith(f"{main_type}/")


def accepted(request: Request) -> list[Accepted]:
    """Return what the client accepts, best first; equal ones in the client's order. Nothing said is `*/*`.

    The query parameter goes before the header, which browsers set without being asked.

    Raises:
        InvalidInput: the value is malformed or too long.

    Reference: PS3.18 §8.3.3.1, §8.7.5
    """
    text = request.query_params.get("accept") or ", ".join(request.headers.getlist("accept"))
    if len(text) > MAX_ACCEPT_LENGTH:
        raise InvalidInput("The Accept value is too long.", code="invalid-accept")
    ranges = [_media_range(piece) for piece in split_outside_quotes(text, ",") if piece]
    if not ranges:
        return [Accepted("*/*", is_any=True)]
    return sorted((one for one in ranges if one.quality > 0), key=lambda one: -one.quality)


def _media_range(text: str) -> Accepted:
    try:
        content_type = parse_content_type(text)
        quality = float(content_type.parameters.get("q", "1"))
    except (InvalidInput, ValueError) as error:
        raise InvalidInput("The Accept value is malformed.", code="invalid-accept") from error
    media_type = content_type.media_type
    parameters = content_type.parameters
    is_multipart = media_type in (RELATED, "multipart/*")
    if is_multipart:
        media_type = parameters.get("type", "*/*").lower()
    return Accepted(
        _SYNONYMS.get(media_type, media_type),
        is_multipart=is_multipart,
        is_any=media_type == "*/*" and not is_multipart,
        transfer_syntax_uid=parameters.get("transfer-syntax"),
        quality=quality if 0 <= quality <= 1 else 1.0,
    )


def choose_document(request: Request) -> str:
    """Return whether attributes go out as DICOM JSON or as XML.

    Raises:
        Unsupported: the client accepts neither.

    Reference: PS3.18 §8.7.3.2
    """
    for one in accepted(request):
        if one.is_multipart:
            if one.allows(DICOM_XML):
                return DICOM_XML
        elif one.allows(DICOM_JSON) or one.media_type == "application/json":
            return DICOM_JSON
    raise not_acceptable("application/dicom+json", 'multipart/related; type="application/dicom+xml"')


def with_transfer_syntax(media_type: str, transfer_syntax_uid: str) -> str:
    """Return a Content-Type that names the transfer syntax, unless the stored text could break out of the header.

    What a peer wrote into a file's meta information may be anything.

    Reference: PS3.18 §8.7.3.5.2
    """
    if not transfer_syntax_uid or not _UID_CHARACTERS.issuperset(transfer_syntax_uid):
        return media_type
    return f"{media_type}; transfer-syntax={transfer_syntax_uid}"


def not_acceptable(*available: str) -> Unsupported:
    """Return the error that tells what could be had instead."""
    return Unsupported(f"Available is: {', '.join(available)}.", code="not-acceptable")
