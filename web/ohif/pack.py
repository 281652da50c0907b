"""Packs the published OHIF viewer for serving under `/ohif/`.

The release is used as its authors built it. What changes: files nobody asks for are left out, absolute
addresses get the prefix, and the inline scripts of its page move to a file, so that the page needs no inline
script. Every edit names the text it expects; a release in which that text is missing stops the build instead of
giving a viewer that half works.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import tarfile
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

HERE = Path(__file__).resolve().parent
PREFIX = "/ohif/"
BOOT_SCRIPT = f"""console.time("scriptToView");
window.PUBLIC_URL = "{PREFIX}";
function browserImportFunction(module) {{
  return import(module);
}}
"""

# ort: models for the marker tools, which come from a foreign host; sw: a service worker that loads a library from
# one; the rest are pages and shims of sign-in flows and browsers that are not used here.
_LEFT_OUT = re.compile(
    r"^(ort/|customizations/|assets/(?!favicon|images/)|.*\.map$"
    r"|(sw|init-service-worker|google|oidc-client\.min|polyfill\.min|es6-shim\.min|app-config)\.js$"
    r"|(_headers|_redirects|serve\.json|silent-refresh\.html|manifest\.json)$)"
)
_PUBLIC_PATH = '__webpack_require__.p = "/";'
_MICROSCOPY = "browserImportFunction('/dicom-microscopy-viewer/"
_INLINE_SCRIPTS = (
    '<script>console.time("scriptToView"),window.PUBLIC_URL="/"</script>',
    '<script>function browserImportFunction(n){return import(n)}window.PUBLIC_URL="/"</script>',
)
_SERVICE_WORKER = '<script rel="preload" as="script" type="module" src="/init-service-worker.js"></script>'
# The guided tours are switched off. The library that shows them stands under the AGPL, so it does not come along.
_TOURS = re.compile(
    r"(;// CONCATENATED MODULE: [./]*node_modules/)shepherd\.js(/dist/js/shepherd\.mjs\n).*?"
    r"//# sourceMappingURL=shepherd\.mjs\.map\n",
    re.DOTALL,
)
_NO_TOURS = "const shepherd_fe = { Tour: class { addStep() {} start() {} } };\n"
_TOUR_STYLES_COMMENT = ";// CONCATENATED MODULE: ../../../node_modules/shepherd.js/dist/css/shepherd.css\n"
_TOUR_STYLES = re.compile(r"[^{}]*shepherd[^{}]*\{[^{}]*\}")
_BUNDLED_PACKAGE = re.compile(r"node_modules/(?:\.pnpm/[^/\s]+/node_modules/)?((?:@[\w.-]+/)?[a-zA-Z0-9][\w.-]*)")
# The bundles with a webpack runtime of their own: the app and its workers. A worker that was forgotten would look
# for its parts at the root of the site.
_RUNTIME_BUNDLES = 8


class UnexpectedRelease(Exception):
    """The release does not look like the one these edits were written for."""


def pack(npm: list[str], cache: Path, target: Path) -> None:
    """Fill `target` with the viewer, fetching the release into `cache` by `npm` when it is not there yet.

    Raises:
        UnexpectedRelease: the archive's digest differs, or a text to edit is missing.
        subprocess.CalledProcessError: npm could not fetch the release.
    """
    release = json.loads((HERE / "release.json").read_text())
    unpack(_fetch(npm, cache, release), target)
    relocate(target)
    licences = bundled_licences(target)
    (target / "LICENCES.md").write_text("".join(f"* {name}: {licence}\n" for name, licence in licences.items()))
    (target / "boot.js").write_text(BOOT_SCRIPT)
    shutil.copyfile(HERE / "app-config.js", target / "app-config.js")


def _fetch(npm: list[str], cache: Path, release: dict[str, str]) -> Path:
    cache.mkdir(parents=True, exist_ok=True)
    name = release["package"].removeprefix("@").replace("/", "-")
    archive = cache / f"{name}-{release['version']}.tgz"
    if not archive.exists():
        wanted = f"{release['package']}@{release['version']}"
        subprocess.run([*npm, "pack", wanted, "--silent"], cwd=cache, check=True, capture_output=True)
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if f"sha512-{digest}" != release["integrity"]:
        archive.unlink()
        raise UnexpectedRelease(f"{archive.name} does not have the sha512 digest of web/ohif/release.json")
    return archive


def unpack(archive: Path, target: Path) -> None:
    """Write the wanted files of the release's `dist` folder, and its licence, below `target`."""
    with tarfile.open(archive) as tar:
        for member in tar:
            path = PurePosixPath(member.name)
            if not member.isfile() or ".." in path.parts:
                continue
            if path == PurePosixPath("package/LICENSE"):
                name = "LICENSE"
            elif path.parts[:2] == ("package", "dist"):
                name = "/".join(path.parts[2:])
            else:
                continue
            if _LEFT_OUT.match(name):
                continue
            source = tar.extractfile(member)
            assert source is not None
            out = target / name
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_bytes(source.read())


