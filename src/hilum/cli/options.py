"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hilum.app.settings import Settings, load_settings
from hilum.observe.logs import configure_logs

DataOption = Annotated[Path | None, Parameter(name="--data", help="Data folder: database, blobs, staging.")]
TenantOption = Annotated[
    str | None, Parameter(name="--tenant", help="Whose; by default the setting `tenant`, or the first.")
]
ConfigOption = Annotated[Path | None, Parameter(name="--config", help="TOML file with settings.")]


def settings_from(config: Path | None, **overrides: Any) -> Settings:
    """Return the settings, the options given on the command line winning, and begin to log as they say.

    Names of `overrides` have two underscores where a setting has a dot.
    """
    settings = load_settings(config, overrides={name.replace("__", "."): value for name, value in overrides.items()})
    configure_logs(level=settings.log.level, style=settings.log.style)
    return settings


def progress_bar() -> Progress:
    """Return a bar on standard error with count, the task's field `rate`, and the remaining time."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True, highlight=False),
    )
