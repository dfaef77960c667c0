"""What the commands of ``edgefleet-agent`` do; ``cli`` says how they are called."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from edgefleet_agent import detection
from edgefleet_agent.client import AgentClient
from edgefleet_agent.clock_confirmation import ClockConfirmation
from edgefleet_agent.disk import Disk
from edgefleet_agent.fingerprint import read_fingerprint
from edgefleet_agent.folder import DataFolder, Lock, running_agent
from edgefleet_agent.identity import Card, Identity
from edgefleet_agent.inference import InferenceChild, Limits
from edgefleet_agent.listener import parse_server
from edgefleet_agent.private import ContentKeys
from edgefleet_agent.record import load_record
from edgefleet_agent.signers import FILE, check_place
from edgefleet_agent.slots import Slots
from edgefleet_agent.status import describe_folder
from edgefleet_contract.enrolment import decode_token
from edgefleet_contract.errors import (
    AgentUnreachable,
    EdgefleetError,
    NotFound,
    OutputUnwritable,
    UsageMalformed,
)
from edgefleet_contract.manifest import Manifest

Infer = Callable[[bytes], bytes]


@dataclass(frozen=True)
class EnrolmentOptions:
    """How this machine is to enroll.

    Attributes:
        server: URL of the device listener; None takes the one that a batch's folder names.
        token: A claim token; "" where ``claim`` stands in its place.
        claim: The folder of a batch's claim; None with a token.
        target: Target profile; None finds out.
        key: Where the identity key is to live.
        serial: The machine's serial number; None asks the system.
    """

    server: str | None = None
    token: str = ""
    claim: Path | None = None
    target: str | None = None
    key: str = FILE
    serial: str | None = None


def enroll(folder: DataFolder, options: EnrolmentOptions) -> dict[str, object]:
    """Enroll this machine; what it became.

    Raises:
        EdgefleetError: As :func:`enrolment.enroll`; besides an unknown target, or a claim that is none.
    """
    from edgefleet_agent import claims, enrolment  # noqa: PLC0415 - X.509 and HTTPS; `run` needs neither

    hardware, key = _hardware(options.target), check_place(options.key)
    if options.claim is not None:
        claim, named = claims.of_folder(options.claim)
        server = parse_server(options.server or named)
    else:
        server, claim = parse_server(options.server or ""), claims.of_token(decode_token(options.token))
    machine = enrolment.Machine(hardware, detection.installed_runtimes(), read_fingerprint(serial=options.serial))
    had_folder, had_lock = folder.root.exists(), folder.lock.exists()
    lock = Lock(folder)
    try:
        card = enrolment.enroll(folder, Disk(), server=server, claim=claim, machine=machine, key=key)
    except EdgefleetError:
        if not had_lock:
            folder.lock.unlink(missing_ok=True)
        if not had_folder:
            with contextlib.suppress(OSError):  # it holds the key that a retry needs
                folder.root.rmdir()
        raise
    finally:
        lock.release()
    return _enrolled(folder, card)


def enroll_again(folder: DataFolder, token: str, serial: str | None) -> dict[str, object]:
    """Give the device of ``folder`` a fresh certificate with a token that is bound to it; what it is.

    Raises:
        EdgefleetError: As :func:`enrolment.enroll_again`.
    """
    from edgefleet_agent import claims, enrolment  # noqa: PLC0415 - X.509 and HTTPS; `run` needs neither

    claim = claims.of_token(decode_token(token))
    hardware = Identity(folder).card.hardware
    machine = enrolment.Machine(hardware, detection.installed_runtimes(), read_fingerprint(serial=serial))
    lock = Lock(folder)
    try:
        return _enrolled(folder, enrolment.enroll_again(folder, Disk(), claim=claim, machine=machine))
    finally:
        lock.release()


def _enrolled(folder: DataFolder, card: Card) -> dict[str, object]:
    return {"device": card.device, "hardware": card.hardware, "server": card.server, "data": str(folder.root)}


def _hardware(target: str | None) -> str:
    from edgefleet_hardware.profile import load_profile  # noqa: PLC0415 - only enrolment reads a target profile

    return load_profile(target or detection.detect_target()).hardware[0]


def status(folder: DataFolder) -> dict[str, object]:
    """How the agent is; what only a running one knows is null for one that does not run.

    Raises:
        NotEnrolled: The folder holds no identity.
    """
    described = describe_folder(folder)
    agent = running_agent(folder)
    if agent is None:
        return {
            **described,
            "agent": None,
            "connected": False,
            "revoked": None,
            "ready": False,
            "clock": None,
            "spool": None,
        }
    with AgentClient(agent) as client:
        return {**client.status(), "agent": {"pid": agent.pid, "serving": agent.serving}}


def confirm_clock(folder: DataFolder, time: str | None) -> dict[str, int]:
    """Confirm that a time far ahead is right: the one that the running agent holds, or ``time``.

    Args:
        folder: Of an enrolled device.
        time: ISO 8601, UTC where it names no zone; None for the one that is held.

    Raises:
        NotEnrolled: The folder holds no identity.
        UsageMalformed: ``time`` is none.
        NotFound: No agent runs, or it holds no time.
        DiskFailed: The confirmation cannot be written.
    """
    Identity(folder)
    ms = _held_time(folder) if time is None else _parsed_time(time)
    ClockConfirmation(folder, Disk()).write(ms)
    return {"confirmed": ms}


def _held_time(folder: DataFolder) -> int:
    clock = status(folder)["clock"]
    held = clock["held"] if isinstance(clock, dict) else None
    if held is None:
        raise NotFound(
            "There is no time to confirm: no agent runs here, or it holds none",
            remedy="See `edgefleet-agent status`, or name the time: `clock confirm --time 2027-03-01T10:00Z`.",
        )
    return int(held)


def _parsed_time(text: str) -> int:
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as cause:
        raise UsageMalformed(f"The time {text!r} cannot be read", expected="one such as 2027-03-01T10:00Z") from cause
    return round((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1000)


def infer(folder: DataFolder, source: Path) -> dict[str, object]:
    """Ask the running agent for the predictions of one file.

    Raises:
        NotFound: The device has no confirmed model.
        AgentUnreachable: No agent runs on the folder.
        DataMalformed: The file is not what the model takes.
    """
    manifest, _ = _confirmed(folder)
    agent = running_agent(folder)
    if agent is None:
        raise AgentUnreachable(
            f"No agent runs on {str(folder.root)!r}",
            remedy=f"Start it with `edgefleet-agent run --data {folder.root}`.",
        )
    with AgentClient(agent) as client:
        return _predict(source, manifest, lambda body: client.infer(manifest.name, body))


def batch(folder: DataFolder, source: Path, out: Path) -> tuple[int, int]:
    """Write the predictions of a folder of files, one JSON line a file, by the running agent or by a model of its own.

    Returns:
        How many files there were, and on how many of them it failed; these have their error in their line.

    Raises:
        NotFound: The device has no confirmed model.
        OutputUnwritable: ``out`` cannot be written; nothing is left there.
    """
    from edgefleet_agent.predict import input_files  # noqa: PLC0415 - numpy; `run` must not load it

    count = failed = 0
    with _model(folder) as (manifest, ask), _whole_file(out) as write:
        for path in input_files(source):
            count += 1
            try:
                line = {"file": path.name, **_predict(path, manifest, ask)}
            except AgentUnreachable:
                raise
            except EdgefleetError as error:
                failed += 1
                line = {"file": path.name, "error": error.as_json()}
            write(msgspec.json.encode(line) + b"\n")
    return count, failed


def _confirmed(folder: DataFolder) -> tuple[Manifest, Callable[[], InferenceChild]]:
    identity = Identity(folder)
    record, slots = load_record(folder), Slots(folder, Disk())
    if record.running is None:
        raise NotFound("This device has no confirmed model yet", remedy="Roll a release out to it first.")
    running, content_keys = record.running, ContentKeys(slots, identity.holders)
    return slots.manifest(running), lambda: InferenceChild(slots.path(running), Limits(), content_keys.of_slot(running))


@contextlib.contextmanager
def _model(folder: DataFolder) -> Iterator[tuple[Manifest, Infer]]:
    """The confirmed model: the running agent's, or where none runs a child of this command."""
    manifest, load = _confirmed(folder)
    agent = running_agent(folder)
    if agent is not None:
        with AgentClient(agent) as client:
            yield manifest, lambda body: client.infer(manifest.name, body)
        return
    lock = Lock(folder)
    try:
        with load() as child:
            yield manifest, lambda body: child.infer(body).body
    finally:
        lock.release()


def _predict(path: Path, manifest: Manifest, ask: Infer) -> dict[str, object]:
    from edgefleet_agent import predict  # noqa: PLC0415 - numpy; `run` must not load it

    response = predict.decode_response(ask(predict.read_request(path, manifest)))
    return {
        "model": response.model_name,
        "version": response.model_version,
        "predictions": msgspec.to_builtins(predict.predictions(response, manifest.labels)),
        "outputs": msgspec.to_builtins(response.outputs),
    }


@contextlib.contextmanager
def _whole_file(path: Path) -> Iterator[Callable[[bytes], object]]:
    """A file that gets its name only when all of it is written."""
    partial = path.with_name(path.name + ".part")
    try:
        with partial.open("wb") as file:
            yield file.write
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as cause:
        raise OutputUnwritable(f"{str(path)!r} cannot be written: {cause.strerror}", path=str(path)) from cause
    finally:
        partial.unlink(missing_ok=True)
