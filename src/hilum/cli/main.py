"""The command `hilum` and how its verbs end: exit code 0 when all went well, 1 when not, 2 for a wrong call."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

import cyclopts
from rich.console import Console

from hilum import __version__
from hilum.kernel.errors import HilumError

# Where each verb is, and what the list of verbs says of it: the first line of its own help. Named, not imported: each
# verb loads only what it needs, and the list nothing.
VERBS: Final = {
    "serve": ("hilum.cli.serve:serve", "Run the archive: DIMSE, DICOMweb and the web app."),
    "import": (
        "hilum.cli.archive:import_",
        "Store files, folders, ZIP archives and what DICOMDIRs name.",
    ),
    "demo": (
        "hilum.cli.archive:demo",
        "Store sample studies of our own making: CT, MR, ultrasound, radiograph, mammogram, ECG, report and more.",
    ),
    "send": (
        "hilum.cli.dimse:send",
        "Send files, folders, ZIP archives and what DICOMDIRs name, or studies of the archive, by C-STORE.",
    ),
    "echo": (
        "hilum.cli.verification:echo",
        "Ask a registered AE title, or AE_TITLE@host:port, whether it is there (C-ECHO).",
    ),
    "find": (
        "hilum.cli.query:find",
        "Query a remote archive or worklist (C-FIND): a registered AE title, or AE_TITLE@host:port.",
    ),
    "get": (
        "hilum.cli.retrieve:get",
        "Bring a study in from a remote archive: a registered AE title, or AE_TITLE@host:port.",
    ),
    "move": (
        "hilum.cli.retrieve:move",
        "Let a remote archive send a study to an AE title (C-MOVE): a registered AE title, or AE_TITLE@host:port.",
    ),
    "forward": (
        "hilum.cli.forwarding:forward_app",
        "Forwarding: what goes where by itself, and how that stands.",
    ),
    "prefetch": (
        "hilum.cli.prefetch:prefetch_app",
        "Rules by which earlier studies are brought in when a procedure step is scheduled.",
    ),
    "remote": (
        "hilum.cli.remotes:remote_app",
        "Remote application entities: who may call, whom we call, and for what. Changes work at once.",
    ),
    "worklist": (
        "hilum.cli.worklist:worklist_app",
        "The modality worklist: procedure steps that are to be performed.",
    ),
    "commitment": (
        "hilum.cli.commitment:commitment_app",
        "Storage commitment: who answers for which instances. Needs a running server.",
    ),
    "scrub": (
        "hilum.cli.scrub:scrub",
        "Find blobs no instance points to, and with --verify instances whose bytes are gone or have changed.",
    ),
    "token": ("hilum.cli.accounts:token_app", "Bearer tokens, by which programs sign in."),
    "user": ("hilum.cli.accounts:user_app", "Accounts of people and programs."),
    "tenant": ("hilum.cli.accounts:tenant_app", "Parties of which none sees anything of the others."),
}


def command_line(*, is_listed: bool = False) -> cyclopts.App:
    """Return the command with its verbs; with `is_listed` it lists them without importing any."""
    app = cyclopts.App(
        name="hilum",
        help="A cloud PACS: receives, keeps, finds and gives back medical images.",
        version=__version__,
        help_format="markdown",
    )
    for name, (path, summary) in VERBS.items():
        # Given to a verb that is run, the summary would stand in place of all that its help says.
        app.command(path, name=name, **({"help": summary} if is_listed else {}))
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    words = sys.argv[1:] if arguments is None else arguments
    app = command_line(is_listed=not words or words[0] in ("--help", "-h"))
    try:
        result = app(arguments, result_action="return_value")
    except HilumError as error:
        Console(stderr=True, highlight=False).print(f"[bold red]hilum:[/] {error.message}", soft_wrap=True)
        sys.exit(2 if error.reason_code in ("configuration", "usage") else 1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(result if isinstance(result, int) else 0)