def relocate(target: Path) -> None:
    """Make the unpacked viewer find its own files below `PREFIX`.

    Raises:
        UnexpectedRelease: a text to edit is missing.
    """
    runtimes = 0
    for script in sorted(target.glob("*.js")):
        text = script.read_text(encoding="utf-8")
        edited = text.replace(_PUBLIC_PATH, f'__webpack_require__.p = "{PREFIX}";')
        if edited == text:
            continue
        runtimes += 1
        if script.name.startswith("app.bundle."):
            edited = _replaced(edited, _MICROSCOPY, _MICROSCOPY.replace("'/", f"'{PREFIX}"), script.name)
            edited, tours = _TOURS.subn(_NO_TOURS, edited)
            if tours != 1 or edited.count("shepherd_fe") != 3:
                raise UnexpectedRelease(f"{script.name} does not hold the tours' library where it is expected")
            edited = _replaced(edited, _TOUR_STYLES_COMMENT, "", script.name)
        script.write_text(edited, encoding="utf-8")
    if runtimes != _RUNTIME_BUNDLES:
        raise UnexpectedRelease(f"{runtimes} bundles set a public path, expected {_RUNTIME_BUNDLES}")
    style = target / "app.bundle.css"
    rules = _TOUR_STYLES.sub("", style.read_text())
    style.write_text(_replaced(rules, "url(/", f"url({PREFIX}", style.name))
    for sheet in target.glob("*.css"):
        if sheet != style and "url(/" in sheet.read_text():
            raise UnexpectedRelease(f"{sheet.name} has an absolute address")
    page = target / "index.html"
    page.write_text(_relocated_page(page.read_text()))


def bundled_licences(target: Path) -> dict[str, str]:
    """Return the licence of every package whose code the bundles hold, as `licences.json` knows them.

    Raises:
        UnexpectedRelease: a package is not in that list; look its licence up before adding it.
    """
    known: dict[str, list[str]] = json.loads((HERE / "licences.json").read_text())
    names: set[str] = set()
    for script in target.glob("*.js"):
        names.update(_BUNDLED_PACKAGE.findall(script.read_text(encoding="utf-8")))
    licences: dict[str, str] = {}
    for name in sorted(names):
        found = [licence for licence, patterns in known.items() if any(fnmatchcase(name, each) for each in patterns)]
        if len(found) != 1:
            raise UnexpectedRelease(f"the licence of the bundled package {name} is not known: {found}")
        licences[name] = found[0]
    return licences


def _relocated_page(html: str) -> str:
    boot, importer = _INLINE_SCRIPTS
    html = _replaced(html, boot, f'<script src="{PREFIX}boot.js"></script>', "index.html")
    html = _replaced(html, importer, "", "index.html")
    html = _replaced(html, _SERVICE_WORKER, "", "index.html")
    html = _replaced(html, "<title>OHIF Viewer</title>", "<title>Viewer · Hilum</title>", "index.html")
    # Icons and splash screens for telephones' home screens, and the manifest that lists them.
    html = re.sub(r'<link rel="(apple-touch[^"]*|manifest|yandex[^"]*)"[^>]*>', "", html)
    html = re.sub(r'<link rel="icon" type="image/png" sizes="228x228"[^>]*>|<meta name="msapplication[^>]*>', "", html)
    html, count = re.subn(r'\b(href|src)="/(?!ohif/)', rf'\1="{PREFIX}', html)
    if count < 4:
        raise UnexpectedRelease(f"index.html names {count} files, expected at least 4")
    if "<script>" in html:
        raise UnexpectedRelease("index.html has an inline script more than expected")
    return html


def _replaced(text: str, old: str, new: str, where: str) -> str:
    if old not in text:
        raise UnexpectedRelease(f"{where} does not have the expected text {old!r}")
    return text.replace(old, new)
