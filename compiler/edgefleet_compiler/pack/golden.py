"""Golden vectors: a few cases with the outputs expected, and tolerances that come of measurement.

Two sets over the same inputs. The artifact's outputs ask a device: does your runtime compute this file? The source
model's outputs ask: is it still the model? All values are real ones, in the artifact's axes; whoever feeds quantised
inputs quantises them as for any other inference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.artifact import Artifact
from edgefleet_compiler.checks.alignment import AlignedRunner
from edgefleet_compiler.checks.measure import Examiner
from edgefleet_compiler.checks.parity import ParityMeter
from edgefleet_compiler.checks.runtimes import Execution, Runner
from edgefleet_compiler.data import DataSet
from edgefleet_compiler.hub.graph import constant
from edgefleet_compiler.lowered.editing import writers
from edgefleet_compiler.lowered.graph import LoweredGraph
from edgefleet_compiler.pack.arrays import npz_bytes, stacked
from edgefleet_compiler.source import Source
from edgefleet_contract.manifest import GoldenVectors, TensorSpec

_LABELLED_CASES = 64
# Devices' kernels differ from the host's as the host's own kernels differ from each other, hence twice as much; and
# not less than this share of the outputs' reach, or two steps where outputs are quantised: one tie inside, rounded the
# other way, moves an output by a step or so.
_SAFETY = 2.0
_LEAST_SHARE = 1e-4
_LEAST_STEPS = 2

Oracle = Literal["artifact", "baseline"]
Outputs = list[NDArray[np.generic]]


def golden_vectors(
    artifact: Artifact, examiner: Examiner, execution: Execution
) -> tuple[list[GoldenVectors], dict[str, bytes]]:
    """Both sets, as the manifest lists them, and their files by path.

    The tolerance of the artifact's set is measured between two ways to execute it on this host; that of the source's
    set between the artifact and the source.

    Args:
        artifact: The model.
        examiner: Has the cases and the source model.
        execution: How the target's runtime executes.
    """
    runner = examiner.open(artifact, execution)
    other = examiner.open(artifact, "plain" if execution == "deployed" else "deployed")
    compiled = [runner.run_whole(case) for case in examiner.cases]
    outputs = len(examiner.source.outputs)
    least = max(
        _LEAST_SHARE * _reach([case[:outputs] for case in compiled]), _LEAST_STEPS * _largest_output_step(artifact)
    )
    # States are the artifact's own; the source keeps its inside.
    source = [
        [*examiner.source_runner.run(case), *own[outputs:]] for case, own in zip(examiner.cases, compiled, strict=True)
    ]
    taken, given = _names(examiner.source, runner.runner)
    inputs = _columns("in", taken, [runner.arrange(case) for case in examiner.cases])
    listed, files = [], {}
    sets: list[tuple[Oracle, list[Outputs], list[Outputs]]] = [
        ("artifact", compiled, [other.run_whole(case) for case in examiner.cases]),
        ("baseline", source, compiled),
    ]
    for oracle, expected, compared in sets:
        path = f"golden/{oracle}.npz"
        results = _columns("out", given, [runner.arrange_outputs(case) for case in expected])
        files[path] = npz_bytes({**inputs, **results})
        listed.append(_listed(oracle, path, expected, compared, least))
    return listed, files


def labelled_vectors(data: DataSet | None, runner: AlignedRunner, inputs: Sequence[TensorSpec]) -> bytes | None:
    """Up to 64 labelled cases, the default rollout vectors, as ``.npz``; None without integer labels.

    Args:
        data: The validation set.
        runner: Knows the artifact's axes.
        inputs: Of the artifact; a single one is called ``x``.
    """
    if data is None or data.targets is None or not data.has_class_labels:
        return None
    chosen = data.spread(_LABELLED_CASES)
    arranged = [runner.arrange(sample) for sample in data.pick(chosen)]
    names = ["x"] if len(inputs) == 1 else [tensor.name for tensor in inputs]
    arrays = {name: stacked(case[index] for case in arranged) for index, name in enumerate(names)}
    return npz_bytes({**arrays, "y": data.targets[chosen].astype(np.int64)})


def _listed(
    oracle: Oracle, path: str, reference: list[Outputs], compared: list[Outputs], least: float
) -> GoldenVectors:
    meter = ParityMeter("source")
    for expected, seen in zip(reference, compared, strict=True):
        meter.add(expected, seen)
    measured, n = meter.result(), len(reference)
    return GoldenVectors(
        oracle=oracle,
        path=path,
        n=n,
        max_abs=max(_SAFETY * measured.max_abs, least),
        min_argmax_agreement=max(0.0, measured.argmax_agreement - 1 / n),
    )


def _largest_output_step(artifact: Artifact) -> float:
    """The largest quantisation step of an output, in real units; 0 where none is quantised."""
    if artifact.hub is None:
        assert artifact.exported.lowered is not None
        return _largest_kept_step(artifact.exported.lowered)
    steps = [0.0]
    for output in artifact.hub.graph.outputs:
        producer = output.producer()
        while producer is not None and producer.op_type == "Transpose" and producer.inputs[0] is not None:
            producer = producer.inputs[0].producer()
        if producer is not None and producer.op_type == "DequantizeLinear":
            scale = constant(producer.inputs[1])
            steps.append(0.0 if scale is None else float(scale))
    return max(steps)


def _largest_kept_step(graph: LoweredGraph) -> float:
    """The same of a lowered graph, whose outputs may stand behind a DEQUANTIZE."""
    written = writers(graph)
    before = [written[name].inputs[0] if written[name].kind == "DEQUANTIZE" else name for name in graph.outputs]
    parameters = [graph.tensors[name].quantisation for name in before if name is not None]
    return max((float(each.scale.max()) for each in parameters if each is not None), default=0.0)


def _names(source: Source, runner: Runner) -> tuple[list[str], list[str]]:
    """What the manifest calls the artifact's inputs and outputs: as the source, and states after them."""
    names = []
    for own, all_of_them in ((source.inputs, runner.inputs), (source.outputs, runner.outputs)):
        names.append([*(tensor.name for tensor in own), *(tensor.name for tensor in all_of_them[len(own) :])])
    return names[0], names[1]


def _columns(prefix: str, names: Sequence[str], cases: list[Outputs]) -> dict[str, NDArray[np.generic]]:
    """All cases of each input or output as one array."""
    return {f"{prefix}/{name}": stacked(case[index] for case in cases) for index, name in enumerate(names)}


def _reach(outputs: list[Outputs]) -> float:
    return max(float(np.abs(value).max(initial=0.0)) for case in outputs for value in case)
