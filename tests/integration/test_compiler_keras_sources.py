"""Keras files and SavedModels as sources: they compute what Keras computes, under its names, or are refused."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from edgefleet_compiler.checks.runtimes import Runner, open_runner
from edgefleet_compiler.importers.tensorflow.process import Limits, convert
from edgefleet_compiler.importers.tensorflow.sources import keras_file
from edgefleet_compiler.tensorflow_child import child_environment
from edgefleet_contract.errors import ConversionLimitReached
from support.commands import Ended, Run, runner
from support.keras_files import cases_of, keras_files, one

pytestmark = pytest.mark.integration
DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits" / "digits.onnx"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


def compiled(run: Run, model: Path, out: Path, *more: object) -> dict[str, dict[str, Any]]:
    """The reports of a float compilation for a Pi (TFLite) and a PC (ONNX)."""
    targets = ("--target", "rpi4", "--target", "x86-64")
    ended = run("model", "compile", model, *targets, "--recipe", "float", "--out", out, "--json", *more)
    assert ended.status == 0, ended.err
    return {report["target"]: report for report in ended.document["targets"]}


def opened(report: dict[str, Any]) -> Runner:
    return open_runner(Path(report["artifact"]["path"]).read_bytes(), report["artifact"]["format"])


def assert_computes_the_same(artifact: Runner, name: str) -> None:
    inputs, outputs = cases_of(name)
    for case in range(len(inputs[0])):
        for seen, expected in zip(artifact.run(one(inputs, case)), one(outputs, case), strict=True):
            np.testing.assert_allclose(seen, expected, atol=1e-4 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("name", ["sequential", "residual", "branching", "lstm", "gru", "transformer", "unet"])
def test_what_is_converted_compiles_and_computes_what_keras_computes(run: Run, tmp_path: Path, name: str) -> None:
    for report in compiled(run, keras_files() / f"{name}.tflite", tmp_path / "out").values():
        assert_computes_the_same(opened(report), name)


def test_a_keras_file_keeps_names_and_their_order_and_gives_the_same_bytes_twice(run: Run, tmp_path: Path) -> None:
    model = keras_files() / "branching.keras"
    reports = compiled(run, model, tmp_path / "out")
    for report in reports.values():
        artifact = opened(report)
        assert [tensor.name for tensor in artifact.inputs] == ["zebra", "ant"]
        assert [tensor.name for tensor in artifact.outputs] == ["young", "blue"]
        assert_computes_the_same(artifact, "branching")
        assert report["source"]["format"] == "keras"
        assert report["source"]["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
        assert report["source"]["bytes"] == model.stat().st_size
    again = compiled(run, model, tmp_path / "again")
    for target, report in reports.items():
        assert again[target]["bundle"]["digest"] == report["bundle"]["digest"]


def test_a_saved_model_compiles_under_the_names_of_its_signature(run: Run, tmp_path: Path) -> None:
    folder = keras_files() / "saved_model"
    for report in compiled(run, folder, tmp_path / "out").values():
        artifact = opened(report)
        assert ([tensor.name for tensor in artifact.inputs], artifact.inputs[0].shape) == (["image"], (1, 16, 16, 3))
        assert [tensor.name for tensor in artifact.outputs] == ["output_0"]
        assert_computes_the_same(artifact, "saved_model")
        assert report["source"]["format"] == "saved_model"
        listed = subprocess.run(
            r"find . -type f -printf '%P\n' | LC_ALL=C sort | xargs -d '\n' sha256sum | sha256sum",
            shell=True, cwd=folder, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert report["source"]["sha256"] == listed.stdout.split()[0]


def test_open_sizes_are_asked_for_and_taken(run: Run, tmp_path: Path) -> None:
    model = keras_files() / "open.keras"
    ended = run("model", "inspect", model, "--json")
    assert (ended.status, ended.document["error"]["code"]) == (2, "usage")
    assert "--input-shape image=1,?,?,3" in ended.err
    taken = run("model", "inspect", model, "--input-shape", "image=1,20,24,3", "--json")
    assert taken.status == 0, taken.err
    assert taken.document["inputs"][0] == {
        "name": "image",
        "shape": [1, 20, 24, 3],
        "dtype": "float32",
        "axes": "NHWC",
    }


def refused(run: Run, model: Path, tmp_path: Path) -> Ended:
    out = tmp_path / "out"
    ended = run("model", "compile", model, "--target", "rpi4", "--out", out, "--json")
    assert "Traceback" not in ended.err
    assert not out.exists()
    return ended


@pytest.mark.attack
@pytest.mark.parametrize("suffix", ["h5", "keras"])
def test_a_lambda_is_refused_by_name_and_its_code_never_runs(run: Run, tmp_path: Path, suffix: str) -> None:
    ended = refused(run, keras_files() / f"lambda.{suffix}", tmp_path)
    assert (ended.status, ended.document["error"]["code"]) == (2, "model.carries_code")
    assert "'innocent' (Lambda)" in ended.err
    assert not (keras_files() / "code-was-run").exists()


@pytest.mark.attack
def test_a_saved_model_that_reads_files_is_refused(run: Run, tmp_path: Path) -> None:
    ended = refused(run, keras_files() / "reads_files", tmp_path)
    assert (ended.status, ended.document["error"]["code"]) == (2, "model.carries_code")
    assert "ReadFile" in ended.err


@pytest.mark.parametrize("suffix", ["h5", "keras"])
def test_custom_layers_are_named(run: Run, tmp_path: Path, suffix: str) -> None:
    ended = refused(run, keras_files() / f"custom.{suffix}", tmp_path)
    assert (ended.status, ended.document["error"]["code"]) == (3, "operator.unsupported")
    assert "Doubled" in ended.err


@pytest.mark.parametrize(("name", "said"), [("stateful", "'memory'"), ("half", "compute in float16")])
def test_layers_that_keep_state_or_compute_in_other_widths_are_refused(
    run: Run, tmp_path: Path, name: str, said: str
) -> None:
    ended = refused(run, keras_files() / f"{name}.keras", tmp_path)
    assert (ended.status, ended.document["error"]["code"]) == (3, "operator.unsupported")
    assert said in ended.err


@pytest.mark.parametrize("name", ["old.h5", "sequential.keras"])
@pytest.mark.parametrize("part", [0.3, 0.99])
def test_a_truncated_keras_file(run: Run, tmp_path: Path, name: str, part: float) -> None:
    data = (keras_files() / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(data[: int(len(data) * part)])
    ended = refused(run, path, tmp_path)
    assert (ended.status, ended.document["error"]["code"]) == (2, "model.malformed")


def test_a_saved_model_without_its_variables(run: Run, tmp_path: Path) -> None:
    shutil.copytree(keras_files() / "saved_model", tmp_path / "model")
    shutil.rmtree(tmp_path / "model" / "variables")
    ended = refused(run, tmp_path / "model", tmp_path)
    assert (ended.status, ended.document["error"]["code"]) == (2, "model.malformed")


def test_a_saved_model_with_a_link_in_it(run: Run, tmp_path: Path) -> None:
    shutil.copytree(keras_files() / "saved_model", tmp_path / "model")
    (tmp_path / "model" / "assets" / "passwords").symlink_to("/etc/passwd")
    ended = refused(run, tmp_path / "model", tmp_path)
    assert (ended.status, ended.document["error"]["code"]) == (2, "model.malformed")
    assert "passwords" in ended.err


@pytest.mark.attack
def test_a_small_file_that_asks_for_all_memory_is_refused(run: Run, tmp_path: Path) -> None:
    source = zipfile.ZipFile(keras_files() / "sequential.keras")
    configuration = json.loads(source.read("config.json"))
    (dense,) = (layer for layer in configuration["config"]["layers"] if layer["config"]["name"] == "classes")
    dense["config"]["units"] = 2_000_000_000
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w") as bomb:
        for name in source.namelist():
            bomb.writestr(name, json.dumps(configuration) if name == "config.json" else source.read(name))
    ended = refused(run, path, tmp_path)
    assert (ended.status, ended.document["error"]["code"]) == (2, "model.conversion_limit")
    assert "of memory" in ended.err


def test_a_conversion_that_takes_too_long_is_ended() -> None:
    source = keras_file("keras", (keras_files() / "sequential.keras").read_bytes())
    with pytest.raises(ConversionLimitReached, match=r"longer than 0\.3 s"):
        convert(source, input_shapes={}, limits=Limits(seconds=0.3))
    assert not [child for child in psutil.Process().children() if "tensorflow" in " ".join(child.cmdline())]


def test_the_child_gets_nothing_of_the_callers_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGEFLEET_TOKEN", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    environment = child_environment(tmp_path)
    assert "secret" not in environment.values()
    assert environment["HOME"] == str(tmp_path)


def in_new_process(code: str) -> subprocess.CompletedProcess[str]:
    script = f"import sys\nfrom edgefleet.main import main\n{code}"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("format_", ["onnx", "tflite"])
def test_onnx_and_tflite_sources_compile_where_tensorflow_cannot_be_imported(tmp_path: Path, format_: str) -> None:
    model = DIGITS if format_ == "onnx" else keras_files() / "residual.tflite"
    ended = in_new_process(
        "for name in ('tensorflow', 'keras', 'h5py', 'tf2onnx'): sys.modules[name] = None\n"
        f"sys.exit(main(['model', 'compile', {str(model)!r}, '--target', 'rpi4', '--target', 'x86-64', '--recipe', "
        f"'float', '--out', {str(tmp_path / 'out')!r}]))"
    )
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("name", ["digits.onnx", "residual.tflite", "sequential.keras"])
def test_no_source_brings_tensorflow_into_the_compilers_process(tmp_path: Path, name: str) -> None:
    model = DIGITS if name == "digits.onnx" else keras_files() / name
    ended = in_new_process(
        f"status = main(['model', 'compile', {str(model)!r}, '--target', 'rpi4', '--recipe', 'float', '--out', "
        f"{str(tmp_path / 'out')!r}])\n"
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)\nsys.exit(status)"
    )
    assert ended.returncode == 0, ended.stderr
    assert not {"tensorflow", "keras", "h5py", "tf2onnx"} & set(ended.stderr.splitlines()[-1].split())


def test_a_keras_source_without_tensorflow_is_told_what_to_install(tmp_path: Path) -> None:
    ended = in_new_process(
        "sys.modules['tensorflow'] = None\n"
        f"sys.exit(main(['model', 'inspect', {str(keras_files() / 'sequential.keras')!r}]))"
    )
    assert ended.returncode == 2
    assert "pip install 'edgefleet[tensorflow]'" in ended.stderr
    assert "Traceback" not in ended.stderr
