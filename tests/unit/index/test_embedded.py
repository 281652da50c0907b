"""The embedded server's life: start, adoption, death, stop."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from hilum.index.embedded import EmbeddedPostgres
from hilum.index.server_process import (
    ServerUser,
    check_reachable,
    is_server_process,
    read_pid_file,
    socket_folder,
)
from hilum.kernel.errors import Unavailable
from support.database import open_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as opened:
        yield opened / "data"


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedPostgres]:
    started = EmbeddedPostgres(folder)
    started.start()
    yield started
    started.stop()


def server_process(folder: Path) -> int:
    pid_file = read_pid_file(folder / "postgres" / "data")
    assert pid_file is not None
    return pid_file.process_id


def wait_for_death(server: EmbeddedPostgres) -> None:
    deadline = time.monotonic() + 10
    while server.is_alive():
        assert time.monotonic() < deadline
        time.sleep(0.01)


async def ask(server: EmbeddedPostgres, sql: str) -> object:
    connection = await asyncpg.connect(**server.app_address().connect_arguments())
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_the_server_answers_on_its_socket_alone_and_keeps_its_promises(server: EmbeddedPostgres) -> None:
    assert server.is_alive()
    assert await ask(server, "SELECT current_user::text") == "hilum_app"
    assert await ask(server, "SHOW listen_addresses") == ""
    assert await ask(server, "SHOW fsync") == "on"
    assert await ask(server, "SHOW synchronous_commit") == "on"
    assert int(str(await ask(server, "SHOW max_connections"))) >= 100


def test_what_lies_in_the_folder_is_closed_to_others(server: EmbeddedPostgres, folder: Path) -> None:
    inside = folder / "postgres"
    for closed in ("data", "socket", "credentials.json", "server.log"):
        assert stat.S_IMODE((inside / closed).stat().st_mode) & 0o077 == 0, closed
    assert stat.S_IMODE(inside.stat().st_mode) & 0o066 == 0
    assert "scram-sha-256" in (inside / "data" / "pg_hba.conf").read_text()
    assert "trust" not in (inside / "data" / "pg_hba.conf").read_text()


async def test_a_killed_server_is_noticed_and_comes_back_with_what_was_committed(
    server: EmbeddedPostgres, folder: Path
) -> None:
    connection = await asyncpg.connect(**server.owner_address().connect_arguments())
    await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer; GRANT SELECT ON kept TO hilum_app")
    os.kill(server_process(folder), signal.SIGKILL)
    connection.terminate()
    await asyncio.to_thread(wait_for_death, server)
    server.start()
    assert server.is_alive()
    assert await ask(server, "SELECT answer FROM kept") == 42


async def test_a_server_whose_starter_was_killed_is_adopted_and_stopped_by_the_last_user(folder: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from hilum.index.embedded import EmbeddedPostgres; "
        "EmbeddedPostgres(Path(sys.argv[1])).start(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", script, str(folder)], check=False)
    left_behind = server_process(folder)
    assert is_server_process(left_behind)
    one, two = EmbeddedPostgres(folder), EmbeddedPostgres(folder)
    one.start()
    two.start()
    assert server_process(folder) == left_behind
    one.stop()
    assert await ask(two, "SELECT 1") == 1
    two.stop()
    two.stop()
    assert not is_server_process(left_behind)


def test_the_pid_of_a_predecessor_that_now_is_another_program_is_no_obstacle(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    server.start()
    pid_file = folder / "postgres" / "data" / "postmaster.pid"
    text = pid_file.read_text()
    server.stop()
    owner = pid_file.parent.stat()
    pid_file.write_text(text.replace(text.splitlines()[0], str(os.getpid()), 1))
    os.chown(pid_file, owner.st_uid, owner.st_gid)
    server.start()
    assert server.is_alive()
    server.stop()


def test_addresses_are_there_only_after_the_start(folder: Path) -> None:
    with pytest.raises(Unavailable):
        EmbeddedPostgres(folder).app_address()


def test_data_of_another_release_of_postgresql_are_left_alone(server: EmbeddedPostgres, folder: Path) -> None:
    server.stop()
    version = folder / "postgres" / "data" / "PG_VERSION"
    ours = version.read_text()
    version.write_text("9\n")
    try:
        with pytest.raises(Unavailable, match="made by PostgreSQL 9"):
            server.start()
    finally:
        version.write_text(ours)


def test_a_closed_folder_on_the_way_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    stranger = ServerUser(user_id=54_321, group_id=54_321, name="stranger")
    with pytest.raises(Unavailable, match="who cannot enter") as caught:
        check_reachable(closed / "postgres", stranger)
    assert caught.value.reason_code == "folder-closed"
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


def test_a_path_too_long_for_a_socket_is_replaced_by_a_short_one(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    folder = socket_folder(deep, ServerUser(None, None, "me"))
    try:
        assert len(os.fsencode(folder)) < 90
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert socket_folder(deep, ServerUser(None, None, "me")) == folder
    finally:
        folder.rmdir()


def test_a_stranger_s_file_in_place_of_the_socket_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "socket").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unavailable, match="belongs to someone else"):
        socket_folder(tmp_path, ServerUser(None, None, "me"))
