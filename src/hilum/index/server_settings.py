"""How the embedded PostgreSQL is configured, each setting with its reason."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from hilum.kernel.limits import DATABASE_MAX_CONNECTIONS, MIB

LOCAL_SETTINGS_FILE: Final = "hilum.local.conf"

_FIXED: Final = {
    # Nobody but this machine's own processes ask it, through a socket in a folder that is closed to others.
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    # A handful of connections per worker process, with room for backups and a person with psql.
    "max_connections": str(DATABASE_MAX_CONNECTIONS),
    "password_encryption": "scram-sha-256",
    # What was acknowledged survives a power cut. These are defaults, written down because they are promises.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # Page images after a checkpoint are most of the log when instances pour in; pglz halves them.
    "wal_compression": "pglz",
    # Checkpoints write every touched page once more: few of them, spread out.
    "max_wal_size": "1GB",
    "min_wal_size": "80MB",
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": "0.9",
    # No replica hangs on the embedded server; `pg_dump` is its backup.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # Queries are short; compiling them takes longer than running them.
    "jit": "off",
    # Small machines: a search must not take the cores that receive images.
    "max_parallel_workers_per_gather": "0",
    "max_worker_processes": "4",
    # Solid-state disks, or a cache that behaves like one.
    "random_page_cost": "1.1",
    # A series' worth of rows is sorted in memory.
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    # The archive only grows: freeze and analyse after a few per cent of change, not after a fifth of a big table.
    "autovacuum_vacuum_insert_scale_factor": "0.05",
    "autovacuum_analyze_scale_factor": "0.02",
    # New entries of the GIN indexes wait in a list that every search reads; keep it short.
    "gin_pending_list_limit": "256kB",
    # When a client is gone its query is of no use to anyone.
    "client_connection_check_interval": "2s",
    "idle_in_transaction_session_timeout": "60s",
    # Slow disks show up in EXPLAIN (BUFFERS) and pg_stat_database.
    "track_io_timing": "on",
    # Nobody replicates from it.
    "max_logical_replication_workers": "0",
    "log_checkpoints": "off",
    # Statements and parameters may carry patient data, and a log is read by people who may not see that.
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] ",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


def settings_text(socket_folder: Path) -> str:
    """Return the content of postgresql.conf."""
    settings = dict(_FIXED)
    settings["unix_socket_directories"] = str(socket_folder)
    settings["shared_buffers"] = f"{_shared_buffers_mib()}MB"
    lines = [f"{name} = '{_quoted(value)}'" for name, value in settings.items()]
    return "\n".join(
        [
            f"# Written by Hilum at every start. Settings of your own belong into {LOCAL_SETTINGS_FILE} beside it.",
            *lines,
            f"include_if_exists = '{LOCAL_SETTINGS_FILE}'",
            "",
        ]
    )


def access_text() -> str:
    """Return the content of pg_hba.conf: a password for everyone, on the local socket alone."""
    return "# Written by Hilum at every start.\nlocal all all scram-sha-256\n"


def _shared_buffers_mib() -> int:
    """Return an eighth of the memory within 64 and 1024 MiB: the files' pages are cached by the kernel as well."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 128
    return max(64, min(1024, memory // MIB // 8))


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")
