"""The one configuration: a TOML file, over it HILUM_* environment variables, over them the command line.

Every setting stands below with its meaning; docs/guide/settings.md is made from these lines and tested fresh.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct, field

from hilum.kernel import limits
from hilum.kernel.errors import InvalidInput
from hilum.policies.admission import AllowedCaller

Port = Annotated[int, Meta(ge=0, le=65535)]
AeTitle = Annotated[str, Meta(min_length=1, max_length=16, pattern=r"^[ -\[\]-~]*[!-\[\]-~][ -\[\]-~]*$")]


class HttpSettings(Struct, forbid_unknown_fields=True, kw_only=True):
    """DICOMweb, the console API and the web app."""

    host: Annotated[str, Meta(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="TCP port; 0 takes a free one.")] = 8080
    trusted_proxies: Annotated[
        list[str],
        Meta(description="Addresses or networks of reverse proxies whose X-Forwarded-* headers are believed."),
    ] = field(default_factory=list)
    open_metrics: Annotated[bool, Meta(description="Whether /metrics answers without signing in.")] = False


class TlsSettings(Struct, forbid_unknown_fields=True, kw_only=True):
    """DICOM over TLS, both ways. The files are PEM, and read anew when they have changed."""

    enabled: Annotated[bool, Meta(description="Whether associations over TLS are taken, on a port of their own.")] = (
        False
    )
    port: Annotated[Port, Meta(description="TCP port; 0 takes a free one.")] = 2762
    certificate: Annotated[
        str,
        Meta(description="File of our certificate and the chain behind it. Shown to callers, and to whom we call."),
    ] = ""
    key: Annotated[str, Meta(description="File of its key. Empty: the key stands in the certificate's file.")] = ""
    ca: Annotated[
        str,
        Meta(
            description="File of the certificates of those who issue callers' certificates and those of whom we call. "
            "Empty: whom we call may have a certificate the system trusts; callers none."
        ),
    ] = ""
    crl: Annotated[
        str,
        Meta(
            description="File of certificate revocation lists, or folder of such files, as PEM or DER. With it, nobody "
            "whose authorities have no list there, or one out of date, is believed. Empty: none are looked at."
        ),
    ] = ""
    require_client_certificate: Annotated[
        bool, Meta(description="Whether callers have to show a certificate issued by one in `dicom.tls.ca`.")
    ] = True
    check_host_names: Annotated[
        bool,
        Meta(
            description="Whether whom we call has to show a certificate made out to its host name. Not looked at where "
            "the registry names the certificate."
        ),
    ] = True
    profile: Annotated[
        Literal["bcp195", "bcp195-non-downgrading", "bcp195-extended"],
        Meta(
            description="Secure transport connection profile: PS3.15 B.12, or the retired B.10 or B.11 for old peers."
        ),
    ] = "bcp195"


class DicomSettings(Struct, forbid_unknown_fields=True, kw_only=True):
    """DIMSE: associations with modalities and workstations."""

    host: Annotated[str, Meta(description="Address to listen on; empty means the same as http.host.")] = ""
    port: Annotated[Port, Meta(description="TCP port; 0 takes a free one.")] = 11112
    plain: Annotated[bool, Meta(description="Whether associations without TLS are taken.")] = True
    ae_title: Annotated[AeTitle, Meta(description="AE title that callers call; others are rejected.")] = "HILUM"
    allowed_callers: Annotated[
        list[str],
        Meta(
            description='Calling AE titles that may associate: "AET", "AET@address" or "AET@network/prefix". For those '
            "in the registry of remotes, which has its own conditions, this list says nothing."
        ),
    ] = field(default_factory=list)
    accept_unknown_callers: Annotated[
        bool | None,
        Meta(
            description="Whether callers that are neither registered nor listed are let in. Unset: only from this "
            "machine."
        ),
    ] = None
    require_user_identity: Annotated[
        bool, Meta(description="Whether callers have to name a user and prove it (user identity negotiation).")
    ] = False
    accept_unknown_sop_classes: Annotated[
        bool, Meta(description="Whether private and unknown storage SOP classes are accepted.")
    ] = True
    transfer_syntax_order: Annotated[
        list[str],
        Meta(
            description="Transfer syntax UIDs in the order of our preference. Empty: of those proposed the first "
            "acceptable one is taken, so that the sender need convert nothing."
        ),
    ] = field(default_factory=list)
    max_query_results: Annotated[
        Annotated[int, Meta(ge=1, le=100_000_000)],
        Meta(description="Matches one C-FIND returns at most; one with more ends as out of resources (A700)."),
    ] = limits.MAX_FIND_RESULTS
    relational_queries: Annotated[
        Literal["negotiated", "always"],
        Meta(
            description="Whether queries may leave out the unique keys above their level, and match keys of other "
            "levels: by extended negotiation as the standard has it, or always."
        ),
    ] = "negotiated"
    max_pdu_length_bytes: Annotated[
        Annotated[int, Meta(ge=4096, le=16 * limits.MIB)], Meta(description="Largest P-DATA-TF PDU we announce.")
    ] = limits.MAX_PDU_LENGTH_BYTES
    max_associations: Annotated[
        Annotated[int, Meta(ge=1, le=100_000)],
        Meta(description="Associations one worker serves at a time; more are rejected as temporary congestion."),
    ] = limits.MAX_ASSOCIATIONS
    idle_timeout_s: Annotated[
        Annotated[float, Meta(gt=0)], Meta(description="An association without any traffic for this long is aborted.")
    ] = limits.IDLE_TIMEOUT_S
    tls: TlsSettings = field(default_factory=TlsSettings)


class DatabaseSettings(Struct, forbid_unknown_fields=True, kw_only=True):
    """PostgreSQL: embedded in the data folder unless an external server is named."""

    url: Annotated[
        str,
        Meta(
            description="postgresql:// address of an external server, as a role that may create the schema. "
            "Empty: Hilum runs its own PostgreSQL in the data folder."
        ),
    ] = ""
    serving_url: Annotated[
        str,
        Meta(
            description="postgresql:// address for serving, as a role that is neither the owner nor superuser and has "
            "no BYPASSRLS. Needed with an external server."
        ),
    ] = ""


class StorageSettings(Struct, forbid_unknown_fields=True, kw_only=True):
    """Where the instances' bytes are kept."""

    url: Annotated[
        str,
        Meta(
            description="s3://bucket/prefix, az://container/prefix or gs://bucket/prefix. Empty: the folder `blobs` in "
            "the data folder. Credentials come from the provider's own environment variables."
        ),
    ] = ""
    endpoint: Annotated[str, Meta(description="Address of an S3-compatible service other than Amazon's.")] = ""
    allow_http: Annotated[bool, Meta(description="Whether the endpoint may be spoken to without TLS.")] = False


