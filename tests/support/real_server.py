"""The fleet server as a process of its own, with an operator who types commands at it."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

from edgefleet.main import main
from support.agent_broker import eventually, run_command


class RealServer:
    """``edgefleet server run`` on free ports, which a second start takes again.

    Args:
        home: The operator's folder; the server's data lies in ``server`` below it.
        broker: As the option of that name.
    """

    def __init__(self, home: Path, broker: str = "mosquitto") -> None:
        self.home = home
        self.data = home / "server"
        self._environment = os.environ | {"EDGEFLEET_HOME": str(home)}
        log = home.parent / "server.log"
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "edgefleet", "server", "run", "--port", "0", "--broker", broker, "--json"],
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                env=self._environment,
            )
        assert self.process.stdout is not None
        assert self.process.stdout.readline(), log.read_text()

    def stop(self, by: int = signal.SIGTERM) -> None:
        """End it; a second time is none too many."""
        if self.process.poll() is None:
            self.process.send_signal(by)
        self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def command(self, *arguments: object) -> Any:
        """Run one operator's command to its end; its JSON."""
        out, err = io.StringIO(), io.StringIO()
        words = [*map(str, arguments), "--json"]
        with mock.patch.dict(os.environ, self._environment), redirect_stdout(out), redirect_stderr(err):
            status = main(words)  # in this process: starting another for each look would cost a second
        assert status == 0, err.getvalue() + out.getvalue()
        return json.loads(out.getvalue())

    def enroll(self, data: Path) -> str:
        """Enroll an agent's folder; the device's id."""
        token = self.command("device", "token")
        enrolled = run_command(
            "enroll", "--server", token["server"], "--token", token["token"], "--data", data, "--target", "x86-64",
            "--json",
        )  # fmt: skip
        assert enrolled.returncode == 0, enrolled.stderr
        return str(json.loads(enrolled.stdout)["device"])

    def rolled_out(self, bundle: Path, release: str, state: str, *options: object) -> dict[str, Any]:
        """Push a bundle and roll it out to all devices at once; the rollout once it is in ``state``, and undone if it
        must be."""
        self.command("release", "push", bundle)
        created = self.command("rollout", "create", "--release", release, "--to", "all", "--stage", "100%", *options)

        def ended() -> dict[str, Any] | None:
            seen = self.command("rollout", "show", created["id"])
            return seen if seen["state"] == state and (state != "halted" or seen["undone_at"]) else None

        rollout: dict[str, Any] = eventually(ended, f"{release} is {state}")
        return rollout
