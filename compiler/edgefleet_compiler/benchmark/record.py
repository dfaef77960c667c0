"""What ``edgefleet model benchmark --json`` prints: its fields are a contract, as those of the report are."""

from __future__ import annotations

from typing import Literal

import msgspec

from edgefleet_compiler.checks.latency import Spread

Method = Literal["runtime profile", "operators alone"]


class ModelEntry(msgspec.Struct, frozen=True):
    """A model that was run.

    Attributes:
        path: The file, folder or bundle that was named.
        format: "tflite" or "onnx": which runtime runs it.
        bytes: Of the model file.
        sha256: Of the model file.
        converted: Whether it was exported to this format, so that one runtime runs both models.
    """

    path: str
    format: str
    bytes: int
    sha256: str
    converted: bool = False


class HostLatency(msgspec.Struct, frozen=True):
    """Inferences in turns, the order shuffled each round, through the runtime's Python interface.

    Attributes:
        runs: Inferences of each model.
        artifact: Of the artifact.
        baseline: Of the float model; None where there is none.
        ratio: The artifact's median by the float model's: below 1 the artifact is faster.
        ratio_ci95: Of the ratio, by a bootstrap over rounds.
    """

    runs: int
    artifact: Spread
    baseline: Spread | None = None
    ratio: float | None = None
    ratio_ci95: tuple[float, float] | None = None


class HostMemory(msgspec.Struct, frozen=True):
    """Resident memory of a process of its own, in bytes: what the runtime really takes, with its arena and caches.

    Attributes:
        before_load: With Python, numpy and the runtime, which has run another, small model.
        after_load: With the model loaded and its tensors allocated.
        after_first_inference: After one inference.
        peak: The most at any time.
    """

    before_load: int
    after_load: int
    after_first_inference: int
    peak: int

    @property
    def of_model(self) -> int:
        """What the model adds at the peak to a process that has the runtime."""
        return self.peak - self.before_load


class NodeTime(msgspec.Struct, frozen=True):
    """One operator of the artifact.

    Attributes:
        kind: As the runtime calls it.
        source: The node of the source model that it came from, else its name in the file; None where neither is known.
        microseconds: Mean of one inference, without the slowest tenth.
        share: Of all operators' sum.
    """

    kind: str
    source: str | None
    microseconds: float
    share: float


class HostBenchmark(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured on this host.

    Attributes:
        on: "host".
        processor: What the host has.
        artifact: What was measured.
        baseline: The float model; None where none was given or recorded.
        threads: Of the runtime.
        latency: Whole inferences.
        memory: Of a process of its own.
        nodes: In order of execution; empty where they cannot be told apart.
        nodes_by: "runtime profile": by onnxruntime while the whole model runs. "operators alone": LiteRT has no such
            profile, so each operator is timed in a model of its own; None where there are none.
        warnings: What a person should know, in sentences.
    """

    on: Literal["host"] = "host"
    processor: str
    artifact: ModelEntry
    baseline: ModelEntry | None
    threads: int
    latency: HostLatency
    memory: HostMemory
    nodes: list[NodeTime]
    nodes_by: Method | None
    warnings: list[str]


class Instructions(msgspec.Struct, frozen=True):
    """Instructions of one inference, by class; see the guide for what counts as which.

    Attributes:
        total: All.
        dot: SDOT and UDOT.
        int_mlal: Integer multiplications and multiply-accumulates on vectors.
        float_mla: Floating-point multiply-accumulates on vectors.
        simd_other: Other vector and floating-point instructions.
        load_store: Loads and stores, of vectors too.
        other: Integer arithmetic on registers, branches and the like.
    """

    total: int
    dot: int
    int_mlal: int
    float_mla: int
    simd_other: int
    load_store: int
    other: int


class NodeInstructions(msgspec.Struct, frozen=True):
    """One operator of the artifact; see ``NodeTime``."""

    kind: str
    source: str | None
    instructions: Instructions
    share: float


class OutputAgreement(msgspec.Struct, frozen=True):
    """The outputs in the emulated board against those on the host, for the same inputs and versions of the runtime.

    Attributes:
        verdict: "equal": every value; "close": floats within the tolerance; "different".
        max_abs: Largest difference, in the values that the model stores.
        tolerance: For floats: this share of the outputs' reach.
    """

    verdict: Literal["equal", "close", "different"]
    max_abs: float
    tolerance: float


class PiBenchmark(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted in an emulated Raspberry Pi. No time is in it: instructions are not milliseconds.

    Attributes:
        on: "pi:" and the board.
        core: The processor core.
        artifact: What was counted.
        baseline: The float model; None where none was given or recorded.
        threads: Always 1: the counters are exact for one.
        runs: Inferences counted of each model; the medians stand here.
        instructions: Of the artifact.
        baseline_instructions: Of the float model.
        ratio: The artifact's total by the float model's.
        outputs: Of the artifact, against the host.
        baseline_outputs: Of the float model, against the host.
        nodes: Operators of a TFLite model, each counted in a model of its own; empty for others.
        nodes_by: "operators alone", or None.
        warnings: What a person should know, in sentences.
    """

    on: str
    core: str
    artifact: ModelEntry
    baseline: ModelEntry | None
    threads: Literal[1] = 1
    runs: int
    instructions: Instructions
    baseline_instructions: Instructions | None
    ratio: float | None
    outputs: OutputAgreement
    baseline_outputs: OutputAgreement | None
    nodes: list[NodeInstructions]
    nodes_by: Method | None
    warnings: list[str]
