"""`hilum remote ...`: the registry of remote application entities."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import cyclopts
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hilum.app.loop import run
from hilum.app.remotes import open_registry, resolve_remote
from hilum.app.settings import Settings
from hilum.archive.remotes import ALL_USES, ASKED_BY_DEFAULT, DimseUse, RemoteAe
from hilum.cli.options import ConfigOption, DataOption, TenantOption, settings_from
from hilum.dicom.uids import uid_name
from hilum.kernel.errors import InvalidInput, NotFound
from hilum.scu.remote import Remote
from hilum.scu.verification import echo as verify

remote_app = cyclopts.App(
    name="remote", help="Remote application entities: who may call, whom we call, and for what. Changes work at once."
)

NetworkOption = Annotated[
    str | None,
    Parameter(help="Address or network it has to call from; without, that is its host, and without that anywhere."),
]
TlsOption = Annotated[bool | None, Parameter(name="--tls", help="Associations with it are by TLS, whoever opens them.")]
CertificateOption = Annotated[
    str | None, Parameter(help="SHA-256 fingerprint of the one certificate it may show (hexadecimal).")
]
CharacterSetOption = Annotated[
    str | None, Parameter(help="Specific Character Set it prefers in answers, like ISO_IR 100.")
]
TransferSyntaxOption = Annotated[
    list[str] | None,
    Parameter(name="--transfer-syntax", help="UID of a transfer syntax it wants instances in; repeat, best first."),
]
AskOption = Annotated[list[DimseUse] | None, Parameter(help="What it may ask of us; repeat. By default everything.")]
AskedOption = Annotated[
    list[DimseUse] | None,
    Parameter(help="What we may ask of it; repeat. By default all but availability, step-notice."),
]
SiteOption = Annotated[str | None, Parameter(help="Where it stands.")]
DescriptionOption = Annotated[str | None, Parameter(help="What it is.")]
AssociationsOption = Annotated[int | None, Parameter(help="Associations we send to it over at a time, in all.")]


@remote_app.command(name="add")
def add(
    who: str,
    /,
    *,
    network: NetworkOption = None,
    uses_tls: TlsOption = None,
    certificate: CertificateOption = None,
    character_set: CharacterSetOption = None,
    transfer_syntaxes: TransferSyntaxOption = None,
    may_ask: AskOption = None,
    may_be_asked: AskedOption = None,
    site: SiteOption = None,
    description: DescriptionOption = None,
    max_associations: AssociationsOption = None,
    tenant: TenantOption = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Register AE_TITLE@host:port, or AE_TITLE alone for one that only calls."""
    given = _given(
        network=network, uses_tls=uses_tls, certificate=certificate, character_set=character_set,
        transfer_syntaxes=transfer_syntaxes, may_ask=may_ask, may_be_asked=may_be_asked, site=site,
        description=description, max_associations=max_associations,
    )  # fmt: skip
    if "@" in who:
        address = Remote.parse(who)
        given |= {"ae_title": address.ae_title, "host": address.host, "port": address.port}
    else:
        given["ae_title"] = who

    async def work(settings: Settings) -> RemoteAe:
        async with open_registry(settings) as (remotes, owner):
            return await remotes.save(replace(RemoteAe(0, owner.tenant_id, ""), **given))

    _show(run(work(settings_from(config, data=str(data) if data else None, tenant=tenant))))


