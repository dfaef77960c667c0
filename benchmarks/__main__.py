"""Run benchmarks: print their tables in Markdown, ready for docs/benchmarks.md, or write them there.

``python -m benchmarks [--write] [--subject NAME]... [BENCHMARK]...``
"""

from __future__ import annotations

import argparse

from benchmarks import compile_cost, compression, lossless, plot, tables
from benchmarks.machine import machine
from benchmarks.page import PICTURES, write_section
from benchmarks.quantisers import Ways, int8, measure

_BESIDE_PEERS: dict[str, tuple[Ways, tuple[str, ...]]] = {
    "quantisers": (int8, ("int8", "int8, --io int8", "int8-refined", "auto")),
    "compression": (compression.ways, compression.CHOSEN),
}
"""Who is measured, and what of edgefleet is set beside the best of the others."""

_ALONE = {"compile-cost": compile_cost.table, "lossless": lossless.table}
BENCHMARKS = (*_BESIDE_PEERS, *_ALONE)


def main() -> None:
    """Run those that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Run benchmarks against the peers.")
    parser.add_argument("names", nargs="*", metavar="BENCHMARK", help=f"{' or '.join(BENCHMARKS)}; all by default")
    parser.add_argument("--write", action="store_true", help="write tables and pictures into docs/")
    parser.add_argument("--subject", action="append", default=[], help="a model of those beside peers; all by default")
    options = parser.parse_args()
    if unknown := set(options.names) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    if options.write and options.subject:
        parser.error("--write replaces the tables of all models: leave out --subject")
    for name in options.names or BENCHMARKS:
        text = _ALONE[name]() if name in _ALONE else _beside_peers(name, options.subject, write=options.write)
        print(text, end="\n\n")  # noqa: T201 - the result
        if options.write:
            write_section(name, text)


def _beside_peers(name: str, only: list[str], *, write: bool) -> str:
    ways, compared = _BESIDE_PEERS[name]
    outcomes = list(measure(only, ways))
    if write:
        plot.write(outcomes, PICTURES / f"{name}.svg")
    return "\n\n".join([machine(), tables.beside_the_best(outcomes, *compared), *map(tables.of_subject, outcomes)])


if __name__ == "__main__":
    main()