class IngestSettings(Struct, forbid_unknown_fields=True, kw_only=True):
    """What happens to instances as they enter."""

    duplicates: Annotated[
        Literal["replace", "keep"],
        Meta(
            description='Other content under a known SOP Instance UID: "replace" keeps the earlier content as a '
            'version, "keep" refuses the new one.'
        ),
    ] = "replace"
    settle_s: Annotated[
        Annotated[float, Meta(gt=0)],
        Meta(description="A series without new instances for this long gets its metadata prepared."),
    ] = 5.0


class ForwardingSettings(Struct, forbid_unknown_fields=True, kw_only=True):
    """What is sent to other archives by rules."""

    retry_s: Annotated[
        Annotated[float, Meta(gt=0)],
        Meta(description="How long a destination that does not answer is left alone at first; doubled each time."),
    ] = 5.0
    longest_retry_s: Annotated[
        Annotated[float, Meta(gt=0)],
        Meta(description="How long it is left alone at most."),
    ] = limits.MAX_LANE_REST_S


class WorklistSettings(Struct, forbid_unknown_fields=True, kw_only=True):
    """The modality worklist."""

    keep_ended_days: Annotated[
        Annotated[int, Meta(ge=0, le=36_500)],
        Meta(
            description="Days that steps which are completed, discontinued, canceled or departed stay after their last "
            "change; 0: for ever. What was performed of them stays."
        ),
    ] = 90


class WorkitemSettings(Struct, forbid_unknown_fields=True, kw_only=True):
    """Unified procedure steps."""

    keep_ended_days: Annotated[
        Annotated[int, Meta(ge=0, le=36_500)],
        Meta(
            description="Days that workitems stay after they were completed or canceled, and as long as somebody has a "
            "deletion lock; 0: for ever."
        ),
    ] = 90


