"""Networks with narrow weights: both exports compute what their hub computes, by whatever scheme it was made."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgefleet_compiler.checks.exactness import require_close, require_equal
from edgefleet_compiler.checks.runtimes import open_runner
from edgefleet_compiler.exporters.onnx import export_onnx
from edgefleet_compiler.exporters.tflite import export_tflite
from edgefleet_compiler.hub.graph import OPSET
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.quantise.calibrate import calibrate
from edgefleet_compiler.quantise.dynamic import dynamic
from edgefleet_compiler.quantise.integers import quantise
from edgefleet_compiler.quantise.settings import Settings
from edgefleet_compiler.quantise.weight_only import weight_only
from support.networks import networks

pytestmark = pytest.mark.property
steady = settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
FORMATS = ("onnx", "tflite")


def normal(proto: onnx.ModelProto) -> tuple[ir.Model, list[dict[str, np.ndarray]]]:
    hub = ir.from_proto(proto)
    simplify(hub)
    shape = hub.graph.inputs[0].shape.numpy()
    return hub, [{"image": image} for image in np.random.default_rng(1).normal(size=(4, *shape)).astype(np.float32)]


def of_hub(hub: ir.Model):
    session = Session(hub, optimise=False)
    return lambda sample: list(session.run(sample).values())


def of_export(hub: ir.Model, form: str, execution: str):
    if form == "onnx":
        data = export_onnx(hub, max_opset=OPSET, io="float", io_layout="source")
    else:
        data, _ = export_tflite(hub, io="float", io_layout="source")
    runner = open_runner(data, form, execution=execution)
    return lambda sample: runner.run([sample["image"]])


@settings(steady)
@given(
    proto=networks(),
    weights=st.sampled_from(["int8", "int4"]),
    form=st.sampled_from(FORMATS),
    execution=st.sampled_from(["deployed", "plain"]),
)
def test_narrow_weights_are_widened_to_the_same_numbers(proto, weights, form, execution):
    hub, cases = normal(proto)
    narrow = weight_only(hub, Settings(weights=weights))
    require_equal(of_hub(narrow), of_export(narrow, form, execution), cases, what=form)


@settings(steady)
@given(proto=networks(), form=st.sampled_from(FORMATS), execution=st.sampled_from(["deployed", "plain"]))
def test_what_is_rounded_at_run_time_is_rounded_alike(proto, form, execution):
    hub, cases = normal(proto)
    rounded = dynamic(hub, Settings(), form)
    require_close(of_hub(rounded), of_export(rounded, form, execution), cases, what=form, rounded_from=of_hub(hub))


@settings(steady)
@given(proto=networks(), form=st.sampled_from(FORMATS), execution=st.sampled_from(["deployed", "plain"]))
def test_integers_of_four_bits_are_multiplied_alike(proto, form, execution):
    hub, cases = normal(proto)
    quantised = quantise(hub, calibrate(hub, cases, lambda _: None), Settings(weights="int4"))
    reference = of_hub(quantised)
    require_close(reference, of_export(quantised, form, execution), cases, what=form, rounded_from=of_hub(hub))
