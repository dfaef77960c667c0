"""`edgefleet model fit`: what holds a model, what binds, what it costs, and what speaks for which place."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgefleet_compiler.fit.answer import FitOptions, fit_model
from edgefleet_compiler.fit.record import FitReport, TargetFit
from edgefleet_compiler.fit.target import Limits
from edgefleet_compiler.fit.words import milliseconds, span
from edgefleet_compiler.progress import Silent
from edgefleet_hardware.profile import load_profile, target_names
from edgefleet_hardware.speeds import LatencyEstimate, estimate_latency, speeds
from support.commands import Run, runner
from support.model_files import write_calibration, write_classifier
from support.tflite_graphs import SHARED_MODELS

TINY = """
name = "tiny"
description = "a board with little of anything"
hardware = ["tiny"]
instruction_set = "armv7e-m"
core = "Cortex-M4F"
clock = "64MHz"
ram = "1KiB"
flash = "16KiB"
formats = ["tflite"]
dtypes = ["int8"]

[[runtimes]]
name = "tflite-micro"
format = "tflite"
minimum_version = "2026.8"
kernels = "reference"

[quantiser]
per_channel_fully_connected = false
"""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_classifier(tmp_path / "model.onnx")


def answer(model: Path, *targets: str, limits: Limits | None = None, calibration: Path | None = None) -> FitReport:
    return fit_model(FitOptions(model, targets, calibration, limits or Limits()), Silent())


def of(report: FitReport, target: str) -> TargetFit:
    return next(fit for fit in report.targets if fit.target == target)


def test_every_target_answers_the_one_with_the_least_memory_first(model: Path) -> None:
    report = answer(model)
    assert sorted(fit.target for fit in report.targets) == target_names()
    assert all(fit.fits and not fit.binds for fit in report.targets)
    limits = [fit.ram_limit_bytes or float("inf") for fit in report.targets]
    assert limits == sorted(limits)
    assert report.targets[0].target == "stm32l433"


def test_what_binds_is_told_with_both_figures(model: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TINY)
    (fit,) = answer(model, str(tmp_path / "tiny.toml")).targets
    assert not fit.fits
    assert [bind.what for bind in fit.binds] == ["flash", "RAM"]
    assert "of 16.0 KiB flash" in fit.binds[0].told
    assert "of 1.0 KiB RAM" in fit.binds[1].told


def test_the_users_limits_bind_beside_the_targets(model: Path) -> None:
    report = answer(model, "nrf52840", limits=Limits(flash=1000, ram=1500, latency=1e-6))
    assert [bind.what for bind in of(report, "nrf52840").binds] == ["flash", "RAM", "latency"]
    assert of(report, "nrf52840").ram_limit_bytes == 1500


def test_a_latency_binds_only_where_the_whole_estimate_is_above(model: Path) -> None:
    latency = of(answer(model, "nrf52840"), "nrf52840").cost.latency  # type: ignore[union-attr] # it fits
    assert latency is not None
    within = (latency.low_ms + latency.high_ms) / 2 / 1000
    assert of(answer(model, "nrf52840", limits=Limits(latency=within)), "nrf52840").fits


def test_operators_that_a_firmware_lacks_bind_by_name(model: Path, tmp_path: Path) -> None:
    roomy = TINY.replace("1KiB", "64KiB").replace("16KiB", "1MiB")
    path = tmp_path / "lean.toml"
    path.write_text(roomy.replace('kernels = "reference"', 'kernels = "reference"\noperators = ["CONV_2D", "SOFTMAX"]'))
    (fit,) = answer(model, str(path)).targets
    assert {bind.what for bind in fit.binds} == {"operator"}
    assert any("(MAX_POOL_2D): the target's firmware does not register it" in bind.told for bind in fit.binds)
    assert fit.cost is not None


def test_sizes_without_data_are_those_with_data(model: Path, tmp_path: Path) -> None:
    """Scales take the same bytes whatever they are; that is what makes assumed ones good enough for sizes."""
    assumed = of(answer(model, "nrf52840"), "nrf52840")
    calibrated = of(answer(model, "nrf52840", calibration=write_calibration(tmp_path / "c.npz")), "nrf52840")
    assert assumed.cost is not None
    assert calibrated.cost is not None
    assert assumed.cost.artifact_bytes == pytest.approx(calibrated.cost.artifact_bytes, rel=0.01)
    assert assumed.cost.ram_bytes == calibrated.cost.ram_bytes
    assert assumed.sure is not None
    assert calibrated.sure is not None
    assert (assumed.sure.size, calibrated.sure.size) == ("assumed scales", "exact")
    assert assumed.sure.ram == "to the byte"


def test_places_are_weighed_by_the_models_own_figures(model: Path) -> None:
    places = {place.where: " ".join(place.reasons) for place in answer(model).places}
    assert "18 of 18 targets hold the model; the smallest is stm32l433" in places["device"]
    assert "16 B of results leave it instead of 256 B" in places["device"]
    assert "each of them holds the model" in places["edge server"]
    assert "21.1 MiB a day at an inference a second" in places["cloud endpoint"]


def test_a_model_that_fits_nowhere_speaks_for_a_server(model: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TINY)
    places = {place.where: place.reasons for place in answer(model, str(tmp_path / "tiny.toml")).places}
    assert places["device"] == ["None of these targets holds the model as it is: it would have to be smaller first."]
    assert "send their inputs to one that does: tiny" in places["edge server"][0]
    assert places["cloud endpoint"][0].startswith("Room:")


def test_the_command_prints_a_table_and_ends_with_3_where_a_named_target_is_too_small(
    run: Run, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "tiny.toml").write_text(TINY)
    told = run("model", "fit", model)
    assert told.status == 0
    assert "For the edge server" in told.out
    refused = run("model", "fit", model, "--target", tmp_path / "tiny.toml", "--json")
    assert refused.status == 3
    assert refused.document["targets"][0]["binds"][0]["what"] == "flash"


@pytest.mark.parametrize("target", target_names())
def test_an_estimate_has_a_band_a_reason_and_sources(target: str) -> None:
    estimate = estimate_latency(load_profile(target), 10_000_000, "int8")
    if estimate is None:
        assert load_profile(target).core not in {band.core for band in speeds().bands}
        return
    assert 0 < estimate.low_ms < estimate.high_ms
    assert estimate.sources
    assert estimate.how.startswith("from ")


def test_the_estimate_for_a_published_board_holds_its_own_points() -> None:
    """The MLPerf Tiny board has a Cortex-M4F as the nRF52840 has; at its clock the band holds every point."""
    clock = 64e6 / 120e6
    for point in (point for point in speeds().points if point.core == "Cortex-M4F"):
        estimate = estimate_latency(load_profile("nrf52840"), point.macs, "int8")
        assert estimate is not None
        assert estimate.low_ms < point.milliseconds / clock < estimate.high_ms


def test_models_without_multiplications_have_no_estimate() -> None:
    assert estimate_latency(load_profile("nrf52840"), 0, "int8") is None


def test_times_have_as_many_digits_as_they_mean() -> None:
    assert [milliseconds(value) for value in (0.02, 0.213, 12.4, 1130.2)] == [
        "< 0.1 ms",
        "0.21 ms",
        "12 ms",
        "1,130 ms",
    ]
    assert span(LatencyEstimate(0.01, 0.05, "", [])) == "< 0.1 ms"
    assert span(LatencyEstimate(2.5, 14.2, "", [])) == "2.5 to 14 ms"
    assert span(LatencyEstimate(5800, 61_053, "", [])) == "5.8 to 61 s"


@pytest.mark.shared
@pytest.mark.parametrize("name", ["pretrainedResnet", "kws_ref_model", "vww_96_int8", "ad01_fp32"])
def test_models_of_the_benchmark_fit_all_but_the_smallest_board(name: str) -> None:
    report = answer(SHARED_MODELS / f"{name}.tflite")
    assert {fit.target for fit in report.targets if not fit.fits} <= {"stm32l433"}
    assert {fit.sure.ram for fit in report.targets if fit.sure and load_profile(fit.target).is_microcontroller} == {
        "to the byte"
    }
