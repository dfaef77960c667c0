"""Signs that two machines share one identity: another fingerprint, two lives that alternate, a replaced key in use.

An alert, no verdict: a board whose network card was changed has another fingerprint too. What to do is a person's
decision: acknowledge it, or revoke the device.
"""

from __future__ import annotations

import msgspec

from edgefleet_contract import canonical
from edgefleet_contract.errors import EdgefleetError
from edgefleet_contract.fingerprint import Fingerprint
from edgefleet_contract.messages import Reported
from edgefleet_server.alerts import service as alerts
from edgefleet_server.audit.change import Change
from edgefleet_server.devices.models import Boot, Device

KIND = "device.cloned"
# A broker that sends again what was not acknowledged can bring an earlier life back once or twice; a life that is heard
# for the third time after a newer one, with the newer one heard in between each time, goes on beside it.
RETURNS_OF_A_CLONE = 3


def suspect(change: Change, device: Device, sign: str, what: str) -> None:
    """Raise the alert that ``device`` may have been cloned.

    Args:
        change: What it is noticed in.
        device: The identity.
        sign: Tells one sign from another; one alert each.
        what: What was seen, as the second half of a sentence.
    """
    alerts.raise_alert(
        change,
        kind=KIND,
        cause=f"cloned:{device.id}:{sign}",
        text=f"Device {device.id} may have been cloned: {what}. If that was not you, "
        f"`edgefleet device revoke {device.id}` shuts it out",
        device=device.id,
    )


def suspect_after(change: Change, error: EdgefleetError) -> None:
    """Raise the alert if a refusal is itself a sign of a clone; the refused transaction has kept nothing of it."""
    device = change.session.get(Device, str(error.facts.get("device")))
    sign = error.facts.get("sign")
    if device is not None and isinstance(sign, str):
        suspect(change, device, sign, error.seen[:1].lower() + error.seen[1:])


def watch(change: Change, device: Device, reported: Reported) -> None:
    """Look at a report, before it becomes the twin."""
    _watch_fingerprint(change, device, reported.fingerprint)
    _watch_lives(change, device, reported.boot)


def _watch_fingerprint(change: Change, device: Device, now: Fingerprint) -> None:
    enrolled = msgspec.convert(device.fingerprint, Fingerprint)
    parts = enrolled.differs_from(now)
    if parts:
        sign = canonical.sha256(canonical.encode(now))[:16]
        suspect(change, device, sign, f"its {' and '.join(parts)} fingerprint is not the one it enrolled with")


def _watch_lives(change: Change, device: Device, boot: str) -> None:
    """Count how often an earlier life of the agent is heard right after a newer one."""
    heard_before, device.heard_boot = device.heard_boot, boot
    if boot == device.twin.boot or heard_before != device.twin.boot:
        return
    earlier = change.session.get(Boot, (device.id, boot))
    if earlier is None:
        return  # a new life, and not an earlier one
    earlier.returns += 1
    if earlier.returns >= RETURNS_OF_A_CLONE:
        suspect(change, device, "lives", "two lives of its agent report in turn")
