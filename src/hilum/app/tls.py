"""Our TLS identity, as the settings have it."""

from __future__ import annotations

from pathlib import Path

from hilum.app.settings import Settings
from hilum.kernel.errors import HilumError
from hilum.net.tls import TlsFiles, TlsIdentity, TlsProfile
from hilum.observe.logs import get_logger

_log = get_logger("tls")


def tls_identity(settings: Settings) -> TlsIdentity:
    """Return what we show and demand over TLS, whether or not we listen with it."""
    tls = settings.dicom.tls
    return TlsIdentity(
        TlsFiles(_path(tls.certificate), _path(tls.key), _path(tls.ca), _path(tls.crl)),
        profile=TlsProfile(tls.profile),
        requires_peer_certificate=tls.require_client_certificate,
        checks_host_names=tls.check_host_names,
        complain=_complain,
    )


def check_tls(settings: Settings) -> None:
    """The files of the TLS listener can be used, when there is to be one.

    Raises:
        InvalidInput: they cannot; the message names the file or the setting.
    """
    if settings.dicom.tls.enabled:
        tls_identity(settings).server_context()


def _path(text: str) -> Path | None:
    return Path(text).expanduser() if text else None


def _complain(error: HilumError) -> None:
    if error.reason_code == "tls-handshake":
        _log.warning("TLS handshake refused", exc=error)
    elif error.reason_code == "tls-crl-outdated":
        _log.error("certificate revocation list out of date; whoever it speaks of is refused", exc=error)
    else:
        _log.error("changed TLS files are not used; those read before stay in force", exc=error)
