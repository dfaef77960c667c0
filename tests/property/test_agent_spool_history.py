"""The spool against a list: whatever is appended, acknowledged and restarted, in any order."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgefleet_agent.disk import Disk
from edgefleet_agent.spool import MIN_BYTES, Spool
from edgefleet_contract.messages import TelemetryRecord
from edgefleet_contract.sketches import Sketch

pytestmark = pytest.mark.property

ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 60)),
        st.tuples(st.just("acknowledge"), st.integers(0, 40)),
        st.just(("restart", 0)),
        st.just(("boot", 0)),
        st.tuples(st.just("tear"), st.integers(1, 40)),
    ),
    max_size=40,
)


def record(boot: str, n: int, features: int) -> TelemetryRecord:
    return TelemetryRecord(n, boot, "d" * 64, 0, 1, 5, 0, None, Sketch("r" * 64, 1, 0.0, [[0] * 60] * features))


class History:
    """A spool, and the plain list of what it must hold."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder, self.max_bytes = folder, max_bytes
        self.expected: list[tuple[str, int]] = []
        self.boots, self.n = 1, 0
        self.spool = Spool(folder, Disk(), max_bytes)

    def act(self, kind: str, value: int) -> None:
        match kind:
            case "append":
                self.n += 1
                self.spool.append(record(f"b{self.boots}", self.n, value))
                self.expected.append((f"b{self.boots}", self.n))
            case "acknowledge" if self.expected:
                boot, through = self.expected[min(value, len(self.expected) - 1)]
                self.spool.acknowledge(boot, through)
                self.expected = [(b, n) for b, n in self.expected if b != boot or n > through]
            case "boot":
                self.boots, self.n = self.boots + 1, 0
                self.act("restart", 0)
            case "restart":
                self.spool = Spool(self.folder, Disk(), self.max_bytes)
            case "tear":
                # Bytes that a power cut left of an entry that nobody was promised.
                newest = max(self.folder.glob("*.log"), default=self.folder / "00000001.log")
                with newest.open("ab") as file:
                    file.write(b"\0\0\1\0torn entry of a spool segment that was never"[:value])
                self.act("restart", 0)

    def held(self) -> list[tuple[str, int]]:
        return [(seen.boot, seen.n) for seen in self.spool.oldest(10_000, 1 << 40)]


@settings(max_examples=60, deadline=None)
@given(ACTS)
def test_below_the_cap_nothing_is_lost_and_nothing_acknowledged_comes_again(acts: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        history = History(Path(folder), 16 << 20)
        for kind, value in acts:
            history.act(kind, value)
            assert history.held() == history.expected


@settings(max_examples=60, deadline=None)
@given(ACTS)
def test_at_the_cap_what_is_held_is_the_newest(acts: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        history = History(Path(folder), MIN_BYTES)
        for kind, value in acts * 4:
            history.act(kind, value)
            held = history.held()
            assert held == history.expected[len(history.expected) - len(held) :]
            assert history.spool.size_bytes <= MIN_BYTES
