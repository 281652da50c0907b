"""The command `hilum` and how its verbs end: exit code 0 when all went well, 1 when not, 2 for a wrong call."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import cyclopts
from rich.console import Console

from hilum import __version__
from hilum.kernel.errors import HilumError

app = cyclopts.App(
    name="hilum",
    help="A cloud PACS: receives, keeps, finds and gives back medical images.",
    version=__version__,
    help_format="markdown",
)
_VERBS = {
    "serve": "hilum.cli.serve:serve",
    "import": "hilum.cli.archive:import_",
    "demo": "hilum.cli.archive:demo",
    "send": "hilum.cli.dimse:send",
    "echo": "hilum.cli.dimse:echo",
    "find": "hilum.cli.query:find",
    "get": "hilum.cli.retrieve:get",
    "move": "hilum.cli.retrieve:move",
    "forward": "hilum.cli.forwarding:forward_app",
    "prefetch": "hilum.cli.prefetch:prefetch_app",
    "remote": "hilum.cli.remotes:remote_app",
    "worklist": "hilum.cli.worklist:worklist_app",
    "commitment": "hilum.cli.commitment:commitment_app",
    "token": "hilum.cli.accounts:token_app",
    "user": "hilum.cli.accounts:user_app",
}
for _name, _path in _VERBS.items():
    app.command(_path, name=_name)  # named, not imported: each verb loads only what it needs


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    words = sys.argv[1:] if arguments is None else arguments
    if not words or words[0] in ("--help", "-h"):
        for name in _VERBS:
            _ = app[name]  # imported, so that the list of verbs shows what each is for
    try:
        result = app(arguments, result_action="return_value")
    except HilumError as error:
        Console(stderr=True, highlight=False).print(f"[bold red]hilum:[/] {error.message}", soft_wrap=True)
        sys.exit(2 if error.reason_code in ("configuration", "usage") else 1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(result if isinstance(result, int) else 0)
