"""Target profiles: what a piece of hardware can hold and run, read from TOML.

Each figure of a profile of ours names where it comes from in its ``[sources]`` table. A user's own profile is a file
of the same form; its path stands wherever a target's name may stand.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from importlib import resources
from pathlib import Path
from typing import Literal

import msgspec

from edgefleet_contract.errors import ProfileMalformed, TargetUnknown
from edgefleet_contract.identifiers import check_name
from edgefleet_hardware import units
from edgefleet_hardware.toml_faults import plain_fault

Format = Literal["tflite", "onnx", "c"]
Dtype = Literal["float32", "float16", "int8"]
RuntimeName = Literal["litert", "onnxruntime", "onnxruntime-web", "tflite-micro", "tflite-runtime"]
Kernels = Literal["reference", "cmsis-nn"]
Extension = Literal["fpu", "dsp", "mve", "neon", "dotprod"]

_PROFILE_LIMIT = 64 * 1024  # bytes; ours have about 1,500


class Runtime(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A runtime of the target, for one artifact format.

    Attributes:
        name: Which runtime.
        format: The artifact format that it runs.
        minimum_version: The oldest release that runs what we export.
        max_opset: The newest ONNX opset that this oldest release runs; None for other formats.
        kernels: Which kernels TFLite Micro is built with; None for other runtimes.
        operators: The operators that a firmware registers, where it leaves out some; None for all of the runtime.
    """

    name: RuntimeName
    format: Format
    minimum_version: str
    max_opset: int | None = None
    kernels: Kernels | None = None
    operators: list[str] | None = None


class QuantiserTraits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the target's kernels ask of quantised weights.

    Attributes:
        per_channel_fully_connected: Whether fully connected weights may have one scale per output channel.
        saturating_pairs: Whether onnxruntime may add neighbouring products in 16 bits there, so that the weights of a
            pair may add up to 128 at most.
    """

    per_channel_fully_connected: bool = True
    saturating_pairs: bool = False


class TargetProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One target.

    Attributes:
        name: How the command line calls it.
        description: One line for people.
        instruction_set: As ``uname -m`` says it, or the architecture of a microcontroller.
        extensions: What the instruction set has for neural networks beyond its base: a floating-point unit, the DSP
            instructions or the vectors (MVE) of Cortex-M, the vectors (NEON) or dot products of Cortex-A.
        core: The processor core; "" where devices differ.
        hardware: Names of the hardware that takes bundles of this target, as devices declare themselves.
        formats: Artifact formats, the default first.
        dtypes: Element types that its runtimes compute with.
        runtimes: The runtimes, the preferred first among those of one format.
        quantiser: What its kernels ask of quantised weights.
        cores: Number of cores; None where devices differ.
        clock: Frequency with its unit; None where devices differ.
        ram: Working memory with its unit, the smallest that is sold; None where devices differ.
        flash: Storage for code and constants with its unit; None where a disk or card holds the model.
        sources: For each figure, where it comes from.
    """

    name: str
    description: str
    instruction_set: str
    hardware: list[str]
    formats: list[Format]
    dtypes: list[Dtype]
    runtimes: list[Runtime]
    extensions: list[Extension] = []
    core: str = ""
    quantiser: QuantiserTraits = QuantiserTraits()
    cores: int | None = None
    clock: str | None = None
    ram: str | None = None
    flash: str | None = None
    sources: dict[str, str] = {}

    def __post_init__(self) -> None:
        """Check units, and that the lists fit together.

        Raises:
            ValueError: They do not; msgspec makes a ``ValidationError`` of it.
        """
        if not (self.formats and self.dtypes and self.hardware):
            raise ValueError("formats, dtypes and hardware each need at least one entry")
        for quantity in (self.ram, self.flash):
            if quantity is not None:
                units.parse_bytes(quantity)
        if self.clock is not None:
            units.parse_hertz(self.clock)
        for wanted in self.formats:
            if wanted != "c" and all(runtime.format != wanted for runtime in self.runtimes):
                raise ValueError(f"the format {wanted!r} has no runtime")
        for runtime in self.runtimes:
            if runtime.format == "onnx" and runtime.max_opset is None:
                raise ValueError(f"the runtime {runtime.name!r} needs max_opset")
            if (runtime.name == "tflite-micro") != (runtime.kernels is not None):
                raise ValueError("kernels belongs to the runtime 'tflite-micro', and only to it")

    @property
    def ram_bytes(self) -> int | None:
        """Working memory in bytes, or None where devices differ."""
        return None if self.ram is None else units.parse_bytes(self.ram)

    @property
    def flash_bytes(self) -> int | None:
        """Storage for code and constants in bytes, or None where a disk or card holds the model."""
        return None if self.flash is None else units.parse_bytes(self.flash)

    @property
    def int8_only(self) -> bool:
        """Whether its kernels take int8 models and no others."""
        return self.dtypes == ["int8"]

    @property
    def is_microcontroller(self) -> bool:
        """Whether models run in TFLite Micro, beside a firmware that has RAM and flash to itself otherwise."""
        return any(runtime.name == "tflite-micro" for runtime in self.runtimes)

    def runs(self, dtype: Dtype) -> bool:
        """Whether its runtimes compute with ``dtype``."""
        return dtype in self.dtypes

    def runtime_for(self, artifact_format: Format) -> Runtime:
        """The preferred runtime of a format.

        Raises:
            KeyError: The target has none.
        """
        for runtime in self.runtimes:
            if runtime.format == artifact_format:
                return runtime
        raise KeyError(artifact_format)


