"""TLS for DICOM: the profiles of PS3.15 as contexts, made of files that may change while we serve."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from hilum.kernel.errors import Forbidden, HilumError, InvalidInput
from hilum.net.revocation import RevocationLists, now, read_revocation_lists, revocation_files

_DH_PARAMETERS: Final = Path(__file__).with_name("ffdhe3072.pem")  # the group of RFC 7919 of that name

_ECDHE_SUITES: Final = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
)
_DHE_SUITES: Final = ("DHE-RSA-AES256-GCM-SHA384", "DHE-RSA-AES128-GCM-SHA256")


class TlsProfile(StrEnum):
    """A secure transport connection profile. None knows anything older than TLS 1.2.

    Retired BCP 195 (PS3.15 §B.9) is not among them: what it has beside the non-downgrading one is TLS 1.0 and 1.1,
    which RFC 8996 forbids. Nor is Modified BCP 195 RFC 8996, 9325 (§B.13): it obliges servers to suites which Python's
    TLS cannot be told to take (AES-CCM with TLS 1.3).
    """

    BCP_195 = "bcp195"
    """BCP 195 RFC 8996, 9325: with TLS 1.2 key exchange by ECDHE and authenticated encryption only (PS3.15 §B.12)."""
    NON_DOWNGRADING = "bcp195-non-downgrading"
    """Non-Downgrading BCP 195, retired: key exchange by DHE too, for older peers (PS3.15 §B.10)."""
    EXTENDED = "bcp195-extended"
    """Extended BCP 195, retired: AES-GCM alone, by TLS 1.2 alone, whose suites it names (PS3.15 §B.11)."""

    @property
    def reference(self) -> str:
        """Section and name in PS3.15."""
        return _REFERENCES[self]


_REFERENCES: Final = {
    TlsProfile.BCP_195: "B.12 BCP 195 RFC 8996, 9325",
    TlsProfile.NON_DOWNGRADING: "B.10 Non-Downgrading BCP 195 (retired)",
    TlsProfile.EXTENDED: "B.11 Extended BCP 195 (retired)",
}

TLS_1_2_SUITES: Final[dict[TlsProfile, tuple[str, ...]]] = {
    TlsProfile.BCP_195: _ECDHE_SUITES,
    TlsProfile.NON_DOWNGRADING: _ECDHE_SUITES + _DHE_SUITES,
    TlsProfile.EXTENDED: tuple(suite for suite in _ECDHE_SUITES + _DHE_SUITES if "CHACHA20" not in suite),
}
"""Cipher suites offered and taken with TLS 1.2, best first, by OpenSSL's names; TLS 1.3 has its own, all sound."""

SPEAKS_TLS_1_3: Final = frozenset({TlsProfile.BCP_195, TlsProfile.NON_DOWNGRADING})
"""The profiles which TLS 1.3 fits."""

