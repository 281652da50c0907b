"""`hilum echo`, and the option by which verbs say who calls."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from hilum.app.loop import run
from hilum.app.remotes import resolve_remote
from hilum.archive.remotes import DimseUse
from hilum.cli.options import ConfigOption, DataOption, settings_from
from hilum.scu.verification import echo as verify

CallingOption = Annotated[str | None, Parameter(name="--from", help="Our own AE title; by default dicom.ae_title.")]


def echo(to: str, /, *, calling: CallingOption = None, data: DataOption = None, config: ConfigOption = None) -> None:
    """Ask a registered AE title, or AE_TITLE@host:port, whether it is there (C-ECHO)."""
    settings = settings_from(config, data=str(data) if data else None)

    async def work() -> float:
        remote = await resolve_remote(settings, to, DimseUse.ECHO)
        return await verify(remote, calling_ae_title=calling or settings.dicom.ae_title)

    seconds = run(work())
    Console(highlight=False).print(f"{to} answered in {1000 * seconds:.0f} ms", markup=False)
