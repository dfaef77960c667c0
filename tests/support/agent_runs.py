"""Runs an agent without threads: items and ticks are handed to it until nothing is left to do."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from edgefleet_agent.clock import SystemClock
from edgefleet_agent.config import Config
from edgefleet_agent.daemon import Agent
from edgefleet_agent.disk import Disk
from edgefleet_agent.folder import DataFolder
from edgefleet_agent.identity import Identity
from edgefleet_agent.inbox import Connected, Inbox, Received
from edgefleet_contract.messages import Reported
from support.agent_fleet import FleetSide, InProcessNetwork


class TurnedClock(SystemClock):
    """The system's clocks, moved ahead by hand."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def now_ms(self) -> int:
        return super().now_ms() + round(self.ahead_s * 1000)

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s


class AgentRun:
    """One life of an agent in this process, joined to a simulated server.

    Args:
        folder: Of an enrolled device.
        side: The server's side.
        disk: The door.
        config: Settings.
    """

    def __init__(
        self, folder: DataFolder, side: FleetSide, *, disk: Disk | None = None, config: Config | None = None
    ) -> None:
        self.folder = folder
        self.side = side
        self.clock = TurnedClock()
        self.inbox = Inbox()
        self.network = InProcessNetwork(side, self.inbox)
        self.agent = Agent(
            folder,
            config or Config(),
            self.network,
            identity=Identity(folder),
            disk=disk or Disk(),
            clock=self.clock,
        )

    def __enter__(self) -> AgentRun:
        self.agent.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.agent.stop()

    def settle(self) -> Reported:
        """Hand over items until there are none, with a tick after each; the newest report."""
        while isinstance(item := self.inbox.get(0), Connected | Received):
            self.agent.handle(item)
            self.agent.tick()
        self.agent.tick()
        return self.side.reports[-1]

    def until(self, reached: Callable[[Reported], bool]) -> Reported:
        """Settle, and wait on, until a report is as wanted."""
        for _ in range(100):
            report = self.settle()
            if reached(report):
                return report
            self.clock.ahead_s += 5
        raise AssertionError(f"the agent stays {report}")
