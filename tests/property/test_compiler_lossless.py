"""Lossless pruning of random int8 graphs: every value that is left is the same integer, in every runtime at hand."""

from __future__ import annotations

import pytest
from ai_edge_litert.interpreter import OpResolverType
from hypothesis import given, settings
from hypothesis import strategies as st

from edgefleet_compiler.emulate.rounding import Dialect
from edgefleet_compiler.lossless.prune import prune
from edgefleet_compiler.tflite.writer import write_tflite
from support.prunable_graphs import differing, differing_emulated, prunable_graph, structured_inputs

pytestmark = pytest.mark.property


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    resolver=st.sampled_from([
        OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        OpResolverType.BUILTIN_REF,
        OpResolverType.AUTO,  # XNNPACK: not claimed, and so far no difference was found
    ]),
)  # fmt: skip
def test_every_value_that_is_left_stays_the_same_bit_for_bit(seed, resolver):
    graph = prunable_graph(seed)
    pruned = prune(graph, write_tflite(graph))
    assert differing(pruned, structured_inputs(graph.tensors[graph.inputs[0]].shape, 40), resolver) == 0


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), dialect=st.sampled_from(Dialect))
def test_every_dialect_that_is_claimed_computes_the_same(seed, dialect):
    graph = prunable_graph(seed)
    pruned = prune(graph, write_tflite(graph))
    assert differing_emulated(pruned, structured_inputs(graph.tensors[graph.inputs[0]].shape, 30), dialect) == 0
