"""What a deployment works with."""

from __future__ import annotations

from dataclasses import dataclass

from edgefleet_agent.clock import TrustedClock
from edgefleet_agent.disk import Disk
from edgefleet_agent.fetch import Fetcher
from edgefleet_agent.folder import DataFolder
from edgefleet_agent.private import ContentKeys
from edgefleet_agent.served import ServedModel
from edgefleet_agent.slots import Slots
from edgefleet_agent.trial import Trials
from edgefleet_agent.trust_store import DurableTrustStore


@dataclass(frozen=True)
class Parts:
    """The parts, wired by the daemon.

    Attributes:
        folder: The agent's data folder.
        disk: The door.
        clock: For expiries and probation.
        store: The device's memory of trust.
        slots: Where bundles lie.
        content_keys: Open the private ones.
        fetcher: Gets files.
        served: The model that serves.
        trials: Tries slots out.
        runtimes: Inference runtimes present.
    """

    folder: DataFolder
    disk: Disk
    clock: TrustedClock
    store: DurableTrustStore
    slots: Slots
    content_keys: ContentKeys
    fetcher: Fetcher
    served: ServedModel
    trials: Trials
    runtimes: dict[str, str]
