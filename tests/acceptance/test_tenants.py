"""Two tenants of one installation: whichever way one asks, it sees its own and nothing of the other's."""

from __future__ import annotations

import subprocess
from base64 import b64encode
from pathlib import Path

import httpx2
import pytest

from support.instances import ct_slice, part10
from support.running import RunningHilum

PASSWORD = "another-long-password"


@pytest.fixture(scope="module")
def other(hilum: RunningHilum) -> str:
    """The AE title of a second tenant, with an administrator `other-admin`."""
    made = hilum.hilum("tenant", "add", "Other Hospital", "--ae-title", "OTHERHILUM")
    assert made.returncode == 0, made.stderr
    user = hilum.hilum(
        "user", "create", "other-admin", "--role", "administrator", "--tenant", "Other Hospital", stdin=PASSWORD + "\n"
    )
    assert user.returncode == 0, user.stderr
    return "OTHERHILUM"


@pytest.fixture
def client(hilum: RunningHilum) -> httpx2.Client:
    """Signed in as the other tenant's administrator."""
    credentials = b64encode(f"other-admin:{PASSWORD}".encode()).decode()
    return httpx2.Client(base_url=hilum.url, headers={"Authorization": f"Basic {credentials}"}, timeout=60)


def sent(hilum: RunningHilum, ae_title: str, patient_id: str, folder: Path) -> str:
    """Send a slice of a new study by DCMTK and return its Study Instance UID."""
    dataset = ct_slice()
    dataset.PatientID = patient_id
    (folder / "slice.dcm").write_bytes(part10(dataset))
    done = subprocess.run(
        ["/usr/bin/storescu", "-aec", ae_title, "127.0.0.1", str(hilum.dicom_port), str(folder / "slice.dcm")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return str(dataset.StudyInstanceUID)


def found_by_dimse(hilum: RunningHilum, ae_title: str, study: str) -> bool:
    """Ask by C-FIND."""
    keys = ("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={study}", "PatientID")
    done = subprocess.run(
        ["/usr/bin/findscu", "-v", "-S", "-aec", ae_title, *(word for key in keys for word in ("-k", key)),
         "127.0.0.1", str(hilum.dicom_port)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return "Find Response: 1" in done.stdout + done.stderr


def test_what_is_sent_to_one_title_is_its_tenants_alone(
    hilum: RunningHilum, other: str, client: httpx2.Client, tmp_path: Path
) -> None:
    mine, theirs = sent(hilum, hilum.ae_title, "MINE", tmp_path), sent(hilum, other, "THEIRS", tmp_path)
    for study, ae_title, stranger in ((mine, hilum.ae_title, other), (theirs, other, hilum.ae_title)):
        assert found_by_dimse(hilum, ae_title, study)
        assert not found_by_dimse(hilum, stranger, study)
    with hilum.client() as admin, client:
        for study, owner, stranger in ((mine, admin, client), (theirs, client, admin)):
            assert len(owner.get("/dicom-web/studies", params={"StudyInstanceUID": study}).json()) == 1
            assert owner.get(f"/dicom-web/studies/{study}").status_code == 200
            assert stranger.get("/dicom-web/studies", params={"StudyInstanceUID": study}).status_code == 204
            assert stranger.get(f"/dicom-web/studies/{study}").status_code == 404
            assert stranger.get(f"/dicom-web/studies/{study}/metadata").status_code == 404
            assert stranger.get(f"/dicom-web/studies/{study}/rendered").status_code == 404
        assert client.get("/api/session").json()["tenant"]["name"] == "Other Hospital"


def test_remotes_rules_worklist_and_jobs_are_each_tenants_own(
    hilum: RunningHilum, other: str, client: httpx2.Client
) -> None:
    added = hilum.hilum("remote", "add", "THEIRPACS@127.0.0.1:11199", "--tenant", "Other Hospital")
    assert added.returncode == 0, added.stderr
    assert hilum.hilum("remote", "show", "THEIRPACS").returncode == 1
    assert "11199" in hilum.hilum("remote", "show", "THEIRPACS", "--tenant", "Other Hospital").stdout
    item = {
        "patient_id": "P1", "patient_name": "One^Patient", "modality": "CT", "scheduled_station_ae_title": ["CT1"],
        "scheduled_procedure_step_start_date": "2027-01-01", "scheduled_procedure_step_start_time": "10:00:00",
        "scheduled_procedure_step_description": "Head",
    }  # fmt: skip
    with hilum.client() as admin, client:
        assert [each["ae_title"] for each in client.get("/api/remotes").json()["remotes"]] == ["THEIRPACS"]
        assert "THEIRPACS" not in admin.get("/api/remotes").text
        ordered = client.post("/api/worklist", json=item)
        assert ordered.status_code == 201, ordered.text
        assert len(client.get("/api/worklist").json()["items"]) == 1
        assert admin.get("/api/worklist").json()["items"] == []
        rule = client.post("/api/forwarding/rules", json={"name": "all", "destinations": ["THEIRPACS"]})
        assert rule.status_code in (200, 201), rule.text
        assert admin.get("/api/forwarding/rules").json()["rules"] == []
        assert "THEIRPACS" not in admin.get("/api/jobs").text


def test_verbs_work_for_the_tenant_they_are_told(hilum: RunningHilum, other: str, client: httpx2.Client) -> None:
    dataset = ct_slice()
    folder = hilum.data / "to-import"
    folder.mkdir()
    (folder / "slice.dcm").write_bytes(part10(dataset))
    done = hilum.hilum("import", str(folder), "--tenant", "Other Hospital")
    assert done.returncode == 0, done.stdout + done.stderr
    path = f"/dicom-web/studies/{dataset.StudyInstanceUID}"
    with hilum.client() as admin, client:
        assert client.get(path).status_code == 200
        assert admin.get(path).status_code == 404


def test_a_title_belongs_to_one_tenant(hilum: RunningHilum, other: str) -> None:
    taken = hilum.hilum("tenant", "answer", "Other Hospital", hilum.ae_title)
    assert taken.returncode == 1
    assert "another tenant" in taken.stderr.lower()
    refused = hilum.hilum("tenant", "add", "Third", "--ae-title", other)
    assert refused.returncode == 1
    assert hilum.hilum("tenant", "answer", "Other Hospital", "SECOND").returncode == 0
    listed = hilum.hilum("tenant", "list").stdout
    assert "OTHERHILUM, SECOND" in listed
    assert "Third" not in listed


@pytest.mark.parametrize(
    "words", [("remote", "list"), ("user", "create", "nobody"), ("import", "/nowhere")], ids=lambda words: words[0]
)
def test_a_tenant_that_is_not_there_is_told_of(hilum: RunningHilum, words: tuple[str, ...]) -> None:
    done = hilum.hilum(*words, "--tenant", "Nobody", stdin=PASSWORD + "\n")
    assert done.returncode == 1
    assert "there is no tenant 'Nobody'" in done.stderr
