"""What may keep more of a model than its recipe did: only what the target runs."""

from __future__ import annotations

from edgefleet_compiler.recipe.form import STATIC, Scheme
from edgefleet_hardware.profile import TargetProfile

_CALIBRATE = "calibrate on more typical inputs"


def for_accuracy(scheme: Scheme, profile: TargetProfile) -> str:
    """What may lose less than a scheme did, as the beginning of a sentence.

    Args:
        scheme: That was applied.
        profile: The target.
    """
    if scheme in ("float", "source"):
        return "Check that the data is what the model takes"
    if scheme == "fp16":
        return "Use --recipe float"
    finer = [] if scheme == "int16x8" and profile.int8_only else [f"use --recipe {finer_recipe(profile)}"]
    advice = ", ".join([_CALIBRATE, *finer] if scheme in STATIC else finer)
    if scheme == "int8" and profile.int8_only:
        advice += ', let single layers have compute = "int16" in a recipe file'
    return advice[0].upper() + advice[1:]


def finer_recipe(profile: TargetProfile) -> str:
    """The recipe that rounds less than int8, with the smallest artifacts that the target runs."""
    if profile.runs("float16"):
        return "fp16"
    return "float" if profile.runs("float32") else "int16x8"


def wider_layers(profile: TargetProfile) -> str:
    """How single layers of an int8 model may compute."""
    return "float" if profile.runs("float32") else "16-bit integers"
