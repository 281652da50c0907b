"""Signing in: passwords, tokens, sessions, and what guessing costs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from hilum.archive.model import Principal, Role, Tenant
from hilum.archive.ports import Token, User
from hilum.kernel.errors import Forbidden, InvalidInput, LimitExceeded, Unavailable
from hilum.kernel.limits import MAX_PASSWORD_CHECKS, MAX_SIGN_IN_FAILURES, SIGN_IN_FAILURE_WINDOW_S
from hilum.services.identity import IdentityService, digest_of

_TENANT = Tenant(1, "default")


class _Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


class _Accounts:
    """Accounts in memory; only what signing in needs."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self.sessions: dict[bytes, tuple[int, datetime]] = {}
        self.tokens: dict[bytes, tuple[int, datetime | None]] = {}
        self.lookups = 0

    async def find_user(self, name: str) -> User | None:
        self.lookups += 1
        return self.users.get(name.casefold())

    async def create_user(self, name: str, tenant_id: int, roles: frozenset[Role], password_hash: str | None) -> User:
        user = User(len(self.users) + 1, name, _TENANT, roles, password_hash)
        self.users[name.casefold()] = user
        return user

    async def create_session(self, user_id: int, secret_digest: bytes, expires_at: datetime) -> None:
        self.sessions[secret_digest] = (user_id, expires_at)

    async def principal_of_session(self, secret_digest: bytes, now: datetime) -> Principal | None:
        return self._live(*self.sessions.get(secret_digest, (0, now)), now)

    async def end_session(self, secret_digest: bytes) -> None:
        self.sessions.pop(secret_digest, None)

    async def create_token(self, user_id: int, name: str, secret_digest: bytes, expires_at: datetime | None) -> Token:
        self.tokens[secret_digest] = (user_id, expires_at)
        return Token(len(self.tokens), name, "", datetime(2026, 1, 1, tzinfo=UTC), expires_at, None)

    async def principal_of_token(self, secret_digest: bytes, now: datetime) -> Principal | None:
        return self._live(*self.tokens.get(secret_digest, (0, now)), now)

    def _live(self, user_id: int, expires_at: datetime | None, now: datetime) -> Principal | None:
        for user in self.users.values():
            if user.user_id == user_id and (expires_at is None or expires_at > now):
                return Principal(user.user_id, user.name, user.tenant, user.roles)
        return None


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def accounts() -> _Accounts:
    return _Accounts()


@pytest.fixture
async def identity(accounts: _Accounts, clock: _Clock) -> IdentityService:
    service = IdentityService(accounts, clock)  # type: ignore[arg-type]
    await service.create_user("Eva", "right password", frozenset({Role.READER}), 1)
    return service


async def test_right_password_opens_a_session_that_ends_in_time(identity: IdentityService, clock: _Clock) -> None:
    signed_in = await identity.sign_in("eva", "right password", "10.0.0.1")
    principal = await identity.by_session(signed_in.secret)
    assert principal is not None
    assert principal.name == "Eva"
    clock.seconds += 12 * 3600 + 1
    assert await identity.by_session(signed_in.secret) is None


async def test_session_ends_by_signing_out(identity: IdentityService) -> None:
    signed_in = await identity.sign_in("Eva", "right password", "10.0.0.1")
    await identity.sign_out(signed_in.secret)
    assert await identity.by_session(signed_in.secret) is None


async def test_wrong_password_and_unknown_name_are_answered_alike(identity: IdentityService) -> None:
    messages = set()
    for name, password in (("Eva", "wrong password"), ("Nobody", "right password")):
        with pytest.raises(Forbidden) as caught:
            await identity.sign_in(name, password, "10.0.0.1")
        messages.add(caught.value.message)
    assert len(messages) == 1


async def test_guessing_is_refused_and_others_are_not(identity: IdentityService, clock: _Clock) -> None:
    for _ in range(MAX_SIGN_IN_FAILURES):
        with pytest.raises(Forbidden):
            await identity.sign_in("Eva", "wrong password", "10.0.0.1")
    with pytest.raises(LimitExceeded):
        await identity.sign_in("Eva", "right password", "10.0.0.1")
    assert (await identity.sign_in("Eva", "right password", "10.0.0.2")).principal.name == "Eva"
    clock.seconds += SIGN_IN_FAILURE_WINDOW_S + 1
    assert (await identity.sign_in("Eva", "right password", "10.0.0.1")).principal.name == "Eva"