# RSA and DH of 2048 bits at least, curves of 224, no SHA-1 in signatures, whatever the system's own setting is.
_STRENGTH: Final = "@SECLEVEL=2"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where our certificate (with its chain), its key and the certificates of those we trust stand, as PEM.

    Without `key` it stands in the certificate's file. Without `authorities` we trust, as requestor, whom the system
    trusts, and as acceptor nobody. With `revocations`, a file or a folder of lists as PEM or DER, nobody is believed
    for whom there is no list in force of each authority up to the one we trust.
    """

    certificate: Path | None = None
    key: Path | None = None
    authorities: Path | None = None
    revocations: Path | None = None

    def stamp(self) -> object:
        """Return a value that changes when one of the files does."""
        return [_stamp(path) for path in (self.certificate, self.key, self.authorities, *self._revocation_files())]

    def _revocation_files(self) -> list[Path]:
        if self.revocations is None:
            return []
        try:
            return revocation_files(self.revocations)
        except OSError:
            return [self.revocations]


class TlsIdentity:
    """What this application entity shows and demands over TLS, from files read anew when they have changed.

    Files that cannot be used, perhaps because they are half written, leave what was read before in force.

    Args:
        files: certificates and key.
        profile: what is negotiated.
        requires_peer_certificate: whether those who call have to show a certificate of an authority we trust.
        checks_host_names: whether a certificate shown to us by those we call has to be made out to their host.
        complain: is told that changed files cannot be used, that a revocation list is out of date, and why a handshake
            with one who called was given up.
    """

    def __init__(
        self,
        files: TlsFiles,
        *,
        profile: TlsProfile = TlsProfile.BCP_195,
        requires_peer_certificate: bool = True,
        checks_host_names: bool = True,
        complain: Callable[[HilumError], object] = lambda _error: None,
    ) -> None:
        self._files = files
        self._profile = profile
        self._requires_peer_certificate = requires_peer_certificate
        self._checks_host_names = checks_host_names
        self._complain = complain
        self._current: dict[object, tuple[object, ssl.SSLContext]] = {}

    def server_context(self) -> ssl.SSLContext:
        """Return the context to listen with. Each handshake uses the files as they are by then.

        Raises:
            InvalidInput: a file cannot be used; the message names it.

        Reference: PS3.15 §B.12
        """
        self._current_server()
        context = _Listening(ssl.PROTOCOL_TLS_SERVER)
        context.begin = self._begin
        return context

    def client_context(self, certificate: str | None = None) -> ssl.SSLContext:
        """Return the context to call with.

        Args:
            certificate: SHA-256 fingerprint, in lower-case hexadecimal, of the one certificate the peer may show,
                whoever issued it, unless a list of the issuer's has revoked it. Without, it has to be one of an
                authority we trust.

        Raises:
            InvalidInput: a file cannot be used; the message names it.

        Reference: PS3.15 §B.12
        """
        return self._fresh(("client", certificate), partial(self._make_client, certificate))

    def _fresh(self, key: object, make: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        stamp = self._files.stamp()
        known = self._current.get(key)
        if known is None or known[0] != stamp:
            try:
                context = make()
            except InvalidInput as error:
                if known is None:
                    raise
                self._complain(error)
                context = known[1]
            self._current[key] = known = (stamp, context)
        return known[1]

    def _current_server(self) -> ssl.SSLContext:
        return self._fresh("server", self._make_server)

    def _begin(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> ssl.SSLObject:
        """Return the server's end of a new connection.

        Who resumes a session does not show its certificate again, which may have expired or been revoked meanwhile. So
        nothing is resumed: there are no tickets, and as OpenSSL keeps sessions in the context a connection began with,
        each begins with one of its own, before it is given the one with certificates, authorities and lists.
        """
        context = self._current_server()
        first = self._bare(ssl.PROTOCOL_TLS_SERVER)
        first.num_tickets = 0
        first.options |= ssl.OP_NO_TICKET | ssl.OP_CIPHER_SERVER_PREFERENCE
        first.verify_mode = context.verify_mode
        first.verify_flags = context.verify_flags
        first.sslobject_class = _told_of(self._complain)
        connection = first.wrap_bio(incoming, outgoing, server_side=True)
        connection.context = context
        return connection

    def _make_server(self) -> ssl.SSLContext:
        context, _ = self._make(ssl.PROTOCOL_TLS_SERVER)
        if self._files.certificate is None:
            raise InvalidInput("TLS needs a certificate: set dicom.tls.certificate", code="tls-files")
        if self._requires_peer_certificate:
            if self._files.authorities is None:
                raise InvalidInput("whose certificates are taken is not said: set dicom.tls.ca", code="tls-files")
            context.verify_mode = ssl.CERT_REQUIRED
        elif self._files.authorities is not None:
            context.verify_mode = ssl.CERT_OPTIONAL
        if self._profile is not TlsProfile.BCP_195:
            context.load_dh_params(str(_DH_PARAMETERS))
        return context

    def _make_client(self, certificate: str | None) -> ssl.SSLContext:
        context, revoked = self._make(ssl.PROTOCOL_TLS_CLIENT)
        if certificate is not None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            context.sslobject_class = _only(certificate, revoked)
            return context
        context.check_hostname = self._checks_host_names
        if self._files.authorities is None:
            context.load_default_certs()
        return context

    def _bare(self, protocol: int) -> ssl.SSLContext:
        """Return a context which knows nobody, with what connections take from it when they begin."""
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._profile not in SPEAKS_TLS_1_3:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        return context

    def _make(self, protocol: int) -> tuple[ssl.SSLContext, RevocationLists | None]:
        context = self._bare(protocol)
        context.set_ciphers(":".join((*TLS_1_2_SUITES[self._profile], _STRENGTH)))
        files = self._files
        if files.certificate is not None:
            try:
                # An encrypted key would make OpenSSL ask at the terminal.
                context.load_cert_chain(files.certificate, files.key, password=_no_password)
            except (OSError, ValueError) as error:
                raise _unusable(files.certificate, files.key) from error
        if files.authorities is not None:
            try:
                context.load_verify_locations(files.authorities)
            except (OSError, ValueError) as error:
                raise _unusable(files.authorities) from error
        if files.revocations is None:
            return context, None
        revoked = read_revocation_lists(files.revocations)
        for path in revoked.outdated(now()):
            self._complain(InvalidInput(f"the next list was due: {path}", code="tls-crl-outdated"))
        _load(context, revoked)
        return context, revoked


class _Listening(ssl.SSLContext):
    """Stands for the context that is right when a connection begins."""

    begin: Callable[[ssl.MemoryBIO, ssl.MemoryBIO], ssl.SSLObject]

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        return self.begin(incoming, outgoing)


def _load(context: ssl.SSLContext, revoked: RevocationLists) -> None:
    """The context believes nobody of whom a list, or the want of one, speaks."""
    # OpenSSL takes lists from files alone, and would take authorities from the same: it is given a file of ours.
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(revoked.as_pem())
        file.flush()
        context.load_verify_locations(file.name)
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN


def _no_password() -> str:
    raise ValueError("the key is encrypted")


def _unusable(*paths: Path | None) -> InvalidInput:
    names = " and ".join(str(path) for path in paths if path is not None)
    return InvalidInput(
        f"TLS cannot use {names}: expected are a certificate and its key, not encrypted, as PEM", code="tls-files"
    )


def _stamp(path: Path | None) -> object:
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return "missing"
    return (path.name, found.st_mtime_ns, found.st_size, found.st_ino)


def _told_of(complain: Callable[[HilumError], object]) -> type[ssl.SSLObject]:
    """Return the kind of TLS connection that says why its handshake failed, which nobody else hears."""

    class Told(ssl.SSLObject):
        def do_handshake(self) -> Any:
            try:
                super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
                raise
            except ssl.SSLError as error:
                complain(Forbidden(_reason(error), code="tls-handshake"))
                raise

    return Told


def _reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the caller's certificate is not believed: {error.verify_message}"
    return f"no TLS with the caller: {(error.reason or 'unknown').lower().replace('_', ' ')}"


def _only(fingerprint: str, revoked: RevocationLists | None) -> type[ssl.SSLObject]:
    """Return the kind of TLS connection whose handshake fails unless the peer shows that one certificate, in force."""

    class Pinned(ssl.SSLObject):
        def do_handshake(self) -> Any:
            super().do_handshake()
            shown = self.getpeercert(binary_form=True)
            if shown is None or sha256(shown).hexdigest() != fingerprint:
                raise ssl.SSLCertVerificationError("the peer shows another certificate than the registered one")
            if revoked is not None and revoked.names(shown):
                raise ssl.SSLCertVerificationError("the registered certificate has been revoked")

    return Pinned
