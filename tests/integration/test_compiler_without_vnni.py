"""int8 on an x86 processor without VNNI, emulated: what saturates there, and artifacts that do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import edgefleet_compiler
from edgefleet_compiler.checks.runtimes import open_runner
from edgefleet_compiler.quantise.saturation import pairs_fit, saturating_product
from support.onnx_graphs import OnnxGraph
from support.without_vnni import Work, run_without_vnni

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
DIGITS = ROOT / "examples" / "digits"
SHARED = ROOT.parent / "shared"
Product = Callable[[NDArray[np.uint8], NDArray[np.int8]], NDArray[np.signedinteger]]
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


@dataclass(frozen=True)
class Convolution:
    """A convolution with large weights, over an image with large values."""

    inputs: int
    outputs: int
    kernel: int
    groups: int

    @cached_property
    def weights(self) -> NDArray[np.int8]:
        shape = (self.outputs, self.inputs // self.groups, self.kernel, self.kernel)
        return np.random.default_rng(1).choice(LARGE, shape)

    @cached_property
    def image(self) -> NDArray[np.uint8]:
        return np.random.default_rng(2).choice(np.array([0, 200, 255], np.uint8), (self.inputs, 6, 6))

    @property
    def scale(self) -> float:
        """Of the results: a power of two, so that their divisions are exact."""
        return float(2.0 ** np.ceil(np.log2(self.weights[0].size * 12)))

    @property
    def work(self) -> Work:
        graph = OnnxGraph()

        def pair(value: str, by: float, zero_point: int) -> str:
            stored = [graph.constant(by), graph.constant(zero_point, np.uint8)]
            return graph.node("DequantizeLinear", graph.node("QuantizeLinear", value, *stored), *stored)

        source = pair(graph.input("x", 1, self.inputs, 6, 6), 1.0, ZERO_POINT)
        weights = graph.stored(self.weights, np.ones(self.outputs))
        shape, pads = [self.kernel] * 2, [self.kernel // 2] * 4
        result = graph.node("Conv", source, weights, group=self.groups, kernel_shape=shape, pads=pads)
        case = self.image[np.newaxis].astype(np.float32) - ZERO_POINT
        return Work(graph.proto(pair(result, self.scale, 128)).SerializeToString(), case[np.newaxis])

    def results(self, product: Product) -> NDArray[np.float64]:
        """What the convolution gives by a product of matrices, as integers of its output."""
        share, per_group = self.inputs // self.groups, self.outputs // self.groups
        sums = []
        for group in range(self.groups):
            activations = patches(self.image, self.kernel, slice(group * share, (group + 1) * share))
            weights = self.weights[group * per_group : (group + 1) * per_group]
            rows = np.moveaxis(weights, 1, -1).reshape(per_group, -1)
            sums.append(product(activations, rows) - ZERO_POINT * rows.astype(int).sum(axis=1))
        computed = np.concatenate(sums, axis=1).T.reshape(self.outputs, 6, 6)
        return np.clip(np.rint(computed / self.scale), -128, 127)


def exact_product(activations: NDArray[np.uint8], weights: NDArray[np.int8]) -> NDArray[np.int64]:
    return activations.astype(np.int64) @ weights.astype(np.int64).T


def test_convolutions_saturate_as_the_simulation_says_and_depthwise_ones_do_not(tmp_path: Path) -> None:
    shapes = [
        (3, 16, 3, 1),
        (16, 16, 3, 1),
        (16, 32, 1, 1),
        (5, 7, 3, 1),
        (16, 16, 3, 4),
        (8, 16, 3, 8),
        (16, 16, 3, 16),
    ]
    convolutions = [Convolution(*shape) for shape in shapes]
    outputs = run_without_vnni([convolution.work for convolution in convolutions], tmp_path)
    for convolution, seen in zip(convolutions, outputs, strict=True):
        exact = convolution.results(exact_product)
        saturated = convolution.results(saturating_product)
        assert not np.array_equal(saturated, exact)
        is_depthwise = convolution.groups == convolution.inputs == convolution.outputs
        np.testing.assert_array_equal(seen[0, 0] / convolution.scale, exact if is_depthwise else saturated)


def test_an_artifact_for_a_pc_gives_the_same_with_and_without_vnni_and_one_for_vnni_does_not(tmp_path: Path) -> None:
    works = []
    for target in ("x86-64", "x86-64-vnni"):
        compiled = edgefleet_compiler.compile(
            DIGITS / "digits.onnx", target, recipe="int8", calibration=DIGITS / "calibration.npz"
        )
        cases = images_of(DIGITS / "validation.npz", 100).reshape(-1, *compiled.open().inputs[0].shape)
        works += [Work(compiled.data, cases, exact=exact) for exact in (False, True)]
    safe, safe_exact, plain, plain_exact = run_without_vnni(works, tmp_path)
    np.testing.assert_array_equal(safe, safe_exact)
    assert np.mean((plain != plain_exact).reshape(len(cases), -1).any(axis=1)) > 0.1


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
    works = [Work(compiled.data, cases, exact=exact) for exact in (False, True)]
    seen, exact = run_without_vnni(works, tmp_path)
    np.testing.assert_array_equal(seen, exact)
    runner = open_runner(compiled.data, "onnx")
    here = np.stack([runner.run([case])[0] for case in cases])
    assert np.mean(seen.argmax(axis=-1) == here.argmax(axis=-1)) >= 0.99


def test_the_simulation_and_the_rule_agree_on_every_pair() -> None:
    weights = np.stack(np.meshgrid(*[np.arange(-127, 128, dtype=np.int8)] * 2), axis=-1).reshape(-1, 2)
    activations = np.array([[0, 255], [255, 0], [255, 255]], np.uint8)
    kept = (saturating_product(activations, weights) == exact_product(activations, weights)).all(axis=0)
    np.testing.assert_array_equal(kept, pairs_fit(weights, "Gemm"))
