"""JSON web tokens of an issuer we trust: who they speak of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey

from hilum.kernel.clock import Clock
from hilum.kernel.errors import Forbidden, InvalidInput
from hilum.kernel.limits import MAX_WEB_TOKEN_BYTES, WEB_TOKEN_LEEWAY_S

# Signatures by a private key only: with a shared secret whoever verifies could also issue.
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519")
_KEY_TYPES: Final = (RSAKey, ECKey, OKPKey)


class WebTokens:
    """Verifies tokens by the public keys of one issuer. The file of the keys is read anew when it has changed.

    Args:
        keys: file of the issuer's public keys: a JSON Web Key Set, or one public key as PEM.
        issuer: what the claim `iss` has to be.
        audience: what `aud` has to name; empty for not looking at it.
        user_claim: the claim that names the account.

    Raises:
        InvalidInput: the file cannot be used.
    """

    def __init__(self, keys: Path, *, issuer: str, audience: str, user_claim: str, clock: Clock) -> None:
        self._path = keys
        self._issuer = issuer
        self._audience = audience
        self._user_claim = user_claim
        self._clock = clock
        self._stamp: object = None
        self._keys = self._read()

    def user_of(self, token: str) -> str:
        """Return the name of the account a token speaks of.

        Raises:
            Forbidden: the token is none of the issuer's, not for us, or not valid now.

        Reference: RFC 7519 §7.2
        """
        if len(token) > MAX_WEB_TOKEN_BYTES:
            raise Forbidden("the web token is too long", code="web-token-length")
        wanted: dict[str, Any] = {
            "iss": {"essential": True, "value": self._issuer},
            "exp": {"essential": True},
            self._user_claim: {"essential": True},
        }
        if self._audience:
            wanted["aud"] = {"essential": True, "value": self._audience}
        now = int(self._clock.now().timestamp())
        try:
            claims = jwt.decode(token, self._current_keys(), algorithms=list(ALGORITHMS)).claims
            jwt.JWTClaimsRegistry(now=now, leeway=WEB_TOKEN_LEEWAY_S, **wanted).validate(claims)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise Forbidden("the web token is not valid here and now", code="web-token") from error
        user = claims[self._user_claim]
        if not isinstance(user, str) or not user:
            raise Forbidden("the web token names no user", code="web-token")
        return user

    def _current_keys(self) -> KeySet:
        try:
            found = self._path.stat()
            if (found.st_mtime_ns, found.st_size, found.st_ino) != self._stamp:
                self._keys = self._read()
        except (OSError, InvalidInput):
            pass  # half written, or away for a moment: the keys we have are still the issuer's
        return self._keys

    def _read(self) -> KeySet:
        try:
            found = self._path.stat()
            keys = _keys_of(self._path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"cannot read the keys {self._path}", code="web-token-keys") from error
        self._stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        return keys


def _keys_of(text: str) -> KeySet:
    if text.lstrip().startswith("{"):
        try:
            document = json.loads(text)
            keys = KeySet.import_key_set(document if "keys" in document else {"keys": [document]})
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise InvalidInput("the keys are no JSON Web Key Set", code="web-token-keys") from error
        public: list[Key] = [key for key in keys.keys if isinstance(key, _KEY_TYPES)]
    else:
        public = []
        for kind in _KEY_TYPES:
            try:
                public.append(kind.import_key(text))
                break
            except (JoseError, ValueError, TypeError, AttributeError):
                continue
    if not public:
        raise InvalidInput("the keys hold no public key of RSA, EC or OKP", code="web-token-keys")
    return KeySet(public)
