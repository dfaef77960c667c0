"""The story of the demo, one function a chapter."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgefleet.demo import data, images
from edgefleet.demo.commands import Child, Commands
from edgefleet.demo.summary import Result
from edgefleet_contract.errors import DemoFailed

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

TARGETS = ("x86-64", "rpi4", "nrf52840")
_PROBATION = "4s"
_ROLLOUT_S = 60.0
_DRIFT_S = 40.0
_PREDICTIONS_EACH = 40
_SHOWN_TO_ONE = 900  # images: more than twice what a verdict on drift needs


@dataclass(frozen=True)
class Plan:
    """What to tell.

    Attributes:
        devices: How many; every third is declared a Raspberry Pi 4, the others are x86-64.
        second_release_good: Whether 1.1.0 is calibrated on the right data.
        inverted: Whether one device sees inverted images at the end.
        broker: As of ``edgefleet server run --broker``.
        keep: Leave everything running.
    """

    devices: int
    second_release_good: bool
    inverted: bool
    broker: str
    keep: bool


class Teller:
    """The commands, and what the chapters hand on to each other."""

    def __init__(self, plan: Plan, folder: Path, console: Console) -> None:
        self.plan = plan
        self.folder = folder
        self.console = console
        self.commands = Commands(console, folder)
        self.digits = data.find()
        self.agents: list[Child] = []
        self.console_url = ""

    def chapter(self, title: str) -> None:
        """Print a heading."""
        self.console.print(f"\n[bold]{title}[/bold]", soft_wrap=True)

    def note(self, text: str) -> None:
        """Print what came of a command."""
        self.console.print(f"  {text}", highlight=False, markup=False, soft_wrap=True)


def tell(plan: Plan, folder: Path, console: Console) -> Result:
    """Tell the whole story and return what came of it.

    Args:
        plan: What to tell.
        folder: Empty; everything that the demo writes is written here.
        console: Where it is told.

    Raises:
        DemoFailed: A step did not end as it should.
    """
    started = time.monotonic()
    teller = Teller(plan, folder, console)
    try:
        report = compile_first(teller)
        compile_second(teller)
        start_server(teller)
        enroll_devices(teller)
        first = roll_out(teller, "1.0.0", "--stage", "30%", "--stage", "100%")
        expect(first, "finished")
        served = serve_predictions(teller)
        second = roll_out(
            teller, "1.1.0", "--stage", "30%", "--stage", "100%", "--vectors", str(teller.digits.validation)
        )
        expect(second, "finished" if plan.second_release_good else "halted")
        tell_verdicts(teller, second)
        alerts = watch_for_drift(teller)
        teller.commands.check_alive()
        result = Result(
            devices=plan.devices,
            confirmed=count(first, "succeeded"),
            served=served,
            halted=sum(1 for rollout in (first, second) if rollout["state"] == "halted"),
            rolled_back=count(second, "rolled_back"),
            drift_alerts=len(alerts),
            accuracy={name: report["accuracy"][name] for name in ("baseline", "compiled")},
            seconds=round(time.monotonic() - started, 1),
            console=teller.console_url,
            folder=str(folder),
            running=teller.commands.release_all() if plan.keep else [],
        )
    finally:
        teller.commands.stop_all()
    return result


def compile_first(teller: Teller) -> dict[str, Any]:
    """Compile 1.0.0 for three targets; returns the report for x86-64."""
    teller.chapter("1. Compile a float network for three targets, and measure what it cost")
    answer = compile_version(teller, "1.0.0", TARGETS, teller.digits.calibration)
    for report in answer["targets"]:
        accuracy = report["accuracy"]
        teller.note(
            f"{report['target']:<9} {report['artifact']['bytes']:>6} bytes {report['artifact']['format']:<6} "
            f"accuracy {accuracy['baseline']:.3f} -> {accuracy['compiled']:.3f}   {report['verdict']}"
        )
    first: dict[str, Any] = answer["targets"][0]
    return first


def compile_second(teller: Teller) -> None:
    """Compile 1.1.0, on wrongly scaled calibration data unless the plan wants a good one."""
    if teller.plan.second_release_good:
        teller.chapter("2. Compile a second version")
        compile_version(teller, "1.1.0", TARGETS[:2], teller.digits.calibration)
        return
    teller.chapter("2. Compile a second version on wrongly scaled calibration data: a mistake that nobody stops")
    wrong = images.write_wrongly_scaled(teller.digits.calibration, teller.folder / "wrong.npz")
    answer = compile_version(teller, "1.1.0", TARGETS[:2], wrong, "--max-drop", "1")
    accuracy = answer["targets"][0]["accuracy"]
    teller.note(f"accuracy {accuracy['baseline']:.3f} -> {accuracy['compiled']:.3f}, accepted because of --max-drop 1")


def compile_version(
    teller: Teller, version: str, targets: tuple[str, ...], calibration: Path, *more: str
) -> dict[str, Any]:
    """Run ``edgefleet model compile``."""
    chosen = [word for target in targets for word in ("--target", target)]
    answer: dict[str, Any] = teller.commands.run(
        "model", "compile", teller.digits.model, *chosen, "--name", "digits", "--version", version,
        "--recipe", "int8", "--calibration", calibration, "--validation", teller.digits.validation, *more,
        "--out", teller.folder / version,
    )  # fmt: skip
    return answer


def start_server(teller: Teller) -> None:
    """Start the fleet server on free ports of this machine."""
    teller.chapter("3. Start the fleet server")
    folder = teller.folder / "server"
    server = teller.commands.start(
        "server", "server", "run", "--data", folder, "--port", "0", "--broker", teller.plan.broker
    )
    teller.console_url = server.ready["console"]
    teller.commands.environment["EDGEFLEET_SERVER"] = teller.console_url
    teller.commands.environment["EDGEFLEET_TOKEN"] = (folder / "admin.token").read_text().strip()
    teller.note(f"console at {teller.console_url}; devices enroll at {server.ready['devices']}")


def enroll_devices(teller: Teller) -> None:
    """Enroll the devices and start their agents."""
    teller.chapter(f"4. Enroll {teller.plan.devices} devices and start their agents")
    for number in range(teller.plan.devices):
        target = "rpi4" if number % 3 == 2 else "x86-64"
        folder = teller.folder / "agents" / f"{number + 1}"
        token = teller.commands.run("device", "token")
        enrolled = teller.commands.run(
            "agent", "enroll", "--server", token["server"], "--token", token["token"], "--data", folder,
            "--target", target,
        )  # fmt: skip
        agent = teller.commands.start(
            f"agent {number + 1}", "agent", "run", "--data", folder, "--listen", "127.0.0.1:0",
            "--telemetry-interval", "2s",
        )  # fmt: skip
        teller.agents.append(agent)
        teller.note(f"{enrolled['device']} is enrolled as {target}")


def roll_out(teller: Teller, version: str, *options: str) -> dict[str, Any]:
    """Push and roll out a version; returns the rollout as it ended."""
    number = "5" if version == "1.0.0" else "7"
    teller.chapter(f"{number}. Sign, push and roll out digits {version} in stages")
    teller.commands.run("release", "push", *sorted((teller.folder / version).glob("*/*.efb")))
    rollout = teller.commands.run(
        "rollout", "create", "--release", f"digits@{version}", "--to", "all", *options, "--probation", _PROBATION
    )
    return follow(teller, rollout)


def follow(teller: Teller, rollout: dict[str, Any]) -> dict[str, Any]:
    """Watch a rollout until it is over, and print each change."""
    seen = ""
    for _ in teller.commands.wait(f"the rollout {rollout['id']} to end", _ROLLOUT_S):
        rollout = teller.commands.ask("rollout", "show", rollout["id"])
        shown = in_one_line(rollout)
        if shown != seen:
            teller.note(shown)
            seen = shown
        if has_ended(rollout):
            break
    return rollout


def has_ended(rollout: dict[str, Any]) -> bool:
    """Finished, or gone back as far as it can."""
    return rollout["state"] == "finished" or rollout["undone_at"] is not None


def count(rollout: dict[str, Any], state: str) -> int:
    """Deployments of a rollout in a state."""
    return int(rollout["counts"].get(state, 0))


def in_one_line(rollout: dict[str, Any]) -> str:
    """A rollout's state and counts; its reason where it has one."""
    counts = ", ".join(f"{count} {state}" for state, count in rollout["counts"].items() if count)
    reason = f" - {rollout['reason']}" if rollout.get("reason") else ""
    return f"{rollout['state']}: {counts}{reason}"


