"""Random networks, quantised by onnxruntime: kept as they are, in ONNX and in TFLite, or refused by name."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.pipeline import compile_model
from edgefleet_compiler.progress import Silent
from edgefleet_contract.errors import OperatorUnsupported
from support.networks import networks
from support.onnx_peers import Form, quantised

pytestmark = pytest.mark.property

LEAST_SQNR_DB = 5.0  # the smallest of these networks give two numbers in a few steps


@settings(max_examples=8, deadline=None)
@given(
    model=networks(),
    form=st.sampled_from(["QDQ", "QOperator"]),
    types=st.sampled_from(["S8S8", "U8S8", "U8U8"]),
    per_channel=st.booleans(),
)
def test_what_the_peer_quantised_keeps_its_numbers(
    model: onnx.ModelProto, form: Form, types: str, per_channel: bool
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shape = [dimension.dim_value for dimension in model.graph.input[0].type.tensor_type.shape.dim]
        rows = np.random.default_rng(0).normal(size=(20, *shape[1:])).astype(np.float32)
        onnx.save(model, folder / "float.onnx")
        source = quantised(
            folder / "float.onnx", folder / "q.onnx", rows, form=form, types=types, per_channel=per_channel
        )
        np.savez(folder / "v.npz", x=rows)
        request = CompileOptions(source, ("x86-64", "rpi4"), folder / "out", validation=folder / "v.npz")
        for outcome in compile_model(request, Silent()):
            assert all(isinstance(refusal, OperatorUnsupported) for refusal in outcome.refusals), outcome.refusals
            for parity in outcome.report.parity[:1]:
                assert parity.sqnr_db is None or parity.sqnr_db > LEAST_SQNR_DB
