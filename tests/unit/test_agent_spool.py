"""The spool: records stay until acknowledged, over restarts, torn ends and the byte cap."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edgefleet_agent.disk import Disk
from edgefleet_agent.spool import MIN_BYTES, Spool
from edgefleet_contract.messages import TelemetryRecord
from edgefleet_contract.sketches import Sketch

LARGE = Sketch("r" * 64, 1, 0.0, [[0] * 10] * 100)  # about 2 KiB of JSON


def record(n: int, boot: str = "b1", sketch: Sketch | None = None) -> TelemetryRecord:
    return TelemetryRecord(n, boot, "d" * 64, 0, 1, 5, 0, None, sketch)


def pending(spool: Spool) -> list[tuple[str, int]]:
    return [(seen.boot, seen.n) for seen in spool.oldest(10_000, 1 << 30)]


def opened(folder: Path, max_bytes: int = 1 << 20) -> Spool:
    return Spool(folder, Disk(), max_bytes)


def test_records_come_back_in_order_after_a_restart(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    for n in (1, 2, 3):
        spool.append(record(n))
    assert pending(spool) == pending(opened(tmp_path)) == [("b1", 1), ("b1", 2), ("b1", 3)]


def test_an_acknowledgement_forgets_its_boot_up_to_its_number_for_good(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    for boot, n in (("b1", 1), ("b1", 2), ("b2", 1), ("b2", 2)):
        spool.append(record(n, boot))
    assert spool.acknowledge("b1", 2) == 2
    assert spool.acknowledge("b2", 1) == 1
    assert spool.acknowledge("b2", 1) == 0
    assert pending(spool) == pending(opened(tmp_path)) == [("b2", 2)]


def test_a_torn_last_record_is_cut_off_and_the_next_one_is_readable(tmp_path: Path) -> None:
    opened(tmp_path).append(record(1))
    segment = next(tmp_path.iterdir())
    segment.write_bytes(segment.read_bytes() + segment.read_bytes()[:-3])
    spool = opened(tmp_path)
    spool.append(record(2))
    assert pending(opened(tmp_path)) == [("b1", 1), ("b1", 2)]


def test_at_the_cap_the_oldest_go_and_are_counted(tmp_path: Path) -> None:
    spool = opened(tmp_path, MIN_BYTES)
    for n in range(1, 301):
        spool.append(record(n, sketch=LARGE))
        assert spool.size_bytes <= MIN_BYTES
    kept = spool.oldest(10_000, 1 << 30)
    numbers = [seen.n for seen in kept]
    assert numbers == list(range(numbers[0], 301))
    assert len(numbers) > 80
    told = sum(seen.dropped for seen in kept)
    again = opened(tmp_path, MIN_BYTES)
    assert pending(again) == [("b1", n) for n in numbers]
    assert told == numbers[0] - 1, "each lost record is told of exactly once"


def test_a_drop_that_was_cut_off_is_finished_and_counted_once(tmp_path: Path) -> None:
    spool = opened(tmp_path, MIN_BYTES)
    n = 0
    while spool.size_bytes < MIN_BYTES - 5000:
        n += 1
        spool.append(record(n, sketch=LARGE))
    oldest = min(tmp_path.iterdir())
    kept = oldest.read_bytes()
    while oldest.exists():
        n += 1
        spool.append(record(n, sketch=LARGE))
    lost = spool.oldest(1, 1)[0].n - 1
    newest = max(tmp_path.iterdir())
    frames = newest.read_bytes()
    newest.write_bytes(frames[: frames.rindex(b'{"type":"record"') - 8])  # the cut came before the record that tells
    oldest.write_bytes(kept)
    again = opened(tmp_path, MIN_BYTES)
    assert not oldest.exists()
    again.append(record(n))
    assert again.oldest(10_000, 1 << 30)[-1].dropped == lost


def test_a_batch_holds_at_least_one_record_and_keeps_to_its_limits(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    for n in range(1, 11):
        spool.append(record(n, sketch=LARGE))
    assert len(spool.oldest(4, 1 << 20)) == 4
    assert len(spool.oldest(10, 1)) == 1
    size = len(msgspec.json.encode(record(1, sketch=LARGE)))
    assert 1 < len(spool.oldest(10, 4 * size)) <= 4


def test_acknowledged_segments_leave_the_disk(tmp_path: Path) -> None:
    spool = opened(tmp_path, MIN_BYTES)
    for n in range(1, 81):
        spool.append(record(n, sketch=LARGE))
    assert len(list(tmp_path.iterdir())) > 4
    spool.acknowledge("b1", 80)
    assert len(list(tmp_path.iterdir())) == 1
    assert pending(opened(tmp_path)) == []
