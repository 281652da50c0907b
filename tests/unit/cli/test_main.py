"""What the command loads, and that its list of verbs says what each says of itself."""

from __future__ import annotations

import subprocess
import sys

import pytest
from cyclopts import App

from hilum.cli.main import VERBS, command_line

# Each takes a quarter of a second to load at least, or brings along what does.
HEAVY = (
    *("alembic", "sqlalchemy", "asyncpg", "pydicom", "numpy", "imagecodecs", "PIL", "obstore"),
    *("starlette", "fastapi", "uvicorn", "pydantic"),
)
LIGHT_ENOUGH = frozenset({"asyncpg"})  # to ask the database anything


def loaded(*words: str) -> set[str]:
    """Return which heavy modules are loaded once the command has been run with these words."""
    program = f"""
import sys
from hilum.cli import main
try:
    main({list(words)!r})
except SystemExit as end:
    assert not end.code, end.code
print("loaded", *(name for name in {HEAVY!r} if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("--version",)])
def test_the_list_of_verbs_loads_nothing_heavy(words: tuple[str, ...]) -> None:
    assert loaded(*words) == set()


@pytest.mark.parametrize("verb", ["token", "user", "remote", "echo"])
def test_verbs_of_the_registry_load_neither_searches_nor_pictures(verb: str) -> None:
    assert loaded(verb, "--help") <= LIGHT_ENOUGH


def test_a_verb_that_is_called_for_is_the_only_one_loaded() -> None:
    program = "import sys; from hilum.cli import main\ntry: main(['token', '--help'])\nexcept SystemExit: pass\n"
    program += "print('loaded', *(name for name in sys.modules if name.startswith('hilum.cli.')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert set(done.stdout.splitlines()[-1].split()[1:]) == {
        "hilum.cli.main",
        "hilum.cli.options",
        "hilum.cli.accounts",
    }


@pytest.mark.parametrize("verb", VERBS)
def test_the_list_says_of_each_verb_what_its_own_help_begins_with(verb: str) -> None:
    told: App = command_line()[verb]
    words = told.help or ""
    assert words.strip().split("\n\n")[0].replace("\n", " ") == VERBS[verb][1]
