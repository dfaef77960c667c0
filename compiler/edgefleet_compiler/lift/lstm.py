"""UNIDIRECTIONAL_SEQUENCE_LSTM: LSTM, with its states as inputs and outputs of their own.

Source: TFLite's ``unidirectional_sequence_lstm.cc``: gates in the order input, forget, cell, output; each has weights,
a bias and perhaps a peephole of its own. The states are kept from one inference to the next.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.lift.site import Site, Unliftable

# Positions of the operator's inputs; of each four, the gates in TFLite's order.
_WEIGHTS, _RECURRENT, _PEEPHOLES, _BIASES, _PROJECTION, _STATE, _CELL, _NORMS = 1, 5, 9, 12, 16, 18, 19, 20
_TO_ONNX: Final = (0, 3, 1, 2)
"""ONNX orders gates input, output, forget, cell."""


def lift_unidirectional_sequence_lstm(site: Site) -> ir.Value:
    """UNIDIRECTIONAL_SEQUENCE_LSTM in float32, without projection or layer normalisation."""
    _refuse_variants(site)
    source = site.tensor(0).shape
    site.require(len(source) == 3, f"takes an input of shape {list(source)}", "steps, batch, features")
    time_major = site.option("time_major")
    steps, batch, _ = source if time_major else (source[1], source[0], source[2])
    hidden = _array(site, _RECURRENT + 1).shape[1]
    operands = [
        site.value(0) if time_major else site.permute(site.value(0), [1, 0, 2], "time_first"),
        _gates(site, _WEIGHTS, "weights"),
        _gates(site, _RECURRENT, "recurrent"),
        _biases(site, hidden),
        site.constant("lengths", np.full(batch, steps, np.int32)),
        _reshaped(site, site.state(_STATE), (1, batch, hidden), "state"),
        _reshaped(site, site.state(_CELL), (1, batch, hidden), "cell"),
    ]
    if site.has(_PEEPHOLES + 1):
        parts = [_array(site, _PEEPHOLES + gate) for gate in (0, 2, 1)]
        operands.append(site.constant("peepholes", np.concatenate(parts)[None]))
    sequence, state, cell = site.emit_all(
        "LSTM",
        operands,
        ((steps, 1, batch, hidden), (1, batch, hidden), (1, batch, hidden)),
        {"hidden_size": hidden},
    )
    site.keep_state(_STATE, _reshaped(site, state, (batch, hidden), "next_state"))
    site.keep_state(_CELL, _reshaped(site, cell, (batch, hidden), "next_cell"))
    result = _reshaped(site, sequence, (steps, batch, hidden), "sequence")
    return result if time_major else site.permute(result, [1, 0, 2], "batch_first")


def _refuse_variants(site: Site) -> None:
    if site.is_quantised:
        raise Unliftable("it computes in integers, its cell in sixteen bits")
    if site.option("cell_clip") or site.option("proj_clip"):
        raise Unliftable("it clips its cell or its projection")
    if site.option("fused_activation_function") != "TANH":
        raise Unliftable(f"its activation is {site.option('fused_activation_function')}, not TANH")
    if any(site.has(position) for position in (_PROJECTION, _PROJECTION + 1, *range(_NORMS, _NORMS + 4))):
        raise Unliftable("it has a projection or a layer normalisation")
    if not site.has(_WEIGHTS):
        raise Unliftable("its input and forget gates are coupled")


def _gates(site: Site, first: int, label: str) -> ir.Value:
    """The matrices of the four gates below each other, in ONNX's order; shape (1, 4 * hidden size, …)."""
    return site.constant(label, np.concatenate([_array(site, first + gate) for gate in _TO_ONNX])[None])


def _biases(site: Site, hidden: int) -> ir.Value:
    """Those of the input, and zeros for those of the state; shape (1, 8 * hidden size)."""
    biases = [_array(site, _BIASES + gate) for gate in _TO_ONNX]
    return site.constant("biases", np.concatenate([*biases, np.zeros(4 * hidden, np.float32)])[None])


def _array(site: Site, position: int) -> NDArray[np.float32]:
    tensor = site.tensor(position)
    if tensor.data is None:
        raise Unliftable(f"its operand {tensor.name!r} is computed at run time")
    if tensor.dtype != np.float32:
        raise Unliftable(f"its operand {tensor.name!r} holds {tensor.dtype}, not float32")
    return tensor.data.astype(np.float32)


def _reshaped(site: Site, value: ir.Value, shape: tuple[int, ...], label: str) -> ir.Value:
    return site.emit("Reshape", [value, site.constant(f"{label}/shape", np.array(shape, np.int64))], shape, label=label)