def tell_verdicts(teller: Teller, rollout: dict[str, Any]) -> None:
    """What the rollout vectors said of the canary."""
    for deployment in rollout["deployments"]:
        if deployment["verdict"]:
            teller.note(f"{deployment['device']}: {deployment['verdict']['text']}")


def expect(rollout: dict[str, Any], state: str) -> None:
    """Raise unless the rollout ended in ``state`` (:class:`DemoFailed`)."""
    if rollout["state"] != state:
        raise DemoFailed(f"The rollout of {rollout['release']} ended {in_one_line(rollout)}", expected=state)


def serve_predictions(teller: Teller) -> int:
    """Ask every device for predictions; returns how many it gave."""
    teller.chapter("6. Serve predictions on every device (Open Inference Protocol v2 on loopback)")
    pixels, labels = images.load(teller.digits.validation)
    chosen, truth = pixels[:_PREDICTIONS_EACH], labels[:_PREDICTIONS_EACH]
    for agent in teller.agents:
        digits = images.predict(agent.ready["serving"], chosen)
        right = sum(int(digit == label) for digit, label in zip(digits, truth, strict=True))
        teller.note(f"{agent.name} at {agent.ready['serving']}: {right} of {len(digits)} right")
    return len(teller.agents) * len(chosen)


def watch_for_drift(teller: Teller) -> list[dict[str, Any]]:
    """Show one device many images and wait for the server's verdict on them; returns the drift alerts."""
    kind = "inverted" if teller.plan.inverted else "normal"
    teller.chapter(f"8. Show {_SHOWN_TO_ONE} {kind} images to one device, and let the server judge its sketches")
    pixels, _ = images.load(teller.digits.validation)
    seen = images.inverted(pixels) if teller.plan.inverted else pixels
    images.predict(teller.agents[0].ready["serving"], (seen[index % len(seen)] for index in range(_SHOWN_TO_ONE)))
    device = teller.agents[0].ready["device"]
    for _ in teller.commands.wait("a verdict on drift", _DRIFT_S):
        verdict = next((row for row in teller.commands.ask("drift", "show") if row["device_id"] == device), None)
        alerts: list[dict[str, Any]] = [row for row in teller.commands.ask("alert", "list") if row["kind"] == "drift"]
        if (
            verdict
            and verdict["enough"]
            and verdict["samples"] >= _SHOWN_TO_ONE
            and (alerts or not teller.plan.inverted)
        ):
            break
    teller.commands.run("alert", "list")
    teller.note(f"{len(alerts)} drift alerts" + (f": {alerts[0]['text']}" if alerts else ""))
    return alerts
