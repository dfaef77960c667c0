"""Plans: which device is in which stage."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from edgefleet_contract.errors import UsageMalformed
from edgefleet_server.devices.models import Device
from edgefleet_server.releases.models import Release, ReleasedBundle


@dataclass(frozen=True)
class PlannedStage:
    """A stage and the devices that it adds."""

    percent: float
    devices: list[Device]


def check_stages(percents: Sequence[float]) -> None:
    """Refuse stages that do not grow, or that do not end with the whole group.

    Raises:
        UsageMalformed: They do not.
    """
    grows = all(low < high for low, high in pairwise(percents))
    if not percents or not grows or percents[0] <= 0 or percents[-1] != 100:
        raise UsageMalformed(
            f"The stages are {', '.join(f'{percent:g}%' for percent in percents) or 'none'}",
            expected="shares that grow and end with 100%, such as --stage 10% --stage 100%",
        )


def check_thresholds(success: float, error: float) -> None:
    """Refuse thresholds that are no shares.

    Raises:
        UsageMalformed: They are not.
    """
    if not 0 < success <= 1 or not 0 <= error < 1:
        raise UsageMalformed(
            f"The thresholds are success {success:g} and error {error:g}",
            expected="shares: 0 < success <= 1 and 0 <= error < 1, such as --success 0.9 --error 0.1",
        )


def bundle_for(release: Release, hardware: str) -> ReleasedBundle | None:
    """The bundle of ``release`` for a device's hardware; None when it has none."""
    return next((bundle for bundle in release.bundles if hardware in bundle.hardware), None)


def plan_stages(rollout: str, percents: Sequence[float], devices: Sequence[Device]) -> list[PlannedStage]:
    """Spread ``devices`` over the stages.

    Their order differs from rollout to rollout, so that not always the same ones are canaries. A stage that would add
    no device is left out: it could neither pass nor fail.
    """
    ordered = sorted(devices, key=lambda device: hashlib.sha256(f"{rollout}/{device.id}".encode()).digest())
    stages, taken = [], 0
    for percent in percents:
        through = math.ceil(len(ordered) * percent / 100)
        if through > taken:
            stages.append(PlannedStage(percent, ordered[taken:through]))
            taken = through
    return stages
