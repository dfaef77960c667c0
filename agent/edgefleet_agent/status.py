"""How an agent is: what its data folder says, and what it says itself while it runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from edgefleet_agent.clock import TrustedClock
from edgefleet_agent.disk import Disk
from edgefleet_agent.folder import DataFolder
from edgefleet_agent.identity import Card, Identity
from edgefleet_agent.record import Record, load_record
from edgefleet_agent.slots import Slots
from edgefleet_contract.manifest import Manifest


def describe(card: Card, record: Record, manifest: Manifest | None) -> dict[str, object]:
    """The state as JSON types.

    Args:
        card: Who the device is.
        record: Of the state machine.
        manifest: Of the slot that serves; None if there is none.
    """
    running = None
    if manifest is not None:
        running = {"name": manifest.name, "version": manifest.version, "digest": record.running_digest}
    return {
        "device": card.device,
        "hardware": card.hardware,
        "server": card.server,
        "state": record.state,
        "sequence": record.sequence,
        "running": running,
        "error": msgspec.to_builtins(record.error),
    }


def describe_clock(clock: TrustedClock, *, is_stale: bool) -> dict[str, object]:
    """The clock as JSON types: times in UTC milliseconds.

    Args:
        clock: The agent's.
        is_stale: Whether the server's time stays away.
    """
    return {
        "source": clock.source,
        "now": clock.now_ms(),
        "offset_ms": clock.offset_ms,
        "held": clock.held_ms,
        "stale": is_stale,
    }


def describe_folder(folder: DataFolder) -> dict[str, object]:
    """The state of an agent by what lies on its disk.

    Raises:
        NotEnrolled: The folder holds no identity.
        DataFolderMalformed: It cannot be read.
    """
    record = load_record(folder)
    manifest = None if record.running is None else Slots(folder, Disk()).manifest(record.running)
    return describe(Identity(folder).card, record, manifest)


def as_text(state: dict[str, Any], folder: DataFolder) -> str:
    """The state as a table for people.

    Args:
        state: As ``commands.status`` gives it.
        folder: Where the agent's data lie.
    """
    running, error, agent, spool = (state[name] for name in ("running", "error", "agent", "spool"))
    rows = {
        "device": state["device"],
        "hardware": state["hardware"],
        "server": state["server"],
        "state": state["state"],
        "sequence": state["sequence"] or "no assignment yet",
        "model": f"{running['name']} {running['version']}  {running['digest'][:12]}" if running else "no model yet",
        "error": f"{error['code']}: {error['text']}" if error else "none",
        "agent": f"serves at {agent['serving']}, pid {agent['pid']}" if agent else "not running",
    }
    if agent:
        rows["ready"] = "yes" if state["ready"] else "no"
        rows["network"] = _network_text(state)
        rows["clock"] = _clock_text(state["clock"])
        rows["spool"] = f"{_counted(spool['records'])} waiting, {round(spool['bytes'] / 1000)} KB on disk"
    else:
        rows["next"] = f"`edgefleet-agent run --data {folder.root}` starts it"
    return "\n".join(f"{name:<10}{value}" for name, value in rows.items())


def _network_text(state: dict[str, Any]) -> str:
    if state["revoked"]:
        return "shut out: this device was revoked, replaced or retired. It can only enroll anew, in a new folder"
    return "connected" if state["connected"] else "not connected"


def _clock_text(clock: dict[str, Any]) -> str:
    sources = {"signed": "signed by the server,", "system": "the system's,", "floor": "unknown, at least"}
    text = f"{sources[clock['source']]} {utc(clock['now'])}, {clock['offset_ms'] / 1000:+.0f} s from the system's"
    if clock["held"] is not None:
        text += f"; the server says {utc(clock['held'])}: see `edgefleet-agent clock confirm`"
    return text + ("; stale: nothing comes from the server" if clock["stale"] else "")


def utc(ms: int) -> str:
    """UTC milliseconds for people."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _counted(records: int) -> str:
    return "1 record" if records == 1 else f"{records} records"
