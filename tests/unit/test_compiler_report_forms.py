"""The report: its JSON has the documented fields, and its page is self-contained and escapes what it shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from edgefleet_compiler.diagnose.record import Finding, Spread
from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.pipeline import compile_model
from edgefleet_compiler.progress import Silent
from edgefleet_compiler.report.html import render
from edgefleet_compiler.report.record import Report
from support.model_files import write_calibration, write_classifier, write_validation

DOCUMENTED = {
    "schema_version": int,
    "source": {"path", "sha256", "format"},
    "target": str,
    "artifact": {"path", "format", "bytes", "sha256"},
    "weights_bytes": int,
    "peak_ram_bytes": int,
    "peak_ram_of": str,
    "macs": int,
    "passes": [{"name", "seconds", "effect"}],
    "parity": [{"oracle", "max_abs", "sqnr_db", "argmax_agreement", "n"}],
    "accuracy": {"metric", "baseline", "compiled", "drop", "ci95", "n"},
    "latency": {"where", "median_ms", "baseline_median_ms"},
    "deployment": {"runtime", "operators", "float_layers", "delegated", "partitions", "left"},
    "layers": [{"name", "sqnr_db", "bytes", "cause"}],
    "findings": list,
    "budget": [{"limit", "value", "ok"}],
    "verdict": str,
}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Report]:
    folder = tmp_path_factory.mktemp("report")
    model = write_classifier(folder / "model.onnx")
    options = CompileOptions(
        model,
        ("x86-64", "nrf52840"),
        folder / "out",
        calibration=write_calibration(folder / "c.npz"),
        validation=write_validation(folder / "v.npz", model),
        max_drop=1.0,
        max_flash=1,
    )
    return {outcome.report.target: outcome.report for outcome in compile_model(options, Silent())}


def test_the_json_has_the_documented_fields(reports: dict[str, Report]) -> None:
    document: dict[str, Any] = msgspec.json.decode(reports["x86-64"].as_json())
    for field, form in DOCUMENTED.items():
        value = document[field]
        if isinstance(form, type):
            assert isinstance(value, form), field
        elif isinstance(form, list):
            assert value, field
            assert all(set(entry) >= form[0] for entry in value), field
        else:
            assert set(value) >= form, field


def test_the_json_is_read_back_as_it_was(reports: dict[str, Report]) -> None:
    report = reports["nrf52840"]
    assert msgspec.json.decode(report.as_json(), type=Report) == report


def test_layers_have_the_sources_names_and_all_its_weights(reports: dict[str, Report]) -> None:
    layers = {layer.operator: layer for layer in reports["x86-64"].layers}
    assert {"Conv + Relu", "MaxPool", "Gemm", "Softmax"} <= set(layers)
    assert layers["Conv + Relu"].name.startswith("node_conv")
    assert layers["Gemm"].bytes > 96 * 4
    assert layers["Softmax"].sqnr_db is not None


def test_latency_is_null_where_only_the_target_could_tell(reports: dict[str, Report]) -> None:
    assert reports["nrf52840"].latency is None


def test_a_refused_target_says_why(reports: dict[str, Report]) -> None:
    report = reports["nrf52840"]
    assert report.verdict == "refused"
    assert report.bundle is None
    assert [refusal["code"] for refusal in report.refusals] == ["budget.exceeded"]
    assert [line.ok for line in report.budget if line.set_by == "option"] == [False]


def test_the_page_needs_nothing_from_elsewhere(reports: dict[str, Report]) -> None:
    page = render(reports["x86-64"])
    assert re.findall(r"<(?:script|link|img|iframe)|(?:src|href)=|url\(|@import|https?:", page) == []
    assert "<svg" in page


@pytest.mark.attack
def test_names_of_a_model_cannot_write_into_the_page(reports: dict[str, Report]) -> None:
    report = reports["x86-64"]
    hostile = "<script>alert(1)</script>"
    layer = msgspec.structs.replace(report.layers[0], name=hostile)
    source = msgspec.structs.replace(report.source, path=hostile)
    page = render(msgspec.structs.replace(report, layers=[layer], source=source, warnings=[hostile]))
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_a_report_without_an_artifact_has_a_page(tmp_path: Path) -> None:
    model = write_classifier(tmp_path / "model.onnx")
    (outcome,) = compile_model(CompileOptions(model, ("nrf52840",), tmp_path / "out"), Silent())
    assert outcome.report.artifact is None
    assert "recipe.unfit" in render(outcome.report)
    assert sorted(path.name for path in outcome.folder.iterdir()) == ["report.html", "report.json"]


def test_the_page_draws_the_values_of_each_layer_that_int8_serves_badly(reports: dict[str, Report]) -> None:
    spread = Spread(edges=[0.0, 1.0, 2.0], counts=[90, 10], before=(0.0, 2.0), after=(0.0, 1.0))
    finding = Finding(
        layer="conv;bias",
        activation="relu",
        cause="outlier channel",
        evidence="channel 3 spans 90",
        channel=3,
        remedy='equalise = "outliers"',
        before_db=2.0,
        after_db=20.0,
        spread=spread,
    )
    page = render(replace(reports["x86-64"], findings=[finding]))
    assert "90 values from 0 to 1" in page
    assert "range after: 0 to 1" in page
    assert ">conv</code>" in page
