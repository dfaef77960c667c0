"""The pipeline: recipes tried in order, gates that refuse one target and not the others, folders written whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgefleet_compiler.checks.runtimes import open_runner
from edgefleet_compiler.hubs import HubMaker
from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.output import replaced_folder
from edgefleet_compiler.pipeline import Outcome, compile_model
from edgefleet_compiler.progress import Silent
from edgefleet_contract.bundle import Bundle
from edgefleet_contract.errors import DataMalformed, OutputUnwritable, UsageMalformed
from support.model_files import classifier, write_calibration, write_classifier, write_validation
from support.onnx_graphs import OnnxGraph


class Case:
    """A model with its data, compiled in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out"
        self.model = write_classifier(folder / "model.onnx")
        self.calibration = write_calibration(folder / "c.npz")
        self.validation = write_validation(folder / "v.npz", self.model)

    def compile(self, *targets: str, **options: Any) -> dict[str, Outcome]:
        given: dict[str, Any] = {"calibration": self.calibration, "validation": self.validation, **options}
        request = CompileOptions(self.model, targets, **{"out": self.out, **given})
        return {outcome.report.target: outcome for outcome in compile_model(request, Silent())}

    def files(self, target: str) -> set[str]:
        return {path.name for path in (self.out / target).iterdir()}


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_an_accepted_target_has_all_its_files(case: Case) -> None:
    case.compile("rpi4", max_drop=1.0)
    bundle = "model-0.1.0-rpi4.efb"
    assert case.files("rpi4") == {"model.tflite", "recipe.toml", "report.json", "report.html", bundle}
    assert sorted(path.name for path in case.out.iterdir()) == ["rpi4"]


@pytest.mark.parametrize("recipe", ["int8", "fp16", "float"])
@pytest.mark.parametrize("target", ["rpi4", "x86-64"])
def test_the_recipe_that_was_written_gives_the_same_bytes_again(case: Case, recipe: str, target: str) -> None:
    first = case.compile(target, recipe=recipe, max_drop=1.0)[target]
    replayed = case.compile(
        target, recipe=str(case.out / target / "recipe.toml"), max_drop=1.0, out=case.folder / "again" / "deeper"
    )[target]
    assert first.report.artifact is not None
    for name in (f"model.{first.report.artifact.format}", "recipe.toml", f"model-0.1.0-{target}.efb"):
        assert (first.folder / name).read_bytes() == (replayed.folder / name).read_bytes(), name


def test_auto_falls_back_to_a_gentler_recipe_where_int8_loses_too_much(case: Case) -> None:
    np.savez(case.calibration, x=np.load(case.calibration)["x"] * np.float32(40))
    outcomes = case.compile("rpi4", "nrf52840")
    assert outcomes["rpi4"].report.recipe == "dynamic"
    assert outcomes["rpi4"].report.verdict == "accepted"
    assert any("int8 is not used" in warning and "of top1" in warning for warning in outcomes["rpi4"].report.warnings)
    assert [refusal.code for refusal in outcomes["nrf52840"].refusals] == ["accuracy.lost"]
    accuracy = outcomes["nrf52840"].report.accuracy
    assert accuracy is not None
    assert accuracy.drop > 0.01


def test_a_loss_that_was_allowed_is_no_refusal(case: Case) -> None:
    np.savez(case.calibration, x=np.load(case.calibration)["x"] * np.float32(40))
    outcome = case.compile("nrf52840", max_drop=1.0)["nrf52840"]
    assert outcome.refusals == []
    assert outcome.report.bundle is not None


def test_a_refused_target_has_no_bundle_and_does_not_stop_the_others(case: Case) -> None:
    outcomes = case.compile("nrf52840", "rpi4", recipe="fp16")
    assert [refusal.code for refusal in outcomes["nrf52840"].refusals] == ["recipe.unfit"]
    assert case.files("nrf52840") == {"report.json", "report.html"}
    assert outcomes["rpi4"].report.verdict == "accepted"


def test_without_labels_disagreement_is_a_warning_and_no_gate(case: Case) -> None:
    coarse = np.load(case.calibration)["x"] * np.float32(40)
    np.savez(case.calibration, x=coarse)
    np.savez(case.validation, x=np.load(case.validation)["x"])
    outcome = case.compile("rpi4", recipe="int8")["rpi4"]
    assert outcome.report.accuracy is not None
    assert outcome.report.accuracy.metric == "agreement"
    assert outcome.refusals == []
    assert any("agrees with the source" in warning for warning in outcome.report.warnings)
    (refusal,) = case.compile("rpi4", recipe="int8", max_drop=0.01)["rpi4"].refusals
    assert refusal.code == "accuracy.lost"


