"""Write the reference pages under docs/reference from the code: errors, topics, targets, command line.

Run: ``python scripts/reference.py``. A test compares the committed pages with what this would write.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
from collections.abc import Iterator
from pathlib import Path

from typer.main import get_command

from edgefleet.nouns import NOUNS
from edgefleet_compiler.report.schema import report_schema
from edgefleet_contract import errors, topics
from edgefleet_hardware.profile import TargetProfile, load_profile, target_names
from edgefleet_hardware.runtime_limits import OperatorLimit, limits_of

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"
_NOTE = "<!-- written by scripts/reference.py; do not edit -->\n"


def main() -> None:
    """Write every page."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text)


def pages() -> dict[str, str]:
    """The pages by file name."""
    return {
        "errors.md": errors_page(),
        "topics.md": topics_page(),
        "command-line.md": command_line_page(),
        "targets.md": targets_page(),
        "report.schema.json": json.dumps(report_schema(), indent=2) + "\n",
    }


def errors_page() -> str:
    """The table of error codes."""
    rows = [
        f"| `{error.code}` | {error.exit_status} | {summary(error)} |"
        for error in sorted(errors.all_errors(), key=lambda error: (error.exit_status, error.code))
    ]
    head = [
        _NOTE, "# Errors", "",
        "Every error says what was seen, what was expected and what to do. With `--json` it is printed as",
        '`{"error": {"code", "seen", "expected", "remedy", "facts"}}`. Codes are stable.', "",
        "| code | exit status | meaning |", "|---|---|---|",
    ]  # fmt: skip
    return "\n".join([*head, *rows]) + "\n"


