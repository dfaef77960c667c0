"""--prune: channels chosen before the quantiser, written into the recipe, and replayed from it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from edgefleet_compiler.cli.outcomes import show_outcomes
from edgefleet_compiler.compress.channels.groups import Group, find_groups
from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.pipeline import Outcome, compile_model
from edgefleet_compiler.progress import Silent
from edgefleet_compiler.recipe.file import read_recipe
from edgefleet_compiler.recipe.form import Recipe
from edgefleet_compiler.source import load_source
from edgefleet_compiler.tflite.writer import write_tflite
from edgefleet_contract.errors import CalibrationMissing, RecipeMalformed, RecipeUnfit, UsageMalformed
from support.model_files import write_calibration, write_classifier, write_validation
from support.quantised_tflite import int8_network


class Case:
    """A model with its data, compiled in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = write_classifier(folder / "model.onnx")
        self.calibration = write_calibration(folder / "c.npz")
        self.validation = write_validation(folder / "v.npz", self.model)

    def options(self, out: str, **options: Any) -> CompileOptions:
        data = {"calibration": self.calibration, "validation": self.validation}
        given = {"model": self.model, "targets": ("rpi4",), "max_drop": 1.0, **data, **options}
        return CompileOptions(out=self.folder / out, **given)

    def compile(self, out: str, **options: Any) -> Outcome:
        (outcome,) = compile_model(self.options(out, **options), Silent())
        return outcome

    def recipe(self, out: str) -> Path:
        return self.folder / out / "rpi4" / "recipe.toml"

    def prune_by(self, lines: str) -> str:
        """The path of a float recipe with these lines under [compress.prune.keep]."""
        path = self.folder / "asked.toml"
        head = 'version = 1\nscheme = "float"\nformat = "tflite"\nio = "float"\nio-layout = "source"\nseed = 0\n'
        path.write_text(f"{head}[compress.prune.keep]\n{lines}\n", encoding="utf-8")
        return str(path)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def _prunable(case: Case) -> list[Group]:
    groups = find_groups(load_source(case.model, input_shapes={}).hub.graph).groups
    return [group for group in groups if group.least < group.channels]


@pytest.mark.parametrize("recipe", ["float", "int8", "auto"])
def test_a_pruned_artifact_is_smaller_and_its_recipe_gives_the_same_bytes_again(case: Case, recipe: str) -> None:
    whole = case.compile("whole", recipe=recipe)
    pruned = case.compile("pruned", recipe=recipe, prune=0.3)
    replayed = case.compile("again", recipe=str(case.recipe("pruned")))
    assert pruned.report.artifact is not None
    assert whole.report.artifact is not None
    assert replayed.report.artifact is not None
    assert pruned.report.artifact.bytes < whole.report.artifact.bytes
    assert replayed.report.artifact.sha256 == pruned.report.artifact.sha256
    written = read_recipe(case.recipe("pruned"), case.options("pruned"))
    assert isinstance(written, Recipe)
    assert written.compress is not None
    assert written.compress.prune is not None
    assert written.compress.prune.keep


def test_the_report_says_what_went(case: Case) -> None:
    outcome = case.compile("out", recipe="int8", prune=0.4)
    report, compress = outcome.report, outcome.report.compress
    assert compress is not None
    before, after = compress.before, compress.after
    assert after.macs <= 0.6 * before.macs
    assert after.weights < before.weights
    assert compress.layers == []
    written = read_recipe(case.recipe("out"), case.options("out"))
    assert isinstance(written, Recipe)
    assert written.compress is not None
    assert written.compress.prune is not None
    assert {group.name: group.channels_after for group in compress.groups} == dict(written.compress.prune.keep)
    assert all(group.channels_after < group.channels_before for group in compress.groups)
    taken = sum(group.channels_before - group.channels_after for group in compress.groups)
    assert compress.effect.startswith(f"pruning took {taken} of ")
    assert f"{before.macs:,} to {after.macs:,} multiply-accumulates" in compress.effect
    (told,) = [record.effect for record in report.passes if record.name == "prune channels"]
    assert f"{100 * (1 - after.macs / before.macs):.0f} % of the multiply-accumulates gone" in told
    page = (outcome.folder / "report.html").read_text(encoding="utf-8")
    assert f"Pruning took {taken} of " in page
    assert all(f'{group.channels_before}<td class="n">{group.channels_after}' in page for group in compress.groups)


def test_one_group_is_told_in_the_singular(case: Case) -> None:
    (name,) = [group.name for group in _prunable(case)][:1]
    report = case.compile("out", recipe=case.prune_by(f'"{name}" = 3')).report
    assert report.compress is not None
    assert " in 1 group: " in report.compress.effect
    (told,) = [record.effect for record in report.passes if record.name == "prune channels"]
    assert told.startswith("channels of 1 group, by ")