def test_without_a_validation_set_accuracy_is_not_measured_unless_a_limit_asks(case: Case) -> None:
    report = case.compile("rpi4", validation=None)["rpi4"].report
    assert report.accuracy is None
    assert any("No validation set" in warning for warning in report.warnings)
    asked = case.compile("rpi4", validation=None, max_drop=1.0)["rpi4"].report
    assert asked.accuracy is not None
    assert asked.accuracy.measured_on == "calibration"


def test_without_any_data_parity_is_measured_on_random_inputs(case: Case) -> None:
    report = case.compile("x86-64", calibration=None, validation=None)["x86-64"].report
    assert (report.recipe, report.accuracy) == ("fp16", None)
    assert {parity.n for parity in report.parity} == {16}
    assert any("16 bits" in warning for warning in report.warnings)


def test_float_artifacts_compute_what_the_source_computes(case: Case) -> None:
    for outcome in case.compile("rpi4", "x86-64", recipe="float").values():
        assert all(parity.max_abs < 1e-5 for parity in outcome.report.parity)


def test_a_scheme_is_quantised_once_for_all_targets_that_share_it(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    original = HubMaker._make

    def counting(self: HubMaker, recipe: Any) -> Any:
        made.append((recipe.scheme, recipe.quantise))
        return original(self, recipe)

    monkeypatch.setattr(HubMaker, "_make", counting)
    outcomes = case.compile("rpi3", "rpi4", "rpi5", "nrf52840", recipe="int8", max_drop=1.0)
    assert len(made) == 2  # per channel for the Pis, per tensor for the microcontroller
    assert len({outcomes[target].report.artifact.sha256 for target in ("rpi3", "rpi4", "rpi5")}) == 1  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("target", "shape", "dtype", "axes"),
    [("rpi4", (1, 8, 8, 1), np.int8, "NHWC"), ("x86-64", (1, 1, 8, 8), np.uint8, "NCHW")],
)
def test_integer_inputs_and_native_axes_reach_artifact_and_manifest(
    case: Case, target: str, shape: tuple[int, ...], dtype: type[np.generic], axes: str
) -> None:
    outcome = case.compile(target, recipe="int8", io="int8", io_layout="native", max_drop=1.0)[target]
    assert outcome.report.artifact is not None
    assert outcome.report.bundle is not None
    artifact = Path(outcome.report.artifact.path)
    runner = open_runner(artifact.read_bytes(), outcome.report.artifact.format)
    assert (runner.inputs[0].shape, runner.inputs[0].dtype) == (shape, dtype)
    with Bundle(Path(outcome.report.bundle.path)) as bundle:
        (image,) = bundle.manifest.inputs
        assert (tuple(image.shape), image.dtype, image.axes) == (shape, np.dtype(dtype).name, axes)
        assert image.quantisation == runner.inputs[0].quantisation is not None
    assert outcome.report.parity[0].sqnr_db is not None
    assert outcome.report.parity[0].sqnr_db > 15


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({"max_flash": 100}, ["flash"]),
        ({"max_ram": 100}, ["ram"]),
        ({"max_flash": 100, "max_ram": 100}, ["flash", "ram"]),
        ({"max_latency": 1e-9, "target": "x86-64"}, ["latency_ms"]),
    ],
)
def test_a_budget_that_is_exceeded_is_refused_with_its_figures(
    case: Case, options: dict[str, Any], seen: list[str]
) -> None:
    target = options.pop("target", "rpi4")
    outcome = case.compile(target, recipe="float", **options)[target]
    (refusal,) = outcome.refusals
    assert refusal.code == "budget.exceeded"
    assert refusal.facts["limits"] == seen
    assert "efb" not in "".join(case.files(target))


def test_a_latency_limit_that_nothing_can_judge_is_malformed_usage(case: Case) -> None:
    with pytest.raises(UsageMalformed, match="rpi4"):
        case.compile("rpi4", max_latency=1.0)


def test_a_limit_on_accuracy_without_data_is_malformed_usage(case: Case) -> None:
    with pytest.raises(UsageMalformed, match="--max-drop"):
        case.compile("rpi4", calibration=None, validation=None, max_drop=0.1)


def test_nothing_is_written_when_the_data_cannot_be_used(case: Case) -> None:
    cases = np.load(case.calibration)["x"].copy()
    cases[-1, 0, 0, 0] = np.nan
    np.savez(case.calibration, x=cases)
    case.out.mkdir()
    with pytest.raises(DataMalformed, match=r"c\.npz.*row 59"):
        case.compile("rpi4")
    assert list(case.out.iterdir()) == []


