"""The command line: verbs, their options, and what they print. Work is done by `hilum.app` and the rooms below it."""

from hilum.cli.main import main

__all__ = ["main"]
