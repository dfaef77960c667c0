"""Instructions as evidence of a Raspberry Pi's speed while a model is compiled for it.

Only where ``EDGEFLEET_PI_EVIDENCE`` asks for it: it takes seconds a target and the emulated Pi, which few machines that
compile will have, and a report must not change because one was built meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from edgefleet_hardware.pi.boards import BOARDS
from edgefleet_hardware.pi.emulator import open_pi

if TYPE_CHECKING:
    from edgefleet_compiler.artifact import Artifact
    from edgefleet_compiler.benchmark.subject import Model
    from edgefleet_hardware.profile import TargetProfile


class InstructionEvidence(msgspec.Struct, frozen=True):
    """Instructions of one inference, one thread, by the real runtime with the kernels that it takes on the board.

    Attributes:
        where: The emulated board, such as "pi:rpi4".
        total: Of the artifact.
        baseline_total: Of the float model, exported to the same format and run by the same runtime.
    """

    where: str
    total: int
    baseline_total: int


def is_wanted(profile: TargetProfile) -> bool:
    """Whether instructions are to be counted for a target."""
    return os.environ.get("EDGEFLEET_PI_EVIDENCE") == "1" and profile.name in BOARDS


def require_boards(profiles: Iterable[TargetProfile]) -> None:
    """Refuse early what could not be counted.

    Raises:
        EmulatorUnavailable: An emulated board that is wanted is not there.
    """
    for profile in profiles:
        if is_wanted(profile):
            open_pi(profile.name)


def count_evidence(artifact: Artifact, baseline: Artifact, profile: TargetProfile) -> InstructionEvidence:
    """Count an artifact and the float model in the emulated board of a target.

    Raises:
        EmulatorUnavailable: It is not there.
        EmulationFailed: A runtime fails in it, and not here.
    """
    from edgefleet_compiler.benchmark.pi import RUNS, count  # noqa: PLC0415 - only where it is wanted

    compiled, plain = count(open_pi(profile.name), [_model(artifact), _model(baseline)], runs=RUNS)
    return InstructionEvidence(f"pi:{profile.name}", compiled.instructions.total, plain.instructions.total)


def _model(artifact: Artifact) -> Model:
    from edgefleet_compiler.benchmark.subject import in_memory  # noqa: PLC0415 - as above

    return in_memory(artifact.data, "tflite" if artifact.recipe.format == "tflite" else "onnx")