@remote_app.command(name="change")
def change(
    ae_title: str,
    /,
    *,
    new_ae_title: Annotated[str | None, Parameter(name="--ae-title", help="Its new AE title.")] = None,
    address: Annotated[str | None, Parameter(help="host:port where it listens now; empty when it only calls.")] = None,
    network: NetworkOption = None,
    uses_tls: TlsOption = None,
    certificate: CertificateOption = None,
    character_set: CharacterSetOption = None,
    transfer_syntaxes: TransferSyntaxOption = None,
    may_ask: AskOption = None,
    may_be_asked: AskedOption = None,
    site: SiteOption = None,
    description: DescriptionOption = None,
    max_associations: AssociationsOption = None,
    tenant: TenantOption = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Change what is given and leave the rest; an empty text ('') takes a value away."""
    given = _given(
        ae_title=new_ae_title, network=network, uses_tls=uses_tls, certificate=certificate,
        character_set=character_set, transfer_syntaxes=transfer_syntaxes, may_ask=may_ask, may_be_asked=may_be_asked,
        site=site, description=description, max_associations=max_associations,
    )  # fmt: skip
    if address is not None:
        named = Remote.parse(f"{ae_title}@{address}") if address else None
        given |= {"host": named.host if named else None, "port": named.port if named else None}
    if not given:
        raise InvalidInput("name at least one option to change", code="usage")
    if given.get("uses_tls") is False:
        given.setdefault("certificate", None)

    async def work(settings: Settings) -> RemoteAe:
        async with open_registry(settings) as (remotes, owner):
            present = _there(await remotes.find(owner.tenant_id, ae_title), ae_title)
            return await remotes.save(replace(present, **given))

    _show(run(work(settings_from(config, data=str(data) if data else None, tenant=tenant))))


@remote_app.command(name="list")
def list_remotes(*, tenant: TenantOption = None, data: DataOption = None, config: ConfigOption = None) -> None:
    """List all of them."""

    async def work(settings: Settings) -> Table:
        table = Table()
        for name in ("AE title", "listens at", "calls from", "TLS", "may ask", "may be asked", "site", "description"):
            table.add_column(name, overflow="fold")
        async with open_registry(settings) as (remotes, owner):
            for remote in await remotes.list(owner.tenant_id):
                table.add_row(
                    Text(remote.ae_title), _address(remote), _origin(remote), _tls(remote), _uses(remote.may_ask),
                    _uses(remote.may_be_asked), Text(remote.site or ""), Text(remote.description),
                )  # fmt: skip
        return table

    Console().print(run(work(settings_from(config, data=str(data) if data else None, tenant=tenant))))


@remote_app.command(name="show")
def show(
    ae_title: str, /, *, tenant: TenantOption = None, data: DataOption = None, config: ConfigOption = None
) -> None:
    """Show everything that is registered of one."""

    async def work(settings: Settings) -> RemoteAe:
        async with open_registry(settings) as (remotes, owner):
            return _there(await remotes.find(owner.tenant_id, ae_title), ae_title)

    _show(run(work(settings_from(config, data=str(data) if data else None, tenant=tenant))))


@remote_app.command(name="remove")
def remove(
    ae_title: str, /, *, tenant: TenantOption = None, data: DataOption = None, config: ConfigOption = None
) -> None:
    """Remove one; from then on it is a stranger."""

    async def work(settings: Settings) -> None:
        async with open_registry(settings) as (remotes, owner):
            if not await remotes.remove(owner.tenant_id, ae_title):
                raise _missing(ae_title)

    run(work(settings_from(config, data=str(data) if data else None, tenant=tenant)))


@remote_app.command(name="echo")
def echo(
    ae_title: str, /, *, tenant: TenantOption = None, data: DataOption = None, config: ConfigOption = None
) -> None:
    """Ask one whether it is there (C-ECHO), as the registry says it is reached."""
    settings = settings_from(config, data=str(data) if data else None, tenant=tenant)

    async def work() -> float:
        remote = await resolve_remote(settings, ae_title, DimseUse.ECHO)
        return await verify(remote, calling_ae_title=settings.dicom.ae_title)

    Console(highlight=False).print(f"{ae_title} answered in {1000 * run(work()):.0f} ms", markup=False)


def _given(**options: Any) -> dict[str, Any]:
    """Return the options that were given, as fields of an entry."""
    sets = {"may_ask": frozenset, "may_be_asked": frozenset, "transfer_syntaxes": tuple}
    return {name: sets[name](value) if name in sets else value for name, value in options.items() if value is not None}


def _there(remote: RemoteAe | None, ae_title: str) -> RemoteAe:
    if remote is None:
        raise _missing(ae_title)
    return remote


def _missing(ae_title: str) -> NotFound:
    return NotFound(f"{ae_title} is not registered; `hilum remote list` shows who is", code="no-such-remote")


def _show(remote: RemoteAe) -> None:
    table = Table(show_header=False, box=None)
    table.add_column()
    table.add_column(overflow="fold")
    rows = {
        "AE title": remote.ae_title,
        "listens at": _address(remote),
        "calls from": _origin(remote),
        "TLS": _tls(remote),
        "certificate": remote.certificate or "any of an authority we trust" if remote.uses_tls else "",
        "may ask": _uses(remote.may_ask),
        "may be asked": _uses(remote.may_be_asked),
        "character set": remote.character_set or "",
        "transfer syntaxes": "\n".join(f"{uid} {uid_name(uid)}" for uid in remote.transfer_syntaxes) or "as stored",
        "associations": f"{remote.max_associations} at a time",
        "site": remote.site or "",
        "description": remote.description,
    }
    for name, value in rows.items():
        if value:
            table.add_row(name, Text(value))
    Console(highlight=False).print(table)


def _address(remote: RemoteAe) -> str:
    if remote.host is None:
        return "only calls"
    host = f"[{remote.host}]" if ":" in remote.host else remote.host
    return f"{host}:{remote.port}"


def _origin(remote: RemoteAe) -> str:
    return remote.network or remote.host or "anywhere"


def _tls(remote: RemoteAe) -> str:
    return "" if not remote.uses_tls else "pinned" if remote.certificate else "yes"


def _uses(uses: frozenset[DimseUse]) -> str:
    if uses == ASKED_BY_DEFAULT:
        return "everything but notices"
    return "everything" if uses == ALL_USES else ", ".join(use for use in DimseUse if use in uses) or "nothing"