class WebTokenSettings(Struct, forbid_unknown_fields=True, kw_only=True):
    """JSON web tokens, by which DICOM callers may prove a user."""

    keys: Annotated[
        str,
        Meta(
            description="File of the issuer's public keys: a JSON Web Key Set, or one public key as PEM; read anew "
            "when it has changed. Empty: no tokens are taken."
        ),
    ] = ""
    issuer: Annotated[str, Meta(description="What the claim `iss` has to be.")] = ""
    audience: Annotated[str, Meta(description="What the claim `aud` has to name. Empty: it is not looked at.")] = ""
    user_claim: Annotated[Annotated[str, Meta(min_length=1)], Meta(description="The claim that names the account.")] = (
        "sub"
    )


class AuthSettings(Struct, forbid_unknown_fields=True, kw_only=True):
    """Signing in."""

    enabled: Annotated[
        bool,
        Meta(description="Without it everyone is administrator; Hilum then listens on loopback addresses only."),
    ] = True
    session_hours: Annotated[
        Annotated[float, Meta(gt=0, le=24 * 31)], Meta(description="How long a person stays signed in.")
    ] = 12.0
    web_tokens: WebTokenSettings = field(default_factory=WebTokenSettings)


class LogSettings(Struct, forbid_unknown_fields=True, kw_only=True):
    """Logs on standard error."""

    level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="Least level that is shown.")] = (
        "info"
    )
    style: Annotated[
        Literal["auto", "json", "console"], Meta(description="`auto`: for people at a terminal, otherwise JSON lines.")
    ] = "auto"


class Settings(Struct, forbid_unknown_fields=True, kw_only=True):
    """All of Hilum's settings."""

    data: Annotated[str, Meta(description="Data folder: database, blobs, staging.")] = "data"
    tenant: Annotated[
        str,
        Meta(
            description="Tenant that verbs of the command line work for, and everybody where nobody signs in. Empty: "
            "the first, which every installation has and which answers to `dicom.ae_title`."
        ),
    ] = ""
    workers: Annotated[
        Annotated[int, Meta(ge=1, le=256)],
        Meta(description="Worker processes sharing the ports, the database and the storage."),
    ] = 1
    drain_s: Annotated[
        Annotated[float, Meta(ge=0)],
        Meta(description="How long a stop waits for what is being received to finish."),
    ] = 30.0
    http: HttpSettings = field(default_factory=HttpSettings)
    dicom: DicomSettings = field(default_factory=DicomSettings)
    database: DatabaseSettings = field(default_factory=DatabaseSettings)
    storage: StorageSettings = field(default_factory=StorageSettings)
    ingest: IngestSettings = field(default_factory=IngestSettings)
    forwarding: ForwardingSettings = field(default_factory=ForwardingSettings)
    worklist: WorklistSettings = field(default_factory=WorklistSettings)
    workitems: WorkitemSettings = field(default_factory=WorkitemSettings)
    auth: AuthSettings = field(default_factory=AuthSettings)
    log: LogSettings = field(default_factory=LogSettings)

    @property
    def data_directory(self) -> Path:
        """The data folder as an absolute path."""
        return Path(self.data).expanduser().resolve()

    @property
    def dicom_host(self) -> str:
        """The address DIMSE listens on."""
        return self.dicom.host or self.http.host


OTHER_VARIABLES = {
    "HILUM_ADMIN_PASSWORD": "password of the administrator `admin`, used when the first start creates the account",
    "HILUM_CONFIG": "path of the TOML file, as `--config`",
    "HILUM_SKIP_WEB": "at build time: leave the web app out",
    "HILUM_REQUIRE_WEB": "at build time: fail when the web app cannot be built",
    "HILUM_CORPUS": "in tests: folder of real DICOM files",
}
"""Environment variables that begin with HILUM_ and are no settings."""


_TRUE = ("true", "1", "yes", "on")
_FALSE = ("false", "0", "no", "off")


def setting_names(struct: type[Struct] = Settings, prefix: str = "") -> Iterator[tuple[str, type[Struct], Any]]:
    """Yield (dotted name, owning struct, msgspec field) of every setting."""
    for info in msgspec.structs.fields(struct):
        if isinstance(info.type, type) and issubclass(info.type, Struct):
            yield from setting_names(info.type, f"{prefix}{info.name}.")
        else:
            yield prefix + info.name, struct, info


