"""Feeds the metrics from what services and doors report."""

from __future__ import annotations

from hilum.observe.metrics import SIGN_INS


def count_sign_in(way: str, result: str) -> None:
    """Note one attempt to sign in."""
    SIGN_INS.labels(way, result).inc()
