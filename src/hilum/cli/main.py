"""The command `hilum` and how its verbs end: exit code 0 when all went well, 1 when not, 2 for a wrong call."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import cyclopts
from rich.console import Console

from hilum import __version__
from hilum.cli.accounts import token_app, user_app
from hilum.cli.archive import demo, import_
from hilum.cli.dimse import echo, send
from hilum.cli.serve import serve
from hilum.kernel.errors import HilumError

app = cyclopts.App(
    name="hilum",
    help="A cloud PACS: receives, keeps, finds and gives back medical images.",
    version=__version__,
    help_format="markdown",
)
app.command(serve)
app.command(import_, name="import")
app.command(demo)
app.command(send)
app.command(echo)
app.command(token_app)
app.command(user_app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    try:
        result = app(arguments, result_action="return_value")
    except HilumError as error:
        Console(stderr=True, highlight=False).print(f"[bold red]hilum:[/] {error.message}", soft_wrap=True)
        sys.exit(2 if error.reason_code in ("configuration", "usage") else 1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(result if isinstance(result, int) else 0)
