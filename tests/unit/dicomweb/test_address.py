"""Absolute addresses are those under which the client came."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from hilum.dicomweb.address import Target, base_url, target_of
from hilum.kernel.errors import InvalidInput


def request(host: str, server: tuple[str, int] | None = ("127.0.0.1", 8080), scheme: str = "http") -> Request:
    return Request(
        {
            "type": "http", "method": "GET", "path": "/dicom-web/studies", "root_path": "/dicom-web", "scheme": scheme,
            "headers": [(b"host", host.encode())], "query_string": b"", "server": server,
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("host", "scheme", "expected"),
    [
        ("pacs.example.org", "https", "https://pacs.example.org/dicom-web"),
        ("pacs.example.org:8443", "https", "https://pacs.example.org:8443/dicom-web"),
        ("127.0.0.1:8080", "http", "http://127.0.0.1:8080/dicom-web"),
        ("127.0.0.1", "http", "http://127.0.0.1:8080/dicom-web"),
    ],
)
def test_base_is_what_the_client_called(host: str, scheme: str, expected: str) -> None:
    assert base_url(request(host, scheme=scheme)) == expected


def test_default_port_is_not_written() -> None:
    assert base_url(request("10.0.0.1", ("10.0.0.1", 80))) == "http://10.0.0.1/dicom-web"


def test_target_has_its_address() -> None:
    assert Target("1", "2", "3").url("http://x") == "http://x/studies/1/series/2/instances/3"


@pytest.mark.parametrize("uid", ["", "1.2.x", "1" * 65, "../1", "1%00", "1,2"])
def test_what_is_no_uid_is_refused_without_being_repeated(uid: str) -> None:
    asking = request("x")
    asking.scope["path_params"] = {"study": uid}
    with pytest.raises(InvalidInput) as refusal:
        target_of(asking)
    assert "study" in refusal.value.message
