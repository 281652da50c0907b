"""`hilum echo` and `hilum send`: Hilum as the one who calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from hilum.app.loop import run
from hilum.app.sources import Unreadable, find_sources
from hilum.archive.sending import SendState
from hilum.cli.options import ConfigOption, progress_bar, settings_from
from hilum.dicom.dicomdir import is_dicomdir
from hilum.kernel.errors import HilumError, InvalidInput
from hilum.scu.instances import OutgoingInstance, read_outgoing
from hilum.scu.remote import Remote
from hilum.scu.storage import SendResult, send_instances
from hilum.scu.verification import echo as verify

CallingOption = Annotated[str | None, Parameter(name="--from", help="Our own AE title; by default dicom.ae_title.")]


def echo(to: str, /, *, calling: CallingOption = None, config: ConfigOption = None) -> None:
    """Ask the application entity AE_TITLE@host:port whether it is there (C-ECHO)."""
    settings = settings_from(config)
    seconds = run(verify(Remote.parse(to), calling_ae_title=calling or settings.dicom.ae_title))
    Console(highlight=False).print(f"{to} answered in {1000 * seconds:.0f} ms", markup=False)


def send(
    *paths: Path,
    to: Annotated[str, Parameter(help="Where to: AE_TITLE@host:port.")],
    calling: CallingOption = None,
    associations: Annotated[int, Parameter(help="Associations at a time.")] = 2,
    config: ConfigOption = None,
) -> int:
    """Send files, folders, ZIP archives and what DICOMDIRs name by C-STORE, byte for byte.

    The exit code is 1 when something was not stored.
    """
    if not paths:
        raise InvalidInput("name at least one file or folder to send", code="usage")
    if not 1 <= associations <= 64:
        raise InvalidInput("--associations is a number from 1 to 64", code="usage")
    settings = settings_from(config)
    remote = Remote.parse(to)
    out = Console(highlight=False, soft_wrap=True)
    instances: list[OutgoingInstance] = []
    left_out: list[tuple[str, str]] = []
    with Console(stderr=True, highlight=False).status("looking for instances"):
        for found in _instances(list(paths)):
            if isinstance(found, OutgoingInstance):
                instances.append(found)
            else:
                left_out.append(found)
    counts: Counter[SendState] = Counter()
    with progress_bar() as bar:
        task = bar.add_task("sending", total=len(instances), rate="")

        async def work() -> list[SendResult[OutgoingInstance]]:
            results = []
            async for result in send_instances(
                instances, remote, calling_ae_title=calling or settings.dicom.ae_title, associations=associations
            ):
                counts[result.state] += 1
                bar.update(task, advance=1)
                results.append(result)
            return results

        results = run(work())
    out.print(f"{counts[SendState.STORED]:,} stored by {to}", markup=False)
    for label, reason in left_out:
        out.print(f"  not sent  {label}: {reason}", markup=False)
    for result in results:
        if result.state is not SendState.STORED:
            out.print(f"  {result.state.value}  {result.instance.source.label}: {result.reason}", markup=False)
        elif result.reason:
            out.print(f"  stored with a warning  {result.instance.source.label}: {result.reason}", markup=False)
    return 1 if left_out or counts[SendState.STORED] < len(instances) else 0


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
