"""Who gets in by HTTP: challenges, sessions, tokens, and requests that other sites forge."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from support.instances import ct_slice, multipart, part10
from support.running import PASSWORD, RunningHilum


@pytest.fixture
def stranger(hilum: RunningHilum) -> Iterator[httpx2.Client]:
    """A client that has not signed in."""
    with httpx2.Client(base_url=hilum.url, timeout=30) as client:
        yield client


def _sign_in(client: httpx2.Client) -> None:
    answer = client.post("/api/session", json={"username": "admin", "password": PASSWORD})
    assert answer.status_code == 204


@pytest.mark.parametrize(
    "path",
    [
        "/dicom-web/studies",
        "/dicom-web/instances",
        "/dicom-web/studies/1.2.3/metadata",
        "/api/session",
        "/api/openapi.json",
        "/metrics",
    ],
)
def test_stranger_gets_401_from_every_door_with_data(stranger: httpx2.Client, path: str) -> None:
    answer = stranger.get(path)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"].startswith("Basic ")


def test_script_of_a_page_gets_no_challenge_that_opens_a_password_window(stranger: httpx2.Client) -> None:
    answer = stranger.get("/dicom-web/studies", headers={"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer ")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_answers_strangers(stranger: httpx2.Client, path: str) -> None:
    assert stranger.get(path).status_code == 200


@pytest.mark.parametrize(
    "authorization",
    ["Basic", "Basic !!!", "Basic YWRtaW4=", "Basic YWRtaW46d3Jvbmc=", "Bearer", "Bearer nonsense", "Digest x"],
)
def test_bad_credentials_get_401(stranger: httpx2.Client, authorization: str) -> None:
    assert stranger.get("/dicom-web/studies", headers={"Authorization": authorization}).status_code == 401


def test_session_cookie_is_out_of_reach_of_scripts_and_other_sites(stranger: httpx2.Client) -> None:
    answer = stranger.post("/api/session", json={"username": "admin", "password": PASSWORD})
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    shown = stranger.get("/api/session").json()
    assert shown["user"]["name"] == "admin"
    assert shown["roles"] == ["administrator"]
    assert shown["permissions"] == ["administer", "delete", "read", "store"]


def test_session_ends_by_signing_out(stranger: httpx2.Client) -> None:
    _sign_in(stranger)
    secret = stranger.cookies["hilum_session"]
    assert stranger.delete("/api/session").status_code == 204
    assert stranger.get("/api/session", headers={"Cookie": f"hilum_session={secret}"}).status_code == 401


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}]
)
def test_request_forged_by_another_site_is_refused(stranger: httpx2.Client, headers: dict[str, str]) -> None:
    _sign_in(stranger)
    body, content_type = multipart([part10(ct_slice())])
    answer = stranger.post("/dicom-web/studies", content=body, headers=headers | {"Content-Type": content_type})
    assert answer.status_code == 403
    assert stranger.delete("/api/session", headers=headers).status_code == 403
    assert stranger.get("/api/session").status_code == 200


def test_own_page_may_store(stranger: httpx2.Client) -> None:
    _sign_in(stranger)
    body, content_type = multipart([part10(ct_slice())])
    headers = {"Origin": str(stranger.base_url).rstrip("/"), "Content-Type": content_type}
    assert stranger.post("/dicom-web/studies", content=body, headers=headers).status_code == 200


def test_wrong_password_gets_401_and_malformed_input_400(stranger: httpx2.Client) -> None:
    wrong = stranger.post("/api/session", json={"username": "someone else", "password": "wrong password"})
    assert wrong.status_code == 401
    assert wrong.json()["code"] == "credentials"
    malformed = stranger.post("/api/session", json={"username": "admin"})
    assert malformed.status_code == 400
    assert "password" in malformed.json()["detail"]


def test_reader_may_look_and_not_store(hilum: RunningHilum) -> None:
    created = hilum.hilum("user", "create", "reader-1", "--role", "reader")
    assert created.returncode == 0, created.stderr
    with httpx2.Client(base_url=hilum.url, auth=("reader-1", created.stdout.strip()), timeout=30) as reader:
        assert reader.get("/dicom-web/studies").status_code in (200, 204)
        body, content_type = multipart([part10(ct_slice())])
        answer = reader.post("/dicom-web/studies", content=body, headers={"Content-Type": content_type})
    assert answer.status_code == 403
    assert "store" in answer.json()["detail"]


def test_metrics_count_stored_instances_of_all_workers(hilum: RunningHilum) -> None:
    def stored() -> float:
        with hilum.client() as client:
            lines = client.get("/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith("hilum_instances_stored_total{"))

    before = stored()
    for _ in range(6):  # each connection may reach another worker
        with hilum.client() as client:
            body, content_type = multipart([part10(ct_slice())])
            assert client.post("/dicom-web/studies", content=body, headers={"Content-Type": content_type}).is_success
    assert stored() == before + 6


def test_logs_name_no_patient(hilum: RunningHilum) -> None:
    with hilum.client() as client:
        body, content_type = multipart([part10(ct_slice(patient_name="Secret^Sybil", patient_id="SECRET-77"))])
        client.post("/dicom-web/studies", content=body, headers={"Content-Type": content_type})
        client.get("/dicom-web/studies", params={"PatientName": "Secret*", "PatientID": "SECRET-77"})
        client.get("/dicom-web/studies", params={"StudyDate": "Secret^Sybil"})
    assert "secret" not in hilum.errors.lower()
