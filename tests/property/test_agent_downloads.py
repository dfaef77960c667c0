"""Downloads under any order, duplication, loss and restart of blocks."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgefleet_agent.disk import Disk
from edgefleet_agent.download import Downloads
from edgefleet_contract import canonical
from edgefleet_contract.blocks import BLOCK_BYTES, Block
from edgefleet_contract.trust import FileReference

pytestmark = pytest.mark.property

COUNT = 12
DATA = b"".join(bytes([index]) * BLOCK_BYTES for index in range(COUNT))[:-7]
REFERENCE = FileReference(canonical.sha256(DATA), len(DATA))


def block(index: int) -> Block:
    return Block(REFERENCE.sha256, index, len(DATA), DATA[index * BLOCK_BYTES : (index + 1) * BLOCK_BYTES])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.integers(0, COUNT - 1), st.just("flush"), st.just("restart")), max_size=60))
def test_what_the_map_says_is_on_disk_and_the_rest_completes_it(acts: list[int | str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        downloads = Downloads(Path(folder), Disk())
        download, taken, durable = downloads.begin(REFERENCE), set[int](), set[int]()
        for act in acts:
            if act == "restart":
                download = downloads.begin(REFERENCE)
                missing = set(download.missing(COUNT))
                assert missing.isdisjoint(durable)
                taken = durable = set(range(COUNT)) - missing
            elif act == "flush":
                download.flush()
                durable = set(taken)
            else:
                assert isinstance(act, int)
                assert download.take(block(act)) == (act not in taken)
                taken = taken | {act}
            assert set(download.missing(COUNT)) == set(range(COUNT)) - taken
        for index in download.missing(COUNT):
            download.take(block(index))
        assert download.finish().read_bytes() == DATA