def target_names() -> list[str]:
    """The names of the profiles that ship with this package, sorted."""
    folder = resources.files("edgefleet_hardware") / "targets"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_profile(target: str) -> TargetProfile:
    """The profile of a target by its name, or read from the user's own ``.toml`` file.

    Raises:
        TargetUnknown: No profile has this name, or no file is at this path.
        ProfileMalformed: The file is no profile: bad TOML, unknown keys, units or values.
    """
    if target.endswith(".toml") or os.sep in target:
        return _read_file(Path(target))
    names = target_names()
    if target not in names:
        near = difflib.get_close_matches(target.lower(), names, n=3, cutoff=0.5)
        raise TargetUnknown(
            f"No target is called {target!r}",
            expected="" if near else f"one of {', '.join(names)}",
            remedy=(f"Did you mean {' or '.join(near)}? " if near else "")
            + "`edgefleet target list` shows all; your own profile is given by the path of its .toml file.",
            target=target,
            nearest=near,
        )
    entry = resources.files("edgefleet_hardware") / "targets" / f"{target}.toml"
    return parse_profile(entry.read_bytes(), where=f"{target}.toml")


def parse_profile(data: bytes, *, where: str) -> TargetProfile:
    """Parse and check the TOML of one profile.

    Args:
        data: UTF-8 TOML.
        where: The file, for errors.

    Raises:
        ProfileMalformed: Bad TOML, unknown keys, units, values or operators.
    """
    if len(data) > _PROFILE_LIMIT:
        raise ProfileMalformed(f"The profile {where!r} has {len(data)} bytes", expected=f"at most {_PROFILE_LIMIT}")
    try:
        entries = tomllib.loads(data.decode())
        profile = msgspec.convert(entries, TargetProfile)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError, RecursionError) as cause:
        known = (entries, TargetProfile) if isinstance(cause, msgspec.ValidationError) else ()
        raise ProfileMalformed(
            f"The target profile {where!r} cannot be read: {plain_fault(cause, *known)}",
            expected="the keys and units of the profiles that ship with edgefleet",
            remedy="Compare it with `edgefleet target show rpi4 --toml`.",
            path=where,
        ) from cause
    check_name(profile.name)
    _check_operators(profile, where)
    return profile


def _check_operators(profile: TargetProfile, where: str) -> None:
    """Refuse names of operators that a runtime does not have: a typing error would leave one out in silence."""
    from edgefleet_hardware.runtime_limits import limits_of  # noqa: PLC0415 - it needs this module's names

    for runtime in profile.runtimes:
        limits = limits_of(runtime.name)
        unknown = [] if limits.complete else [kind for kind in runtime.operators or () if kind not in limits.operators]
        if unknown:
            near = difflib.get_close_matches(unknown[0].upper(), limits.operators, n=3)
            raise ProfileMalformed(
                f"The target profile {where!r} registers operators that {runtime.name} does not have: "
                f"{', '.join(map(repr, unknown))}",
                expected="operators as TFLite spells them" + (f", such as {' or '.join(near)}" if near else ""),
                path=where,
            )


def _read_file(path: Path) -> TargetProfile:
    try:
        with path.open("rb") as file:
            data = file.read(_PROFILE_LIMIT + 1)
    except OSError as cause:
        raise TargetUnknown(
            f"The target profile {str(path)!r} cannot be read: {cause.strerror}", target=str(path), nearest=[]
        ) from cause
    return parse_profile(data, where=str(path))
