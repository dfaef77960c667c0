"""Metrics in Prometheus' text format (version 0.0.4). Never by device: ten thousand labels are no metric."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[tuple[str, str], ...]


class Metrics:
    """What this process has counted since it started."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._messages: Counter[Labels] = Counter()
        self._sketches_refused = 0
        self._blocks = 0
        self._block_bytes = 0
        self._broker_restarts = 0

    def count_message(self, kind: str, result: str) -> None:
        """A message came: "stored", "refused" (it was wrong) or "failed" (we were)."""
        with self._lock:
            self._messages[(("kind", kind), ("result", result))] += 1

    def count_sketches_refused(self, number: int) -> None:
        """Sketches did not fit their reference."""
        with self._lock:
            self._sketches_refused += number

    def count_block(self, size: int) -> None:
        """A block of ``size`` bytes was sent."""
        with self._lock:
            self._blocks += 1
            self._block_bytes += size

    def count_broker_restart(self) -> None:
        """The broker child died and was started again."""
        with self._lock:
            self._broker_restarts += 1

    def render(self, *, broker_connected: bool, gauges: Mapping[str, tuple[str, Mapping[Labels, float]]]) -> str:
        """Everything as text.

        Args:
            broker_connected: Whether the broker has accepted this server.
            gauges: What the database says now: name to help text and values by labels.
        """
        with self._lock:
            lines = [
                *_family("edgefleet_messages_total", "counter", "Messages from devices.", dict(self._messages)),
                *_family(
                    "edgefleet_sketches_refused_total",
                    "counter",
                    "Sketches that did not fit their reference.",
                    {(): self._sketches_refused},
                ),
                *_family("edgefleet_blocks_sent_total", "counter", "Blocks sent to devices.", {(): self._blocks}),
                *_family(
                    "edgefleet_block_bytes_sent_total",
                    "counter",
                    "Bytes of bundles sent to devices.",
                    {(): self._block_bytes},
                ),
                *_family(
                    "edgefleet_broker_restarts_total",
                    "counter",
                    "Times that the broker child was started again.",
                    {(): self._broker_restarts},
                ),
            ]
        lines += _family(
            "edgefleet_broker_connected",
            "gauge",
            "Whether the broker has accepted this server.",
            {(): float(broker_connected)},
        )
        for name, (help_text, values) in gauges.items():
            lines += _family(name, "gauge", help_text, values)
        return "\n".join(lines) + "\n"


def _family(name: str, kind: str, help_text: str, values: Mapping[Labels, float]) -> list[str]:
    lines = [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}"]
    for labels, value in sorted(values.items()):
        rendered = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
        lines.append(f"{name}{{{rendered}}} {value:g}" if rendered else f"{name} {value:g}")
    return lines


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
