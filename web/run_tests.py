"""Runs the web app's type check and unit tests, by whichever Node.js there is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import toolchain


def main() -> int:
    """Return the exit status."""
    try:
        tools = toolchain.find()
    except toolchain.MissingNode:
        uv = str(Path(sys.executable).with_name("uv"))
        with_node = ["run", "--no-project", "--python", sys.executable, "--with", toolchain.NODE_WHEEL]
        return subprocess.run([uv, *with_node, "python", __file__], check=False).returncode
    try:
        tools.install()
        tools.run([*tools.node, "node_modules/typescript/bin/tsc", "--noEmit"], show=True)
        tools.run([*tools.node, "node_modules/vitest/vitest.mjs", "run"], show=True)
        schema = ["openapi.json", "-o", "src/api/schema.ts", "--check"]
        tools.run([*tools.node, "node_modules/openapi-typescript/bin/cli.js", *schema], show=True)
    except subprocess.CalledProcessError as error:
        sys.stderr.write((error.stderr or b"").decode(errors="replace"))
        return error.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