def test_a_line_on_stdout_says_what_went(case: Case) -> None:
    outcome = case.compile("out", recipe="float", prune=0.4)
    assert outcome.report.compress is not None
    console = Console(file=io.StringIO(), width=200)
    show_outcomes([outcome], console)
    assert f"rpi4: {outcome.report.compress.effect}\n" in console.file.getvalue()  # type: ignore[attr-defined]  # StringIO


def test_layers_of_low_rank_are_told_with_their_ranks(case: Case) -> None:
    layer = next(group.name for group in _prunable(case))
    recipe = Path(case.prune_by(f'"{layer}" = "svd 1"'))
    recipe.write_text(recipe.read_text(encoding="utf-8").replace("prune.keep", "low-rank"), encoding="utf-8")
    compress = case.compile("out", recipe=str(recipe)).report.compress
    assert compress is not None
    (told,) = compress.layers
    assert (told.name, told.kind, told.ranks_after) == (layer, "svd", [1])
    assert told.ranks_before[0] > 1
    assert compress.effect.startswith("low ranks took the place of 1 layer: ")


def test_a_report_without_compression_has_no_section_of_it(case: Case) -> None:
    outcome = case.compile("out", recipe="float")
    assert outcome.report.compress is None
    assert "<h2>Compression</h2>" not in (outcome.folder / "report.html").read_text(encoding="utf-8")


def test_a_loss_by_pruning_is_a_warning_with_what_to_do(case: Case) -> None:
    warnings = case.compile("out", recipe="float", prune=0.8).report.warnings
    (warning,) = (each for each in warnings if each.startswith("Channels were pruned"))
    assert "edgefleet model finetune" in warning


@pytest.mark.parametrize("ratio", [0.0, 1.0, -0.5, 2.0, float("nan")])
def test_a_ratio_of_nothing_or_of_everything_is_malformed_usage(case: Case, ratio: float) -> None:
    with pytest.raises(UsageMalformed, match="--prune is") as fault:
        case.compile("out", prune=ratio)
    assert fault.value.exit_status == 2
    assert not (case.folder / "out").exists()


def test_pruning_without_a_calibration_set_is_refused(case: Case) -> None:
    with pytest.raises(CalibrationMissing, match="--prune was given"):
        case.compile("out", recipe="float", prune=0.3, calibration=None)


def test_a_recipe_that_prunes_and_the_option_contradict_each_other(case: Case) -> None:
    with pytest.raises(UsageMalformed, match=r"the recipe has a table \[compress.prune\]"):
        case.compile("out", recipe=case.prune_by('"conv_1" = 3'), prune=0.3)


def test_a_quantised_source_is_refused_with_what_to_do(case: Case) -> None:
    path = case.folder / "quantised.tflite"
    path.write_bytes(write_tflite(int8_network()))
    data = {"calibration": None, "validation": None, "max_drop": None}
    (refusal,) = case.compile("out", model=path, prune=0.3, **data).refusals
    assert isinstance(refusal, RecipeUnfit)
    assert "--prune" in str(refusal)
    assert "Prune the float model" in str(refusal)


def test_more_than_the_model_has_to_give_is_refused(case: Case) -> None:
    (refusal,) = case.compile("out", recipe="float", prune=0.999).refusals
    assert isinstance(refusal, RecipeUnfit)
    assert "Pruning cannot take away 0.999" in str(refusal)


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ("[compress]", r"\[compress\] .* is empty.*--prune"),
        ("[compress.low-rank]", r"\[compress\] .* is empty.*--prune"),
        ("[compress.prune]", r"\[compress.prune\] .* names no group.*--prune RATIO"),
    ],
)
def test_a_table_that_takes_nothing_away_is_refused(case: Case, table: str, fault: str) -> None:
    recipe = Path(case.prune_by(""))
    recipe.write_text(recipe.read_text(encoding="utf-8").replace("[compress.prune.keep]", table), encoding="utf-8")
    with pytest.raises(RecipeMalformed, match=fault):
        case.compile("out", recipe=str(recipe))


def test_a_group_that_is_not_there_is_named_with_those_that_are(case: Case) -> None:
    with pytest.raises(RecipeMalformed, match="prunes a group 'node_konv', which the model does not have"):
        case.compile("out", recipe=case.prune_by('"node_konv" = 3'))


def test_a_group_that_cannot_be_pruned_is_refused_with_the_reason(case: Case) -> None:
    *_, last = find_groups(load_source(case.model, input_shapes={}).hub.graph).groups
    (refusal,) = case.compile("out", recipe=case.prune_by(f'"{last.name}" = 2')).refusals
    assert isinstance(refusal, RecipeUnfit)
    assert "cannot be pruned" in str(refusal)
