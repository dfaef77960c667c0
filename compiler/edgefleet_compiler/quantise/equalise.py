"""Cross-layer equalisation: channels that share a scale are brought to like ranges, without changing what is computed.

Source: Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", section 4.1. What
a layer writes to channel c is divided by s_c, and the weights that read it are multiplied by s_c. The paper chooses
s_c from the ranges of per-tensor weights, equation 11; here ``balance`` chooses it for weights with a scale per output
channel. Scales are powers of two, which divide and multiply float32 numbers exactly.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import constant, name_of
from edgefleet_compiler.quantise.balance import groups_of
from edgefleet_compiler.quantise.calibration.observe import Observations
from edgefleet_compiler.quantise.channels import Tracked, scale_weights, track
from edgefleet_compiler.quantise.outliers import find_outliers, outlier_scales

Floats = NDArray[np.float64]


def equalised(hub: ir.Model, seen: Observations, channels: Literal["outliers", "all"] = "all") -> ir.Model:
    """A copy of a float hub that computes the same, with ranges of channels that suit int8.

    Args:
        hub: In hub normal form; it is not changed.
        seen: From ``observe`` of the same hub.
        channels: Whether only outliers are brought to what the other channels are like, or all to where the estimated
            noise is least.
    """
    copy = hub.clone()
    tracked = track(copy.graph)
    scales = np.ones(tracked.count)
    for group in groups_of(tracked, seen.activations):
        scales[group.classes] = group.best_scales() if channels == "all" else outlier_scales(group)
    rescale(copy, tracked, scales)
    return copy


def needs_equalising(hub: ir.Model, seen: Observations) -> bool:
    """Whether an outlier channel takes a bit or more from the other channels of its activation."""
    return bool(find_outliers(hub, seen))


def rescale(model: ir.Model, tracked: Tracked, scales: Floats) -> None:
    """Divide channels by scales, in place.

    Args:
        model: What was tracked.
        tracked: Its classes.
        scales: Of each class, shape (classes,); that of ``FIXED`` is 1.
    """
    editor = Editor(model.graph)
    for layer in tracked.layers:
        factors = scales[layer.reads] / scales[layer.writes][:, np.newaxis]
        if (factors != 1).any():
            weights = constant(layer.node.inputs[1])
            assert weights is not None
            _store(editor, layer.node, 1, scale_weights(layer.node, weights, factors.astype(np.float32)))
        bias = constant(layer.node.inputs[2]) if len(layer.node.inputs) > 2 else None
        if bias is not None and (scales[layer.writes] != 1).any():
            _store(editor, layer.node, 2, (bias / scales[layer.writes]).astype(np.float32))


def _store(editor: Editor, node: ir.Node, index: int, array: NDArray[np.float32]) -> None:
    """Give a node a new constant, under the old name where nothing else uses that."""
    old = node.inputs[index]
    assert old is not None
    name = name_of(old)
    new = editor.constant(array, name)
    node.replace_input_with(index, new)
    if not old.uses() and not old.is_graph_output():
        del editor.graph.initializers[name]
        new.name = name
