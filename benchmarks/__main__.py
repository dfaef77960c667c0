"""Run every benchmark and print its tables in Markdown, ready for docs/benchmarks.md."""

from __future__ import annotations

from benchmarks import compile_cost, compiling


def main() -> None:
    """Print all tables."""
    for measured in (compile_cost, compiling):
        print(measured.table(), end="\n\n")  # noqa: T201 - the result


if __name__ == "__main__":
    main()
