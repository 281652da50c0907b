"""Buckets: configuration and a service that does not answer; the rest is the contract's."""

from __future__ import annotations

import socket

import pytest

from hilum.kernel.errors import InvalidInput, Unavailable
from hilum.objectstore import ObjectStore, open_object_store


@pytest.mark.parametrize("url", ["", "file:///etc", "http://127.0.0.1/x", "memory:///", "ftp://x/y", "nonsense"])
def test_other_stores_are_refused(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        open_object_store(url)
    assert caught.value.reason_code == "storage-url"


@pytest.mark.parametrize("url", ["s3://bucket", "s3://bucket/some/prefix", "gs://bucket/prefix"])
def test_buckets_are_opened_without_a_request(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert isinstance(open_object_store(url), ObjectStore)


async def test_a_service_that_does_not_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        store = open_object_store(
            "s3://bucket", endpoint=f"http://127.0.0.1:{unused.getsockname()[1]}", allow_http=True
        )
        for calling in (store.put("a", [b""]), store.read("a"), store.read("a", 1, 2), store.delete("a")):
            with pytest.raises(Unavailable):
                await calling
