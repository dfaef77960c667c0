"""The one border where errors become text for people, JSON for programs, and an exit status for shells."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

from edgefleet_contract.errors import EdgefleetError, OutputUnwritable, UsageMalformed

INTERRUPTED = 130  # 128 + SIGINT, as shells have it

# What to install when a module is not there, by the top-level name of the module.
_EXTRA_OF = {
    "typer": "cli",
    "rich": "cli",
    "onnx": "compiler",
    "onnx_ir": "compiler",
    "numpy": "compiler",
    "PIL": "compiler",
    "jinja2": "compiler",
    "ai_edge_litert": "litert",
    "onnxruntime": "onnxruntime",
    "fastapi": "server",
    "uvicorn": "server",
    "sqlalchemy": "server",
    "alembic": "server",
    "amqtt": "server",
    "httpx": "server",
    "multipart": "server",
    "paho": "agent",
    "tensorflow": "tensorflow",
    "keras": "tensorflow",
    "h5py": "tensorflow",
    "distributed": "dask",
}


def run_guarded(act: Callable[[], int], *, wants_json: bool) -> int:
    """Run ``act``; whatever goes wrong is told once, without a traceback, and becomes the exit status.

    With ``EDGEFLEET_DEBUG=1`` the traceback of an unexpected exception is printed too.

    Args:
        act: The command.
        wants_json: Whether to print the error as ``{"error": {...}}`` on stdout as well.
    """
    try:
        status = act()
        sys.stdout.flush()  # here, where a reader that went away is no error yet
    except EdgefleetError as error:
        return _tell(error, wants_json=wants_json)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    except BrokenPipeError:
        _abandon_stdout()  # the reader of a pipe went away (`edgefleet ... | head`): nobody is left to tell
        return 0
    except ModuleNotFoundError as error:
        return _tell(_missing_extra(error), wants_json=wants_json)
    except Exception as error:  # noqa: BLE001 - the border: nothing passes it as a traceback
        return _tell(_fault_of_stdout(error) or _as_known_error(error), wants_json=wants_json)
    return status


def _tell(error: EdgefleetError, *, wants_json: bool) -> int:
    try:
        if wants_json:
            sys.stdout.write(json.dumps({"error": error.as_json()}, default=str) + "\n")
        sys.stdout.flush()
    except OSError:
        _abandon_stdout()  # the text on stderr and the exit status say it all the same
    sys.stderr.write(f"error[{error.code}]: {error.text()}\n")
    return error.exit_status


def _fault_of_stdout(error: Exception) -> OutputUnwritable | None:
    """Why what is written to stdout does not get there, if that is the error.

    The error of a write does not say to which file it was. An end of line is tried once more: JSON has room for it.
    """
    if not isinstance(error, OSError) or error.filename is not None:
        return None
    try:
        sys.stdout.write("\n")
        sys.stdout.flush()
    except OSError as cause:
        _abandon_stdout()
        return OutputUnwritable(
            f"The results cannot be written to stdout: {cause.strerror}", remedy="Write them to a place with room."
        )
    return None


def _abandon_stdout() -> None:
    """Let what is still buffered for stdout go nowhere, so that the interpreter does not trip over it as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _missing_extra(error: ModuleNotFoundError) -> EdgefleetError:
    top_level = (error.name or "").partition(".")[0]
    extra = _EXTRA_OF.get(top_level)
    if extra is None:
        return _as_known_error(error)
    return UsageMalformed(
        f"This command needs the Python package {top_level!r}, which is not installed",
        remedy=f"Install it with `pip install 'edgefleet[{extra}]'`.",
        extra=extra,
    )


def _as_known_error(error: Exception) -> EdgefleetError:
    """What typer says of a wrong command line, as usage; anything else is our fault and is told as such."""
    typer = sys.modules.get("typer")
    if typer is not None and isinstance(error, typer.TyperException):
        return _as_usage(error)
    if typer is not None and isinstance(error, typer.Abort):
        return UsageMalformed("Aborted")
    if os.environ.get("EDGEFLEET_DEBUG") == "1":
        traceback.print_exception(error)
    return EdgefleetError(
        f"An unexpected {type(error).__name__}: {error}",
        remedy="This is a defect of edgefleet; with EDGEFLEET_DEBUG=1 it shows where.",
    )


def _as_usage(error: Any) -> UsageMalformed:
    """What typer's own exceptions say; the one for a missing verb says nothing, having printed the help."""
    context = getattr(error, "ctx", None)
    command = "edgefleet" if context is None else str(context.command_path)
    remedy = f"`{command} --help` shows what it takes."
    said = error.format_message().replace("Value error, ", "")
    if said or context is None:
        return UsageMalformed(said, remedy=remedy)
    verbs = ", ".join(context.command.list_commands(context))
    return UsageMalformed(f"A verb is missing after `{command}`", expected=f"one of {verbs}", remedy=remedy)
