"""Who is calling: sign in by password, HTTP Basic, bearer token or session.

Passwords are kept as argon2id hashes; hashing runs off the event loop, few at a time, for each takes 64 MiB. Secrets
of tokens and sessions are random and kept as SHA-256 digests. A password that was right a moment ago is remembered
(keyed by a random key of this process) so that HTTP Basic does not pay for argon2 with every request.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from hilum.archive.model import Principal, Role
from hilum.archive.ports import Accounts, Token, User
from hilum.kernel.clock import Clock
from hilum.kernel.errors import Forbidden, HilumError, InvalidInput, LimitExceeded, Unavailable
from hilum.kernel.ids import new_secret
from hilum.kernel.limits import (
    MAX_PASSWORD_CHECKS,
    MAX_PASSWORD_LENGTH,
    MAX_SIGN_IN_FAILURES,
    MAX_USER_NAME_LENGTH,
    MIN_PASSWORD_LENGTH,
    SIGN_IN_FAILURE_WINDOW_S,
)

_REMEMBER_PASSWORD_S = 60.0
_REMEMBERED_PASSWORDS = 10_000
_TRACKED_FAILURES = 10_000
TOKEN_PREFIX = "hilum_"  # noqa: S105 - marks our tokens, so that scanners for leaked secrets find them


def digest_of(secret: str) -> bytes:
    """Return the SHA-256 digest under which a token or session is kept."""
    return hashlib.sha256(secret.encode()).digest()


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session: its secret goes into the cookie and nowhere else."""

    principal: Principal
    secret: str


