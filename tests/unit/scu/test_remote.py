"""Whom to call: the form of addresses and titles."""

from __future__ import annotations

import pytest

from hilum.kernel.errors import InvalidInput
from hilum.scu.remote import Remote, check_ae_title


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PACS@archive.example:104", Remote("PACS", "archive.example", 104)),
        (" PACS @127.0.0.1:11112", Remote("PACS", "127.0.0.1", 11112)),
        ("A@B@host:1", Remote("A@B", "host", 1)),
        ("PACS@[::1]:104", Remote("PACS", "::1", 104)),
    ],
)
def test_a_remote_is_title_host_and_port(text: str, expected: Remote) -> None:
    assert Remote.parse(text) == expected


@pytest.mark.parametrize(
    "text", ["", "PACS", "PACS@host", "host:104", "PACS@:104", "PACS@host:x", "PACS@host:0", "PACS@host:65536", "@h:1"]
)
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        Remote.parse(text)


@pytest.mark.parametrize("title", ["", "   ", "A" * 17, "A\\B", "TÜV", "A\nB"])
def test_what_is_no_ae_title_is_refused(title: str) -> None:
    with pytest.raises(InvalidInput):
        check_ae_title(title)
