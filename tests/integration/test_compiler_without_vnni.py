"""int8 on an x86 processor without VNNI, emulated: what saturates there, and artifacts that do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import edgefleet_compiler
from edgefleet_compiler.checks.runtimes import open_runner
from edgefleet_compiler.quantise.saturation import pairs_fit, saturating_product
from support.onnx_graphs import OnnxGraph
from support.without_vnni import run_without_vnni

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
DIGITS = ROOT / "examples" / "digits"
SHARED = ROOT.parent / "shared"
ZERO_POINT = 7
LARGE = np.array([-127, -100, -3, 60, 100, 127], np.int8)


def images_of(data: Path, n: int) -> NDArray[np.float32]:
    with np.load(data) as file:
        images: NDArray[np.float32] = file["x"][:n].astype(np.float32)
    return images


def patches(image: NDArray[np.uint8], kernel: int, group: slice) -> NDArray[np.uint8]:
    """What a kernel sees at each place, padded with the zero point; input channels vary fastest."""
    half = kernel // 2
    padded = np.pad(image[group], ((0, 0), (half, half), (half, half)), constant_values=ZERO_POINT)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), axis=(1, 2))
    return np.moveaxis(windows, 0, -1).reshape(image.shape[1] * image.shape[2], -1)


@pytest.mark.parametrize(
    ("inputs", "outputs", "kernel", "groups"),
    [(3, 16, 3, 1), (16, 16, 3, 1), (16, 32, 1, 1), (5, 7, 3, 1), (16, 16, 3, 4), (8, 16, 3, 8), (16, 16, 3, 16)],
)
def test_a_convolution_saturates_as_the_simulation_says(
    tmp_path: Path, inputs: int, outputs: int, kernel: int, groups: int
) -> None:
    graph = OnnxGraph()
    weights = graph.random.choice(LARGE, (outputs, inputs // groups, kernel, kernel))
    image = graph.random.choice(np.array([0, 200, 255], np.uint8), (inputs, 6, 6))
    scale = 2.0 ** np.ceil(np.log2(inputs // groups * kernel * kernel * 12))  # results of divisions are exact

    def pair(value: str, by: float, zero_point: int) -> str:
        stored = [graph.constant(by), graph.constant(zero_point, np.uint8)]
        return graph.node("DequantizeLinear", graph.node("QuantizeLinear", value, *stored), *stored)

    source = pair(graph.input("x", 1, inputs, 6, 6), 1.0, ZERO_POINT)
    ones = graph.constant(np.ones(outputs))
    operand = graph.node("DequantizeLinear", graph.constant(weights, np.int8), ones, axis=0)
    pads = [kernel // 2] * 4
    result = graph.node("Conv", source, operand, group=groups, kernel_shape=[kernel, kernel], pads=pads)
    model = graph.proto(pair(result, scale, 128)).SerializeToString()
    case = image[np.newaxis].astype(np.float32) - ZERO_POINT
    seen = run_without_vnni(model, case[np.newaxis], tmp_path)[0, 0] / scale
    depthwise = groups == inputs == outputs
    share, per_group = inputs // groups, outputs // groups
    sums = []
    for group in range(groups):
        activations = patches(image, kernel, slice(group * share, (group + 1) * share))
        rows = np.moveaxis(weights[group * per_group : (group + 1) * per_group], 1, -1).reshape(per_group, -1)
        exact = activations.astype(int) @ rows.astype(int).T
        product = exact if depthwise else saturating_product(activations, rows)
        assert depthwise or not np.array_equal(product, exact)
        sums.append(product - ZERO_POINT * rows.astype(int).sum(axis=1))
    computed = np.concatenate(sums, axis=1).T.reshape(outputs, 6, 6)
    expected = np.clip(np.rint(computed / scale), -128, 127)
    np.testing.assert_array_equal(seen, expected)


def test_an_artifact_for_a_pc_gives_the_same_with_and_without_vnni_and_one_for_vnni_does_not(tmp_path: Path) -> None:
    images = images_of(DIGITS / "validation.npz", 100)
    differing = {}
    for target in ("x86-64", "x86-64-vnni"):
        compiled = edgefleet_compiler.compile(
            DIGITS / "digits.onnx", target, recipe="int8", calibration=DIGITS / "calibration.npz"
        )
        cases = images.reshape(-1, *compiled.open().inputs[0].shape)
        seen = run_without_vnni(compiled.data, cases, tmp_path)
        exact = run_without_vnni(compiled.data, cases, tmp_path, exact=True)
        differing[target] = float(np.mean((seen != exact).reshape(len(cases), -1).any(axis=1)))
    assert differing["x86-64"] == 0
    assert differing["x86-64-vnni"] > 0.1


@pytest.mark.shared
@pytest.mark.parametrize(("model", "scale", "enlarged"), [("pretrainedResnet", 1, 1), ("vww_96_float", 255, 3)])
def test_mlperf_tiny_artifacts_give_the_same_with_and_without_vnni(
    tmp_path: Path, model: str, scale: int, enlarged: int
) -> None:
    def images(role: str, n: int) -> NDArray[np.float32]:
        images = images_of(SHARED / "data" / f"cifar10_{role}.npz", n) / np.float32(scale)
        return images.repeat(enlarged, axis=1).repeat(enlarged, axis=2)

    source = SHARED / "models" / f"{model}.tflite"
    compiled = edgefleet_compiler.compile(source, "x86-64", recipe="int8", calibration=images("calibration", 100))
    cases = images("validation", 100)[:, np.newaxis]
    seen = run_without_vnni(compiled.data, cases, tmp_path)
    np.testing.assert_array_equal(seen, run_without_vnni(compiled.data, cases, tmp_path, exact=True))
    runner = open_runner(compiled.data, "onnx")
    here = np.stack([runner.run([case])[0] for case in cases])
    assert np.mean(seen.argmax(axis=-1) == here.argmax(axis=-1)) >= 0.99


def test_the_simulation_and_the_rule_agree_on_every_pair() -> None:
    weights = np.stack(np.meshgrid(*[np.arange(-127, 128, dtype=np.int8)] * 2), axis=-1).reshape(-1, 2)
    activations = np.array([[0, 255], [255, 0], [255, 255]], np.uint8)
    kept = (saturating_product(activations, weights) == activations.astype(int) @ weights.astype(int).T).all(axis=0)
    np.testing.assert_array_equal(kept, pairs_fit(weights, "Gemm"))
