"""Run benchmarks: print their tables in Markdown, ready for docs/benchmarks.md, or write them there.

``python -m benchmarks [--write] [--subject NAME]... [BENCHMARK]...``
"""

from __future__ import annotations

import argparse

from benchmarks import compile_cost, plot, tables
from benchmarks.machine import machine
from benchmarks.page import PICTURES, write_section
from benchmarks.quantisers import measure

_BENCHMARKS = ("quantisers", "compile-cost")


def main() -> None:
    """Run those that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Run benchmarks against the peers.")
    parser.add_argument("names", nargs="*", metavar="BENCHMARK", help=f"{' or '.join(_BENCHMARKS)}; all by default")
    parser.add_argument("--write", action="store_true", help="write tables and pictures into docs/")
    parser.add_argument("--subject", action="append", default=[], help="a model of quantisers; all by default")
    options = parser.parse_args()
    if unknown := set(options.names) - set(_BENCHMARKS):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    if options.write and options.subject:
        parser.error("--write replaces the tables of all models: leave out --subject")
    for name in options.names or _BENCHMARKS:
        text = _quantisers(options.subject, write=options.write) if name == "quantisers" else compile_cost.table()
        print(text, end="\n\n")  # noqa: T201 - the result
        if options.write:
            write_section(name, text)


def _quantisers(only: list[str], *, write: bool) -> str:
    outcomes = list(measure(only))
    if write:
        plot.write(outcomes, PICTURES / "quantisers.svg")
    return "\n\n".join([machine(), tables.beside_the_best(outcomes), *map(tables.of_subject, outcomes)])


if __name__ == "__main__":
    main()
