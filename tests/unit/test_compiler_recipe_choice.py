"""Recipes: which are tried for a target, and that the one written can be read back and replayed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.recipe import Recipe, Rung, rungs_for
from edgefleet_contract.errors import CalibrationMissing, EdgefleetError, RecipeMalformed, RecipeUnfit, UsageMalformed
from edgefleet_hardware.profile import load_profile

MIXED = ["mixed +3 dB", "mixed +6 dB", "mixed +12 dB"]


def rungs(target: str = "rpi4", *, calibrated: bool = True, **options: Any) -> list[Rung]:
    calibration = Path("cal.npz") if calibrated else None
    request = CompileOptions(Path("m.onnx"), (target,), Path("out"), calibration=calibration, **options)
    return rungs_for(request, load_profile(target))


def names(tried: list[Rung]) -> list[str]:
    return [rung.name for rung in tried]


def asked(target: str = "rpi4", **options: Any) -> list[Recipe]:
    return [rung.recipe for rung in rungs(target, **options)]


def test_auto_climbs_from_the_smallest_artifact_up() -> None:
    assert names(rungs()) == [
        "int8",
        "int8-refined",
        "mixed-fast",
        "dynamic",
        *MIXED,
        "int16x8",
        "weight-only",
        "fp16",
        "float",
    ]


def test_auto_leaves_out_rounding_at_run_time_where_the_runtime_hardly_does_it() -> None:
    assert "dynamic" in names(rungs("x86-64", format="tflite"))
    assert "dynamic" not in names(rungs("x86-64"))


def test_auto_without_calibration_begins_with_what_nobody_has_to_measure() -> None:
    assert names(rungs(calibrated=False)) == ["fp16", "float"]


def test_auto_goes_beyond_int8_only_where_it_must() -> None:
    assert names([rung for rung in rungs() if not rung.deferred]) == ["int8", "int8-refined", "mixed-fast"]


def test_auto_has_nothing_but_int8_for_a_microcontroller() -> None:
    assert names(rungs("nrf52840")) == ["int8", "int8-refined", *MIXED, "int16x8"]
    recipe = asked("nrf52840")[0]
    assert (recipe.scheme, recipe.io, recipe.format) == ("int8", "int8", "tflite")
    assert recipe.quantise is not None
    assert recipe.quantise.fully_connected == "per-tensor"


@pytest.mark.parametrize(
    ("target", "options", "narrow"),
    [("x86-64", {}, True), ("x86-64", {"format": "tflite"}, False), ("x86-64-vnni", {}, False), ("rpi4", {}, False)],
)
def test_pairs_of_weights_are_narrow_where_onnxruntime_may_run_without_vnni(
    target: str, options: dict[str, Any], narrow: bool
) -> None:
    (recipe,) = asked(target, recipe="int8", **options)
    assert recipe.quantise is not None
    assert recipe.quantise.narrow_pairs is narrow


def test_auto_without_calibration_is_refused_where_only_int8_runs() -> None:
    with pytest.raises(RecipeUnfit, match="--calibration") as refused:
        asked("nrf52840", calibrated=False)
    assert refused.value.exit_status == 3


def test_int8_without_calibration_is_malformed_usage() -> None:
    with pytest.raises(CalibrationMissing) as refused:
        asked(recipe="int8", calibrated=False)
    assert refused.value.exit_status == 2


@pytest.mark.parametrize("scheme", ["weight-only", "dynamic"])
@pytest.mark.parametrize("words", ['rounding = "adaptive"', "bias-correction = true", 'equalise = "all"'])
def test_what_typical_inputs_decide_needs_a_calibration_set(tmp_path: Path, scheme: str, words: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        f'scheme = "{scheme}"\nformat = "tflite"\nio = "float"\nio-layout = "source"\nseed = 0\n[quantise]\n{words}\n'
    )
    assert len(asked(recipe=str(path))) == 1
    with pytest.raises(CalibrationMissing) as refused:
        asked(recipe=str(path), calibrated=False)
    assert refused.value.exit_status == 2
    assert words in refused.value.seen


@pytest.mark.parametrize("recipe", ["fp16", "float"])
def test_a_target_that_runs_only_int8_refuses_other_recipes(recipe: str) -> None:
    with pytest.raises(RecipeUnfit, match=recipe):
        asked("nrf52840", recipe=recipe)


def test_defaults_are_the_targets() -> None:
    assert asked("x86-64", recipe="float")[0].format == "onnx"
    assert asked("rpi4", recipe="float")[0].format == "tflite"
    (int8,) = asked("rpi4", recipe="int8")
    assert (int8.io, int8.io_layout, int8.seed) == ("float", "source", 0)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"recipe": "int9"}, RecipeMalformed),
        ({"recipe": "fp16", "io": "int8"}, UsageMalformed),
        ({"recipe": "none.toml"}, RecipeMalformed),
        ({"target": "nrf52840", "format": "onnx"}, RecipeUnfit),
        ({"io": "int8", "calibrated": False}, CalibrationMissing),
    ],
)
def test_what_cannot_be_done_is_refused(options: dict[str, Any], error: type[EdgefleetError]) -> None:
    with pytest.raises(error):
        asked(**options)


def test_auto_with_integer_inputs_does_not_fall_back_to_floats() -> None:
    assert names(rungs(io="int8")) == ["int8", "int8-refined", *MIXED]


def test_a_ladder_file_names_the_rungs_that_auto_tries(tmp_path: Path) -> None:
    path = tmp_path / "ladder.toml"
    path.write_text('scheme = "auto"\nrungs = ["fp16", "int8"]\nformat = "onnx"\nseed = 3\n')
    tried = rungs(recipe=str(path))
    assert names(tried) == ["int8", "fp16"]
    assert {(rung.recipe.format, rung.recipe.seed) for rung in tried} == {("onnx", 3)}
    with pytest.raises(UsageMalformed, match="--format"):
        rungs(recipe=str(path), format="tflite")


def test_a_ladder_file_with_an_unknown_rung_is_refused_with_those_there_are(tmp_path: Path) -> None:
    path = tmp_path / "ladder.toml"
    path.write_text('scheme = "auto"\nrungs = ["int8", "int7"]\n')
    with pytest.raises(RecipeMalformed, match=r"'int7'.*\(in 'rungs\[1\]'\).*int8-refined"):
        rungs(recipe=str(path))


def test_rungs_that_a_target_does_not_run_are_no_ladder(tmp_path: Path) -> None:
    path = tmp_path / "ladder.toml"
    path.write_text('scheme = "auto"\nrungs = ["fp16", "float"]\n')
    with pytest.raises(RecipeUnfit, match="none of the rungs"):
        rungs("nrf52840", recipe=str(path))


@pytest.mark.parametrize("name", ["int8", "fp16", "float"])
@pytest.mark.parametrize("target", ["rpi4", "x86-64"])
def test_a_written_recipe_says_all_and_is_read_back(tmp_path: Path, name: str, target: str) -> None:
    (recipe,) = asked(target, recipe=name, seed=7)
    path = tmp_path / "recipe.toml"
    path.write_text(recipe.to_toml())
    assert asked(target, recipe=str(path)) == [recipe]


def test_an_option_that_contradicts_the_recipe_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(asked(recipe="int8")[0].to_toml())
    with pytest.raises(UsageMalformed, match="--io"):
        asked(recipe=str(path), io="int8")
    assert asked(recipe=str(path), io="float", seed=0) == asked(recipe="int8")


def test_a_recipe_for_another_kind_of_target_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(asked("rpi4", recipe="int8")[0].to_toml())
    with pytest.raises(RecipeUnfit, match="per channel"):
        asked("nrf52840", recipe=str(path))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("scheme", "schema"),
        ('"int8"', '"int3"'),
        ("version = 1", "version = 2"),
        ("[quantise]", "[quantize]"),
        ('scheme = "int8"', 'scheme = "float"'),
        ("seed = 0", "seed = "),
    ],
)
def test_a_recipe_that_names_what_is_not_there_is_refused(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(asked(recipe="int8")[0].to_toml().replace(old, new))
    with pytest.raises(RecipeMalformed, match=r"recipe\.toml"):
        asked(recipe=str(path))


@pytest.mark.parametrize(
    ("scheme", "table", "fault"),
    [
        (
            "int8",
            "",
            r"the scheme int8 needs the table \[quantise\], which is missing; a line \[quantise\] alone",
        ),
        ("float", "[quantise]", r"the scheme float takes no table \[quantise\]"),
    ],
)
def test_a_table_of_settings_too_few_or_too_many_is_named(tmp_path: Path, scheme: str, table: str, fault: str) -> None:
    path = tmp_path / "recipe.toml"
    head = f'scheme = "{scheme}"\nformat = "tflite"\nio = "float"\nio-layout = "source"\nseed = 0\n'
    path.write_text(head + table)
    with pytest.raises(RecipeMalformed, match=fault) as refused:
        asked(recipe=str(path))
    assert refused.value.expected == ""
    path.write_text(f"{head}[quantise]\n" if not table else head)
    assert asked(recipe=str(path))


@pytest.mark.parametrize(("old", "new"), [("seed = 0\n", ""), ("seed = 0", "seed = 0\nsed = 1")])
def test_keys_that_are_missing_or_unknown_are_answered_by_those_there_are(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(asked(recipe="int8")[0].to_toml().replace(old, new))
    with pytest.raises(RecipeMalformed) as refused:
        asked(recipe=str(path))
    assert "scheme (dynamic" in refused.value.expected


def test_a_fault_of_a_recipe_is_told_in_the_words_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(asked(recipe="int8")[0].to_toml().replace('"min-max"', '"guess"'))
    with pytest.raises(RecipeMalformed, match=r"'guess' is none of .* \(in 'quantise'\)") as refused:
        asked(recipe=str(path))
    assert "$" not in str(refused.value)


def test_a_recipe_whose_sums_would_saturate_without_a_word_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(asked("x86-64-vnni", recipe="int8")[0].to_toml())
    with pytest.raises(RecipeUnfit, match="narrow-pairs = true"):
        asked("x86-64", recipe=str(path))
    assert asked("x86-64-vnni", recipe=str(path))[0].settings.narrow_pairs is False


@pytest.mark.parametrize("table", ["", '\n[quantise.layers."dense"]\nweights = "palette4"\n'])
def test_palettes_are_refused_where_the_format_has_none(tmp_path: Path, table: str) -> None:
    path, text = tmp_path / "recipe.toml", asked("x86-64", recipe="int8")[0].to_toml()
    path.write_text(text + table if table else text.replace('weights = "int8"', 'weights = "palette4"'))
    assert asked("x86-64", recipe=str(path))[0].settings.has_palettes
    path.write_text(path.read_text().replace('"onnx"', '"tflite"'))
    with pytest.raises(RecipeUnfit, match="TFLite has no form"):
        asked("rpi4", recipe=str(path))
