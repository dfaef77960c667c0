"""The spool: telemetry records on disk until the server says that it has them. An append log in segments.

An entry is a record, an acknowledgement, or the note that a segment was dropped for the byte cap. Reading the
segments in order gives what is pending; a torn last entry, which was never promised to anybody, is cut off. Whole
segments leave at the front, when all their records are acknowledged or when the cap needs their room; at the cap the
oldest go, and how many is told in the next record.
"""

from __future__ import annotations

import struct
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import msgspec

from edgefleet_agent.disk import Disk
from edgefleet_contract.messages import TelemetryRecord

MIN_BYTES = 256 * 1024
_SEGMENTS = 8  # of which the cap is made
_FRAME = struct.Struct(">II")  # length and CRC-32 of an entry


class _Kept(msgspec.Struct, tag="record"):
    record: TelemetryRecord


class _Acknowledged(msgspec.Struct, tag="ack"):
    boot: str
    through: int


class _SegmentDropped(msgspec.Struct, tag="dropped"):
    """Written before the segment is removed: whoever reads this and still finds the segment finishes the work."""

    segment: int
    records: int


_Entry: TypeAlias = _Kept | _Acknowledged | _SegmentDropped
_DECODER: msgspec.json.Decoder[_Entry] = msgspec.json.Decoder(_Entry)


@dataclass(frozen=True)
class _Pending:
    """Where a record that nobody has acknowledged lies; it tells of ``dropped`` earlier ones."""

    boot: str
    n: int
    dropped: int
    segment: int
    offset: int
    length: int


class Spool:
    """Records that the server does not have yet.

    Args:
        folder: Where the segments lie.
        disk: The door.
        max_bytes: The most that all segments take; at least :data:`MIN_BYTES`.

    Raises:
        DiskFailed: The folder cannot be made, or a torn entry not cut off.
    """

    def __init__(self, folder: Path, disk: Disk, max_bytes: int) -> None:
        self._folder = folder
        self._disk = disk
        self._max_bytes = max(max_bytes, MIN_BYTES)
        self._pending: deque[_Pending] = deque()
        self._sizes: dict[int, int] = {}  # bytes of each segment, the oldest first
        self._dropped = 0  # records lost since the last one kept
        disk.make_folder(folder)
        self._load()

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def size_bytes(self) -> int:
        """What all segments take."""
        return sum(self._sizes.values())

    def append(self, record: TelemetryRecord) -> None:
        """Keep a record, with the count of those that the cap has cost since the last one.

        Raises:
            DiskFailed: It cannot be written; it is then lost.
        """
        entry = _frame(_Kept(msgspec.structs.replace(record, dropped=self._dropped)))
        if len(entry) > self._max_bytes // 2:
            self._dropped += 1  # no sketch that a reference allows is this large
            return
        while self._sizes and self.size_bytes + len(entry) > self._max_bytes:
            self._drop_oldest()
            entry = _frame(_Kept(msgspec.structs.replace(record, dropped=self._dropped)))
        segment, offset = self._write(entry)
        self._pending.append(_Pending(record.boot, record.n, self._dropped, segment, offset, len(entry)))
        self._dropped = 0

    def oldest(self, max_records: int, max_bytes: int) -> list[TelemetryRecord]:
        """Records to send next, the oldest first: at least one if there is one, then as many as the limits allow."""
        records: list[TelemetryRecord] = []
        for pending in list(self._pending)[:max_records]:
            max_bytes -= pending.length
            if records and max_bytes < 0:
                break
            records.append(self._read(pending))
        return records

    def acknowledge(self, boot: str, through: int) -> int:
        """Forget the records of ``boot`` up to ``through``.

        Returns:
            How many that were.

        Raises:
            DiskFailed: The acknowledgement cannot be written; nothing is forgotten.
        """
        left = [pending for pending in self._pending if pending.boot != boot or pending.n > through]
        count = len(self._pending) - len(left)
        if count:
            self._write(_frame(_Acknowledged(boot, through)))
            self._pending = deque(left)
            self._remove_done()
        return count

    def _drop_oldest(self) -> None:
        segment = next(iter(self._sizes))
        lost = sum(1 + pending.dropped for pending in self._pending if pending.segment == segment)
        note = _frame(_SegmentDropped(segment, lost))
        if len(self._sizes) == 1:
            self._sizes[segment + 1] = 0
        self._write(note)
        self._forget_segment(segment)
        self._dropped += lost

    def _forget_segment(self, segment: int) -> None:
        self._disk.remove(self._path(segment))
        del self._sizes[segment]
        self._pending = deque(pending for pending in self._pending if pending.segment != segment)

    def _remove_done(self) -> None:
        """Remove segments at the front that hold nothing pending; the one being written stays."""
        first_needed = min((pending.segment for pending in self._pending), default=max(self._sizes))
        for segment in [number for number in self._sizes if number < first_needed]:
            self._forget_segment(segment)

    def _write(self, entry: bytes) -> tuple[int, int]:
        """Append to the newest segment, or to a new one when it is full; returns segment and offset."""
        segment = max(self._sizes, default=1)
        if self._sizes.get(segment, 0) + len(entry) > self._max_bytes // _SEGMENTS and self._sizes.get(segment):
            segment += 1
        offset = self._sizes.get(segment, 0)
        self._disk.append(self._path(segment), entry)
        self._sizes[segment] = offset + len(entry)
        return segment, offset

    def _read(self, pending: _Pending) -> TelemetryRecord:
        with self._path(pending.segment).open("rb") as file:
            file.seek(pending.offset + _FRAME.size)
            entry = _DECODER.decode(file.read(pending.length - _FRAME.size))
        assert isinstance(entry, _Kept)
        return entry.record

    def _path(self, segment: int) -> Path:
        return self._folder / f"{segment:08d}.log"

    def _load(self) -> None:
        half_dropped: list[int] = []
        for segment in sorted(int(path.stem) for path in self._folder.glob("*.log")):
            data = self._path(segment).read_bytes()
            end = 0
            for offset, entry in _entries(data):
                end = offset + _FRAME.size + _FRAME.unpack_from(data, offset)[0]
                match entry:
                    case _Kept(record):
                        place = _Pending(record.boot, record.n, record.dropped, segment, offset, end - offset)
                        self._pending.append(place)
                        self._dropped = 0
                    case _Acknowledged(boot, through):
                        self._pending = deque(p for p in self._pending if p.boot != boot or p.n > through)
                    case _SegmentDropped(dropped, records):
                        self._dropped += records
                        half_dropped.append(dropped)
            if end != len(data):
                self._disk.truncate(self._path(segment), end)
            self._sizes[segment] = end
        for segment in set(half_dropped) & set(self._sizes):
            self._forget_segment(segment)


def _frame(entry: _Entry) -> bytes:
    data = msgspec.json.encode(entry)
    return _FRAME.pack(len(data), zlib.crc32(data)) + data


def _entries(data: bytes) -> Iterator[tuple[int, _Entry]]:
    """Offset and content of each whole entry, up to the first that is torn."""
    offset = 0
    while offset + _FRAME.size <= len(data):
        length, check = _FRAME.unpack_from(data, offset)
        body = data[offset + _FRAME.size : offset + _FRAME.size + length]
        if len(body) != length or zlib.crc32(body) != check:
            return
        yield offset, _DECODER.decode(body)
        offset += _FRAME.size + length
