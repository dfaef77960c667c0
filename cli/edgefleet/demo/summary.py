"""What came of the demo, for programs and for people."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.panel import Panel
from rich.table import Table

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Result:
    """The figures that ``edgefleet demo --json`` prints.

    Attributes:
        devices: Enrolled.
        confirmed: Devices that confirmed 1.0.0.
        served: Predictions served while 1.0.0 ran everywhere.
        halted: Rollouts that a threshold halted.
        rolled_back: Devices that confirmed 1.0.0 again, under the server's new assignment.
        drift_alerts: Alerts of drift.
        accuracy: Of the float network and of the artifact for x86-64, over the validation images.
        seconds: The whole demo.
        console: The console's address; it answers while the server runs.
        folder: Where everything was written.
        running: Process ids of agents and server that were left running, by ``--keep``.
    """

    devices: int
    confirmed: int
    served: int
    halted: int
    rolled_back: int
    drift_alerts: int
    accuracy: dict[str, float]
    seconds: float
    console: str
    folder: str
    running: list[int]

    def as_json(self) -> dict[str, Any]:
        """The document."""
        return asdict(self)


def show(result: Result, console: Console) -> None:
    """Print a summary for people."""
    table = Table(show_header=False, box=None, padding=(0, 2))
    rows = [
        ("devices that confirmed 1.0.0", f"{result.confirmed} of {result.devices}"),
        ("predictions served", f"{result.served}"),
        ("accuracy, float to int8", f"{result.accuracy['baseline']:.3f} to {result.accuracy['compiled']:.3f}"),
        ("rollouts halted", f"{result.halted}"),
        ("devices rolled back to 1.0.0", f"{result.rolled_back}"),
        ("drift alerts", f"{result.drift_alerts}"),
        ("time", f"{result.seconds:.0f} s"),
        ("files", result.folder),
    ]
    for what, value in rows:
        table.add_row(what, f"[bold]{value}[/bold]")
    console.print(Panel(table, title="edgefleet demo", expand=False))
    if result.running:
        console.print(f"The console is at {result.console}", soft_wrap=True)
        console.print(f"Its token is in {result.folder}/server/admin.token", soft_wrap=True)
        console.print(f"Stop everything with: kill {' '.join(map(str, result.running))}", soft_wrap=True)
    else:
        console.print("Everything is stopped. With [bold]--keep[/bold] the console stays up to look around.")
