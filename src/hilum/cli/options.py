"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from hilum.app.settings import Settings, load_settings
from hilum.observe.logs import configure_logs

DataOption = Annotated[Path | None, Parameter(name="--data", help="Data folder: database, blobs, staging.")]
ConfigOption = Annotated[Path | None, Parameter(name="--config", help="TOML file with settings.")]


def settings_from(config: Path | None, **overrides: Any) -> Settings:
    """Return the settings, the options given on the command line winning, and begin to log as they say.

    Names of `overrides` have two underscores where a setting has a dot.
    """
    settings = load_settings(config, overrides={name.replace("__", "."): value for name, value in overrides.items()})
    configure_logs(level=settings.log.level, style=settings.log.style)
    return settings
