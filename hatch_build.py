"""Build hook: puts the built web app and the OHIF viewer into `src/hilum/console/web`.

It does so once: a stamp holds the digest of the sources, and a source distribution carries the pages it was made
with. Two variables of the environment change this:

* `HILUM_SKIP_WEB=1`: make no pages (work on the Python side only); those made before are left as they are;
* `HILUM_REQUIRE_WEB=1`: skipping is an error (releases).
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WITHOUT = "To build without the web pages set HILUM_SKIP_WEB=1."

_SOURCES = (
    "src",
    "public",
    "ohif",
    "index.html",
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "vite.config.ts",
    "toolchain.py",
)
_COMPRESSED = {".html", ".js", ".mjs", ".css", ".json", ".svg", ".wasm", ".txt"}


class WebBuildError(Exception):
    """The pages could not be built; the message says what to do."""


class WebBuildHook(BuildHookInterface[Any]):
    """Hatchling calls `dependencies` before it makes the build environment and `initialize` inside it."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Return the package that brings Node.js, if the pages must be built and the machine has none."""
        tools = _module(Path(self.root) / "web" / "toolchain.py")
        return [tools.NODE_WHEEL] if self._must_build() and tools.machine_npm() is None else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the pages unless they are there."""
        required = _is_on("HILUM_REQUIRE_WEB")
        if self._must_build():
            build(Path(self.root), self.app.display_info)
        elif _is_on("HILUM_SKIP_WEB") and required:
            raise WebBuildError("HILUM_REQUIRE_WEB and HILUM_SKIP_WEB are both set; unset one of them.")

    def _must_build(self) -> bool:
        root = Path(self.root)
        if _is_on("HILUM_SKIP_WEB") or (_is_source_distribution(root) and (_output(root) / "app").is_dir()):
            return False
        return _stamped(root) != sources_digest(root)


def build(root: Path, say: Any) -> None:
    """Build app and viewer beside their place, then swap them in, so that a failed build changes nothing."""
    digest = sources_digest(root)
    web = root / "web"
    output = _output(root)
    output.mkdir(parents=True, exist_ok=True)
    toolchain = _module(web / "toolchain.py")
    try:
        tools = toolchain.find()
    except toolchain.MissingNode as error:
        raise WebBuildError(f"{error} {WITHOUT}") from error
    say("hilum: building the web app")
    with tempfile.TemporaryDirectory(prefix=".build-", dir=output) as folder:
        fresh = Path(folder)
        try:
            tools.install()
            tools.run([*tools.node, "node_modules/vite/bin/vite.js", "build", "--outDir", str(fresh / "app")])
            say("hilum: packing the OHIF viewer")
            _module(web / "ohif" / "pack.py").pack(tools.npm, web / ".cache", fresh / "ohif")
        except subprocess.CalledProcessError as error:
            said = (error.stderr or error.stdout or b"").decode(errors="replace")[-2000:]
            raise WebBuildError(f"{' '.join(map(str, error.cmd))} failed:\n{said}\n{WITHOUT}") from error
        _write_notices(web, fresh)
        for name in ("app", "ohif"):
            compress(fresh / name)
            shutil.rmtree(output / name, ignore_errors=True)
            (fresh / name).rename(output / name)
        shutil.copyfile(fresh / "THIRD_PARTY.md", output / "THIRD_PARTY.md")
    (output / "STAMP").write_text(digest)


def sources_digest(root: Path) -> str:
    """Return one digest over everything the pages are made from."""
    digest = hashlib.sha256()
    web = root / "web"
    for name in _SOURCES:
        top = web / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and ".test." not in path.name and path.suffix != ".pyc":
                digest.update(path.relative_to(web).as_posix().encode() + b"\0")
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    digest.update(Path(__file__).read_bytes())
    return digest.hexdigest()


def compress(folder: Path) -> None:
    """Replace every text and WebAssembly file by its gzip form, `name.gz`.

    Only that form is kept: each browser takes it, also without TLS, where Brotli is not offered; the server
    inflates for the rare program that does not.
    """
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix in _COMPRESSED:
            packed = gzip.compress(path.read_bytes(), 9, mtime=0)
            path.with_name(path.name + ".gz").write_bytes(packed)
            path.unlink()


def _write_notices(web: Path, fresh: Path) -> None:
    app, viewer = fresh / "app" / "LICENCES.md", fresh / "ohif" / "LICENCES.md"
    parts = [
        (web / "ohif" / "NOTICES.md").read_text(),
        _quoted(fresh / "ohif" / "LICENSE"),
        "Packages bundled in it:\n\n" + viewer.read_text(),
        "# The web app of Hilum\n",
        # Style sheets and fonts, of which the list of bundled scripts does not know.
        "## Inter, a typeface (OFL-1.1)\n\n" + _quoted(web / "node_modules/@fontsource-variable/inter/LICENSE"),
        "## tailwindcss (MIT)\n\n" + _quoted(web / "node_modules/tailwindcss/LICENSE"),
        app.read_text().partition("\n\n")[2].partition("\n\n")[2],
    ]
    (fresh / "THIRD_PARTY.md").write_text("\n".join(parts))
    app.unlink()
    viewer.unlink()


def _quoted(licence: Path) -> str:
    return "```text\n" + licence.read_text().strip() + "\n```\n"


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _output(root: Path) -> Path:
    return root / "src" / "hilum" / "console" / "web"


def _stamped(root: Path) -> str | None:
    stamp = _output(root) / "STAMP"
    return stamp.read_text() if stamp.exists() else None


def _is_source_distribution(root: Path) -> bool:
    return (root / "PKG-INFO").exists()


def _is_on(variable: str) -> bool:
    return os.environ.get(variable, "") not in ("", "0")
