"""`hilum scrub` beside a running server."""

from __future__ import annotations

import os
import time
from pathlib import Path

from support.dicomweb import stow
from support.instances import ct_slice, part10
from support.running import RunningHilum

_ORPHAN = "t1/ab/" + "ab" * 16 + "/orphan.dcm"


def _blobs(hilum: RunningHilum) -> list[Path]:
    return sorted(path for path in (hilum.data / "blobs").rglob("*.dcm") if path.name != "orphan.dcm")


def test_orphans_are_told_of_and_removed_and_damage_is_found(hilum: RunningHilum) -> None:
    with hilum.client() as client:
        assert stow(client, [part10(ct_slice(number=number)) for number in range(2)]).status_code == 200
    clean = hilum.hilum("scrub", "--verify")
    assert clean.returncode == 0, clean.stdout + clean.stderr
    assert "2  compared with their digests" in clean.stdout

    orphan = hilum.data / "blobs" / _ORPHAN
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"what a power cut left")
    assert "1  without rows, but too new to tell" in hilum.hilum("scrub").stdout
    two_days_ago = time.time() - 48 * 3600
    os.utime(orphan, (two_days_ago, two_days_ago))
    found = hilum.hilum("scrub")
    assert found.returncode == 1
    assert f"orphan  {_ORPHAN}" in found.stdout
    assert orphan.exists()
    removed = hilum.hilum("scrub", "--remove")
    assert removed.returncode == 0, removed.stdout + removed.stderr
    assert not orphan.exists()
    assert len(_blobs(hilum)) == 2

    damaged = _blobs(hilum)[0]
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    told = hilum.hilum("scrub", "--verify")
    assert told.returncode == 1
    assert f"damaged  {damaged.relative_to(hilum.data / 'blobs')}" in told.stdout


def test_an_age_that_is_too_low_is_refused(hilum: RunningHilum) -> None:
    refused = hilum.hilum("scrub", "--hours", "0.1")
    assert refused.returncode == 2
    assert "orphan" in refused.stderr
