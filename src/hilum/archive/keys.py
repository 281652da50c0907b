"""Where blobs lie: keys made of our own words, never of a peer's text."""

from __future__ import annotations

import hashlib
import re

from hilum.kernel.errors import InvalidInput
from hilum.kernel.limits import MAX_BLOB_KEY_LENGTH

_KEY = re.compile(r"[0-9a-z_-][0-9a-z._-]*(?:/[0-9a-z_-][0-9a-z._-]*)*")


def instance_blob_key(tenant_id: int, study_instance_uid: str, blob_name: str) -> str:
    """Return the key of an instance's Part 10 file: `t{tenant}/{2 hex}/{32 hex of the study}/{name}.dcm`.

    The instances of a study lie together and studies spread evenly; the UID itself, which a peer chose, is hashed.
    """
    study = hashlib.sha256(study_instance_uid.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"t{tenant_id}/{study[:2]}/{study}/{blob_name}.dcm"


def require_blob_key(key: str) -> str:
    """Return the key unchanged if it cannot lead outside the store.

    Raises:
        InvalidInput: other characters than 0-9 a-z . _ - and slashes between words, a word that is empty or begins
            with a dot, or more than `limits.MAX_BLOB_KEY_LENGTH` characters.
    """
    if len(key) > MAX_BLOB_KEY_LENGTH or _KEY.fullmatch(key) is None:
        raise InvalidInput("this is no key of a blob", code="blob-key")
    return key
