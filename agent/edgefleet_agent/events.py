"""What can happen to a deployment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from edgefleet_agent.folder import SlotName
from edgefleet_contract.messages import ErrorReport, Evidence
from edgefleet_contract.trust import Accepted, Mark


@dataclass(frozen=True)
class Started:
    """The agent starts."""


@dataclass(frozen=True)
class Damaged:
    """The slot that serves is no longer what was confirmed: the storage lost some of it."""

    error: ErrorReport


@dataclass(frozen=True)
class Assigned:
    """A new assignment names a bundle, and trust says yes."""

    accepted: Accepted


@dataclass(frozen=True)
class Withdrawn:
    """A new assignment names no bundle: stay with what runs."""

    accepted: Accepted


@dataclass(frozen=True)
class Refused:
    """A new assignment is the server's own, and trust says no to it."""

    mark: Mark
    error: ErrorReport


@dataclass(frozen=True)
class Fetched:
    """Every file that the assignment names is here, or is not needed."""


@dataclass(frozen=True)
class Verified:
    """The bundle on disk is the assigned one."""


@dataclass(frozen=True)
class Filled:
    """The assigned bundle lies in a slot, whole."""

    slot: SlotName


@dataclass(frozen=True)
class Healthy:
    """The golden vectors come out. The evidence is for the server; so is what kept it from being gathered."""

    evidence: Evidence | None
    error: ErrorReport | None


@dataclass(frozen=True)
class Observed:
    """The rollout vectors were run in probation, for the last time or not."""

    evidence: Evidence | None
    error: ErrorReport | None
    last: bool


@dataclass(frozen=True)
class Unhealthy:
    """The golden vectors do not come out, or the model crashes or hangs."""

    error: ErrorReport


@dataclass(frozen=True)
class Invalid:
    """What came is not what was assigned, or is too late: trying again changes nothing."""

    error: ErrorReport


@dataclass(frozen=True)
class Unable:
    """It could not be tried: no disk, no runtime."""

    error: ErrorReport


Event: TypeAlias = (
    Started | Damaged | Assigned | Withdrawn | Refused | Fetched | Verified | Filled
    | Healthy | Observed | Unhealthy | Invalid | Unable
)  # fmt: skip
