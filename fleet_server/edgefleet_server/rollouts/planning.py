"""Plans: which device is in which stage, and by which cases the release is judged."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from sqlalchemy.orm import Session

from edgefleet_contract.errors import UsageMalformed
from edgefleet_server.devices.models import Device
from edgefleet_server.releases.models import Release, ReleasedBundle


@dataclass(frozen=True)
class PlannedStage:
    """A stage and the devices that it adds."""

    percent: float
    devices: list[Device]


@dataclass(frozen=True)
class Vectors:
    """Rollout vectors, and where they come from, for people."""

    sha256: str
    origin: str


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


def default_vectors(session: Session, release: Release, devices: Sequence[Device]) -> Vectors | None:
    """The labelled baseline vectors of what most of ``devices`` run now, if that is the same model.

    So a new version is judged by cases that it did not bring itself.
    """
    running = Counter(device.twin.running for device in devices if device.twin.running is not None)
    for digest, _ in running.most_common():
        incumbent = session.get(ReleasedBundle, digest)
        if incumbent is not None and incumbent.vectors_sha256 and incumbent.release.name == release.name:
            return Vectors(incumbent.vectors_sha256, f"baseline vectors of {incumbent.release.label}")
    return None
