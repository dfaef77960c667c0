"""What a device may go back to. Three acts, told apart.

*Revert*: the agent alone, to its last confirmed slot; no assignment is involved. *Rollback*: the server assigns what
this device confirmed before. *Downgrade*: anything else that is older; it needs a permit by the offline targets keys.
Below the highest security floor confirmed, nothing runs, whoever permits it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgefleet_contract.errors import DowngradeRefused, PermitRefused, RollbackRefused, SecurityFloorViolated
from edgefleet_contract.trust.floors import Floor, KeySet, height, raised
from edgefleet_contract.trust.statements import Assignment, Permit, Release, TrustStore

if TYPE_CHECKING:
    from edgefleet_contract.trust.updater import Verified


def check(assignment: Assignment, verified: Verified, permit: Permit | None, now: int, store: TrustStore) -> None:
    """Whether this device may run the assigned release after all that it has confirmed.

    Args:
        assignment: With a digest.
        verified: What its proof proves.
        permit: By the targets keys; None if there is none.
        now: UTC milliseconds.
        store: The device's memory.

    Raises:
        SecurityFloorViolated: The release is below the highest security floor confirmed.
        RollbackRefused: A rollback to what this device never confirmed.
        DowngradeRefused: An older release, without a permit.
        PermitRefused: The permit is not for this device and bundle, or expired.
    """
    release, digest = verified.release, assignment.digest
    assert release is not None
    assert digest is not None
    label = f"{release.name} {release.version}"
    act = "rollback" if assignment.purpose == "rollback" else "assignment"
    lowest = height(verified.floor, "security", verified.speakers.targets)
    if release.security_floor < lowest:
        raise SecurityFloorViolated(
            f"The {act} is refused: {label} has security floor {release.security_floor}",
            expected=f"at least {lowest}, which this device has confirmed",
            remedy="Nothing permits this: release the model anew, with a security floor as high.",
        )
    if store.has_confirmed(digest):
        return
    if assignment.purpose == "rollback":
        raise RollbackRefused(
            f"The rollback is refused: this device has never confirmed {label}",
            expected="what it ran before",
            remedy="Roll that release out instead; where it is older, that takes a permit.",
        )
    if release.issued < height(verified.floor, f"issued/{release.name}", verified.delegation):
        _check_permit(permit, assignment, label, now)


def confirmed(floor: Floor, release: Release, targets: KeySet, delegation: KeySet) -> Floor:
    """The floor after a confirmation of a release of ``delegation``'s model."""
    floor = raised(floor, "security", targets, release.security_floor)
    return raised(floor, f"issued/{release.name}", delegation, release.issued)


def _check_permit(permit: Permit | None, assignment: Assignment, label: str, now: int) -> None:
    if permit is None:
        raise DowngradeRefused(
            f"The downgrade is refused: {label} is older than a release that this device has confirmed",
            expected="a newer release, one that this device ran before, or a permit by the targets keys",
            remedy="Permit it on the machine that has the targets keys: `edgefleet release permit`.",
        )
    if permit.digest != assignment.digest or assignment.device not in permit.devices:
        raise PermitRefused(
            f"The downgrade is refused: the permit that came is not for {label} on {assignment.device}",
            expected="a permit for this bundle and this device",
        )
    if permit.expires <= now:
        raise PermitRefused(
            f"The downgrade is refused: its permit expired at {permit.expires} ms, and it is {now} ms",
            remedy="Sign a new permit, if the downgrade is still wanted.",
        )
