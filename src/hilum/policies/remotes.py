"""What an entry of the registry of remote application entities may look like."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import replace
from typing import Final

from hilum.archive.remotes import RemoteAe
from hilum.dicom.charsets import charset_of
from hilum.dicom.uids import TRANSFER_SYNTAXES
from hilum.kernel.errors import InvalidInput
from hilum.kernel.limits import (
    MAX_HOST_NAME_LENGTH,
    MAX_PREFERRED_TRANSFER_SYNTAXES,
    MAX_REMOTE_ASSOCIATIONS,
    MAX_REMOTE_DESCRIPTION_LENGTH,
    MAX_SITE_LENGTH,
)

# The default repertoire without backslash and control characters (PS3.5 §6.2, AE).
_AE_TITLE: Final = re.compile(r"[ -\[\]-~]{1,16}")
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9_])?\.?", re.ASCII)
# Defined terms of Specific Character Set; a value that begins with an empty one has the default repertoire first.
_CHARACTER_SETS: Final = re.compile(
    r"(ISO_IR \d{1,3}|GB18030|GBK)|(ISO 2022 IR \d{1,3})?(\\ISO 2022 IR \d{1,3})*", re.ASCII
)
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")


def sound(remote: RemoteAe) -> RemoteAe:
    """Return the entry in normal form: no padding, networks and fingerprints spelled in one way, None for empty.

    Raises:
        InvalidInput: a field cannot be what it is; the message names it.

    Reference: PS3.5 §6.2 (AE), PS3.3 §C.12.1.1.2
    """
    host = _text(remote.host, "host", MAX_HOST_NAME_LENGTH)
    if host is not None and not _is_host(host):
        raise _wrong("host", "is neither a name nor an address")
    if (host is None) != (remote.port is None):
        raise _wrong("port", "and host go together: both say where it listens")
    if remote.port is not None and not 1 <= remote.port <= 65535:
        raise _wrong("port", "is a number from 1 to 65535")
    if not 1 <= remote.max_associations <= MAX_REMOTE_ASSOCIATIONS:
        raise _wrong("max_associations", f"is a number from 1 to {MAX_REMOTE_ASSOCIATIONS}")
    certificate = _certificate(remote.certificate)
    if certificate is not None and not remote.uses_tls:
        raise _wrong("certificate", "is shown over TLS only: set uses_tls with it")
    return replace(
        remote,
        ae_title=_ae_title(remote.ae_title),
        host=host,
        network=_network(remote.network),
        certificate=certificate,
        character_set=_character_set(remote.character_set),
        transfer_syntaxes=_transfer_syntaxes(remote.transfer_syntaxes),
        site=_text(remote.site, "site", MAX_SITE_LENGTH),
        description=_text(remote.description, "description", MAX_REMOTE_DESCRIPTION_LENGTH) or "",
    )


def _wrong(field: str, what: str) -> InvalidInput:
    return InvalidInput(f"{field} {what}", code="remote", attribute=field)


def _ae_title(text: str) -> str:
    title = text.strip(" ")
    if not _AE_TITLE.fullmatch(title):
        raise _wrong("ae_title", "has 1 to 16 characters of ASCII without backslash")
    return title


def _text(text: str | None, field: str, max_length: int) -> str | None:
    stripped = (text or "").strip()
    if len(stripped) > max_length or not all(character.isprintable() for character in stripped):
        raise _wrong(field, f"has at most {max_length} characters and none of control")
    return stripped or None


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return bool(_HOST.fullmatch(host))
    return True


def _network(text: str | None) -> str | None:
    if not (stripped := (text or "").strip()):
        return None
    try:
        network = ipaddress.ip_network(stripped, strict=False)
    except ValueError as error:
        raise _wrong("network", "is neither an address nor a network like 192.0.2.0/24") from error
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def _certificate(text: str | None) -> str | None:
    if not (stripped := (text or "").strip()):
        return None
    fingerprint = stripped.lower().removeprefix("sha256").lstrip(":= ").replace(":", "").replace(" ", "")
    if not _FINGERPRINT.fullmatch(fingerprint):
        raise _wrong("certificate", "is a SHA-256 fingerprint: 64 hexadecimal digits, with or without colons")
    return fingerprint


def _character_set(text: str | None) -> str | None:
    if not (stripped := (text or "").strip()):
        return None
    if not _CHARACTER_SETS.fullmatch(stripped) or not charset_of(stripped.encode()).is_known:
        raise _wrong("character_set", "is no defined term of Specific Character Set, like ISO_IR 192")
    return stripped


def _transfer_syntaxes(uids: tuple[str, ...]) -> tuple[str, ...]:
    if len(uids) > MAX_PREFERRED_TRANSFER_SYNTAXES:
        raise _wrong("transfer_syntaxes", f"are at most {MAX_PREFERRED_TRANSFER_SYNTAXES}")
    unknown = [uid for uid in uids if uid not in TRANSFER_SYNTAXES]
    if unknown:
        raise _wrong("transfer_syntaxes", "hold a UID that PS3.6 does not know as a transfer syntax")
    return tuple(dict.fromkeys(uids))
