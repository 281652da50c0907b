"""Whatever stands in the parts and however the message is cut, the reader gives the parts back."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.kernel.errors import InvalidInput, LimitExceeded
from hilum.multipart import PartBegin, PartData, RelatedReader, closing_delimiter, part_head

# Contents that come close to the delimiter without being it: no piece has the Z of the boundary.
CONTENT = st.lists(st.sampled_from([b"\r", b"\n", b"-", b"--", b"\r\n--", b"edge", b"x", b"\x00"]), max_size=12).map(
    b"".join
)
CUTS = st.lists(st.integers(1, 30), min_size=1, max_size=20)


def read(body: bytes, cuts: list[int]) -> list[bytes]:
    reader = RelatedReader("edgeZ")
    parts: list[bytes] = []
    position = turn = 0
    while position < len(body):
        step = cuts[turn % len(cuts)]
        for event in reader.feed(body[position : position + step]):
            if isinstance(event, PartBegin):
                parts.append(b"")
            elif isinstance(event, PartData):
                parts[-1] += event.data
        position += step
        turn += 1
    reader.finish()
    return parts


@settings(max_examples=200, deadline=None)
@given(st.lists(CONTENT, max_size=4), CUTS)
def test_parts_come_back_as_they_were_written(contents: list[bytes], cuts: list[int]) -> None:
    body = b"".join(
        part_head("edgeZ", [("Content-Type", "a/b")], is_first=index == 0) + content
        for index, content in enumerate(contents)
    )
    body += closing_delimiter("edgeZ") if contents else b"--edgeZ--\r\n"
    assert read(body, cuts) == contents


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from([b"--edgeZ", b"\r\n--edgeZ", b"\r\n", b"--", b": ", b"A", b"\xff", b"\n", b" "]), max_size=25
    ).map(b"".join),
    CUTS,
)
def test_only_documented_errors_leave_the_reader(body: bytes, cuts: list[int]) -> None:
    try:
        read(body, cuts)
    except (InvalidInput, LimitExceeded):
        pass
