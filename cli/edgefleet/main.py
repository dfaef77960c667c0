"""The entry point: finds the noun, imports its module, and hands over the rest of the command line."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from importlib import metadata
from itertools import groupby

from edgefleet.border import INTERRUPTED, run_guarded
from edgefleet.nouns import NOUNS, Noun
from edgefleet_contract.errors import UsageMalformed


def main(argv: list[str] | None = None) -> int:
    """Run one command line; ``argv`` without the program's name.

    Returns:
        The exit status: 0 done; 1 our fault; 2 usage or malformed input; 3 a gate said no; 4 verification refused;
        5 a peer is not there; 130 interrupted.
    """
    arguments = sys.argv[1:] if argv is None else argv
    return run_guarded(lambda: _dispatch(arguments), wants_json="--json" in arguments)


def _dispatch(arguments: list[str]) -> int:
    match arguments:
        case [] | ["--help" | "-h" | "help", *_]:
            sys.stdout.write(_help_text() + "\n")
            return 0 if arguments else UsageMalformed.exit_status
        case ["--version", *_]:
            sys.stdout.write(f"edgefleet {metadata.version('edgefleet')}\n")
            return 0
        case [noun, *rest]:
            return _call(noun, rest)
        case _:
            raise AssertionError(arguments)


def _call(noun: str, arguments: list[str]) -> int:
    entry = NOUNS.get(noun)
    if entry is None:
        near = difflib.get_close_matches(noun, NOUNS, n=2, cutoff=0.5)
        raise UsageMalformed(
            f"There is no command {noun!r}",
            expected="" if near else f"one of {', '.join(NOUNS)}",
            remedy=(f"Did you mean {' or '.join(near)}? " if near else "") + "`edgefleet --help` shows them all.",
        )
    answerer = getattr(importlib.import_module(entry.module), entry.attribute)
    if entry.attribute == "main":
        return int(answerer(arguments))
    from typer.main import get_command  # noqa: PLC0415 - a device has no typer, and needs none for `edgefleet agent`

    status = get_command(answerer).main(arguments, prog_name=f"edgefleet {noun}", standalone_mode=False)
    if status == INTERRUPTED:
        raise KeyboardInterrupt  # typer gave its status, and told nobody
    return status if isinstance(status, int) else 0


def _help_text() -> str:
    bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() and "NO_COLOR" not in os.environ else ("", "")
    lines = [
        f"{bold}edgefleet{plain} - compile a model for edge devices, roll it out to a fleet, watch it there",
        "",
        f"{bold}Usage:{plain} edgefleet NOUN VERB [options]      edgefleet NOUN --help      edgefleet --version",
    ]

    def group_of(item: tuple[str, Noun]) -> str:
        return item[1].group

    for group, items in groupby(NOUNS.items(), key=group_of):
        lines += ["", f"{bold}{group}{plain}"]
        lines += [f"  {name:<10}{noun.help}" for name, noun in items]
    lines += [
        "",
        "Results go to stdout (one JSON document with --json), progress and errors to stderr.",
        "Exit status: 0 done, 1 our fault, 2 usage or malformed input, 3 a gate said no,",
        "             4 verification refused, 5 a peer is not there.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
