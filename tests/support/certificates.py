"""Authorities and certificates of tests' own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

_Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Issued:
    """A certificate and its key in files."""

    certificate: Path
    key: Path

    @property
    def fingerprint(self) -> str:
        """The SHA-256 digest of the certificate."""
        loaded = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        return sha256(loaded.public_bytes(serialization.Encoding.DER)).hexdigest()


class Authority:
    """Issues certificates into a folder; its own is `certificate`."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = folder / f"{name}.pem"
        made = (
            _builder(self._name, self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def issue(
        self,
        name: str,
        *,
        is_rsa: bool = False,
        host: str = "127.0.0.1",
        password: bytes = b"",
        until: datetime | None = None,
    ) -> Issued:
        """Issue a certificate made out to the host, over files of the same name."""
        key: _Key = rsa.generate_private_key(65537, 2048) if is_rsa else ec.generate_private_key(ec.SECP256R1())
        try:
            host_name: x509.GeneralName = x509.IPAddress(ip_address(host))
        except ValueError:
            host_name = x509.DNSName(host)
        made = (
            _builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), self._name, key, until)
            .add_extension(x509.SubjectAlternativeName([host_name]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        issued = Issued(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        issued.key.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, encryption)
        )
        issued.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        return issued

    def revoke(
        self, *revoked: Issued, path: Path | None = None, is_outdated: bool = False, is_der: bool = False
    ) -> Path:
        """Write the authority's revocation list, which names those certificates, and return its file."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._name)
            .last_update(now - timedelta(days=4 if is_outdated else 2))
            .next_update(now + timedelta(days=-1 if is_outdated else 1))
        )
        for each in revoked:
            serial_number = x509.load_pem_x509_certificate(each.certificate.read_bytes()).serial_number
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(serial_number)
                .revocation_date(now - timedelta(days=2))
                .build()
            )
        path = path or self.certificate.with_suffix(".crl")
        encoding = serialization.Encoding.DER if is_der else serialization.Encoding.PEM
        path.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(encoding))
        return path


def _builder(
    subject: x509.Name, issuer: x509.Name, key: _Key, until: datetime | None = None
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(until or now + timedelta(days=30))
    )
