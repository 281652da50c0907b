"""The built pages: what is served, in which form, under which policy."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from hilum.console.pages import APP_POLICY, VIEWER_POLICY, is_public_path, page_routes

SCRIPT = b"console.log('scan');\n" * 40_000


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A folder as the build makes it."""
    files = {
        "app/index.html.gz": gzip.compress(b"<title>Hilum</title>"),
        "app/assets/index-abc.js.gz": gzip.compress(SCRIPT),
        "app/favicon.svg.gz": gzip.compress(b"<svg/>"),
        "ohif/index.html.gz": gzip.compress(b"<title>Viewer</title>"),
        "ohif/app-config.js.gz": gzip.compress(b"window.config = {};"),
        "ohif/app.bundle.0f6159c501addfe9.js.gz": gzip.compress(b"run()"),
        "ohif/34b1e6b1deb5828e.wasm.gz": gzip.compress(b"\0asm"),
        "ohif/assets/favicon.ico": b"icon",
        "THIRD_PARTY.md": b"# notices",
        "secret.txt": b"beside the pages",
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path


@pytest.fixture
def client(built: Path) -> TestClient:
    return TestClient(Starlette(routes=page_routes(built)), follow_redirects=False)


@pytest.mark.parametrize("path", ["/", "/login", "/about", "/studies/1.2.840.1", "/network", "/forwarding/rules"])
def test_every_page_of_the_app_answers_with_its_document(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 200
    assert response.text == "<title>Hilum</title>"
    assert response.headers["content-security-policy"] == APP_POLICY
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-content-type-options"] == "nosniff"


def test_a_hashed_asset_is_kept_by_the_browser_for_ever(client: TestClient) -> None:
    response = client.get("/assets/index-abc.js")
    assert response.headers["content-encoding"] == "gzip"
    assert response.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "immutable" in response.headers["cache-control"]
    assert response.content == SCRIPT


@pytest.mark.parametrize("accepted", ["identity", "", "gzip;q=0", "br"])
def test_a_program_that_takes_no_gzip_gets_the_plain_bytes(client: TestClient, accepted: str) -> None:
    response = client.get("/assets/index-abc.js", headers={"Accept-Encoding": accepted})
    assert "content-encoding" not in response.headers
    assert response.headers["vary"] == "Accept-Encoding"
    assert response.content == SCRIPT


def test_an_unchanged_file_is_not_sent_again(client: TestClient) -> None:
    tag = client.get("/").headers["etag"]
    again = client.get("/", headers={"If-None-Match": f'"other", {tag}'})
    assert again.status_code == 304
    assert again.content == b""
    assert client.get("/", headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize("mode", ["viewer", "segmentation", "viewer/dicomweb"])
def test_a_mode_of_the_viewer_is_a_page_with_the_viewers_policy(client: TestClient, mode: str) -> None:
    response = client.get(f"/ohif/{mode}?StudyInstanceUIDs=1.2.3")
    assert response.text == "<title>Viewer</title>"
    assert response.headers["content-security-policy"] == VIEWER_POLICY


def test_the_viewers_files_have_their_types_and_life_times(client: TestClient) -> None:
    wasm = client.get("/ohif/34b1e6b1deb5828e.wasm")
    assert wasm.headers["content-type"] == "application/wasm"
    assert "immutable" in wasm.headers["cache-control"]
    assert "immutable" in client.get("/ohif/app.bundle.0f6159c501addfe9.js").headers["cache-control"]
    assert client.get("/ohif/app-config.js").headers["cache-control"] == "no-cache"
    assert client.get("/ohif/assets/favicon.ico").content == b"icon"


@pytest.mark.parametrize(
    "path",
    ["/ohif/missing.js", "/assets/missing.js", "/missing", "/index.html.gz", "/../secret.txt", "/%2e%2e/secret.txt"],
)
def test_a_missing_file_is_not_found_and_never_a_page(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert "<title>" not in response.text
    assert "beside" not in response.text


@pytest.mark.parametrize("path", ["/ohif", "/ohif/"])
def test_the_viewers_own_study_list_leads_to_ours(client: TestClient, path: str) -> None:
    assert client.get(path).headers["location"] == "/"


def test_the_notices_are_readable(client: TestClient) -> None:
    response = client.get("/third-party.txt")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.text == "# notices"


def test_a_build_without_pages_says_how_to_make_them(tmp_path: Path) -> None:
    response = TestClient(Starlette(routes=page_routes(tmp_path))).get("/studies/1.2")
    assert response.status_code == 503
    assert "HILUM_SKIP_WEB" in response.text


def test_only_the_sign_in_page_and_its_parts_are_public() -> None:
    public = ["/login", "/favicon.svg", "/assets/index-abc.js", "/third-party.txt"]
    private = ["/", "/about", "/studies/1.2", "/ohif/viewer", "/ohif/app-config.js", "/assets", "/login/x"]
    assert [is_public_path(path) for path in public] == [True] * 4
    assert [is_public_path(path) for path in private] == [False] * 7


def test_no_policy_lets_scripts_in_from_elsewhere() -> None:
    for policy in (APP_POLICY, VIEWER_POLICY):
        assert "http" not in policy
        assert "*" not in policy
        script = next(part for part in policy.split("; ") if part.startswith("script-src"))
        assert "unsafe-inline" not in script
    assert "eval" not in APP_POLICY
