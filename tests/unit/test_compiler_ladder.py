"""The ladder: how far it climbs, which artifact it ships, and what it says of the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgefleet_compiler.artifact import Artifact
from edgefleet_compiler.attempt import Attempt
from edgefleet_compiler.attempt.speed import Speed
from edgefleet_compiler.checks.latency import Latency
from edgefleet_compiler.checks.measure import Measurement
from edgefleet_compiler.checks.parity import Parity
from edgefleet_compiler.exports import Exported
from edgefleet_compiler.ladder.climb import Climb, climb
from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.pipeline import Outcome, compile_model
from edgefleet_compiler.progress import Silent
from edgefleet_compiler.recipe import Rung, rungs_for
from edgefleet_contract.errors import AccuracyLost, GateError, RecipeUnfit
from edgefleet_hardware.profile import load_profile
from support.model_files import write_calibration, write_classifier, write_validation


def ladder(target: str = "rpi4", **options: Any) -> list[Rung]:
    request = CompileOptions(Path("m.onnx"), (target,), Path("out"), calibration=Path("c.npz"), **options)
    return rungs_for(request, load_profile(target))


def attempted(
    rung: Rung, size: int, *, decibels: float = 30.0, lost: float | None = None, slower: bool = False
) -> Attempt:
    """What came of a rung: an artifact of so many bytes, its noise, its loss beyond the limit, its speed."""
    exported = Exported(b"x" * size, (), {}, size, None, None, None, False)
    latency = Latency("host", 2.0 if slower else 1.0, 1.0, 200, (1.9, 2.1) if slower else (0.99, 1.01))
    return Attempt(
        artifact=Artifact(rung.recipe, None, None, exported, ()),
        measurement=Measurement([Parity("source", 0.1, decibels, 1.0, 100)], None),
        memory=None,
        speed=Speed(latency),
        deployment=None,
        layers=[],
        findings=[],
        budget=[],
        refusals=[] if lost is None else [AccuracyLost(f"The artifact loses {lost}")],
        warnings=[],
    )


def climbed(**made: dict[str, Any] | GateError | None) -> Climb:
    """A ladder whose rungs give what is said of them; those of which nothing is said must not be reached."""

    def attempt(rung: Rung) -> Attempt | None:
        given = made[rung.name.split(" ")[0].replace("-", "_")]
        if isinstance(given, GateError):
            raise given
        return None if given is None else attempted(rung, **given)

    return climb(ladder(), attempt)


def outcomes(climb: Climb) -> dict[str, str]:
    return {step.rung: step.outcome for step in climb.steps}


def test_where_int8_does_its_refinement_is_tried_and_nothing_beyond() -> None:
    result = climbed(
        int8={"size": 100, "decibels": 22.0}, int8_refined={"size": 100, "decibels": 24.0}, mixed_fast=None
    )
    assert outcomes(result) == {"int8": "not needed", "int8-refined": "shipped"}
    assert result.attempt.sqnr_db == 24.0
    assert result.warnings == []


def test_of_artifacts_as_small_the_clearly_faster_one_is_shipped() -> None:
    slow, fast = Latency("host", 1.0, 1.0, 200, (0.99, 1.01)), Latency("host", 0.8, 1.0, 200, (0.79, 0.81))

    def attempt(rung: Rung) -> Attempt:
        made = attempted(rung, 100, decibels=24.0 if rung.tuning == "quick" else 22.0)
        return replace(made, speed=Speed(fast if rung.tuning == "fast" else slow))

    result = climb([rung for rung in ladder() if rung.tuning in ("quick", "fast")], attempt)
    assert outcomes(result) == {"int8": "not needed", "mixed-fast": "shipped"}
    assert result.steps[0].why == "mixed-fast is faster for as few bytes"


def test_a_refinement_that_is_no_better_is_not_shipped() -> None:
    result = climbed(
        int8={"size": 100, "decibels": 22.0}, int8_refined={"size": 100, "decibels": 21.0}, mixed_fast=None
    )
    assert outcomes(result) == {"int8": "shipped", "int8-refined": "not needed"}


def test_the_ladder_climbs_until_the_loss_is_allowed_and_no_further() -> None:
    loses = {"size": 100, "lost": 0.5}
    result = climbed(int8=loses, int8_refined=loses, mixed_fast=None, dynamic=loses, mixed={"size": 130})
    assert list(outcomes(result).values()) == ["inaccurate", "inaccurate", "inaccurate", "shipped"]
    assert result.steps[-1].rung == "mixed +3 dB"
    assert result.warnings[0] == "int8 is not used: The artifact loses 0.5."


def test_where_int8_is_slower_than_float_nothing_else_in_integers_is_tried() -> None:
    result = climbed(
        int8={"size": 100, "slower": True},
        mixed_fast=None,
        dynamic={"size": 90, "slower": True},
        weight_only={"size": 110},
    )
    assert outcomes(result) == {"int8": "slower", "dynamic": "slower", "weight-only": "shipped"}
    assert "it is slower than float here: 2.000 ms against 1.000 ms" in result.warnings[0]


def test_where_int8_is_slower_than_float_the_layers_that_make_it_so_may_stay_in_float() -> None:
    result = climbed(int8={"size": 100, "slower": True}, mixed_fast={"size": 101})
    assert outcomes(result) == {"int8": "slower", "mixed-fast": "shipped"}


def test_a_rung_with_nothing_to_try_is_passed_over() -> None:
    loses = {"size": 100, "lost": 0.5}
    result = climbed(int8=loses, int8_refined=loses, mixed_fast=None, dynamic=None, mixed=None, int16x8={"size": 105})
    assert outcomes(result)["int16x8"] == "shipped"


def test_a_rung_that_gives_no_artifact_does_not_stop_the_others() -> None:
    unfit = RecipeUnfit("an operator has no such form")
    result = climbed(
        int8=unfit,
        int8_refined=unfit,
        mixed_fast=None,
        dynamic=None,
        mixed=None,
        int16x8=unfit,
        weight_only={"size": 110},
    )
    assert outcomes(result) == {
        "int8": "impossible", "int8-refined": "impossible", "int16x8": "impossible", "weight-only": "shipped",
    }  # fmt: skip


def test_where_no_rung_gives_an_artifact_the_first_fault_is_told() -> None:
    with pytest.raises(RecipeUnfit, match="first"):
        climbed(**{name: RecipeUnfit("first" if name == "int8" else "later") for name in NAMES})


NAMES = ("int8", "int8_refined", "mixed_fast", "dynamic", "mixed", "int16x8", "weight_only", "fp16", "float")


def test_accuracy_comes_before_speed_where_nothing_has_both() -> None:
    integers = [rung for rung in ladder(io="int8") if rung.tuning != "mixed"]
    result = climb(integers, lambda rung: attempted(rung, 100, slower=True))
    assert outcomes(result) == {"int8": "shipped"}
    assert result.attempt.is_slower


def test_where_nothing_is_accurate_the_nearest_is_refused() -> None:
    losses = {name: {"size": 100, "lost": 0.5, "decibels": 5.0} for name in NAMES}
    result = climbed(**losses | {"weight_only": {"size": 110, "lost": 0.2, "decibels": 9.0}})
    assert outcomes(result)["weight-only"] == "refused"
    assert result.attempt.lost_accuracy is not None


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[CompileOptions, dict[str, Outcome]]:
    folder = tmp_path_factory.mktemp("ladder")
    model = write_classifier(folder / "model.onnx")
    request = CompileOptions(
        model,
        ("rpi4", "x86-64"),
        folder / "out",
        calibration=write_calibration(folder / "c.npz"),
        validation=write_validation(folder / "v.npz", model),
    )
    return request, {outcome.report.target: outcome for outcome in compile_model(request, Silent())}


@pytest.mark.parametrize("target", ["rpi4", "x86-64"])
def test_the_recipe_that_auto_wrote_gives_the_same_bytes_without_any_search(
    compiled: tuple[CompileOptions, dict[str, Outcome]], target: str, tmp_path: Path
) -> None:
    request, found = compiled
    first = found[target]
    (again,) = compile_model(
        CompileOptions(
            request.model,
            (target,),
            tmp_path,
            calibration=request.calibration,
            validation=request.validation,
            recipe=str(first.folder / "recipe.toml"),
        ),
        Silent(),
    )
    assert first.report.artifact is not None
    for name in (f"model.{first.report.artifact.format}", "recipe.toml", f"model-0.1.0-{target}.efb"):
        assert (first.folder / name).read_bytes() == (again.folder / name).read_bytes(), name
    assert len(again.report.rungs) == 1


def test_a_refusal_says_what_was_best_what_costs_it_and_what_would_let_it_pass(
    compiled: tuple[CompileOptions, dict[str, Outcome]], tmp_path: Path
) -> None:
    request, _ = compiled
    assert request.calibration is not None
    coarse = tmp_path / "coarse.npz"
    np.savez(coarse, x=np.load(request.calibration)["x"] * np.float32(40))
    options = {"calibration": coarse, "validation": request.validation}
    (outcome,) = compile_model(
        CompileOptions(request.model, ("nrf52840",), tmp_path / "out", io="int8", **options), Silent()
    )
    (refusal,) = outcome.refusals
    assert refusal.code == "accuracy.lost"
    assert "rungs is accurate enough; the best: The artifact for 'nrf52840' loses" in refusal.seen
    assert "Most of the noise in the outputs comes from '" in refusal.remedy
    assert "With --max-drop 0." in refusal.remedy
    assert outcome.report.rungs[-1].outcome in ("refused", "inaccurate")


@pytest.mark.parametrize("targets", [("rpi4", "web"), ("web", "rpi4")])
def test_what_is_searched_once_for_all_targets_is_written_as_each_wants_it(
    compiled: tuple[CompileOptions, dict[str, Outcome]], tmp_path: Path, targets: tuple[str, str]
) -> None:
    request, _ = compiled
    data = {"calibration": request.calibration, "validation": request.validation}
    outcomes = compile_model(CompileOptions(request.model, targets, tmp_path, **data), Silent())
    formats = {outcome.report.target: outcome.report.artifact.format for outcome in outcomes if outcome.report.artifact}
    assert formats == {"rpi4": "tflite", "web": "onnx"}
