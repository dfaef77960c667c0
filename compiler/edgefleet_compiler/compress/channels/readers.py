"""What the layers that read channels take in typical cases."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.compress.channels.groups import Group
from edgefleet_compiler.compress.channels.saliency import Reader
from edgefleet_compiler.compress.linear import Linear
from edgefleet_compiler.compress.moments import Gathering, Moments, Pool
from edgefleet_compiler.hub.graph import name_of
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.quantise.channel_rules import given
from edgefleet_compiler.quantise.rounding.quadratic import Matrices
from edgefleet_compiler.quantise.search.reference import watching
from edgefleet_compiler.tensors import Sample


def read(hub: ir.Model, groups: Iterable[Group], cases: Sequence[Sample]) -> dict[str, Reader]:
    """The readers of groups, by their names.

    Args:
        hub: That the groups belong to; it is not changed.
        groups: Of its channels.
        cases: Typical inputs.
    """
    layers = {reader.node.name or "": reader for group in groups for reader in group.readers}
    linears = {name: Linear(layer.node) for name, layer in layers.items()}
    sources = {name: name_of(given(linear.node, 0)) for name, linear in linears.items()}
    pools = {name: Pool(Gathering(1, linear.inputs)) for name, linear in linears.items()}
    random = np.random.default_rng(0)
    if linears:
        session = Session(watching(hub.clone(), list(dict.fromkeys(sources.values()))), optimise=False)
        for case in cases:
            values = session.run(case)
            for name, linear in linears.items():
                pools[name].add(linear.rows(values[sources[name]], random))
    return {
        name: Reader(linear, layers[name].columns(linear.inputs), _squares(linear, pools[name].moments()))
        for name, linear in linears.items()
    }


def _squares(linear: Linear, moments: Moments) -> Matrices:
    """Moments of the inputs; where no bias can make up for a mean, as if the 1 had nothing to do with them."""
    squares: Matrices = moments.augmented_inputs[0]
    if not linear.takes_bias:
        squares[-1, :-1] = squares[:-1, -1] = 0.0
    return squares
