"""Certificate revocation lists, as authorities publish them: files of PEM or DER, one or a folder of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from hilum.kernel.errors import InvalidInput

_PEM_END: Final = b"-----END X509 CRL-----"


@dataclass(frozen=True, slots=True)
class RevocationLists:
    """What authorities have taken back, from one file or the files of a folder."""

    lists: Sequence[tuple[Path, x509.CertificateRevocationList]]

    def as_pem(self) -> str:
        """Return the lists, and nothing that may have stood beside them."""
        return "".join(each.public_bytes(Encoding.PEM).decode("ascii") for _, each in self.lists)

    def outdated(self, now: datetime) -> list[Path]:
        """Return the files with an authority's newest list whose successor is due; whoever it speaks of is refused."""
        newest = {
            each.issuer: (path, each) for path, each in sorted(self.lists, key=lambda one: one[1].last_update_utc)
        }
        return sorted({path for path, each in newest.values() if each.next_update_utc and each.next_update_utc < now})

    def names(self, certificate: bytes) -> bool:
        """Return whether a certificate is revoked by its issuer's newest list; it is given as DER."""
        shown = x509.load_der_x509_certificate(certificate)
        ours = [each for _, each in self.lists if each.issuer == shown.issuer]
        if not ours:
            return False
        newest = max(ours, key=lambda each: each.last_update_utc)
        return newest.get_revoked_certificate_by_serial_number(shown.serial_number) is not None


def revocation_files(path: Path) -> list[Path]:
    """Return the file itself, or the files of a folder, without hidden ones, in the order of their names.

    Raises:
        OSError: the folder cannot be read.
    """
    if not path.is_dir():
        return [path]
    return sorted(each for each in path.iterdir() if not each.name.startswith(".") and each.is_file())


def read_revocation_lists(path: Path) -> RevocationLists:
    """Return all lists of a file or a folder, of which there is at least one.

    Raises:
        InvalidInput: a file cannot be read or holds no list; the message names it.

    Reference: RFC 5280 §5
    """
    try:
        found = [(file, each) for file in revocation_files(path) for each in _read(file)]
    except OSError as error:
        raise InvalidInput(f"certificate revocation lists cannot be read: {path}", code="tls-files") from error
    if not found:
        raise InvalidInput(f"there is no certificate revocation list in {path}", code="tls-files")
    return RevocationLists(found)


def now() -> datetime:
    """Return the time lists and certificates are compared with."""
    return datetime.now(UTC)


def _read(path: Path) -> list[x509.CertificateRevocationList]:
    content = path.read_bytes()
    try:
        if _PEM_END not in content:
            return [x509.load_der_x509_crl(content)]
        return [x509.load_pem_x509_crl(part + _PEM_END) for part in content.split(_PEM_END)[:-1]]
    except ValueError as error:
        raise InvalidInput(f"{path} is no certificate revocation list, as PEM or DER", code="tls-files") from error
