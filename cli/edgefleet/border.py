"""The one border where errors become text for people, JSON for programs, and an exit status for shells."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable

from edgefleet_contract.errors import EdgefleetError, UsageMalformed

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
    "tf2onnx": "tensorflow",
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
        # The reader of a pipe went away (`edgefleet ... | head`): nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ModuleNotFoundError as error:
        return _tell(_missing_extra(error), wants_json=wants_json)
    except Exception as error:  # noqa: BLE001 - the border: nothing passes it as a traceback
        return _tell(_as_known_error(error), wants_json=wants_json)
    return status


def _tell(error: EdgefleetError, *, wants_json: bool) -> int:
    if wants_json:
        sys.stdout.write(json.dumps({"error": error.as_json()}, default=str) + "\n")
    sys.stderr.write(f"error[{error.code}]: {error.text()}\n")
    return error.exit_status


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
        return UsageMalformed(error.format_message(), remedy=f"`{_help_of(error)} --help` shows what it takes.")
    if typer is not None and isinstance(error, typer.Abort):
        return UsageMalformed("Aborted")
    if os.environ.get("EDGEFLEET_DEBUG") == "1":
        traceback.print_exception(error)
    return EdgefleetError(
        f"An unexpected {type(error).__name__}: {error}",
        remedy="This is a defect of edgefleet; with EDGEFLEET_DEBUG=1 it shows where.",
    )


def _help_of(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    return "edgefleet" if context is None else str(context.command_path)
