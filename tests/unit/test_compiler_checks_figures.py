"""The checks' arithmetic: parity, intervals, metrics, against figures worked out by other means."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgefleet_compiler.checks.exactness import require_close, require_equal, require_finite
from edgefleet_compiler.checks.intervals import newcombe_paired, paired_bootstrap, wilson
from edgefleet_compiler.checks.metrics import Metric, Quality, choose_metric
from edgefleet_compiler.checks.parity import ParityMeter, argmax_agrees
from edgefleet_compiler.data import DataSet
from edgefleet_contract.errors import DataMalformed, ModelMalformed, ParityLost, UsageMalformed


def pairs(table: tuple[int, int, int, int]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    both, first, second, neither = table
    return (
        np.array([True] * (both + first) + [False] * (second + neither)),
        np.array([True] * both + [False] * first + [True] * second + [False] * neither),
    )


def test_wilson_gives_the_published_interval() -> None:
    low, high = wilson(81, 263)  # Newcombe (1998), Statistics in Medicine 17:857-872, table I: .2553 to .3662
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)


def test_wilson_stays_within_zero_and_one() -> None:
    assert wilson(0, 10)[0] == 0.0
    assert wilson(10, 10)[1] == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(
    ("table", "published"),
    [  # Newcombe (1998), Statistics in Medicine 17:2635-2650, table II, method 10; his theta is (b - c) / n
        ((36, 12, 2, 0), (0.0569, 0.3404)),
        ((36, 14, 0, 0), (0.1528, 0.4167)),
        ((0, 12, 2, 36), (0.0569, 0.3404)),  # right and wrong change places: the same
    ],
)
def test_newcombe_gives_the_published_intervals(
    table: tuple[int, int, int, int], published: tuple[float, float]
) -> None:
    low, high = newcombe_paired(*pairs(table))
    assert (low, high) == pytest.approx(published, abs=6e-4)


def test_without_a_changed_case_the_interval_still_has_a_width() -> None:
    low, high = newcombe_paired(*pairs((90, 0, 0, 10)))
    assert low < 0 < high
    assert high - low < 0.1


def test_the_bootstrap_repeats_itself_and_covers_the_mean() -> None:
    values = np.random.default_rng(0).normal(3, 1, 400)

    def mean(cases: NDArray[np.intp]) -> float:
        return float(values[cases].mean())

    first = paired_bootstrap(mean, 400, seed=1)
    assert first == paired_bootstrap(mean, 400, seed=1)
    assert first != paired_bootstrap(mean, 400, seed=2)
    expected = 1.96 * values.std() / math.sqrt(400)
    assert first == pytest.approx((values.mean() - expected, values.mean() + expected), abs=0.02)


def test_parity_is_what_numpy_says_of_all_cases_at_once() -> None:
    generator = np.random.default_rng(0)
    reference = generator.normal(5, 1, (50, 1, 10)).astype(np.float32)
    compiled = reference + generator.normal(0, 0.1, reference.shape).astype(np.float32)
    meter = ParityMeter("source")
    for expected, seen in zip(reference, compiled, strict=True):
        meter.add([expected], [seen])
    parity = meter.result()
    noise = np.square(reference - compiled, dtype=np.float64).sum()
    signal = np.square(reference - reference.mean(axis=0), dtype=np.float64).sum()
    assert parity.sqnr_db == pytest.approx(10 * math.log10(signal / noise), abs=1e-3)
    assert parity.max_abs == pytest.approx(np.abs(reference - compiled).max(), abs=1e-6)
    agreement = (reference.argmax(axis=2) == compiled.argmax(axis=2)).mean()
    assert (parity.argmax_agreement, parity.n) == (pytest.approx(agreement), 50)


def test_the_worst_output_stands_for_all() -> None:
    meter = ParityMeter("hub")
    for value in (0.0, 1.0, 2.0):
        meter.add([np.array([value]), np.array([value])], [np.array([value]), np.array([value + 1])])
    parity = meter.result()
    assert parity.max_abs == 1.0
    assert parity.sqnr_db is not None
    assert parity.sqnr_db < 0


def test_equal_outputs_have_no_ratio_to_speak_of() -> None:
    meter = ParityMeter("source")
    meter.add([np.ones(3)], [np.ones(3)])
    assert (meter.result().sqnr_db, meter.result().max_abs) == (None, 0.0)


def test_an_output_that_is_no_number_is_infinitely_far_off() -> None:
    meter = ParityMeter("source")
    meter.add([np.ones(3)], [np.array([1.0, np.nan, 1.0])])
    assert meter.result().max_abs == math.inf


@pytest.mark.parametrize(
    ("first", "second", "agree"),
    [([1, 2], [3, 4], True), ([1, 2], [4, 3], False), ([2, 2, 0], [1, 3, 0], False), ([3, 1, 0], [2, 2, 1], True)],
)
def test_of_a_tie_the_first_is_the_choice(first: list[float], second: list[float], agree: bool) -> None:
    baseline, compiled = np.array(first), np.array(second)
    assert argmax_agrees(baseline, compiled) is agree
    quality = measured(choose_metric("agreement", data_with(None)), [(0, baseline, compiled)])
    assert quality.compiled == float(agree)


@pytest.mark.parametrize("size", [2, 3, 10])
def test_a_constant_output_agrees_with_no_decision(size: int) -> None:
    decided, undecided = np.eye(size)[0], np.zeros(size)
    assert not argmax_agrees(decided, undecided)
    assert not argmax_agrees(undecided, decided)
    assert argmax_agrees(undecided, undecided)
    assert argmax_agrees(decided[:1], undecided[:1])


def measured(metric: Metric, cases: list[tuple[Any, Any, Any]]) -> Quality:
    for index, (value, baseline, compiled) in enumerate(cases):
        metric.add(index, np.asarray(value, float), np.asarray([baseline], float), np.asarray([compiled], float))
    return metric.result(0)


def data_with(targets: object) -> DataSet:
    array = None if targets is None else np.asarray(targets)
    return DataSet(Path("d.npz"), "", 4, array, lambda: iter(()))


def test_top1_counts_the_right_answers_of_both() -> None:
    cases = [(0, [1, 0], [1, 0]), (0, [0, 1], [1, 0]), (0, [1, 0], [0, 1]), (0, [1, 0], [1, 0])]
    quality = measured(choose_metric("top1", data_with([0, 1, 0, 0])), cases)
    assert (quality.baseline, quality.compiled, quality.drop) == (1.0, 0.5, 0.5)
    assert quality.ci95[0] <= 0.5 <= quality.ci95[1]


def test_labels_choose_top1_and_their_absence_agreement() -> None:
    assert choose_metric(None, data_with([0, 1])).name == "top1"
    assert choose_metric(None, data_with(None)).name == "agreement"
    assert choose_metric(None, data_with([0.0, 3.0])).name == "top1"


@pytest.mark.parametrize("targets", [[0.5, 1.5], [[0, 1], [1, 0]], [[0.0, 1.0], [1.0, 0.0]]])
def test_targets_that_are_no_labels_need_a_metric_by_name(targets: object) -> None:
    with pytest.raises(DataMalformed, match=r"'y'.*--metric"):
        choose_metric(None, data_with(targets))
    assert choose_metric("mse", data_with(targets)).name == "mse"


def test_guessing_reaches_one_class_in_as_many_and_half_the_area() -> None:
    cases = [(0, [1, 0, 0, 0], [1, 0, 0, 0])] * 2
    assert measured(choose_metric("top1", data_with([0, 1])), cases).chance == 0.25
    assert measured(choose_metric("auc", data_with([0, 1])), [(0, [1], [1])] * 2).chance == 0.5
    assert measured(choose_metric(None, data_with(None)), cases).chance is None


def test_agreement_is_one_minus_its_drop() -> None:
    cases = [(0, [1, 0], [1, 0]), (0, [0, 1], [1, 0]), (0, [1, 0], [1, 0]), (0, [1, 0], [1, 0])]
    quality = measured(choose_metric(None, data_with(None)), cases)
    assert (quality.baseline, quality.compiled, quality.drop) == (1.0, 0.75, 0.25)
    assert quality.ci95[0] < 0.25 < quality.ci95[1]


def test_the_error_of_an_autoencoder_is_measured_against_its_input() -> None:
    quality = measured(choose_metric("mse", data_with(None)), [([1, 2], [1, 4], [1, 2]), ([0, 0], [2, 0], [2, 2])])
    assert (quality.baseline, quality.compiled, quality.drop) == (2.0, 2.0, 0.0)


def test_the_error_against_targets_is_relative_to_the_baselines() -> None:
    quality = measured(choose_metric("mse", data_with([[0.0, 0.0]] * 2)), [(0, [2, 0], [2, 2]), (0, [2, 0], [2, 2])])
    assert (quality.baseline, quality.compiled, quality.drop) == (2.0, 4.0, 1.0)


def test_auc_is_the_share_of_pairs_in_order() -> None:
    cases = [(0, [0.1], [0.9]), (0, [0.4], [0.4]), (0, [0.35], [0.35]), (0, [0.8], [0.8])]
    quality = measured(choose_metric("auc", data_with([0, 0, 1, 1])), cases)
    assert (quality.baseline, quality.compiled) == (0.75, 0.25)


def test_a_metric_of_the_users_own_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_metric.py").write_text("def worst(outputs, targets):\n    return float(outputs.min())\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    quality = measured(choose_metric("own_metric:worst", data_with(None)), [(0, [3, 1], [3, 0.5]), (0, [2, 2], [2, 2])])
    assert (quality.baseline, quality.compiled, quality.drop) == (1.0, 0.5, 0.5)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise KeyError('lost')", "raises KeyError: 'lost'"),
        ("return float('nan')", "gives nan"),
        ("return 'good'", "raises ValueError"),
    ],
)
def test_a_metric_of_the_users_own_that_fails_is_named(
    body: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path.name  # another for each case: modules are imported once
    (tmp_path / f"{module}.py").write_text(f"limit = 3\ndef own(outputs, targets):\n    {body}\n")
    monkeypatch.setattr("sys.path", [str(tmp_path), *sys.path])
    with pytest.raises(UsageMalformed, match=f"{module}:own' {said}"):
        measured(choose_metric(f"{module}:own", data_with(None)), [(0, [3, 1], [3, 0.5])])
    with pytest.raises(UsageMalformed, match="is no function"):
        choose_metric(f"{module}:limit", data_with(None))


@pytest.mark.parametrize(
    ("name", "targets", "error"),
    [
        ("top5", [0, 1], UsageMalformed),
        ("no_such_module:f", [0, 1], UsageMalformed),
        ("top1", None, DataMalformed),
        ("auc", [0, 2], DataMalformed),
        ("auc", [0.5, 1.0], DataMalformed),
    ],
)
def test_a_metric_that_does_not_fit_is_refused(name: str, targets: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        choose_metric(name, data_with(targets))


def test_a_label_beyond_the_outputs_is_refused() -> None:
    with pytest.raises(DataMalformed, match="label of case 0 is 7"):
        measured(choose_metric("top1", data_with([7])), [(0, [1, 0], [1, 0])])


def test_outputs_that_targets_do_not_fit_are_refused() -> None:
    with pytest.raises(DataMalformed, match="'y'"):
        measured(choose_metric("mse", data_with(None)), [([1, 2, 3], [1, 0], [1, 0])])


def shifted(by: float) -> Any:
    return lambda sample: [sample["x"] + by]


CASES = [{"x": np.linspace(-1, 1, 8)}]


def test_float_forms_may_differ_by_the_rounding_of_floats_only() -> None:
    require_equal(shifted(0), shifted(1e-5), CASES, what="both")
    with pytest.raises(ParityLost, match="largest"):
        require_equal(shifted(0), shifted(1e-3), CASES, what="both")
    with pytest.raises(ParityLost):
        require_equal(shifted(0), shifted(np.nan), CASES, what="both")


def test_rounded_forms_may_differ_by_little_on_the_whole() -> None:
    require_close(shifted(0), shifted(1e-2), CASES, what="both")
    with pytest.raises(ParityLost, match="root mean square"):
        require_close(shifted(0), shifted(0.1), CASES, what="both")
    with pytest.raises(ParityLost):
        require_close(shifted(0), shifted(np.nan), CASES, what="both")


def test_coarsely_rounded_forms_may_differ_by_as_much_as_the_rounding_itself() -> None:
    require_close(shifted(0), shifted(0.1), CASES, what="both", rounded_from=shifted(-0.2))
    with pytest.raises(ParityLost):
        require_close(shifted(0), shifted(0.3), CASES, what="both", rounded_from=shifted(-0.2))


def test_a_wrong_reference_excuses_no_wrong_model() -> None:
    def zeros(sample: Any) -> Any:
        return [np.zeros_like(sample["x"])]

    with pytest.raises(ParityLost):
        require_close(shifted(0), zeros, CASES, what="both", rounded_from=lambda sample: [-sample["x"]])


def test_a_model_without_numbers_to_compare_is_refused() -> None:
    require_finite(shifted(0), CASES, ["y"])
    with pytest.raises(ModelMalformed, match="output 'y'"):
        require_finite(shifted(np.inf), CASES, ["y"])


def test_what_is_no_number_in_both_forms_is_the_same() -> None:
    odd = [{"x": np.array([np.nan, np.inf, -np.inf, 1.0])}]
    require_equal(shifted(0), shifted(0), odd, what="both")
    with pytest.raises(ParityLost):
        require_equal(shifted(0), lambda sample: [np.nan_to_num(sample["x"])], odd, what="both")
