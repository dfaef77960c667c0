"""The answer of ``edgefleet model fit`` as it is printed with ``--json``."""

from __future__ import annotations

from typing import Literal

import msgspec

from edgefleet_hardware.speeds import LatencyEstimate

SCHEMA_VERSION = 1
Bind = Literal["operator", "version", "type", "flash", "RAM", "latency"]


class Binding(msgspec.Struct, frozen=True):
    """Something that keeps a model off a target.

    Attributes:
        what: The kind of limit.
        told: The limit and what it was held against; for operators, the node and the reason.
    """

    what: Bind
    told: str


class Cost(msgspec.Struct, frozen=True):
    """What the artifact for a target costs.

    Attributes:
        format: Of the artifact.
        recipe: The scheme by which it was made: int8, fp16, float or source.
        artifact_bytes: The file.
        flash_bytes: What it takes of the flash: on a microcontroller with the runtime's own code at its largest.
        ram_bytes: Working memory of an inference; None where no planner takes the model.
        ram_of: The planner that says so.
        macs: Multiply-accumulates of an inference; None where they cannot be counted.
        latency: An estimate from published figures; None where there are none for such a core.
    """

    format: str
    recipe: str
    artifact_bytes: int
    flash_bytes: int
    ram_bytes: int | None
    ram_of: str | None
    macs: int | None
    latency: LatencyEstimate | None


class Sureness(msgspec.Struct, frozen=True):
    """How sure the costs are.

    Attributes:
        size: "exact", or "assumed scales" where int8 was made without data: other scales take as many bytes.
        ram: "to the byte" where every allocation of the runtime is modelled, "at least" where kernels' own data is not
            known, "planned" where the runtime's own structures, tens to hundreds of KB, stand beside it, "unknown"
            where there is no plan.
        latency: "estimated" from what others published, or "unknown".
    """

    size: Literal["exact", "assumed scales"]
    ram: Literal["to the byte", "at least", "planned", "unknown"]
    latency: Literal["estimated", "unknown"]


class TargetFit(msgspec.Struct, frozen=True):
    """The answer for one target.

    Attributes:
        target: Name of the profile.
        description: What it is.
        fits: Whether nothing binds.
        binds: What does.
        cost: None where no artifact can be made at all.
        ram_limit_bytes, flash_limit_bytes: The tighter of the profile's figures and the options'; None without.
        sure: How sure the costs are; None without costs.
        notes: What else a person should know, in sentences.
    """

    target: str
    description: str
    fits: bool
    binds: list[Binding]
    cost: Cost | None
    ram_limit_bytes: int | None
    flash_limit_bytes: int | None
    sure: Sureness | None
    notes: list[str]


class Place(msgspec.Struct, frozen=True):
    """What speaks for computing in one place.

    Attributes:
        where: On the device itself, on a server nearby, or in a data centre.
        reasons: Sentences that follow from the model's own figures.
    """

    where: Literal["device", "edge server", "cloud endpoint"]
    reasons: list[str]


class FitReport(msgspec.Struct, frozen=True):
    """The whole answer.

    Attributes:
        schema_version: Of this form.
        model: Path of the source.
        sha256: Of the source.
        calibrated: Whether int8 parameters come from data; if not, they are assumed, and only sizes are meant.
        input_bytes, output_bytes: What goes in and comes out of an inference, in the source's element types.
        macs: Multiply-accumulates of the source; None where they cannot be counted.
        targets: The one with the least memory first; those whose memory is not known last.
        places: What speaks for the device, an edge server and a cloud endpoint.
    """

    schema_version: int
    model: str
    sha256: str
    calibrated: bool
    input_bytes: int
    output_bytes: int
    macs: int | None
    targets: list[TargetFit]
    places: list[Place]
