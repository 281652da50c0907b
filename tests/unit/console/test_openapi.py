"""The description of the console API that the web app's types are made from."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

import pytest

from hilum.console.api import ConsoleServices, console_api

WRITTEN = Path(__file__).parents[3] / "web" / "openapi.json"


@pytest.mark.skipif(not WRITTEN.exists(), reason="the web sources are not here; run in a checkout")
def test_the_written_description_is_the_present_one() -> None:
    nothing = cast(Any, None)
    services = ConsoleServices(**{each.name: nothing for each in fields(ConsoleServices)})
    present = console_api(services).openapi()
    # When this fails: write `present` to web/openapi.json in this form, then `npm run api` in web/.
    assert WRITTEN.read_text() == json.dumps(present, indent=2, sort_keys=True) + "\n"
