"""What a compilation says of bad data, of recipes without effect, and of results that nobody labelled."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgefleet_compiler.attempt.words import warn_of_layers
from edgefleet_compiler.checks.layers import DROWNED, LEFT_IN_FLOAT, Layer, inspect_layers
from edgefleet_compiler.data import Normalisation
from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.pipeline import Outcome, compile_model
from edgefleet_compiler.progress import Silent
from edgefleet_compiler.quantise.calibrate import Range
from edgefleet_compiler.quantise.calibration.observe import observe
from edgefleet_compiler.quantise.integers import quantise
from edgefleet_compiler.quantise.settings import Settings
from edgefleet_compiler.source import load_source
from edgefleet_contract.errors import DataMalformed, RecipeMalformed, UsageMalformed
from edgefleet_hardware.profile import load_profile
from support.model_files import images, write_calibration, write_classifier, write_validation
from support.onnx_graphs import OnnxGraph
from support.whole_nets import lstm_net


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_classifier(tmp_path / "model.onnx")


def compiled(model: Path, target: str = "rpi4", **options: Any) -> Outcome:
    (outcome,) = compile_model(CompileOptions(model, (target,), model.parent / "out", **options), Silent())
    return outcome


def saved(path: Path, **arrays: NDArray[Any]) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]  # numpy's stubs take the names for its own options
    return path


def nothing(path: Path) -> Path:
    """A calibration set of zeros, which makes a dead model of any."""
    return saved(path, x=np.zeros((60, 1, 8, 8), np.float32))


def says(outcome: Outcome, words: str) -> bool:
    return any(words in warning for warning in outcome.report.warnings)


def codes(outcome: Outcome) -> list[str]:
    return [refusal.code for refusal in outcome.refusals]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_labels_count_whatever_their_element_type(model: Path, dtype: type[np.generic]) -> None:
    labelled = np.load(write_validation(model.parent / "v.npz", model))
    path = saved(model.parent / "v.npz", x=labelled["x"], y=labelled["y"].astype(dtype))
    outcome = compiled(model, recipe="int8", calibration=nothing(model.parent / "c.npz"), validation=path)
    assert outcome.report.accuracy is not None
    assert outcome.report.accuracy.metric == "top1"
    assert codes(outcome) == ["accuracy.lost"]


def test_targets_that_are_no_labels_are_not_passed_over(model: Path) -> None:
    path = saved(model.parent / "v.npz", x=images(60), y=np.eye(4, dtype=np.float32)[np.arange(60) % 4])
    with pytest.raises(DataMalformed, match="--metric mse"):
        compiled(model, calibration=write_calibration(model.parent / "c.npz"), validation=path)
    assert not (model.parent / "out").exists()


@pytest.mark.parametrize("measured", [True, False], ids=["validation", "calibration"])
def test_a_dead_artifact_is_refused_without_labels_too(model: Path, measured: bool) -> None:
    calibration = nothing(model.parent / "c.npz")
    validation = saved(model.parent / "v.npz", x=images(80)) if measured else None
    outcome = compiled(model, recipe="int8", calibration=calibration, validation=validation)
    assert says(outcome, "0 throughout")
    if measured:  # a calibration set of zeros cannot tell one model from another
        assert codes(outcome) == ["accuracy.lost"]
        assert "in common with the source" in outcome.refusals[0].seen
        allowed = compiled(model, recipe="int8", calibration=calibration, validation=validation, max_drop=1.0)
        assert codes(allowed) == []
        assert compiled(model, calibration=calibration, validation=validation).report.recipe == "dynamic"


def test_labels_of_another_model_let_nothing_pass(model: Path) -> None:
    labelled = np.load(write_validation(model.parent / "v.npz", model))
    wrong = saved(model.parent / "v.npz", x=labelled["x"], y=(labelled["y"] + 1) % 4)
    good = compiled(model, recipe="float", validation=wrong)
    assert codes(good) == []
    assert says(good, "do the labels belong to this model?")
    dead = compiled(model, recipe="int8", calibration=nothing(model.parent / "c.npz"), validation=wrong)
    assert codes(dead) == ["accuracy.lost"]


@pytest.mark.parametrize("role", ["calibration", "validation"])
def test_a_normalisation_that_arrays_would_not_get_is_refused(model: Path, role: str) -> None:
    with pytest.raises(UsageMalformed, match="no folder of images"):
        compiled(model, normalisation=Normalisation((8.0,)), **{role: write_calibration(model.parent / "c.npz")})
    with pytest.raises(UsageMalformed, match="--mean has 3 values"):
        compiled(model, normalisation=Normalisation((1.0, 2.0, 3.0)))


@pytest.mark.parametrize(
    "options", [{"seed": 2**63}, {"seed": -1}, {"max_drop": float("inf")}, {"max_drop": float("nan")}]
)
def test_numbers_that_cannot_be_meant_are_refused(model: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UsageMalformed, match="--"):
        compiled(model, validation=write_calibration(model.parent / "v.npz"), **options)


@pytest.fixture
def quotient(tmp_path: Path) -> tuple[Path, Path]:
    """A model that no recipe changes anything of: it has no constants, and divisions have no int8 form. And cases."""
    graph = OnnxGraph()
    left, right = graph.input("left", 1, 4), graph.input("right", 1, 4)
    path = tmp_path / "quotient.onnx"
    path.write_bytes(graph.proto(graph.node("Div", left, right, name="out")).SerializeToString())
    arrays = np.random.default_rng(0).uniform(1, 2, size=(2, 60, 4)).astype(np.float32)
    return path, saved(tmp_path / "c.npz", left=arrays[0], right=arrays[1])


@pytest.mark.parametrize("recipe", ["auto", "int8", "fp16"])
def test_a_recipe_that_changes_nothing_is_reported_as_float(quotient: tuple[Path, Path], recipe: str) -> None:
    model, calibration = quotient
    outcome = compiled(model, "x86-64", recipe=recipe, calibration=calibration)
    assert (outcome.report.recipe, codes(outcome)) == ("float", [])
    assert says(outcome, "changes nothing")
    assert 'scheme = "float"' in (outcome.folder / "recipe.toml").read_text()
    bundle = next(outcome.folder.glob("*.efb")).read_bytes()
    again = compiled(model, "x86-64", recipe="float", calibration=calibration)
    assert next(again.folder.glob("*.efb")).read_bytes() == bundle


@pytest.mark.parametrize("io", [None, "float"])
def test_a_target_that_runs_only_int8_refuses_a_model_without_a_layer_for_it(
    quotient: tuple[Path, Path], io: str | None
) -> None:
    model, calibration = quotient
    outcome = compiled(model, "nrf52840", calibration=calibration, io=io)
    assert codes(outcome) == ["recipe.unfit"]
    assert "int8" in outcome.refusals[0].seen


def test_a_fixed_batch_of_several_images_compiles_and_is_sketched(tmp_path: Path) -> None:
    graph = OnnxGraph()
    graph.node("Relu", graph.conv(graph.input("x", 4, 3, 8, 8), (3, 2), (3, 3)), name="y")
    model = tmp_path / "batch.onnx"
    model.write_bytes(graph.proto("y").SerializeToString())
    cases = np.random.default_rng(0).normal(size=(60, 4, 3, 8, 8)).astype(np.float32)
    for target in ("rpi4", "x86-64"):
        outcome = compiled(model, target, recipe="int8", calibration=saved(tmp_path / "c.npz", x=cases))
        assert codes(outcome) == []


def test_an_artifact_larger_than_its_source_is_told(model: Path, tmp_path: Path) -> None:
    narrow = compiled(model, "x86-64", recipe="fp16")
    assert not says(narrow, "larger than the source")
    source = Path(shutil.copy(narrow.folder / "model.onnx", tmp_path / "narrow.onnx"))
    assert load_source(source, input_shapes={}).stores_narrower
    assert not load_source(model, input_shapes={}).stores_narrower
    assert says(compiled(source, recipe="float"), "larger than the source, whose constants are stored narrower")


@pytest.mark.parametrize(("recipe", "remedy"), [("int8", "choose a smaller model"), ("float", "--recipe int8")])
def test_a_budget_names_what_could_still_be_done(model: Path, recipe: str, remedy: str) -> None:
    calibration = write_calibration(model.parent / "c.npz")
    outcome = compiled(model, recipe=recipe, calibration=calibration, max_flash=1, max_ram=1)
    (refusal,) = outcome.refusals
    assert "flash " in refusal.seen
    assert "RAM " in refusal.seen
    assert remedy in refusal.remedy
    assert ("--recipe" in refusal.remedy) is (recipe != "int8")


def write_detector(path: Path, *, apart: bool) -> Path:
    """Boxes from 0 to 640 and scores from 0 to 1, in one output or apart."""
    graph = OnnxGraph()
    features = graph.node("Relu", graph.conv(graph.input("x", 1, 1, 8, 8), (1, 6), (3, 3)))
    boxes, scores = (graph.node("Sigmoid", graph.conv(features, (6, 2), (1, 1))) for _ in range(2))
    boxes = graph.reshape(graph.node("Mul", boxes, graph.constant(np.float32(640))), 1, 72)
    scores = graph.reshape(scores, 1, 72)
    outputs = (boxes, scores) if apart else (graph.node("Concat", boxes, scores, axis=1),)
    path.write_bytes(graph.proto(*outputs).SerializeToString())
    return path


@pytest.mark.parametrize("target", ["rpi4", "x86-64"])
def test_scores_that_the_scale_of_boxes_drowns_are_named(tmp_path: Path, target: str) -> None:
    calibration = write_calibration(tmp_path / "c.npz")
    mixed = compiled(
        write_detector(tmp_path / "mixed.onnx", apart=False), target, recipe="int8", calibration=calibration
    )
    assert mixed.report.verdict == "accepted"
    (drowned,) = [layer for layer in mixed.report.layers if layer.cause == DROWNED]
    assert drowned.operator == "Reshape"
    (warning,) = [warning for warning in mixed.report.warnings if drowned.name in warning]
    assert "--recipe fp16" in warning
    assert '<tr class="warn">' in (mixed.folder / "report.html").read_text()
    apart = compiled(
        write_detector(tmp_path / "apart.onnx", apart=True), target, recipe="int8", calibration=calibration
    )
    assert [layer.name for layer in apart.report.layers if layer.cause == DROWNED] == []
    assert not says(apart, "an output of their own")
    assert '<tr class="warn">' not in (apart.folder / "report.html").read_text()


def test_scores_that_drown_in_a_concat_of_boxes_are_named_although_it_is_true_as_a_whole(tmp_path: Path) -> None:
    graph = OnnxGraph(4)
    hidden = graph.node("Relu", graph.gemm(graph.input("x", 1, 32), 32, 64))
    boxes = graph.node("Mul", graph.node("Sigmoid", graph.gemm(hidden, 64, 4)), graph.constant(np.float32(640)))
    scores = graph.node("Sigmoid", graph.gemm(hidden, 64, 10))
    model = tmp_path / "joined.onnx"
    model.write_bytes(graph.proto(graph.node("Concat", boxes, scores, axis=1)).SerializeToString())
    cases = np.random.default_rng(0).normal(size=(60, 1, 32)).astype(np.float32)[:, 0]
    outcome = compiled(model, "rpi4", recipe="int8", calibration=saved(tmp_path / "c.npz", x=cases))
    (joined,) = [layer for layer in outcome.report.layers if layer.cause == DROWNED]
    assert (joined.operator, len(joined.drowned_parts)) == ("Concat", 1)
    assert joined.sqnr_db is not None
    assert joined.sqnr_db > 20
    (sigmoid,) = [layer for layer in outcome.report.layers if layer.name in joined.drowned_parts]
    assert sigmoid.operator == "Sigmoid"
    assert says(outcome, f"with much larger values: {sigmoid.name!r} in {joined.name!r}")


def test_a_layer_that_noise_only_makes_worse_is_not_called_drowned(tmp_path: Path) -> None:
    graph = OnnxGraph(8)
    features = graph.gemm(graph.input("x", 1, 32), 32, 32)
    below = graph.node("Add", graph.node("Abs", graph.gemm(features, 32, 32)), graph.constant(np.float32(0.03)))
    graph.node("Div", graph.gemm(features, 32, 32), below, name="y")
    model = tmp_path / "divided.onnx"
    model.write_bytes(graph.proto("y").SerializeToString())
    cases = np.random.default_rng(0).normal(size=(60, 32)).astype(np.float32)
    outcome = compiled(model, "rpi4", recipe="int8", calibration=saved(tmp_path / "c.npz", x=cases))
    (divided,) = [layer for layer in outcome.report.layers if layer.operator == "Div"]
    assert divided.sqnr_db is not None
    assert divided.sqnr_db < 12
    assert divided.cause != DROWNED
    assert not says(outcome, "Noise drowns")


def test_a_layer_that_its_weights_of_four_bits_drown_is_told_so() -> None:
    random = np.random.default_rng(0)
    graph = OnnxGraph()
    weights = random.normal(size=(8, 32)) * 5
    weights[:, 0] = 300  # of an input that hardly varies
    hub = graph.model(graph.node("Gemm", graph.input("x", 1, 32), graph.constant(weights), transB=1))
    simplify(hub)
    cases = random.uniform(-1, 1, size=(40, 1, 32)).astype(np.float32)
    cases[:, :, 0] = 1
    samples = [{"x": case} for case in cases]
    seen = observe(hub, samples, lambda _: None, histograms=False).activations
    ranges = {name: Range(found.low, found.high) for name, found in seen.items()}
    sound, drowned = (
        inspect_layers(hub, quantise(hub, ranges, Settings(weights=weights)), samples) for weights in ("int8", "int4")
    )
    assert warn_of_layers(sound, load_profile("rpi4")) == []
    (warning,) = warn_of_layers(drowned, load_profile("rpi4"))
    assert warning.endswith("Their weights have 4 bits: give them 8.")
    assert "scale" not in warning


def test_shuffled_labels_are_told_although_they_are_a_little_better_than_chance(model: Path) -> None:
    labelled = np.load(write_validation(model.parent / "v.npz", model))
    own = labelled["y"].astype(np.int64)
    right = np.arange(80) < 23  # of 80 with four classes, where guessing has 20
    path = saved(model.parent / "v.npz", x=labelled["x"], y=np.where(right, own, (own + 1) % 4))
    outcome = compiled(model, recipe="float", validation=path)
    assert outcome.report.accuracy is not None
    assert outcome.report.accuracy.baseline == 23 / 80
    assert says(outcome, "do the labels belong to this model?")
    honest = compiled(model, recipe="float", validation=write_validation(model.parent / "v.npz", model))
    assert not says(honest, "do the labels belong")


@pytest.mark.parametrize(("count", "told"), [(49, True), (50, False)])
def test_a_validation_set_of_few_cases_is_told(model: Path, count: int, told: bool) -> None:
    path = write_validation(model.parent / "v.npz", model, count)
    assert says(compiled(model, recipe="float", validation=path), "The validation set has only") is told


@pytest.mark.parametrize(("factor", "told"), [(1, False), (16, True)])
def test_a_calibration_set_that_is_prepared_otherwise_is_told(model: Path, factor: int, told: bool) -> None:
    calibration = saved(model.parent / "c.npz", x=images(60) * np.float32(factor))
    validation = write_validation(model.parent / "v.npz", model)
    outcome = compiled(model, recipe="int8", calibration=calibration, validation=validation, max_drop=1)
    assert says(outcome, "unlike the validation set: in the input 'image', its spread differs") is told
    assert not says(compiled(model, recipe="float", calibration=calibration, validation=validation), "unlike")


@pytest.mark.parametrize(("count", "told"), [(3, True), (400, False)])
def test_a_calibration_set_that_leaves_much_to_chance_is_told(model: Path, count: int, told: bool) -> None:
    calibration = write_calibration(model.parent / "c.npz", count)
    assert says(compiled(model, recipe="int8", calibration=calibration), "The calibration set is small") is told


def test_a_recipe_that_names_an_activation_that_is_not_there_is_refused(model: Path) -> None:
    calibration = write_calibration(model.parent / "c.npz")
    written = compiled(model, recipe="int8", calibration=calibration).folder / "recipe.toml"
    recipe = model.parent / "recipe.toml"
    recipe.write_text(written.read_text() + '\n[quantise.ranges]\n"imag" = "mse"\n')
    with pytest.raises(RecipeMalformed, match="'imag', which is no activation") as caught:
        compiled(model, recipe=str(recipe), calibration=calibration)
    assert caught.value.expected == "a name such as 'image'"
    recipe.write_text(recipe.read_text().replace('"imag"', '"image"'))
    (record,) = [
        each
        for each in compiled(model, recipe=str(recipe), calibration=calibration).report.passes
        if each.name == "calibrate"
    ]
    assert record.effect == "min-max of 60 cases; mse of 1 activation"


@pytest.mark.parametrize("target", ["rpi4", "x86-64"])
@pytest.mark.parametrize("recipe", ["int8", "int16x8"])
def test_a_memory_that_stays_float_is_told_with_its_share_of_the_constants(
    tmp_path: Path, target: str, recipe: str
) -> None:
    model = tmp_path / "lstm.onnx"
    model.write_bytes(lstm_net().SerializeToString())
    cases = np.random.default_rng(0).normal(size=(60, 12, 8)).astype(np.float32)
    outcome = compiled(model, target, recipe=recipe, calibration=saved(tmp_path / "c.npz", x=cases))
    (recurrent,) = [layer for layer in outcome.report.layers if layer.operator == "LSTM"]
    assert recurrent.cause == LEFT_IN_FLOAT
    share = recurrent.bytes / sum(layer.bytes for layer in outcome.report.layers)
    assert says(outcome, f"{share:.0%} of the bytes of all constants stay float: {recurrent.name!r} (LSTM) has no form")


def test_a_model_of_integers_is_not_said_to_stay_float(model: Path) -> None:
    outcome = compiled(model, recipe="int8", calibration=write_calibration(model.parent / "c.npz"))
    assert not says(outcome, "stay float")


def test_a_microcontroller_is_advised_to_compute_drowned_layers_in_wider_integers() -> None:
    layer = Layer("scores", "Sigmoid", -3.0, 0, DROWNED)
    (warning,) = warn_of_layers([layer], load_profile("nrf52840"))
    assert warning.endswith("Use --recipe int16x8, or let them compute in 16-bit integers.")