def test_an_output_folder_that_was_not_there_is_not_there_after_a_failure(case: Case) -> None:
    def write_half() -> None:
        with replaced_folder(case.out / "deeper" / "rpi4") as fresh:
            (fresh / "half").write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert not case.out.exists()


def test_a_second_compilation_takes_the_place_of_the_first(case: Case) -> None:
    case.compile("rpi4", recipe="float")
    (case.out / "rpi4" / "stray.txt").write_text("from before")
    case.compile("rpi4", recipe="fp16")
    assert "stray.txt" not in case.files("rpi4")
    assert 'scheme = "fp16"' in (case.out / "rpi4" / "recipe.toml").read_text()


def test_a_folder_with_other_peoples_files_is_not_replaced(case: Case) -> None:
    (case.out / "rpi4").mkdir(parents=True)
    (case.out / "rpi4" / "thesis.txt").write_text("ten years of work")
    with pytest.raises(OutputUnwritable, match="no compilation wrote"):
        case.compile("rpi4", recipe="float")
    assert case.files("rpi4") == {"thesis.txt"}


def test_a_failure_while_writing_leaves_the_former_folder(tmp_path: Path) -> None:
    folder = tmp_path / "rpi4"
    folder.mkdir()
    (folder / "kept").write_text("kept")

    def write_half() -> None:
        with replaced_folder(folder) as fresh:
            (fresh / "half").write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["rpi4", "rpi4/kept"]


def test_a_file_in_the_place_of_the_output_folder_is_refused(case: Case) -> None:
    case.out.write_text("a file")
    with pytest.raises(OutputUnwritable, match="is a file"):
        case.compile("rpi4")
    assert case.out.read_text() == "a file"


def test_reports_of_equal_requests_differ_in_times_and_places_only(case: Case) -> None:
    def facts(outcome: Outcome) -> dict[str, Any]:
        document: dict[str, Any] = msgspec.to_builtins(outcome.report)
        for entry in document["passes"]:
            del entry["seconds"]
        return document

    first, second = (case.compile("rpi4", recipe="int8", max_drop=1.0)["rpi4"] for _ in range(2))
    assert facts(first) == facts(second)


def two_armed() -> OnnxGraph:
    """Two inputs and two outputs, the second of each used the other way round."""
    graph = OnnxGraph(5)
    left, right = graph.input("left", 1, 4), graph.input("right", 1, 6)
    joined = graph.node("Concat", graph.gemm(right, 6, 4), graph.gemm(left, 4, 4), axis=1)
    graph.node("Relu", joined, name="all")
    graph.node("Softmax", graph.gemm(joined, 8, 3), axis=1, name="choice")
    return graph


@pytest.mark.parametrize("recipe", ["float", "int8"])
def test_several_inputs_and_outputs_keep_their_order(tmp_path: Path, recipe: str) -> None:
    model = tmp_path / "two.onnx"
    model.write_bytes(two_armed().proto("choice", "all").SerializeToString())
    generator = np.random.default_rng(0)
    cases = {"right": generator.normal(size=(60, 6)), "left": generator.normal(size=(60, 4))}
    np.savez(tmp_path / "c.npz", **{name: array.astype(np.float32) for name, array in cases.items()})  # type: ignore[arg-type]
    options = CompileOptions(
        model, ("rpi4", "x86-64"), tmp_path / "out", calibration=tmp_path / "c.npz", recipe=recipe, max_drop=1.0
    )
    for outcome in compile_model(options, Silent()):
        assert outcome.report.parity[0].sqnr_db is None or outcome.report.parity[0].sqnr_db > 20
        assert outcome.report.bundle is not None
        with Bundle(Path(outcome.report.bundle.path)) as bundle:
            assert [tensor.name for tensor in bundle.manifest.inputs] == ["left", "right"]
            assert [tensor.name for tensor in bundle.manifest.outputs] == ["choice", "all"]


def test_an_open_batch_becomes_one(tmp_path: Path) -> None:
    proto = classifier().proto("probabilities")
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    del proto.graph.value_info[:]
    proto.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    model = tmp_path / "open.onnx"
    model.write_bytes(proto.SerializeToString())
    calibration = write_calibration(tmp_path / "c.npz")
    (outcome,) = compile_model(CompileOptions(model, ("rpi4",), tmp_path / "out", calibration=calibration), Silent())
    assert outcome.report.verdict == "accepted"
    assert outcome.report.parity[0].n == 60
