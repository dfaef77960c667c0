"""The states of a rollout and of a deployment, in one place.

A deployment's way::

    waiting -> assigned -> downloading -> verifying -> trial -> probation -> succeeded
                   any of these, when the device or the evidence says no -> failed
    failed, and yet the release runs:  rolling_back -> rolled_back | stranded
    halt, abort or rollback:  waiting, assigned, downloading, verifying -> withdrawn
                              probation, succeeded, failed yet running  -> rolling_back -> rolled_back | stranded
    skipped: the release has no bundle for this device's hardware; it never takes part
    superseded: a newer rollout has given this device another assignment before this one had ended, or the device left

*Confirmed* is the device's word, *succeeded* is ours: confirmed, reported, through probation. A trial is never cut
short: it ends, and then the deployment goes back like any other.
"""

from __future__ import annotations

from typing import Literal

RolloutState = Literal["ready", "running", "paused", "halted", "aborted", "rolled_back", "finished"]
Undo = Literal["everything", "unsettled"]
DeploymentState = Literal[
    "waiting",
    "assigned",
    "downloading",
    "verifying",
    "trial",
    "probation",
    "succeeded",
    "failed",
    "withdrawn",
    "rolling_back",
    "rolled_back",
    "stranded",
    "skipped",
    "superseded",
]

ACTIVE_ROLLOUTS = ("running", "paused")
UNDOABLE_ROLLOUTS = ("halted", "aborted", "rolled_back")
# Assigned, and not yet on trial: nothing of it runs, so a withdrawal undoes it.
UNACTIVATED = ("assigned", "downloading", "verifying")
IN_PROGRESS = (*UNACTIVATED, "trial")
# What the policy, or the device's word, still moves.
UNSETTLED = (*IN_PROGRESS, "probation", "rolling_back")
EXECUTED = ("succeeded", "failed")
# In a rollout that is under way only a device that has failed goes back, and it still counts as failed.
AFTER_A_FAILURE = ("rolling_back", "rolled_back", "stranded")
# Of a rollout that has ended, and still waiting for the device; a newer rollout may have it.
UNDER_WAY_AFTER_THE_END = ("trial", "rolling_back")
# What a device says of its assignment, where that is a deployment's state too.
PROGRESS_OF_DEVICE_STATE = {"downloading": "downloading", "verifying": "verifying", "trial": "trial"}
REFUSALS = ("reverted", "failed", "rejected")