def load_settings(
    path: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Return the settings from a TOML file, the environment and `overrides` (dotted names), the later ones winning.

    Raises:
        InvalidInput: the file is missing or no TOML, a key is unknown (the message names the nearest known one), a
            value has the wrong type or is out of range, or settings contradict each other.
    """
    tree: dict[str, Any] = {}
    chosen = path or (Path(environment["HILUM_CONFIG"]) if environment.get("HILUM_CONFIG") else None)
    if chosen is not None:
        tree = _read_file(chosen)
    known = {name: info for name, _, info in setting_names()}
    by_variable = {"HILUM_" + name.replace(".", "_").upper(): name for name in known}
    for variable, text in environment.items():
        if not variable.startswith("HILUM_") or variable in OTHER_VARIABLES:
            continue
        if variable not in by_variable:
            raise _unknown("environment variable", variable, [*by_variable, *OTHER_VARIABLES])
        name = by_variable[variable]
        _assign(tree, name, _from_text(variable, text, known[name].type))
    for name, value in (overrides or {}).items():
        if value is not None:
            _assign(tree, name, value)
    _refuse_unknown(tree, Settings, "")
    try:
        settings = msgspec.convert(tree, Settings)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"configuration: {_readable(str(error))}", code="configuration") from error
    _check_together(settings)
    return settings


def is_loopback(host: str) -> bool:
    """Return whether listening on this address is reachable from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_together(settings: Settings) -> None:
    for host in (settings.http.host, settings.dicom_host):
        if not settings.auth.enabled and not is_loopback(host):
            raise InvalidInput(
                f"auth.enabled is false and {host} is no loopback address: refusing to listen without authentication",
                code="configuration",
                setting="auth.enabled",
            )
    if bool(settings.database.url) != bool(settings.database.serving_url):
        raise InvalidInput(
            "database.url and database.serving_url go together: one migrates, the other serves",
            code="configuration",
            setting="database.serving_url",
        )
    if not settings.dicom.plain and not settings.dicom.tls.enabled:
        raise InvalidInput(
            "dicom.plain is false and so is dicom.tls.enabled: nobody could call",
            code="configuration",
            setting="dicom.plain",
        )
    if settings.auth.web_tokens.keys and not settings.auth.web_tokens.issuer:
        raise InvalidInput(
            "auth.web_tokens.keys needs auth.web_tokens.issuer", code="configuration", setting="auth.web_tokens.issuer"
        )
    for entry in settings.dicom.allowed_callers:
        AllowedCaller.parse(entry)
    for network in settings.http.trusted_proxies:
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError as error:
            raise InvalidInput(
                f"http.trusted_proxies: {network!r} is neither an address nor a network", code="configuration"
            ) from error


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"cannot read the configuration {path}: {error.strerror}", code="configuration") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} is not valid TOML: {error}", code="configuration") from error


def _from_text(variable: str, text: str, kind: Any) -> Any:
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) is list:
        return [item.strip() for item in text.split(",") if item.strip()]
    if kind is bool or bool in get_args(kind):
        if text.lower() not in (*_TRUE, *_FALSE):
            raise InvalidInput(f"{variable}: expected true or false", code="configuration")
        return text.lower() in _TRUE
    try:
        if kind is int:
            return int(text)
        if kind is float:
            return float(text)
    except ValueError as error:
        raise InvalidInput(f"{variable}: expected a number, not {text!r}", code="configuration") from error
    return text


def _assign(tree: dict[str, Any], name: str, value: Any) -> None:
    *sections, last = name.split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
    tree[last] = value


def _refuse_unknown(tree: Mapping[str, Any], struct: type[Struct], prefix: str) -> None:
    hints = get_type_hints(struct)
    for key, value in tree.items():
        if key not in hints:
            raise _unknown("setting", prefix + key, [name for name, _, _ in setting_names()])
        kind = hints[key]
        if isinstance(kind, type) and issubclass(kind, Struct) and isinstance(value, Mapping):
            _refuse_unknown(value, kind, f"{prefix}{key}.")


def _unknown(what: str, name: str, known: list[str]) -> InvalidInput:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    return InvalidInput(
        f"unknown {what} {name!r}; the nearest known one is {near[0]!r}", code="configuration", setting=name
    )


def _readable(message: str) -> str:
    """Turn msgspec's "... - at `$.http.port`" into "http.port: ..."."""
    found = re.fullmatch(r"(.*) - at `\$\.(.*)`", message)
    return f"{found[2]}: {found[1]}" if found else message