async def test_basic_credentials_are_checked_once_and_then_remembered_for_a_while(
    identity: IdentityService, accounts: _Accounts, clock: _Clock
) -> None:
    for _ in range(5):
        await identity.by_password("Eva", "right password", "10.0.0.1")
    assert accounts.lookups == 1
    clock.seconds += 61
    await identity.by_password("Eva", "right password", "10.0.0.1")
    assert accounts.lookups == 2
    with pytest.raises(Forbidden):
        await identity.by_password("Eva", "right passwor", "10.0.0.1")


async def test_changed_password_works_at_once_and_the_old_one_a_minute_at_most(
    identity: IdentityService, accounts: _Accounts, clock: _Clock
) -> None:
    await identity.by_password("Eva", "right password", "10.0.0.1")
    changed = await identity.hash_password("another password")
    accounts.users["eva"] = replace(accounts.users["eva"], password_hash=changed)
    await identity.by_password("Eva", "another password", "10.0.0.1")
    clock.seconds += 59
    # Asking with the old one does not prolong it.
    await identity.by_password("Eva", "right password", "10.0.0.1")
    clock.seconds += 2
    with pytest.raises(Forbidden):
        await identity.by_password("Eva", "right password", "10.0.0.1")


async def test_token_works_until_it_expires_and_is_kept_as_a_digest(
    identity: IdentityService, accounts: _Accounts, clock: _Clock
) -> None:
    _, secret = await identity.create_token(accounts.users["eva"], "robot", timedelta(days=1))
    assert list(accounts.tokens) == [digest_of(secret)]
    assert (await identity.by_token(secret)).name == "Eva"
    clock.seconds += 86_401
    with pytest.raises(Forbidden):
        await identity.by_token(secret)


@pytest.mark.parametrize("password", ["", "short", "x" * 257])
async def test_password_of_bad_length_is_refused(identity: IdentityService, password: str) -> None:
    with pytest.raises(InvalidInput):
        await identity.hash_password(password)


async def test_endless_password_does_not_reach_the_hash(identity: IdentityService) -> None:
    with pytest.raises(Forbidden):
        await identity.sign_in("Eva", "x" * 10_000_000, "10.0.0.1")


async def test_guesses_made_at_the_same_time_are_counted_too(identity: IdentityService, accounts: _Accounts) -> None:
    guesses = [identity.by_password("Eva", f"guess {number}", "10.0.0.1") for number in range(2 * MAX_SIGN_IN_FAILURES)]
    errors = await asyncio.gather(*guesses, return_exceptions=True)
    assert [type(error) for error in errors].count(LimitExceeded) == MAX_SIGN_IN_FAILURES
    assert accounts.lookups == MAX_SIGN_IN_FAILURES


async def test_parallel_requests_with_the_right_password_are_checked_once(
    identity: IdentityService, accounts: _Accounts
) -> None:
    requests = [identity.by_password("Eva", "right password", "10.0.0.1") for _ in range(3 * MAX_SIGN_IN_FAILURES)]
    assert {principal.name for principal in await asyncio.gather(*requests)} == {"Eva"}
    assert accounts.lookups == 1


async def test_only_so_many_passwords_wait_to_be_checked(identity: IdentityService, accounts: _Accounts) -> None:
    strangers = [identity.by_password("Eva", "a guess", f"10.0.1.{n}") for n in range(MAX_PASSWORD_CHECKS + 3)]
    errors = await asyncio.gather(*strangers, return_exceptions=True)
    assert [type(error) for error in errors].count(Unavailable) == 3
    assert accounts.lookups == MAX_PASSWORD_CHECKS
    assert (await identity.sign_in("Eva", "right password", "10.0.2.1")).principal.name == "Eva"


async def test_right_passwords_use_up_no_attempts(identity: IdentityService) -> None:
    for _ in range(6 * MAX_SIGN_IN_FAILURES):
        await identity.sign_in("Eva", "right password", "10.0.0.1")


async def test_attempts_while_the_database_is_away_are_not_held_against_anyone(
    identity: IdentityService, accounts: _Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_name: str) -> User | None:
        raise Unavailable("away")

    with monkeypatch.context() as broken:
        broken.setattr(accounts, "find_user", away)
        for _ in range(MAX_SIGN_IN_FAILURES):
            with pytest.raises(Unavailable):
                await identity.sign_in("Eva", "right password", "10.0.0.1")
    assert (await identity.sign_in("Eva", "right password", "10.0.0.1")).principal.name == "Eva"


@pytest.mark.parametrize("name", ["a\0b", "x" * 100_000])
async def test_impossible_name_does_not_reach_the_database(
    identity: IdentityService, accounts: _Accounts, name: str
) -> None:
    with pytest.raises(Forbidden):
        await identity.sign_in(name, "right password", "10.0.0.1")
    assert accounts.lookups == 0
