"""The embedded server as a process of the operating system: its user, its folders, its pid file."""

from __future__ import annotations

import hashlib
import os
import platform
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hilum.kernel.errors import Unavailable

# PostgreSQL refuses to run as root, so as root another user runs it; the first of these that exists.
_SERVER_USERS: Final = ("hilum", "postgres", "nobody")
# A socket's path ends within `sun_path`: 108 bytes on Linux, 104 on macOS, with the closing NUL.
_MAX_SOCKET_PATH_BYTES: Final = 103
_SOCKET_NAME: Final = ".s.PGSQL.5432"


@dataclass(frozen=True, slots=True)
class ServerUser:
    """Who runs the server; `user_id` None is ourselves."""

    user_id: int | None
    group_id: int | None
    name: str

    @property
    def extra_groups(self) -> list[int] | None:
        """None of the groups root is in, for `subprocess`."""
        return None if self.user_id is None else []

    def owns_for_us(self, path: Path) -> None:
        """Make `path`, one of our own folders, the server's and closed to everyone else."""
        if self.user_id is not None and self.group_id is not None:
            os.chown(path, self.user_id, self.group_id)
        path.chmod(0o700)


def server_user(data_folder: Path) -> ServerUser:
    """Return who runs the server: ourselves, or, when we are root, the owner of its data or an unprivileged user.

    Raises:
        Unavailable: we are root and the machine has no unprivileged user to run the server.
    """
    if os.geteuid() != 0:
        return ServerUser(None, None, str(os.geteuid()))
    import pwd

    if (data_folder / "PG_VERSION").exists():
        owner = data_folder.stat()
        if owner.st_uid != 0:
            return ServerUser(owner.st_uid, owner.st_gid, str(owner.st_uid))
    for name in _SERVER_USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return ServerUser(entry.pw_uid, entry.pw_gid, name)
    raise Unavailable(
        "PostgreSQL does not run as root and this machine has none of the users hilum, postgres, nobody. "
        "Create one (useradd --system hilum) or run Hilum as an ordinary user.",
        code="no-server-user",
    )


def check_reachable(folder: Path, user: ServerUser) -> None:
    """Make sure the server's user can enter `folder`; permissions of folders that are not ours are left alone.

    Raises:
        Unavailable: some folder on the way is closed to that user; the message says which and what to do.
    """
    if user.user_id is None:
        return
    for parent in reversed(folder.resolve().parents):
        status = parent.stat()
        if status.st_uid == user.user_id:
            needed = stat.S_IXUSR
        elif status.st_gid == user.group_id:
            needed = stat.S_IXGRP
        else:
            needed = stat.S_IXOTH
        if not status.st_mode & needed:
            raise Unavailable(
                f"PostgreSQL does not run as root; it runs as user {user.name}, who cannot enter {parent}. "
                f"Choose a data folder elsewhere (/var/lib/hilum), run Hilum as an ordinary user, "
                f"or let others pass through: chmod o+x {parent}",
                code="folder-closed",
            )


def socket_folder(server_folder: Path, user: ServerUser) -> Path:
    """Return a folder for the socket that only the server's user (and root) may enter.

    It lies beside the data; where that makes the path too long for a socket, in the folder for temporary files.

    Raises:
        Unavailable: the folder for temporary files holds something of that name that is not ours.
    """
    folder = server_folder / "socket"
    if len(os.fsencode(folder / _SOCKET_NAME)) > _MAX_SOCKET_PATH_BYTES:
        digest = hashlib.sha256(os.fsencode(server_folder.resolve())).hexdigest()[:16]
        folder = Path(tempfile.gettempdir()) / f"hilum-{digest}"
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        status = folder.lstat()
        owner = os.geteuid() if user.user_id is None else user.user_id
        if not stat.S_ISDIR(status.st_mode) or status.st_uid not in (owner, os.geteuid()):
            raise Unavailable(f"{folder} belongs to someone else; remove it.", code="foreign-folder") from None
    user.owns_for_us(folder)
    return folder


@dataclass(frozen=True, slots=True)
class PidFile:
    """What the server wrote about itself into `postmaster.pid`."""

    process_id: int
    socket_folder: str
    is_ready: bool


def read_pid_file(data_folder: Path) -> PidFile | None:
    """Return the content of the server's pid file, or None without one (or with one half written)."""
    try:
        lines = (data_folder / "postmaster.pid").read_text().splitlines()
        return PidFile(
            process_id=int(lines[0]),
            socket_folder=lines[4] if len(lines) > 4 else "",
            is_ready=len(lines) > 7 and lines[7].strip() == "ready",
        )
    except (FileNotFoundError, IndexError, ValueError):
        return None


def is_server_process(process_id: int) -> bool:
    """Return whether that process lives and is a PostgreSQL server; numbers are reused, in containers at once."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        state = Path(f"/proc/{process_id}/stat").read_text()
    except FileNotFoundError:
        # No /proc (macOS): ask ps. A process that ended meanwhile is none either.
        if platform.system() == "Linux":
            return False
        answer = subprocess.run(
            ["/bin/ps", "-o", "comm=", "-p", str(process_id)], capture_output=True, text=True, check=False
        )
        return "postgres" in answer.stdout
    # "pid (comm) state ...": a zombie has ended already.
    comm, _, rest = state.partition("(")[2].rpartition(")")
    return "postgres" in comm and not rest.strip().startswith("Z")


def has_processes_in(data_folder: Path) -> bool:
    """Return whether some server process still works in the data folder (each has it as current folder)."""
    wanted = data_folder.resolve()
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if entry.readlink() == wanted:
                return True
        except OSError:
            continue
    return False