def topics_page() -> str:
    """The table of MQTT topics."""
    rows = [
        f"| `{topic.pattern}` | {topic.direction} | {topic.qos} | {'yes' if topic.retain else 'no'} "
        f"| {topic.payload} | {topic.meaning} |"
        for topic in topics.TOPICS
    ]
    head = [
        _NOTE, "# Topics", "",
        "MQTT 3.1.1. *up*: from a device to the server; *down*: from the server to one device; *all*: to whoever",
        "listens. Payloads but blocks are UTF-8 JSON with a version `v`; unknown fields are ignored, unknown versions",
        "refused.", "",
        "| topic | direction | QoS | retained | payload | meaning |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    return "\n".join([*head, *rows]) + "\n"


def targets_page() -> str:
    """The targets with their figures, and the limits of the runtimes that they name."""
    rows = [_target_row(load_profile(name)) for name in target_names()]
    head = [
        _NOTE, "# Targets", "",
        "`edgefleet target show NAME` tells where each figure comes from; a dash stands where devices differ.",
        "[Add a target](../guide/add-a-target.md) of your own.", "",
        "| target | what it is | processor | RAM | flash | formats | runtimes |", "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    return "\n".join([*head, *rows, "", *_runtime_lines()]).rstrip() + "\n"


def _target_row(profile: TargetProfile) -> str:
    cores = f"{profile.cores} x {profile.core}, {profile.clock}" if profile.core else ""
    processor = "; ".join(filter(None, [cores, profile.instruction_set, " ".join(profile.extensions)]))
    runtimes = ", ".join(f"{runtime.name} {runtime.minimum_version}" for runtime in profile.runtimes)
    figures = f"{profile.ram or '-'} | {profile.flash or '-'} | {', '.join(profile.formats)} | {runtimes}"
    return f"| `{profile.name}` | {profile.description} | {processor} | {figures} |"


def _runtime_lines() -> Iterator[str]:
    yield from ("## What runtimes have", "", "Held against every artifact when it is compiled.")
    for name in sorted({runtime.name for target in target_names() for runtime in load_profile(target).runtimes}):
        limits = limits_of(name)
        yield from ("", f"### {name} {limits.release}", "", f"Source: {limits.source}.", "")
        if limits.four_bits_since is not None:
            yield f"Weights of 4 bits need release {limits.four_bits_since}."
        if limits.complete:
            yield "Every operator of the opsets that it takes, in the types that ONNX asks for."
        else:
            known = (f"{kind} {_limit(limit)}" for kind, limit in limits.operators.items())
            yield "Operators with their newest version or their types: " + ", ".join(known) + "."
        if limits.rewrites:
            yield from ("", "Instead of operators that it lacks:", "")
            yield from (f"- {kind}: {rewrite}" for kind, rewrite in limits.rewrites.items())


def _limit(limit: OperatorLimit) -> str:
    said = str(limit.version) if limit.dtypes is None else " ".join(limit.dtypes)
    scales = {None: "", "per-channel": "; 4-bit weights", "per-tensor": "; 4-bit weights with one scale"}
    return f"({said}{scales[limit.four_bits]})"


def command_line_page() -> str:
    """Every verb with its arguments and options."""
    lines = [_NOTE, "# Command line", ""]
    lines += [
        "Results go to stdout, progress and errors to stderr. Exit status: 0 done; 1 our fault; 2 usage or malformed"
    ]
    lines += ["input; 3 a gate said no; 4 verification refused; 5 a peer is not there.", ""]
    for name, noun in NOUNS.items():
        answerer = getattr(importlib.import_module(noun.module), noun.attribute)
        lines += [f"## edgefleet {name}", "", f"{noun.help}.", ""]
        lines += list(_agent_lines() if noun.attribute == "main" else _typer_lines(name, get_command(answerer)))
    return "\n".join(lines).rstrip() + "\n"


def _typer_lines(path: str, command: object) -> Iterator[str]:
    children = getattr(command, "commands", {})
    if not children or getattr(command, "invoke_without_command", False):
        yield from _verb_lines(path, command)
    for name, child in children.items():
        yield from _typer_lines(f"{path} {name}", child)


def _verb_lines(path: str, command: object) -> Iterator[str]:
    text = inspect.cleandoc(getattr(command, "help", None) or "").split("\n\n")[0].replace("\n", " ")
    yield from (f"### `edgefleet {path}`", "", text, "", "| argument or option | meaning |", "|---|---|")
    for parameter in command.params:  # type: ignore[attr-defined] # click's Command, which typer does not type
        yield f"| {_spelled(parameter)} | {_cell(getattr(parameter, 'help', None))}{_default(parameter)} |"
    yield ""


def _spelled(parameter: object) -> str:
    options = [*parameter.opts, *parameter.secondary_opts]  # type: ignore[attr-defined] # as above
    if options[0].startswith("-"):
        return ", ".join(f"`{option}`" for option in options)
    return f"`{getattr(parameter, 'metavar', None) or options[0].upper()}`"


def _default(parameter: object) -> str:
    default = getattr(parameter, "default", None)
    shown = (
        isinstance(default, str | int | float | list | tuple)
        and not isinstance(default, bool)
        and default not in ("", [], ())
    )
    return f" Default: `{default}`." if shown else ""


def _agent_lines() -> Iterator[str]:
    from edgefleet_agent.cli import _parser  # noqa: PLC0415 - the only page that needs the agent

    verbs = next(action for action in _parser()._actions if isinstance(action, argparse._SubParsersAction))  # noqa: SLF001 - argparse has no public way to list its verbs
    for name, parser in verbs.choices.items():
        yield from (f"### `edgefleet agent {name}`", "", parser.description or "", "")
        yield from ("On a device: `edgefleet-agent " + name + "`.", "", "| argument or option | meaning |", "|---|---|")
        for action in parser._actions:  # noqa: SLF001 - as above
            if not isinstance(action, argparse._HelpAction):  # noqa: SLF001 - as above
                spelled = ", ".join(f"`{option}`" for option in action.option_strings) or f"`{action.dest.upper()}`"
                yield f"| {spelled} | {_cell(action.help)} |"
        yield ""


def _cell(text: str | None) -> str:
    if not text:
        raise SystemExit("an option without a help text")
    return " ".join(text.split()).replace("|", "\\|").replace("%%", "%")


def summary(thing: object) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join(inspect.getdoc(thing).split("\n\n")[0].split())  # type: ignore[union-attr] # a test sees to docstrings


if __name__ == "__main__":
    main()
