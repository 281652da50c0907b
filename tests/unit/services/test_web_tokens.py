"""JSON web tokens: which are believed, and the keys they are checked by."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from hilum.kernel.errors import Forbidden, InvalidInput
from hilum.kernel.limits import MAX_WEB_TOKEN_BYTES, WEB_TOKEN_LEEWAY_S
from hilum.services.web_tokens import WebTokens

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ISSUER = "https://issuer.example.org"


class _Clock:
    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 0.0


def key_set(*keys: Key) -> str:
    return json.dumps({"keys": [key.as_dict(private=False) for key in keys]})


def verifier(path: Path, **options: Any) -> WebTokens:
    return WebTokens(path, **{"issuer": ISSUER, "audience": "hilum", "user_claim": "sub", "clock": _Clock(), **options})


def signed(key: Key, algorithm: str, **claims: Any) -> str:
    body = {"iss": ISSUER, "aud": ["others", "hilum"], "sub": "jane", "exp": int(NOW.timestamp()) + 60} | claims
    body = {name: value for name, value in body.items() if value is not None}
    header = {"alg": algorithm} | ({"kid": key.kid} if key.kid else {})
    return jwt.encode(header, body, key, algorithms=[algorithm])


@pytest.fixture(scope="module")
def rsa() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": "rsa"})


@pytest.mark.parametrize("algorithm", ["RS256", "PS384", "ES256", "Ed25519"])
def test_a_token_signed_by_a_key_of_the_issuer_names_its_user(rsa: RSAKey, tmp_path: Path, algorithm: str) -> None:
    keys: dict[str, Key] = {
        "RS256": rsa,
        "PS384": rsa,
        "ES256": ECKey.generate_key("P-256", {"kid": "ec"}),
        "Ed25519": OKPKey.generate_key("Ed25519", {"kid": "okp"}),
    }
    path = tmp_path / "keys.json"
    path.write_text(key_set(rsa, keys["ES256"], keys["Ed25519"]))
    assert verifier(path).user_of(signed(keys[algorithm], algorithm)) == "jane"


@pytest.mark.parametrize("kind", ["one key", "PEM"])
def test_a_single_key_will_do(rsa: RSAKey, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "key"
    path.write_text(json.dumps(rsa.as_dict(private=False)) if kind == "one key" else rsa.as_pem(private=False).decode())
    bare = RSAKey.import_key(rsa.as_pem(private=True))
    assert verifier(path).user_of(signed(rsa if kind == "one key" else bare, "RS256")) == "jane"


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://elsewhere.example.org"},
        {"iss": None},
        {"aud": "others"},
        {"aud": None},
        {"exp": int(NOW.timestamp()) - WEB_TOKEN_LEEWAY_S - 1},
        {"exp": None},
        {"exp": "tomorrow"},
        {"nbf": int(NOW.timestamp()) + WEB_TOKEN_LEEWAY_S + 1},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
    ],
)
def test_a_token_that_says_something_else_is_refused(rsa: RSAKey, tmp_path: Path, claims: dict[str, Any]) -> None:
    path = tmp_path / "keys.json"
    path.write_text(key_set(rsa))
    with pytest.raises(Forbidden):
        verifier(path).user_of(signed(rsa, "RS256", **claims))


def test_the_clock_of_the_issuer_may_differ_a_little(rsa: RSAKey, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(key_set(rsa))
    assert verifier(path).user_of(signed(rsa, "RS256", exp=int(NOW.timestamp()) - WEB_TOKEN_LEEWAY_S + 5)) == "jane"


def test_the_user_is_named_by_the_claim_that_is_set(rsa: RSAKey, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(key_set(rsa))
    tokens = verifier(path, user_claim="preferred_username", audience="")
    assert tokens.user_of(signed(rsa, "RS256", preferred_username="doe", aud=None)) == "doe"
    with pytest.raises(Forbidden):
        tokens.user_of(signed(rsa, "RS256"))


def test_a_token_signed_with_a_shared_secret_or_not_at_all_is_refused(rsa: RSAKey, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    public = rsa.as_pem(private=False)
    path.write_bytes(public)
    tokens = verifier(path)
    # The classic confusion: the public key taken for the secret of an HMAC.
    secret = OctKey.import_key(json.dumps({"kty": "oct", "k": OctKey.import_key(b"x" * 64).as_dict()["k"]}))
    for token in (signed(secret, "HS256"), signed(rsa, "RS256").rsplit(".", 1)[0] + "."):
        with pytest.raises(Forbidden):
            tokens.user_of(token)
    header, body, _ = signed(rsa, "RS256").split(".")
    unsigned = "eyJhbGciOiJub25lIn0"  # {"alg":"none"}
    for token in (f"{unsigned}.{body}.", f"{header}.{body}", "", "...", "a" * (MAX_WEB_TOKEN_BYTES + 1), "\0.é.ü"):
        with pytest.raises(Forbidden):
            tokens.user_of(token)


def test_changed_keys_are_used_and_broken_ones_are_not(rsa: RSAKey, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    new = ECKey.generate_key("P-256", {"kid": "new"})
    path.write_text(key_set(rsa))
    tokens = verifier(path)
    path.write_text("{half")
    os.utime(path, (1, 1))
    assert tokens.user_of(signed(rsa, "RS256")) == "jane"
    path.unlink()
    assert tokens.user_of(signed(rsa, "RS256")) == "jane"
    path.write_text(key_set(new))
    os.utime(path, (2, 2))
    assert tokens.user_of(signed(new, "ES256")) == "jane"
    with pytest.raises(Forbidden):
        tokens.user_of(signed(rsa, "RS256"))


@pytest.mark.parametrize(
    "content", ["", "{}", "{half", '{"keys": []}', "-----BEGIN PUBLIC KEY-----\nx\n", '{"keys": 1}']
)
def test_a_file_without_keys_is_refused_at_the_start(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(content)
    with pytest.raises(InvalidInput):
        verifier(path)
    with pytest.raises(InvalidInput, match="missing"):
        verifier(tmp_path / "missing")


def test_a_shared_secret_is_no_key_of_an_issuer(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [OctKey.import_key(b"x" * 64).as_dict()]}))
    with pytest.raises(InvalidInput):
        verifier(path)
