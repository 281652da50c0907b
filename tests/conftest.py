"""Fixtures that tests of several rooms share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hilum.index.embedded import EmbeddedPostgres
from support.database import migrated_server
from support.pauses import pause_exactly
from support.running import RunningHilum, running_hilum

pause_exactly()

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real DICOM files; tests that need it are skipped where it is not there."""
    folder = Path(os.environ.get("HILUM_CORPUS", ROOT.parent / "shared" / "corpus"))
    if not (folder / "manifest.csv").exists():
        pytest.skip("no corpus beside the checkout; set HILUM_CORPUS to a folder of DICOM files with a manifest.csv")
    return folder


@pytest.fixture(scope="session")
def database() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL with our schema; each test makes tenants of its own in it."""
    with migrated_server() as server:
        yield server


@pytest.fixture(scope="module")
def hilum() -> Iterator[RunningHilum]:
    """A running Hilum with two workers, shared by the tests of one module."""
    with running_hilum("--workers", "2") as running:
        yield running
