"""Rules, destinations and studies of forwarding and prefetch by API and command line, on a running Hilum."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx2
import pytest

from support.dicomweb import stow
from support.instances import ct_slice, part10
from support.running import RunningHilum


@pytest.fixture
def client(hilum: RunningHilum) -> Any:
    with hilum.client() as client:
        client.post("/api/remotes", json={"ae_title": "PEER", "host": "127.0.0.1", "port": 9})
        yield client


def test_a_rule_is_made_changed_and_removed(client: httpx2.Client) -> None:
    entry = {
        "name": "night", "destinations": ["PEER"], "timing": "stable", "stable_s": 30,
        "condition": {"modalities": ["CT"], "window": {"start": "20:00", "end": "06:00"}, "outside_window": "wait"},
    }  # fmt: skip
    made = client.post("/api/forwarding/rules", json=entry)
    assert made.status_code == 201
    rule = made.json()
    assert rule["condition"]["window"] == {"start": "20:00:00", "end": "06:00:00", "weekdays": []}
    assert client.post("/api/forwarding/rules", json=entry).status_code == 409
    address = f"/api/forwarding/rules/{rule['rule_id']}"
    changed = client.put(address, json=entry | {"is_enabled": False})
    assert changed.status_code == 200 and changed.json()["is_enabled"] is False
    assert client.delete(address).status_code == 204
    assert client.delete(address).status_code == 404
    assert client.put(address, json=entry).status_code == 404


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"destinations": ["NOBODY"]}, "no-such-remote"),
        ({"destinations": []}, "rule-destinations"),
        ({"name": ""}, "rule-name"),
        ({"transfer_syntax_uid": "1.2"}, "rule-transfer-syntax"),
        ({"timing": "sometimes"}, "invalid-input"),
    ],
)
def test_an_unsound_rule_is_refused_with_its_reason(client: httpx2.Client, change: dict[str, Any], code: str) -> None:
    answer = client.post("/api/forwarding/rules", json={"name": "x", "destinations": ["PEER"]} | change)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_an_explanation_names_what_does_not_fit(client: httpx2.Client) -> None:
    one = ct_slice()
    assert stow(client, [part10(one)]).status_code == 200
    rule = {"name": "MR alone", "destinations": ["PEER"], "condition": {"modalities": ["MR"]}, "timing": "stable"}
    rule_id = client.post("/api/forwarding/rules", json=rule).json()["rule_id"]
    said = client.get(f"/api/forwarding/studies/{one.StudyInstanceUID}/explanation").json()["instances"]
    assert [each["sop_instance_uid"] for each in said] == [one.SOPInstanceUID]
    assert said[0]["destinations"] == []
    reasons = {verdict["rule"]: verdict["reason"] for verdict in said[0]["verdicts"]}
    assert reasons["MR alone"] == "the modality does not fit"
    client.delete(f"/api/forwarding/rules/{rule_id}")


def test_a_study_sent_on_demand_waits_for_a_silent_destination_until_it_is_cancelled(client: httpx2.Client) -> None:
    one = ct_slice()
    assert stow(client, [part10(one)]).status_code == 200
    assert client.post(f"/api/forwarding/studies/{one.StudyInstanceUID}", json={"destination": "PEER"}).json() == {
        "instances": 1
    }
    assert client.post("/api/forwarding/studies/1.2.3", json={"destination": "PEER"}).status_code == 404
    assert client.put("/api/forwarding/destinations/PEER/bounds", json={"concurrency": 3}).status_code == 204
    (peer,) = client.get("/api/forwarding/destinations").json()["destinations"]
    assert (peer["destination"], peer["concurrency"], peer["is_registered"]) == ("PEER", 3, True)
    assert client.post("/api/forwarding/destinations/PEER/hold").status_code == 204
    assert client.get("/api/forwarding/destinations").json()["destinations"][0]["is_held"] is True
    study = {"study_instance_uid": one.StudyInstanceUID}
    assert client.post("/api/forwarding/destinations/PEER/cancel", json=study).json() == {"instances": 1}
    shown = client.get("/api/forwarding/studies?destination=PEER&state=cancelled").json()["studies"]
    assert [(each["study_instance_uid"], each["instances"]) for each in shown] == [
        (one.StudyInstanceUID, {"cancelled": 1})
    ]
    by_study = "/api/forwarding/studies?study_instance_uid="
    assert client.get(by_study + one.StudyInstanceUID).json()["studies"] == shown
    assert client.get(by_study + "1.2.3").json()["studies"] == []
    (job,) = client.get("/api/jobs?lane=forward:PEER").json()["jobs"]
    assert (job["kind"], job["payload"]["study_instance_uid"]) == ("forward.send", one.StudyInstanceUID)
    address = f"/api/jobs/{job['job_id']}"
    # One that runs is ended by its worker, soon after.
    assert client.post(f"{address}/cancel").status_code == 200
    deadline = time.monotonic() + 30
    while client.get("/api/jobs?lane=forward:PEER").json()["jobs"][0]["state"] != "cancelled":
        assert time.monotonic() < deadline
    assert client.post(f"{address}/cancel").json()["code"] == "job-state"
    assert client.post(f"{address}/retry").json()["state"] == "queued"
    assert client.post("/api/jobs/999999/retry").status_code == 404
    assert client.post("/api/forwarding/destinations/PEER/resume").status_code == 204


def test_prefetch_rules_are_made_by_command_line_and_seen_by_api(hilum: RunningHilum, client: httpx2.Client) -> None:
    made = hilum.hilum("prefetch", "add", "priors", "--source", "PEER", "--prior-modality", "CT", "--years", "0")
    assert made.returncode == 0, made
    (rule,) = client.get("/api/prefetch/rules").json()["rules"]
    assert (rule["name"], rule["prior_modalities"], rule["years"]) == ("priors", ["CT"], None)
    assert hilum.hilum("prefetch", "add", "bad", "--source", "NOBODY").returncode == 1
    assert "priors" in hilum.hilum("prefetch", "list").stdout
    address = f"/api/prefetch/rules/{rule['rule_id']}"
    assert client.put(address, json=rule | {"count": 99}).status_code == 400
    assert client.put(address, json={"name": "priors", "sources": ["PEER"], "count": 9}).json()["count"] == 9
    assert hilum.hilum("prefetch", "remove", str(rule["rule_id"])).returncode == 0
    assert client.delete(address).status_code == 404


def test_readers_look_and_do_not_change(hilum: RunningHilum) -> None:
    made = hilum.hilum("user", "create", "reader", "--role", "reader")
    assert made.returncode == 0, made
    token = hilum.hilum("token", "create", "test", "--user", "reader").stdout.strip()
    with httpx2.Client(base_url=hilum.url, headers={"Authorization": f"Bearer {token}"}) as reader:
        for path in ("forwarding/rules", "forwarding/destinations", "forwarding/studies", "prefetch/rules"):
            assert reader.get(f"/api/{path}").status_code == 200
        rule = {"name": "x", "destinations": ["PEER"]}
        for answer in (
            reader.get("/api/jobs"),
            reader.post("/api/jobs/1/cancel"),
            reader.post("/api/jobs/1/retry"),
            reader.post("/api/forwarding/rules", json=rule),
            reader.delete("/api/forwarding/rules/1"),
            reader.post("/api/forwarding/destinations/PEER/hold"),
            reader.post("/api/forwarding/destinations/PEER/cancel", json={}),
            reader.post("/api/forwarding/studies/1.2", json={"destination": "PEER"}),
            reader.post("/api/prefetch/rules", json={"name": "x", "sources": ["PEER"]}),
        ):
            assert answer.status_code == 403, json.dumps(answer.json())
