"""What each runtime can run: its operators, with the newest version and the element types that it has of each.

One TOML file a runtime, in ``runtimes/``; a target's profile names the runtime.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Literal

import msgspec

from edgefleet_hardware.profile import Kernels, RuntimeName


class OperatorLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a runtime has of one operator.

    Attributes:
        version: The newest version; None where the runtime does not look at versions.
        dtypes: Element types of what it computes with; None where types come with versions.
        four_bits_in_groups: Whether a convolution in groups may have such constants.
        four_bits: Which scales constants of 4-bit integers may have; None where it takes no such constants.
    """

    version: int | None = None
    dtypes: list[str] | None = None
    four_bits: Literal["per-channel", "per-tensor"] | None = None
    four_bits_in_groups: bool = False


class RuntimeLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one release of a runtime can run.

    Attributes:
        name: The runtime.
        release: The release that was looked at.
        source: How these limits are known.
        complete: Whether it has every operator of the opsets that it takes; then ``operators`` is empty.
        four_bits_since: The first release that takes constants of 4-bit integers; None where operators tell.
        hybrid: Whether it multiplies float activations, which it rounds, by integer weights.
        operators: By name, as the artifact's format spells it.
        code_bytes: For each set of kernels, between what and what the runtime's own code takes of the flash.
        rewrites: For operators that it lacks: how the same can be computed by those that it has.
    """

    name: RuntimeName
    release: str
    source: str
    complete: bool = False
    four_bits_since: str | None = None
    hybrid: bool = True
    operators: dict[str, OperatorLimit] = {}
    code_bytes: dict[Kernels, tuple[int, int]] = {}
    rewrites: dict[str, str] = {}


@cache
def limits_of(runtime: RuntimeName) -> RuntimeLimits:
    """The limits of a runtime."""
    data = (resources.files("edgefleet_hardware") / "runtimes" / f"{runtime}.toml").read_bytes()
    return msgspec.convert(tomllib.loads(data.decode()), RuntimeLimits)
