"""What an entry of the registry may look like."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hilum.archive.remotes import RemoteAe
from hilum.kernel.errors import InvalidInput
from hilum.policies.remotes import sound

ENTRY = RemoteAe(0, 1, "CT1")
FINGERPRINT = "0123456789abcdef" * 4


def _with(**fields: Any) -> RemoteAe:
    return replace(ENTRY, **fields)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"ae_title": " CT 1 "}, {"ae_title": "CT 1"}),
        ({"host": " ct1.example.org ", "port": 104}, {"host": "ct1.example.org", "port": 104}),
        ({"host": "2001:db8::1", "port": 65535}, {"host": "2001:db8::1", "port": 65535}),
        ({"host": "", "network": "", "site": " ", "certificate": "", "character_set": ""}, {}),
        ({"network": "192.0.2.77/24"}, {"network": "192.0.2.0/24"}),
        ({"network": "192.0.2.77"}, {"network": "192.0.2.77"}),
        ({"network": "192.0.2.77/32"}, {"network": "192.0.2.77"}),
        ({"certificate": FINGERPRINT.upper(), "uses_tls": True}, {"certificate": FINGERPRINT, "uses_tls": True}),
        (
            {
                "certificate": "SHA256:" + ":".join(FINGERPRINT[at : at + 2] for at in range(0, 64, 2)),
                "uses_tls": True,
            },
            {"certificate": FINGERPRINT, "uses_tls": True},
        ),
        ({"character_set": "ISO_IR 192"}, {"character_set": "ISO_IR 192"}),
        ({"character_set": "\\ISO 2022 IR 87"}, {"character_set": "\\ISO 2022 IR 87"}),
        (
            {"transfer_syntaxes": ("1.2.840.10008.1.2", "1.2.840.10008.1.2")},
            {"transfer_syntaxes": ("1.2.840.10008.1.2",)},
        ),
        ({"site": "Süd", "description": " Raum 1 "}, {"site": "Süd", "description": "Raum 1"}),
    ],
)
def test_an_entry_is_kept_in_normal_form(given: dict[str, Any], kept: dict[str, Any]) -> None:
    assert sound(_with(**given)) == _with(**kept)
    assert sound(sound(_with(**given))) == _with(**kept)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"ae_title": ""}, "ae_title"),
        ({"ae_title": "   "}, "ae_title"),
        ({"ae_title": "SEVENTEEN_LETTERS"}, "ae_title"),
        ({"ae_title": "CT\\1"}, "ae_title"),
        ({"ae_title": "CT\n1"}, "ae_title"),
        ({"ae_title": "ÄRZTE"}, "ae_title"),
        ({"host": "ct1.example.org"}, "port"),
        ({"port": 104}, "port"),
        ({"host": "ct1.example.org", "port": 0}, "port"),
        ({"host": "ct1.example.org", "port": 65536}, "port"),
        ({"host": "-x", "port": 104}, "host"),
        ({"host": "a b", "port": 104}, "host"),
        ({"host": "a\nb", "port": 104}, "host"),
        ({"host": "x" * 254, "port": 104}, "host"),
        ({"network": "192.0.2.0/33"}, "network"),
        ({"network": "ct1.example.org"}, "network"),
        ({"certificate": "ab" * 31, "uses_tls": True}, "certificate"),
        ({"certificate": "zz" * 32, "uses_tls": True}, "certificate"),
        ({"certificate": FINGERPRINT}, "certificate"),
        ({"character_set": "ISO_IR 1"}, "character_set"),
        ({"character_set": "UTF-8"}, "character_set"),
        ({"transfer_syntaxes": ("1.2.3",)}, "transfer_syntaxes"),
        ({"transfer_syntaxes": ("1.2.840.10008.1.2",) * 65}, "transfer_syntaxes"),
        ({"site": "x" * 65}, "site"),
        ({"description": "a\x00b"}, "description"),
        ({"max_associations": 0}, "max_associations"),
        ({"max_associations": 33}, "max_associations"),
    ],
)
def test_an_entry_that_cannot_be_is_refused_by_the_name_of_its_field(given: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{field} ") as caught:
        sound(_with(**given))
    assert caught.value.facts["attribute"] == field
