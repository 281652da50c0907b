"""What the disk itself does: files of one size written, synchronized and named, by one and by several writers.

    python -m bench.disk DIRECTORY [--size 524288] [--count 400]

Temporary file, write, fdatasync, rename, fsync of the directory; and, since an archive's answer also waits for its
index, the append of one record to a journal with fdatasync, which writers that wait at the same moment share: the same
sizes and synchronizations as a durable store.
"""

# ruff: noqa: PTH104
from __future__ import annotations

import argparse
import os
import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path

_RECORD = bytes(8192)


class _Journal:
    """A file that records are appended to; one synchronization serves all that were appended before it began."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        self._appending, self._synchronizing = threading.Lock(), threading.Lock()
        self._appended = self._durable = 0

    def commit(self) -> None:
        """Append a record; it is durable afterwards."""
        with self._appending:
            os.write(self._descriptor, _RECORD)
            self._appended += 1
            mine = self._appended
        with self._synchronizing:
            if self._durable < mine:
                reached = self._appended
                os.fdatasync(self._descriptor)
                self._durable = reached

    def close(self) -> None:
        os.close(self._descriptor)


def write_files(folder: Path, files: Sequence[bytes], *, writers: int) -> float:
    """Return the seconds it takes to make the files durable in a new folder, which is removed afterwards."""
    folder.mkdir(parents=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    journal = _Journal(folder / "journal")

    def write(writer: int) -> None:
        for number in range(writer, len(files), writers):
            temporary, final = f"{folder}/{number}.tmp", f"{folder}/{number}"
            file = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            os.write(file, files[number])
            os.fdatasync(file)
            os.close(file)
            os.rename(temporary, final)
            os.fsync(descriptor)
            journal.commit()

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
    try:
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.perf_counter() - began
    finally:
        journal.close()
        os.close(descriptor)
        shutil.rmtree(folder)


def main() -> None:
    """Print files a second for 1 and 8 writers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--size", type=int, default=512 * 1024)
    parser.add_argument("--count", type=int, default=400)
    options = parser.parse_args()
    files = [os.urandom(options.size)] * options.count
    for writers in (1, 8):
        seconds = write_files(options.directory / f"disk-{os.getpid()}", files, writers=writers)
        rate = options.count / seconds
        print(f"disk, {writers} writers: {rate:.0f} files/s, {rate * options.size / 1e6:.0f} MB/s")


if __name__ == "__main__":
    main()
