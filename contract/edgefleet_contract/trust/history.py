"""What a device may go back to. Three acts, told apart.

*Revert*: the agent alone, to its last confirmed slot; no assignment is involved. *Rollback*: the server assigns what
this device confirmed before. *Downgrade*: anything else that is older; it needs a permit by the offline targets keys.
Below the highest security floor that was confirmed of a model, nothing of it runs, whoever permits it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgefleet_contract.errors import (
    DowngradeRefused,
    IssuedAhead,
    PermitRefused,
    RollbackRefused,
    SecurityFloorViolated,
)
from edgefleet_contract.trust.floors import Floor, KeySet, height, raised
from edgefleet_contract.trust.statements import Assignment, Permit, Release, Time, TrustStore

if TYPE_CHECKING:
    from edgefleet_contract.trust.updater import Verified


ISSUED_AHEAD_MS = 86_400_000  # that far may the clocks of a publisher and a server or a device lie apart


def check_issued(release: Release, latest: int) -> None:
    """Whether a release was signed at a time that has come.

    Else a wrong clock at the publisher, or the thief of one model's keys, would be the newest for ever.

    Args:
        release: As a publisher signed it.
        latest: UTC milliseconds that it can be by now.

    Raises:
        IssuedAhead: It was not.
    """
    if release.issued > latest + ISSUED_AHEAD_MS:
        raise IssuedAhead(
            f"The release {release.name} {release.version} was issued at {release.issued} ms, and it is {latest} ms",
            expected="a day ahead at most",
            remedy="Set the clock right that is wrong, the publisher's or this one, and release anew.",
        )


def check(assignment: Assignment, verified: Verified, permit: Permit | None, time: Time, store: TrustStore) -> None:
    """Whether this device may run the assigned release after all that it has confirmed.

    Args:
        assignment: With a digest.
        verified: What its proof proves.
        permit: By the targets keys; None if there is none.
        time: As the device knows it.
        store: The device's memory.

    Raises:
        SecurityFloorViolated: The release is below the highest security floor confirmed.
        IssuedAhead: A release of a time that has not come.
        RollbackRefused: A rollback to what this device never confirmed.
        DowngradeRefused: An older release, without a permit.
        PermitRefused: The permit is not for this device and bundle, or expired.
    """
    release, digest = verified.release, assignment.digest
    assert release is not None
    assert digest is not None
    label = f"{release.name} {release.version}"
    act = "rollback" if assignment.purpose == "rollback" else "assignment"
    lowest = height(verified.floor, f"security/{release.name}", verified.delegation)
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
    check_issued(release, time.latest)
    if release.issued < height(verified.floor, f"issued/{release.name}", verified.delegation):
        _check_permit(permit, assignment, label, time.now)


def confirmed(floor: Floor, release: Release, delegation: KeySet) -> Floor:
    """The floor after a confirmation of a release of ``delegation``'s model."""
    floor = raised(floor, f"security/{release.name}", delegation, release.security_floor)
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
