"""`hilum send`: files and studies to others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from hilum.app.loop import run
from hilum.app.remotes import resolve_remote
from hilum.app.settings import Settings
from hilum.app.sources import Unreadable, find_sources
from hilum.archive.remotes import DimseUse, RemoteAe
from hilum.archive.sending import SendState
from hilum.cli.archive import opened
from hilum.cli.options import ConfigOption, DataOption, progress_bar, settings_from
from hilum.cli.verification import CallingOption
from hilum.dicom.dicomdir import is_dicomdir
from hilum.kernel.errors import HilumError, InvalidInput, NotFound
from hilum.scu.instances import OutgoingInstance, read_outgoing
from hilum.scu.remote import Remote, check_ae_title
from hilum.scu.storage import send_instances


def send(
    *paths: Path,
    to: Annotated[str, Parameter(help="Where to: a registered AE title, or AE_TITLE@host:port.")],
    study: Annotated[
        list[str] | None, Parameter(negative="", help="Study Instance UID of a study in the archive; repeat.")
    ] = None,
    calling: CallingOption = None,
    associations: Annotated[int, Parameter(help="Associations at a time.")] = 2,
    rate: Annotated[float | None, Parameter(help="Megabytes to send in a second at most.")] = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> int:
    """Send files, folders, ZIP archives and what DICOMDIRs name, or studies of the archive, by C-STORE.

    Files go byte for byte; stored studies too, unless the remote does not take them as they are. The exit code is 1
    when something was not stored.
    """
    if bool(paths) == bool(study):
        raise InvalidInput("name files or folders to send, or studies by --study", code="usage")
    if not 1 <= associations <= 64:
        raise InvalidInput("--associations is a number from 1 to 64", code="usage")
    if rate is not None and rate <= 0:
        raise InvalidInput("--rate is a number above 0", code="usage")
    settings = settings_from(config, data=str(data) if data else None)
    calling = calling or settings.dicom.ae_title
    report = _Report()
    if study:
        run(_send_studies(settings, to, study, calling, associations, rate, report))
    else:
        run(_send_files(settings, to, list(paths), calling, associations, rate, report))
    return report.tell(to)


@dataclass
class _Report:
    """What became of what was to be sent."""

    stored_count: int = 0
    not_stored: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def note(self, label: str, state: SendState, reason: str) -> None:
        """Add an answer."""
        if state is not SendState.STORED:
            self.not_stored.append(f"{state.value}  {label}: {reason}")
        else:
            self.stored_count += 1
            if reason:
                self.warnings.append(f"stored with a warning  {label}: {reason}")

    def tell(self, to: str) -> int:
        """Print the report and return the exit code."""
        out = Console(highlight=False, soft_wrap=True)
        out.print(f"{self.stored_count:,} stored by {to}", markup=False)
        for line in (*self.not_stored, *self.warnings):
            out.print(f"  {line}", markup=False)
        return 1 if self.not_stored else 0


async def _send_files(
    settings: Settings, to: str, paths: list[Path], calling: str, associations: int, rate: float | None, report: _Report
) -> None:
    remote = await resolve_remote(settings, to, DimseUse.STORE)
    instances: list[OutgoingInstance] = []
    with Console(stderr=True, highlight=False).status("looking for instances"):
        for found in _instances(paths):
            if isinstance(found, OutgoingInstance):
                instances.append(found)
            else:
                label, reason = found
                report.not_stored.append(f"not sent  {label}: {reason}")
    with progress_bar() as bar:
        task = bar.add_task("sending", total=len(instances), rate="")
        results = send_instances(
            instances, remote, calling_ae_title=calling, associations=associations,
            max_bytes_per_s=rate and rate * 1e6,
        )  # fmt: skip
        async for result in results:
            bar.update(task, advance=1)
            reason = ": ".join(filter(None, (result.reason, result.comment)))
            report.note(result.instance.source.label, result.state, reason)


async def _send_studies(
    settings: Settings,
    to: str,
    studies: list[str],
    calling: str,
    associations: int,
    rate: float | None,
    report: _Report,
) -> None:
    async with opened(settings) as archive:
        tenant_id = archive.tenant.tenant_id
        if "@" in to:
            address = Remote.parse(to)
            remote = RemoteAe(0, tenant_id, address.ae_title, address.host, address.port, max_associations=associations)
        else:
            found = await archive.remotes.find(tenant_id, check_ae_title(to))
            if found is None:
                raise NotFound(f"{to} is not registered; name it as {to}@host:port", code="no-such-remote")
            remote = found
        instances = []
        for study_instance_uid in studies:
            try:
                instances += await archive.retrieve.instances(tenant_id, study_instance_uid)
            except NotFound as error:
                report.not_stored.append(f"not sent  {study_instance_uid}: {error.message}")
        with progress_bar() as bar:
            task = bar.add_task("sending", total=len(instances), rate="")
            results = archive.sender.send(
                remote, instances, calling_ae_title=calling, associations=associations,
                max_bytes_per_s=rate and rate * 1e6,
            )  # fmt: skip
            async for result in results:
                bar.update(task, advance=1)
                report.note(result.instance.sop_instance_uid, result.state, result.reason)


def _instances(paths: list[Path]) -> Iterator[OutgoingInstance | tuple[str, str]]:
    """Yield what can be sent, and for what cannot its name and the reason."""
    for source in find_sources(paths):
        if isinstance(source, Unreadable):
            yield source.label, source.reason
            continue
        try:
            instance = read_outgoing(source)
        except HilumError as error:
            yield source.label, error.message
        except OSError as error:
            yield source.label, error.strerror or "the file cannot be read"
        else:
            if not is_dicomdir(instance.sop_class_uid):
                yield instance