class IdentityService:
    """Proves who someone is; decides nothing about what they may do."""

    def __init__(
        self,
        accounts: Accounts,
        clock: Clock,
        *,
        session_lifetime: timedelta = timedelta(hours=12),
        observe: Callable[[str, str], None] = lambda _way, _result: None,
    ) -> None:
        self._accounts = accounts
        self._clock = clock
        self._session_lifetime = session_lifetime
        self._observe = observe
        self._hasher = PasswordHasher()
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")
        self._key = secrets.token_bytes(32)
        self._remembered: OrderedDict[bytes, tuple[float, Principal]] = OrderedDict()
        self._checking: dict[bytes, asyncio.Task[Principal]] = {}
        self._waiting = 0
        self._failures: OrderedDict[str, list[float]] = OrderedDict()
        self._nobody = self._hasher.hash(secrets.token_hex(16))

    async def sign_in(self, name: str, password: str, peer: str) -> SignedIn:
        """Open a session for the right password.

        Raises:
            Forbidden: name and password do not fit together (which of them is wrong is not told).
            LimitExceeded: too many failures of late for this name or from this address.
            Unavailable: too many sign in at this moment, or the database is away.
        """
        principal = await self._check_password(name, password, peer, way="password")
        secret = new_secret()
        await self._accounts.create_session(
            principal.user_id, digest_of(secret), self._clock.now() + self._session_lifetime
        )
        return SignedIn(principal, secret)

    async def by_password(self, name: str, password: str, peer: str) -> Principal:
        """Return who sends this name and password with every request (HTTP Basic).

        Raises:
            Forbidden, LimitExceeded, Unavailable: as `sign_in`.
        """
        memory = hmac.digest(self._key, f"{name}\0{password}".encode(), "sha256")
        known = self._remembered.get(memory)
        if known and known[0] > self._clock.monotonic():
            return known[1]
        # A program's parallel requests carry the same words: they are checked once for all of them.
        key = memory + peer.encode()
        task = self._checking.get(key)
        if task is None:
            task = asyncio.create_task(self._check_and_remember(memory, name, password, peer))
            self._checking[key] = task
            task.add_done_callback(lambda _: self._checking.pop(key, None))
        return await asyncio.shield(task)

    async def by_token(self, secret: str) -> Principal:
        """Return whose bearer token this is.

        Raises:
            Forbidden: the token is unknown, revoked or expired.
        """
        principal = await self._accounts.principal_of_token(digest_of(secret), self._clock.now())
        if principal is None:
            self._observe("token", "refused")
            raise Forbidden("the bearer token is unknown, revoked or expired", code="credentials")
        return principal

    async def by_vouched_name(self, name: str) -> Principal:
        """Return whose account this is: that it is them, somebody else has proved.

        Raises:
            Forbidden: there is no such account, or it is switched off.
        """
        user = await self._accounts.find_user(name) if _is_plausible(name) else None
        if user is None or not user.is_enabled:
            self._observe("vouched", "refused")
            raise Forbidden("there is no such account", code="credentials")
        self._observe("vouched", "accepted")
        return Principal(user.user_id, user.name, user.tenant, user.roles)

    async def by_session(self, secret: str) -> Principal | None:
        """Return whose live session this is, or None."""
        return await self._accounts.principal_of_session(digest_of(secret), self._clock.now())

    async def sign_out(self, secret: str) -> None:
        """End the session."""
        await self._accounts.end_session(digest_of(secret))

    async def create_user(self, name: str, password: str, roles: frozenset[Role], tenant_id: int) -> User:
        """Create an account with a password.

        Raises:
            InvalidInput: the password is too short or too long, or the name cannot be one.
            Conflict: the name is taken.
        """
        if not name.strip() or not _is_plausible(name):
            raise InvalidInput(f"a user's name has 1 to {MAX_USER_NAME_LENGTH} characters", code="user-name")
        return await self._accounts.create_user(name, tenant_id, roles, await self.hash_password(password))

    async def create_token(self, user: User, name: str, lifetime: timedelta | None) -> tuple[Token, str]:
        """Create a bearer token; its secret is returned this once."""
        secret = TOKEN_PREFIX + new_secret()
        expires = self._clock.now() + lifetime if lifetime else None
        return await self._accounts.create_token(user.user_id, name, digest_of(secret), expires), secret

    async def hash_password(self, password: str) -> str:
        """Return the encoded argon2id hash.

        Raises:
            InvalidInput: the password is too short or too long.
        """
        if not MIN_PASSWORD_LENGTH <= len(password) <= MAX_PASSWORD_LENGTH:
            raise InvalidInput(
                f"a password has {MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters", code="password"
            )
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._hasher.hash, password)

    def close(self) -> None:
        """Let go of the hashing threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _check_and_remember(self, memory: bytes, name: str, password: str, peer: str) -> Principal:
        principal = await self._check_password(name, password, peer, way="basic")
        self._remembered[memory] = (self._clock.monotonic() + _REMEMBER_PASSWORD_S, principal)
        while len(self._remembered) > _REMEMBERED_PASSWORDS:
            self._remembered.popitem(last=False)
        return principal

    async def _check_password(self, name: str, password: str, peer: str, *, way: str) -> Principal:
        now = self._clock.monotonic()
        keys = (f"name:{name.casefold()[:100]}@{peer}", f"peer:{peer}")
        for key in keys:
            self._refuse_guessing(key, now, way)
        if self._waiting >= MAX_PASSWORD_CHECKS:
            self._observe(way, "throttled")
            raise Unavailable("too many are signing in at this moment; try again", code="sign-in-busy")
        # Counts as a failure until it is none: attempts made at the same time are not free either.
        for key in keys:
            self._failures.setdefault(key, []).append(now)
            self._failures.move_to_end(key)
        while len(self._failures) > _TRACKED_FAILURES:
            self._failures.popitem(last=False)
        self._waiting += 1
        try:
            user = await self._user_with(name, password)
        except HilumError:
            self._forgive(keys, now)
            raise
        finally:
            self._waiting -= 1
        if user is None:
            self._observe(way, "refused")
            raise Forbidden("name and password do not fit together", code="credentials")
        self._forgive(keys[1:], now)
        self._failures.pop(keys[0], None)
        self._observe(way, "accepted")
        return Principal(user.user_id, user.name, user.tenant, user.roles)

    async def _user_with(self, name: str, password: str) -> User | None:
        """Return the account whose name and password these are; it takes as long when there is none."""
        is_possible = _is_plausible(name) and len(password) <= MAX_PASSWORD_LENGTH
        user = await self._accounts.find_user(name) if is_possible else None
        encoded = user.password_hash if user and user.password_hash else self._nobody
        is_right = await asyncio.get_running_loop().run_in_executor(
            self._threads, self._verify, encoded, password[:MAX_PASSWORD_LENGTH]
        )
        return user if is_right and user is not None and user.password_hash and user.is_enabled else None

    def _forgive(self, keys: Sequence[str], at: float) -> None:
        """Take back one attempt that was counted as a failure."""
        for key in keys:
            if at in (attempts := self._failures.get(key, [])):
                attempts.remove(at)

    def _refuse_guessing(self, key: str, now: float, way: str) -> None:
        recent = [at for at in self._failures.get(key, ()) if now - at < SIGN_IN_FAILURE_WINDOW_S]
        if recent:
            self._failures[key] = recent
        else:
            self._failures.pop(key, None)
        allowed = MAX_SIGN_IN_FAILURES if key.startswith("name:") else 5 * MAX_SIGN_IN_FAILURES
        if len(recent) >= allowed:
            self._observe(way, "throttled")
            raise LimitExceeded("too many failed attempts to sign in; try again later", code="sign-in-failures")

    def _verify(self, encoded: str, password: str) -> bool:
        try:
            return self._hasher.verify(encoded, password)
        except (VerifyMismatchError, InvalidHashError):
            return False


def _is_plausible(name: str) -> bool:
    return len(name) <= MAX_USER_NAME_LENGTH and "\0" not in name
