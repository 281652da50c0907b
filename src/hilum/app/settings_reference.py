"""Writes docs/guide/settings.md from the settings themselves: `python -m hilum.app.settings_reference`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta

from hilum.app.settings import OTHER_VARIABLES, setting_names

_HEAD = """# Settings

Hilum reads one TOML file (`--config FILE` or `HILUM_CONFIG`), over it environment variables, over them the options of
the command line. The part before the dot is the section of the file. An unknown key or variable is an error that
names the nearest known one. This page is made from the source.

| setting | environment variable | default | meaning |
|---|---|---|---|
"""


def describe(info: Any) -> str:
    """Return the description of a msgspec field, with the values it may take."""
    kind, words, choices = info.type, "", ""
    while get_origin(kind) is Annotated:
        kind, *notes = get_args(kind)
        for note in notes:
            if isinstance(note, Meta) and note.description:
                words = note.description
    if get_origin(kind) is Literal:
        choices = " One of " + ", ".join(f"`{choice}`" for choice in get_args(kind)) + "."
    return words + choices


def settings_reference() -> str:
    """Return the page."""
    rows = []
    for name, _, info in setting_names():
        default = info.default_factory() if info.default is msgspec.NODEFAULT else info.default
        shown = "unset" if default is None else msgspec.json.encode(default).decode()
        rows.append(f"| `{name}` | `HILUM_{name.replace('.', '_').upper()}` | `{shown}` | {describe(info)} |")
    others = [f"| | `{name}` | | {meaning} |" for name, meaning in OTHER_VARIABLES.items()]
    return _HEAD + "\n".join([*rows, *others]) + "\n"


if __name__ == "__main__":
    page = Path(__file__).parents[3] / "docs" / "guide" / "settings.md"
    page.write_text(settings_reference(), encoding="utf-8")
