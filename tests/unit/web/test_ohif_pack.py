"""The packing of the OHIF viewer: what is edited, what is left out, and what stops it."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import io
import json
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

PACK = Path(__file__).parents[3] / "web" / "ohif" / "pack.py"

RUNTIME = '// node_modules/react/index.js\n__webpack_require__.p = "/";\n'
TOURS = """;// CONCATENATED MODULE: ../../../node_modules/shepherd.js/dist/js/shepherd.mjs
/*! shepherd.js 15.2.2 */
var shepherd_fe = {};
//# sourceMappingURL=shepherd.mjs.map
;// CONCATENATED MODULE: ../../../node_modules/shepherd.js/dist/css/shepherd.css
const tour = new shepherd_fe.Tour(), show = () => handler(shepherd_fe);
"""
PAGE = (
    '<head><script>console.time("scriptToView"),window.PUBLIC_URL="/"</script>'
    '<link rel="manifest" href="/manifest.json"><link rel="apple-touch-icon" href="/assets/a.png">'
    '<link rel="icon" href="/assets/favicon.ico"><script src="/app-config.js"></script>'
    '<script rel="preload" as="script" type="module" src="/init-service-worker.js"></script>'
    "<title>OHIF Viewer</title>"
    '<script>function browserImportFunction(n){return import(n)}window.PUBLIC_URL="/"</script>'
    '<script defer src="/app.bundle.0f61.js"></script><link href="/app.bundle.css" rel="stylesheet"></head>'
)


@pytest.fixture(scope="module")
def pack() -> ModuleType:
    if not PACK.exists():
        pytest.skip("the web sources are not here; run in a checkout")
    spec = importlib.util.spec_from_file_location("ohif_pack", PACK)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def release() -> dict[str, str]:
    """A small release of the shape the edits expect."""
    files = {f"dist/{number}.bundle.ab.js": RUNTIME for number in range(7)}
    files["dist/app.bundle.0f61.js"] = RUNTIME + TOURS + "browserImportFunction('/dicom-microscopy-viewer/x.js')"
    files["dist/app.bundle.css"] = "a{src:url(/f.woff2)}.shepherd-title{color:red}b{color:blue}"
    files["dist/index.html"] = PAGE
    files["dist/f.woff2"] = files["dist/assets/favicon.ico"] = files["LICENSE"] = "kept"
    for name in ("ort/model.wasm", "sw.js", "app.bundle.js.map", "google.js", "app-config.js", "assets/a.png"):
        files[f"dist/{name}"] = "left out"
    return files


def archived(files: dict[str, str], folder: Path) -> Path:
    path = folder / "release.tgz"
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return path


def relocated(pack: ModuleType, files: dict[str, str], folder: Path) -> Path:
    target = folder / "ohif"
    pack.unpack(archived(files, folder), target)
    pack.relocate(target)
    return target


def test_every_address_gets_the_prefix(pack: ModuleType, tmp_path: Path) -> None:
    target = relocated(pack, release(), tmp_path)
    page = (target / "index.html").read_text()
    assert 'src="/ohif/app-config.js"' in page
    assert 'href="/ohif/app.bundle.css"' in page
    assert "<script>" not in page
    assert "service-worker" not in page
    assert page.index("/ohif/boot.js") < page.index("/ohif/app.bundle")
    for script in target.glob("*.js"):
        assert '__webpack_require__.p = "/ohif/";' in script.read_text()
    assert "browserImportFunction('/ohif/dicom-microscopy-viewer/x.js')" in (target / "app.bundle.0f61.js").read_text()
    assert "url(/ohif/f.woff2)" in (target / "app.bundle.css").read_text()


def test_the_library_of_the_tours_does_not_come_along(pack: ModuleType, tmp_path: Path) -> None:
    target = relocated(pack, release(), tmp_path)
    script = (target / "app.bundle.0f61.js").read_text()
    assert "shepherd.js" not in script
    assert "new shepherd_fe.Tour()" in script
    assert (target / "app.bundle.css").read_text() == "a{src:url(/ohif/f.woff2)}b{color:blue}"


def test_only_what_is_used_is_unpacked(pack: ModuleType, tmp_path: Path) -> None:
    target = relocated(pack, release(), tmp_path)
    texts = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    assert {"LICENSE", "f.woff2", "assets/favicon.ico"} < texts
    assert not [name for name in texts if (target / name).read_text() == "left out"]


def test_a_path_that_leads_out_of_the_folder_is_passed_over(pack: ModuleType, tmp_path: Path) -> None:
    pack.unpack(archived({"dist/../../../evil.txt": "x", "dist/good.txt": "y"}, tmp_path), tmp_path / "ohif")
    assert [path.name for path in (tmp_path / "ohif").rglob("*")] == ["good.txt"]
    assert not list(tmp_path.parent.glob("evil.txt"))


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("dist/3.bundle.ab.js", '__webpack_require__.p = "/";', '__webpack_require__.p = "./";'),
        ("dist/app.bundle.0f61.js", "browserImportFunction('/dicom", "importIt('/dicom"),
        ("dist/app.bundle.0f61.js", "sourceMappingURL=shepherd", "sourceMappingURL=other"),
        ("dist/app.bundle.css", "url(/f", "url(f"),
        ("dist/index.html", "<title>OHIF Viewer</title>", "<title>Viewer</title>"),
        ("dist/index.html", "</head>", "<script>more()</script></head>"),
    ],
)
def test_a_release_unlike_the_known_one_stops_the_build(
    pack: ModuleType, tmp_path: Path, name: str, old: str, new: str
) -> None:
    files = release()
    assert old in files[name]
    files[name] = files[name].replace(old, new)
    with pytest.raises(pack.UnexpectedRelease):
        relocated(pack, files, tmp_path)


def test_a_bundled_package_of_unknown_licence_stops_the_build(pack: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("// ../node_modules/react/index.js\n// ../node_modules/@kitware/vtk.js/x.js")
    assert pack.bundled_licences(tmp_path) == {"@kitware/vtk.js": "BSD-3-Clause", "react": "MIT"}
    (tmp_path / "b.js").write_text("// ../node_modules/nobody-knows-me/index.js")
    with pytest.raises(pack.UnexpectedRelease, match="nobody-knows-me"):
        pack.bundled_licences(tmp_path)


def test_no_known_licence_forces_its_terms_on_the_whole() -> None:
    known = json.loads(PACK.with_name("licences.json").read_text())
    assert not [licence for licence in known if "GPL" in licence]


def test_an_archive_with_another_digest_is_refused_and_forgotten(pack: ModuleType, tmp_path: Path) -> None:
    kept = {"package": "@ohif/app", "version": "1.0.0"}
    archive = tmp_path / "ohif-app-1.0.0.tgz"
    archive.write_bytes(b"what was published")
    digest = base64.b64encode(hashlib.sha512(b"what was published").digest()).decode()
    assert pack._fetch(["never-called"], tmp_path, {**kept, "integrity": f"sha512-{digest}"}) == archive
    with pytest.raises(pack.UnexpectedRelease, match="sha512"):
        pack._fetch(["never-called"], tmp_path, {**kept, "integrity": "sha512-other"})
    assert not archive.exists()
