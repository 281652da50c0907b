"""Fuzz target: whatever the bytes and however they are cut, only documented errors leave the multipart reader.

Run: python fuzz/related_reader.py [-max_total_time=60] (needs the `fuzz` dependency group: atheris).
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports():
    from hilum.kernel.errors import InvalidInput, LimitExceeded
    from hilum.multipart import PartBegin, PartData, PartEnd, RelatedReader, parse_content_type


def one_input(data: bytes) -> None:
    """Read `data` as a message cut in two ways; the parts must be the same."""
    provider = atheris.FuzzedDataProvider(data)
    header = provider.ConsumeUnicodeNoSurrogates(40)
    try:
        parse_content_type(header)
    except InvalidInput:
        pass
    step = provider.ConsumeIntInRange(1, 64)
    body = provider.ConsumeBytes(provider.remaining_bytes())
    assert _outcome(body, step) == _outcome(body, max(1, len(body)))


def _outcome(body: bytes, step: int) -> tuple[list[bytes], type[Exception] | None]:
    parts: list[bytes] = []
    complete = 0
    reader = RelatedReader("b")
    try:
        for start in range(0, len(body), step):
            for event in reader.feed(body[start : start + step]):
                if isinstance(event, PartBegin):
                    parts.append(b"")
                elif isinstance(event, PartData):
                    parts[-1] += event.data
                else:
                    assert isinstance(event, PartEnd)
                    complete += 1
        reader.finish()
    except (InvalidInput, LimitExceeded) as refusal:
        return parts[:complete], type(refusal)
    return parts, None


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
