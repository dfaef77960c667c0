"""The command line of the agent, on the standard library: a device installs no typer and no rich."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import traceback
from pathlib import Path
from typing import NoReturn

from edgefleet_agent import agent_version, commands, status
from edgefleet_agent.config import load_config
from edgefleet_agent.folder import DataFolder, RunningAgent
from edgefleet_contract.errors import EdgefleetError, UsageMalformed

_TOKEN = "EDGEFLEET_CLAIM_TOKEN"  # noqa: S105 - the name of the variable
_INTERRUPTED = 130  # 128 + SIGINT, as shells have it
_EPILOG = """Exit status: 0 done, 1 our fault, 2 usage or malformed input, 3 a gate said no,
4 verification refused, 5 a peer is not there."""


def main(argv: list[str] | None = None) -> int:
    """Run one command line; ``argv`` without the program's name.

    Returns:
        The exit status.
    """
    arguments = sys.argv[1:] if argv is None else argv
    try:
        return _dispatch(_parser().parse_args(arguments))
    except EdgefleetError as error:
        return _tell(error, wants_json="--json" in arguments)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the border: nothing passes it as a traceback
        if os.environ.get("EDGEFLEET_DEBUG") == "1":
            traceback.print_exception(error)
        unexpected = EdgefleetError(
            f"An unexpected {type(error).__name__}: {error}",
            remedy="This is a defect of edgefleet; with EDGEFLEET_DEBUG=1 it shows where.",
        )
        return _tell(unexpected, wants_json="--json" in arguments)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Tell a wrong command line as every other error is told."""
        raise UsageMalformed(message[:1].upper() + message[1:], remedy=f"`{self.prog} --help` shows what it takes.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="edgefleet-agent", description="The agent on a device.", epilog=_EPILOG)
    parser.add_argument("--version", action="version", version=f"edgefleet-agent {agent_version()}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    enroll = _verb(verbs, "enroll", "Turn a claim token into an identity")
    enroll.add_argument("--server", metavar="URL", help="https:// URL of the server's device listener")
    enroll.add_argument(
        "--token", help=f"the word that `edgefleet device token` printed; - reads it from stdin (default: {_TOKEN})"
    )
    enroll.add_argument("--target", metavar="NAME", help="target profile of this machine (default: found out)")
    enroll.add_argument("--claim", type=Path, metavar="FOLDER", help="claim of a batch, in place of a token")
    enroll.add_argument(
        "--key", default="file", metavar="PLACE", help="where the key is to live: file, or a PKCS #11 URI (pkcs11:...)"
    )
    enroll.add_argument("--serial", metavar="TEXT", help="serial number, of a board that does not say it itself")
    enroll.add_argument(
        "--again", action="store_true", help="a fresh certificate for the device of this folder, which came too late"
    )

    run = _verb(verbs, "run", "Run the agent in the foreground until SIGTERM")
    run.add_argument("--listen", metavar="ADDRESS", help="HOST:PORT of the loopback, port 0 for any, or unix:PATH")
    run.add_argument("--telemetry-interval", metavar="TIME", help="length of a telemetry window, such as 1h or 30s")
    run.add_argument("--spool-max-bytes", metavar="SIZE", help="most that unsent telemetry takes, such as 16MiB")

    _verb(verbs, "status", "Show state, model and connection")

    clock = _verb(verbs, "clock", "Confirm a time that the server signed, and that the agent holds for it is far ahead")
    clock.add_argument("act", choices=["confirm"], help="confirm: this time is right")
    clock.add_argument("--time", metavar="TIME", help="ISO 8601, UTC (default: the time that the running agent holds)")

    infer = _verb(verbs, "infer", "Ask the running agent for predictions")
    infer.add_argument("--input", required=True, type=Path, metavar="FILE", help=".npz, .npy, .json or a picture")

    batch = _verb(verbs, "batch", "Write the predictions of a folder of files")
    batch.add_argument("--in", required=True, type=Path, dest="source", metavar="FOLDER", help="folder of inputs")
    batch.add_argument("--out", required=True, type=Path, metavar="FILE", help="JSON lines, one a file")
    return parser


def _verb(verbs: argparse._SubParsersAction[_Parser], name: str, help_text: str) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=help_text, description=help_text + ".")
    parser.add_argument("--data", required=True, type=Path, metavar="FOLDER", help="the agent's data folder")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser


def _dispatch(options: argparse.Namespace) -> int:
    folder = DataFolder(options.data.absolute())
    match options.verb:
        case "enroll":
            card = _enroll(folder, options)
            _print(options, card, f"enrolled as {card['device']} ({card['hardware']})")
        case "run":
            return _run(folder, options)
        case "status":
            state = commands.status(folder)
            _print(options, state, status.as_text(state, folder))
        case "clock":
            confirmed = commands.confirm_clock(folder, options.time)
            _print(options, confirmed, f"confirmed: times up to five days after {status.utc(confirmed['confirmed'])}")
        case "infer":
            answer = commands.infer(folder, options.input)
            _print(options, answer, _answer_text(answer))
        case "batch":
            count, failed = commands.batch(folder, options.source, options.out)
            summary = {"files": count, "failed": failed, "out": str(options.out)}
            _print(options, summary, f"{count} files, {failed} failed; predictions in {options.out}")
            return UsageMalformed.exit_status if failed else 0
    return 0


def _enroll(folder: DataFolder, options: argparse.Namespace) -> dict[str, object]:
    if options.again:
        if options.claim is not None or options.key != "file" or options.target or options.server:
            raise UsageMalformed(
                "--again takes a token alone: server, target and place of the key stay what they are",
                expected="edgefleet-agent enroll --again --token TOKEN --data FOLDER",
            )
        return commands.enroll_again(folder, _token(options), options.serial)
    token = "" if options.claim is not None else _token(options)
    wanted = commands.EnrolmentOptions(
        options.server, token, options.claim, options.target, options.key, options.serial
    )
    return commands.enroll(folder, wanted)


def _token(options: argparse.Namespace) -> str:
    """The claim token; on the command line every user of the machine can read it, so that there are other ways."""
    token = options.token or os.environ.get(_TOKEN, "")
    if token == "-":  # noqa: S105 - the word for stdin
        token = sys.stdin.readline()
    if not token.strip():
        raise UsageMalformed("No claim token is given", expected=f"--token TOKEN, --token - with stdin, or {_TOKEN}")
    return str(token).strip()


def _run(folder: DataFolder, options: argparse.Namespace) -> int:
    from edgefleet_agent import daemon  # noqa: PLC0415 - paho; no other command needs the network

    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    config = load_config(
        folder,
        {
            "listen": options.listen,
            "telemetry_interval_s": options.telemetry_interval,
            "spool_max_bytes": options.spool_max_bytes,
        },
    )

    def ready(device: str, agent: RunningAgent) -> None:
        document = {"device": device, "serving": agent.serving, "pid": agent.pid}
        _print(options, document, f"{device} serves at {agent.serving}")

    daemon.run(folder, config, ready)
    return 0


def _print(options: argparse.Namespace, document: object, text: str) -> None:
    sys.stdout.write((json.dumps(document) if options.json else text) + "\n")
    sys.stdout.flush()


def _answer_text(answer: dict[str, object]) -> str:
    lines = [f"{answer['model']} {answer['version']}"]
    predictions = answer["predictions"]
    assert isinstance(predictions, list)
    for case, entry in enumerate(predictions):
        lines.append(f"  case {case}: {entry['label'] or entry['index']}  ({entry['value']:.4g})")
    if not predictions:
        lines.append("  " + json.dumps(answer["outputs"]))
    return "\n".join(lines)


def _tell(error: EdgefleetError, *, wants_json: bool) -> int:
    if wants_json:
        sys.stdout.write(json.dumps({"error": error.as_json()}, default=str) + "\n")
    sys.stderr.write(f"error[{error.code}]: {error.text()}\n")
    return error.exit_status


if __name__ == "__main__":
    sys.exit(main())
