"""Before any training: TensorFlow computes what onnxruntime computes, or nothing is trained."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import tensorflow as tf

from edgefleet_compiler.finetune.child.cases import Cases
from edgefleet_compiler.finetune.child.network import Network
from edgefleet_compiler.hub.graph import name_of
from edgefleet_compiler.hub.session import Session
from edgefleet_contract.errors import ParityLost

_CASES = 4
_TOLERANCE = 1e-4


def require_like(network: Network, hub: ir.Model, cases: Cases, what: str) -> None:
    """Compare a network with its hub on a few cases, which the network gets as one batch.

    Raises:
        ParityLost: An output differs by more than 1e-4 of its largest magnitude, or of 1.
        OperatorUnsupported: A node is of a form that training does not take.
    """
    chosen = np.arange(min(_CASES, len(cases)))
    inputs = cases.inputs(chosen)
    session = Session(hub, optimise=False)
    names = [name_of(value) for value in hub.graph.inputs]
    runs = [session.run({name: array[[case]] for name, array in zip(names, inputs, strict=True)}) for case in chosen]
    seen = network.outputs([tf.constant(array) for array in inputs])
    for value, output in zip(hub.graph.outputs, seen, strict=True):
        wanted = np.concatenate([run[name_of(value)] for run in runs])
        scale = max(1.0, float(np.abs(wanted).max(initial=0.0)))
        difference = float(np.abs(output.numpy() - wanted).max(initial=0.0)) / scale
        if not difference <= _TOLERANCE:
            raise ParityLost(
                f"TensorFlow computes {what} unlike onnxruntime: {name_of(value)!r} differs by {difference:.2g}",
                expected=f"at most {_TOLERANCE:g} of the largest magnitude",
                remedy="Train it where it was made; or compile it without fine-tuning.",
                output=name_of(value),
                difference=difference,
            )
