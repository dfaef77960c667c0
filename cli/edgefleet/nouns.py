"""The static table of nouns. A noun's module is imported when it is called, so that no noun pays for another."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Noun:
    """A noun of the command line.

    Attributes:
        group: The heading that ``edgefleet --help`` shows it under.
        module: The module whose ``attribute`` answers it.
        attribute: A typer app, or a function of the argument list that returns an exit status.
        help: One line.
    """

    group: str
    module: str
    attribute: str
    help: str


_COMPILE = "Compile models"
_FLEET = "Run a fleet"
_DEVICE = "On a device"
_SEE = "See it work"

NOUNS: dict[str, Noun] = {
    "target": Noun(_COMPILE, "edgefleet_compiler.cli.target", "app", "Hardware to compile for: list, show"),
    "model": Noun(
        _COMPILE,
        "edgefleet_compiler.cli.model",
        "app",
        "Models: inspect, fit, compile, finetune, compare, benchmark, sweep",
    ),
    "bundle": Noun(_COMPILE, "edgefleet_compiler.cli.bundle", "app", "Bundles: pack, show, verify, unpack"),
    "server": Noun(_FLEET, "edgefleet_server.cli.server", "app", "The fleet server: run, upgrade, backup, restore"),
    "device": Noun(
        _FLEET,
        "edgefleet_server.cli.device",
        "app",
        "Devices: token, batch, list, show, tag, replace, revoke, retire, erase",
    ),
    "release": Noun(
        _FLEET, "edgefleet_server.cli.release", "app", "Releases: push, list, show, withdraw, permit, permits"
    ),
    "rollout": Noun(
        _FLEET,
        "edgefleet_server.cli.rollout",
        "app",
        "Rollouts in stages: create, list, show, watch, start, pause, resume, abort, rollback",
    ),
    "drift": Noun(_FLEET, "edgefleet_server.cli.drift", "app", "Drift of the inputs that devices see: show"),
    "sample": Noun(_FLEET, "edgefleet_server.cli.sample", "app", "Raw samples, sealed by devices: key, list, fetch"),
    "alert": Noun(_FLEET, "edgefleet_server.cli.alert", "app", "Alerts: list, ack"),
    "key": Noun(
        _FLEET, "edgefleet_server.cli.key", "app", "Signing keys: new, init, list, rotate, renew, sign, send, forget"
    ),
    "user": Noun(
        _FLEET, "edgefleet_server.cli.user", "app", "Users of the server: add, list, role, disable, enable, password"
    ),
    "token": Noun(_FLEET, "edgefleet_server.cli.token", "app", "API tokens for programs: create, list, revoke"),
    "audit": Noun(_FLEET, "edgefleet_server.cli.audit", "app", "The audit log: list, verify, export"),
    "agent": Noun(_DEVICE, "edgefleet_agent.cli", "main", "The agent: enroll, run, status, clock, infer, batch"),
    "demo": Noun(_SEE, "edgefleet.demo.command", "app", "A model's whole way, from compiler to halted rollout"),
}
