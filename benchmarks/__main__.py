"""Run every benchmark and print its tables in Markdown, ready for docs/benchmarks.md."""

from __future__ import annotations

from benchmarks import compiling


def main() -> None:
    """Print all tables."""
    print(compiling.table())  # noqa: T201 - the result


if __name__ == "__main__":
    main()
