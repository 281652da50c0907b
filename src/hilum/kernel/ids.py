"""Identifiers of our own making."""

from __future__ import annotations

import secrets
import uuid


def new_blob_name() -> str:
    """Return a name no other blob has: 32 hexadecimal characters."""
    return uuid.uuid4().hex


def new_secret(byte_count: int = 32) -> str:
    """Return an unguessable URL-safe string made from `byte_count` random bytes."""
    return secrets.token_urlsafe(byte_count)


def new_uid() -> str:
    """Return a UID no other thing has, made from a random UUID (PS3.5 §B.2)."""
    return f"2.25.{uuid.uuid4().int}"


def new_number(digits: int) -> str:
    """Return a random number of that many digits, the first of which is no zero."""
    return str(secrets.randbelow(9 * 10 ** (digits - 1)) + 10 ** (digits - 1))
