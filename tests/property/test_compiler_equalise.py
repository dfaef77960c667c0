"""Whatever the network: channels that the tracker calls free may be scaled by any power of two, to the last bit."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgefleet_compiler.passes import simplify
from edgefleet_compiler.quantise.channels import track
from edgefleet_compiler.quantise.equalise import rescale
from support.exports import random_inputs, run_hub
from support.networks import networks

pytestmark = pytest.mark.property


@given(networks(), st.integers(0, 2**32 - 1))
def test_scaling_classes_of_channels_by_powers_of_two_changes_no_bit(proto, seed):
    model = ir.from_proto(proto)
    simplify(model)
    inputs = random_inputs(model)
    expected = run_hub(model, inputs)
    tracked = track(model.graph)
    scales = 2.0 ** np.random.default_rng(seed).integers(-6, 7, tracked.count)
    scales[0] = 1.0
    names = [node.name for node in model.graph], [value.name for node in model.graph for value in node.outputs]
    rescale(model, tracked, scales)
    assert names == (
        [node.name for node in model.graph],
        [value.name for node in model.graph for value in node.outputs],
    )
    for ours, theirs in zip(run_hub(model, inputs), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
