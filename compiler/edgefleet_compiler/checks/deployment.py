"""What a runtime makes of an artifact when it loads it: layers back in float, operators that its delegate leaves.

onnxruntime computes a layer in integers only where its optimiser recognises the pairs around it, and says nothing where
it does not. LiteRT hands the operators that XNNPACK has to it; what is left runs one by one, and splits the rest.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import onnx
import onnx_ir as ir

from edgefleet_compiler.artifact import Artifact
from edgefleet_compiler.checks.onnx_nodes import layers_of_nodes, numbered, numbers_in
from edgefleet_compiler.hub.graph import result_of
from edgefleet_compiler.hub.session import onnxruntime
from edgefleet_contract.errors import ModelMalformed
from edgefleet_hardware.profile import RuntimeName

_JUDGED: Final = ("Add", "Conv", "ConvTranspose", "Gemm", "MatMul")  # what is worth time, and has integer kernels
_FUSED_NAMES: Final = {"FusedConv": "Conv", "FusedGemm": "Gemm", "FusedMatMul": "MatMul"}
_WEIGHTED: Final = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})
_MANY_PARTITIONS: Final = 4  # a pool and a softmax, which XNNPACK lacks in int8, leave three
_LAYERS_NAMED: Final = 3


class Deployment(msgspec.Struct, frozen=True):
    """What the host's runtime, of the target's kind, makes of an artifact.

    Attributes:
        runtime: The runtime of the target.
        operators: How many it executes: in onnxruntime after its optimiser, in LiteRT those of the file.
        float_layers: Layers that are quantised, and that onnxruntime computes in float all the same.
        delegated: How many operators XNNPACK takes; None for other runtimes than LiteRT.
        partitions: In how many connected pieces it takes them; None as above.
        left: Operators that XNNPACK leaves to LiteRT's own kernels, as "layer (KIND)".
    """

    runtime: RuntimeName
    operators: int
    float_layers: list[str]
    delegated: int | None = None
    partitions: int | None = None
    left: list[str] = []

    def warnings(self) -> list[str]:
        """What a person should know, in sentences."""
        told = []
        if self.float_layers:
            told.append(
                f"onnxruntime computes these quantised layers in float, which is slower: {_listed(self.float_layers)}."
            )
        left = [name for name in self.left if name.endswith(tuple(f"({kind})" for kind in _WEIGHTED))]
        if left:
            told.append(f"XNNPACK does not take these layers, which LiteRT runs by slower kernels: {_listed(left)}.")
        if self.partitions is not None and self.partitions >= _MANY_PARTITIONS:
            told.append(
                f"XNNPACK takes {self.delegated} of {self.operators} operators, in {self.partitions} pieces: "
                f"what it leaves splits the model ({_listed(self.left)})."
            )
        return told


def inspect_deployment(artifact: Artifact, runtime: RuntimeName) -> Deployment | None:
    """Load an artifact as it is deployed, and look at what came of it.

    Args:
        artifact: Of ``runtime``'s format.
        runtime: Of the target.

    Returns:
        None for TFLite Micro, which executes what stands in the file.

    Raises:
        ModelMalformed: The runtime does not load it.
    """
    if runtime == "tflite-micro":
        return None
    if artifact.recipe.format == "onnx":
        assert artifact.hub is not None
        return inspect_onnx(artifact.data, artifact.hub, runtime)
    lowered = artifact.exported.lowered
    sources = [] if lowered is None else [operator.source for operator in lowered.operators]
    return inspect_tflite(artifact.data, sources, runtime)


# --- onnxruntime -----------------------------------------------------------------------------------------------------


def inspect_onnx(data: bytes, hub: ir.Model, runtime: RuntimeName) -> Deployment:
    """Of an ONNX file and the hub that it was exported from; see ``inspect_deployment``."""
    model = numbered(onnx.load_model_from_string(data))
    optimised = _optimised(model)
    layers = layers_of_nodes(model.graph, hub)
    quantised = {node.name for node in hub.graph if _computes_integers(node)}
    left = []
    for node in optimised.node:
        kind = _FUSED_NAMES.get(node.op_type, node.op_type)
        for number in _numbers(node) if kind in _JUDGED else ():
            layer = layers[number]
            if model.graph.node[number].op_type == kind and layer in quantised:
                left.append(layer)
    return Deployment(runtime, len(optimised.node), [layer for layer in dict.fromkeys(left) if layer is not None])


def _optimised(model: onnx.ModelProto) -> onnx.GraphProto:
    """What onnxruntime executes."""
    module: Any = onnxruntime()
    with tempfile.TemporaryDirectory(prefix="edgefleet-optimised-") as folder:
        options = module.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.optimized_model_filepath = str(Path(folder) / "optimised.onnx")
        try:
            module.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except Exception as cause:  # onnxruntime has a class of its own for each status, below Exception
            raise ModelMalformed(f"onnxruntime does not load the model: {cause}") from cause
        return onnx.load(options.optimized_model_filepath).graph


def _numbers(node: onnx.NodeProto) -> list[int]:
    return numbers_in(" ".join((node.name, *node.output)))


def _computes_integers(node: ir.Node) -> bool:
    """Whether pairs stand before and behind a node, or behind the activation that is fused into it."""
    first = node.inputs[0] if node.inputs else None
    producer = None if first is None else first.producer()
    if producer is None or producer.op_type != "DequantizeLinear":
        return False
    followers = list(result_of(node).consumers())
    if len(followers) == 1 and followers[0].op_type in ("Clip", "Relu"):
        followers = list(result_of(followers[0]).consumers())
    return any(follower.op_type == "QuantizeLinear" for follower in followers)


# --- LiteRT ----------------------------------------------------------------------------------------------------------


def inspect_tflite(data: bytes, sources: Sequence[str], runtime: RuntimeName) -> Deployment:
    """Of a TFLite file and the names of its operators' layers, in order; see ``inspect_deployment``."""
    from edgefleet_compiler.checks.runtimes.litert import LiteRtRunner  # noqa: PLC0415 - a runtime is heavy

    entries = LiteRtRunner(data, delegates=True).execution()
    operators = [entry for entry in entries if entry["op_name"] != "DELEGATE"]
    delegates = [entry for entry in entries if entry["op_name"] == "DELEGATE"]
    taken = {index for delegate in delegates for index in _inside(delegate, operators)}
    names = sources if len(sources) == len(operators) else [str(index) for index in range(len(operators))]
    left = [f"{names[i]} ({operators[i]['op_name']})" for i in range(len(operators)) if i not in taken]
    return Deployment(runtime, len(operators), [], len(taken), len(delegates), left)


def _inside(delegate: Mapping[str, Any], operators: Sequence[Mapping[str, Any]]) -> Iterator[int]:
    """The operators that a delegate replaces: those on the way from its outputs back to its inputs."""
    producers = {tensor: index for index, operator in enumerate(operators) for tensor in operator["outputs"].tolist()}
    known, waiting = set(delegate["inputs"].tolist()), delegate["outputs"].tolist()
    while waiting:
        tensor = waiting.pop()
        if tensor in producers and tensor not in known:
            known.update(operators[producers[tensor]]["outputs"].tolist())
            waiting += operators[producers[tensor]]["inputs"].tolist()
            yield producers[tensor]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LAYERS_NAMED} more" if len(names) > _LAYERS_NAMED else ""
    return ", ".join(repr(name) for name in names[:_LAYERS_NAMED]) + more
