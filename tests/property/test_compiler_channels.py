"""Random convolutional networks lose channels, and compute what they do with zeros in the place of these."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgefleet_compiler.compress.channels.cut import cut
from edgefleet_compiler.compress.channels.groups import find_groups
from edgefleet_compiler.compress.channels.prune import masked
from edgefleet_compiler.passes import simplify
from support.cnn_models import CnnDrawer
from support.exports import random_inputs, run_hub
from support.pruning import assert_shapes_are_true


@st.composite
def hubs(draw: st.DrawFn) -> ir.Model:
    """In hub normal form."""
    model = ir.from_proto(CnnDrawer(draw).network())
    simplify(model)
    return model


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(model=hubs(), data=st.data())
def test_a_network_without_channels_computes_what_it_does_with_zeros_for_them(
    model: ir.Model, data: st.DataObject
) -> None:
    gone: list[int] = []
    for group in find_groups(model.graph).groups:
        free = group.classes[group.free].tolist()
        most = group.channels - group.least
        gone += data.draw(st.lists(st.sampled_from(free), max_size=most, unique=True)) if most else []
    smaller = cut(model, gone)
    assert_shapes_are_true(smaller)
    inputs = random_inputs(model)
    for ours, theirs in zip(run_hub(smaller, inputs), run_hub(masked(model, gone), inputs), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * max(1.0, float(np.abs(theirs).max())))
