"""Finds what `hilum import` and `hilum send` are given: folders, files, DICOMDIRs, and ZIP archives."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

from hilum.dicom.dicomdir import referenced_files
from hilum.kernel.errors import HilumError, LimitExceeded, Unsupported
from hilum.kernel.limits import MAX_DICOMDIR_BYTES, MAX_INSTANCE_BYTES, MAX_ZIP_MEMBERS, MAX_ZIP_RATIO

_ZIP_MAGIC = b"PK\x03\x04"


@dataclass(frozen=True, slots=True)
class Source:
    """One file that may be an instance: on disk, or a member of a ZIP archive."""

    path: Path
    member: str | None = None
    size_bytes: int = 0

    @property
    def label(self) -> str:
        """How the source is named to people."""
        return f"{self.path}!{self.member}" if self.member else str(self.path)

    def open(self) -> IO[bytes]:
        """Return the content as a binary stream.

        Raises:
            LimitExceeded: the member of a ZIP archive unpacks to more than is allowed.
            Unsupported: the member is encrypted.
        """
        if self.member is None:
            return self.path.open("rb")
        archive = _open_archive(self.path)
        info = archive.getinfo(self.member)
        _check_member(info)
        return archive.open(info)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A path that could not be looked into, and why."""

    label: str
    reason: str


def find_sources(paths: list[Path]) -> Iterator[Source | Unreadable]:
    """Yield every file below the paths once, in a stable order; ZIP archives are opened, links to folders not followed.

    A path that names a DICOMDIR stands for the files it references.
    """
    seen: set[tuple[int, int]] = set()
    for path in paths:
        if not path.exists():
            yield Unreadable(str(path), "there is no such file or folder")
        elif path.is_dir():
            yield from _walk(path, seen)
        elif path.name.upper() == "DICOMDIR":
            yield from _referenced(path, seen)
        else:
            yield from _file(path, seen)


def _walk(folder: Path, seen: set[tuple[int, int]]) -> Iterator[Source | Unreadable]:
    trouble: list[OSError] = []
    for base, folders, names in os.walk(folder, onerror=trouble.append):
        folders.sort()
        while trouble:
            error = trouble.pop()
            yield Unreadable(str(error.filename), error.strerror or "cannot be read")
        for name in sorted(names):
            yield from _file(Path(base) / name, seen)
    for error in trouble:
        yield Unreadable(str(error.filename), error.strerror or "cannot be read")


def _file(path: Path, seen: set[tuple[int, int]]) -> Iterator[Source | Unreadable]:
    try:
        status = path.stat()
        if not path.is_file() or (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        with path.open("rb") as stream:
            magic = stream.read(4)
        if magic == _ZIP_MAGIC:
            yield from _members(path)
            return
    except OSError as error:
        yield Unreadable(str(path), error.strerror or "cannot be read")
        return
    yield Source(path, size_bytes=status.st_size)


@lru_cache(maxsize=4)
def _open_archive(path: Path) -> zipfile.ZipFile:
    """Keep the archives in use open, for reading the directory of a large one takes long."""
    return zipfile.ZipFile(path)


def _members(path: Path) -> Iterator[Source | Unreadable]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > MAX_ZIP_MEMBERS:
                yield Unreadable(str(path), f"the ZIP archive has more than {MAX_ZIP_MEMBERS} members")
                return
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as error:
        yield Unreadable(str(path), f"the ZIP archive is damaged: {error}")
        return
    for info in members:
        if info.is_dir():
            continue
        try:
            _check_member(info)
        except HilumError as error:
            yield Unreadable(f"{path}!{info.filename}", error.message)
        else:
            yield Source(path, info.filename, info.file_size)


def _check_member(info: zipfile.ZipInfo) -> None:
    if info.flag_bits & 0x1:
        raise Unsupported("the member is encrypted", code="zip-encrypted")
    if info.file_size > MAX_INSTANCE_BYTES or info.file_size > MAX_ZIP_RATIO * max(info.compress_size, 1024):
        raise LimitExceeded("the member unpacks to far more than it should", code="zip-bomb")


def _referenced(path: Path, seen: set[tuple[int, int]]) -> Iterator[Source | Unreadable]:
    try:
        if path.stat().st_size > MAX_DICOMDIR_BYTES:
            raise LimitExceeded("the DICOMDIR is too large")
        references = referenced_files(path.read_bytes())
    except HilumError as error:
        yield Unreadable(str(path), error.message)
        return
    except OSError as error:
        yield Unreadable(str(path), error.strerror or "cannot be read")
        return
    for components in references:
        found = _resolve(path.parent, components)
        if found is None:
            yield Unreadable(f"{path}: {'/'.join(components)}", "the DICOMDIR names a file that is not there")
        else:
            yield from _file(found, seen)


def _resolve(folder: Path, components: tuple[str, ...]) -> Path | None:
    """Return the file below the folder, whatever case the medium's file system gave its names."""
    current = folder
    for component in components:
        direct = current / component
        if direct.exists():
            current = direct
            continue
        try:
            current = next(entry for entry in current.iterdir() if entry.name.lower() == component.lower())
        except (StopIteration, OSError):
            return None
    return current
