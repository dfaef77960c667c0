"""The compiler's commands on real files: what they print, write, and end with."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from edgefleet_contract import keys
from edgefleet_contract.bundle import Bundle
from support.commands import Run, runner
from support.model_files import write_calibration, write_classifier, write_validation

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_classifier(tmp_path / "model.onnx")


@pytest.fixture
def data(tmp_path: Path, model: Path) -> list[object]:
    calibration, validation = write_calibration(tmp_path / "c.npz"), write_validation(tmp_path / "v.npz", model)
    return ["--calibration", calibration, "--validation", validation]


def digits(run: Run, out: Path, *more: object) -> dict[str, dict[str, object]]:
    data = ("--calibration", DIGITS / "calibration.npz", "--validation", DIGITS / "validation.npz")
    ended = run("model", "compile", DIGITS / "digits.onnx", *data, "--out", out, "--json", *more)
    assert ended.status == 0, ended.err
    return {report["target"]: report for report in ended.document["targets"]}


def test_the_digits_compile_for_a_pc_a_pi_and_a_microcontroller(run: Run, tmp_path: Path) -> None:
    targets = ("--target", "x86-64", "--target", "rpi4", "--target", "nrf52840")
    reports = digits(run, tmp_path / "out", *targets)
    assert {target: report["artifact"]["format"] for target, report in reports.items()} == {  # type: ignore[index]
        "x86-64": "onnx",
        "rpi4": "tflite",
        "nrf52840": "tflite",
    }
    for target, report in reports.items():
        assert report["verdict"] == "accepted"
        assert report["recipe"] == "int8" or target == "x86-64"  # where the clock decides
        assert report["accuracy"]["drop"] <= 0.01  # type: ignore[index]
        assert report["artifact"]["bytes"] < 13_000  # type: ignore[index]
        with Bundle(Path(report["bundle"]["path"])) as bundle:  # type: ignore[index]
            bundle.verify()


def test_people_get_a_table_and_programs_one_document(
    run: Run, tmp_path: Path, model: Path, data: list[object]
) -> None:
    command = ["model", "compile", model, "--target", "rpi4", "--out", tmp_path / "out", "--max-drop", "1", *data]
    people = run(*command)
    assert people.status == 0
    assert "accepted" in people.out
    assert re.search(r"top1 \d\.\d{4} to \d\.\d{4}", people.out)
    assert "rpi4" in people.out
    programs = run(*command, "--json")
    assert [report["target"] for report in programs.document["targets"]] == ["rpi4"]
    assert "error" not in programs.document


def test_a_gate_that_says_no_is_exit_3_after_all_targets_are_done(run: Run, tmp_path: Path, model: Path) -> None:
    targets = ("--target", "nrf52840", "--target", "rpi4")
    ended = run("model", "compile", model, *targets, "--out", tmp_path / "out", "--json")
    assert ended.status == 3
    assert [report["verdict"] for report in ended.document["targets"]] == ["refused", "accepted"]
    assert ended.document["error"]["code"] == "recipe.unfit"
    assert "error[recipe.unfit]" in ended.err
    assert "Traceback" not in ended.err
    assert (tmp_path / "out" / "rpi4" / "model-0.1.0-rpi4.efb").exists()


def test_the_same_request_gives_the_same_bytes_whatever_surrounds_it(
    tmp_path: Path, model: Path, data: list[object]
) -> None:
    written = []
    for number in (1, 2):
        folder = tmp_path / f"run {number}"
        folder.mkdir()
        environment = {**os.environ, "PYTHONHASHSEED": str(number), "OMP_NUM_THREADS": str(number)}
        environment["PYTHONPATH"] = os.pathsep.join(sys.path)
        command = [
            sys.executable,
            "-m",
            "edgefleet",
            "model",
            "compile",
            model,
            "--out",
            "out",
            "--max-drop",
            "1",
            *data,
        ]
        command += ["--target", "rpi4", "--target", "x86-64", "--recipe", "int8"]
        subprocess.run(
            [str(word) for word in command], cwd=folder, env=environment, check=True, timeout=120, capture_output=True
        )
        reproducible = {".tflite", ".onnx", ".efb", ".toml"}
        files = [path for path in folder.rglob("*") if path.suffix in reproducible]
        written.append({path.relative_to(folder): path.read_bytes() for path in files})
    assert len(written[0]) == 6
    assert written[0] == written[1]


def test_a_users_own_profile_is_a_target(run: Run, tmp_path: Path, model: Path, data: list[object]) -> None:
    shown = run("target", "show", "rpi4", "--toml")
    own = tmp_path / "mine.toml"
    own.write_text(shown.out.replace('"rpi4"', '"mine"').replace("1GiB", "1KiB"))
    ended = run(
        "model", "compile", model, "--target", own, "--out", tmp_path / "out", "--recipe", "float", *data, "--json"
    )
    (report,) = ended.document["targets"]
    assert (ended.status, report["target"]) == (3, "mine")
    assert [line["name"] for line in report["budget"] if not line["ok"]] == ["ram"]


def test_a_folder_of_images_calibrates_and_its_normalisation_travels(run: Run, tmp_path: Path, model: Path) -> None:
    generator = np.random.default_rng(0)
    for number in range(8):
        folder = tmp_path / "images" / "abcd"[number % 4]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (20, 20), np.uint8)).save(folder / f"{number}.png")
    labels = tmp_path / "labels.txt"
    labels.write_text("a\nb\nc\nd\n")
    images = ("--calibration", tmp_path / "images", "--mean", "127.5", "--std", "64", "--labels", labels)
    ended = run(
        "model", "compile", model, "--target", "rpi4", "--out", tmp_path / "out", "--recipe", "int8", *images, "--json"
    )
    assert ended.status == 0, ended.err
    with Bundle(tmp_path / "out" / "rpi4" / "model-0.1.0-rpi4.efb") as bundle:
        (image,) = bundle.manifest.inputs
        assert image.preprocessing is not None
        assert (image.preprocessing.mean, image.preprocessing.std) == ([127.5], [64.0])
        assert bundle.manifest.labels == ["a", "b", "c", "d"]
    assert "of 8 cases alone widen the range" in ended.err


def test_a_model_with_external_data_beside_it_compiles(run: Run, tmp_path: Path, model: Path) -> None:
    split = tmp_path / "split" / "model.onnx"
    split.parent.mkdir()
    onnx.save(onnx.load(model), split, save_as_external_data=True, location="weights.bin", size_threshold=64)
    ended = run("model", "compile", split, "--target", "rpi4", "--out", tmp_path / "out", "--recipe", "float", "--json")
    assert ended.status == 0, ended.err
    assert ended.document["targets"][0]["parity"][0]["max_abs"] < 1e-5


def test_inspect_says_what_a_model_takes_gives_and_costs(run: Run, model: Path) -> None:
    facts = run("model", "inspect", model, "--json").document
    assert facts["inputs"] == [{"name": "image", "shape": [1, 1, 8, 8], "dtype": "float32", "axes": "NCHW"}]
    assert [tensor["name"] for tensor in facts["outputs"]] == ["probabilities"]
    assert facts["operators"]["Conv"] == 1
    assert facts["macs"] == 6 * 9 * 64 + 96 * 4
    assert facts["weights_stored_narrower"] is False
    people = run("model", "inspect", model)
    assert (people.status, "1 Conv" in people.out) == (0, True)


def test_compare_measures_two_files_of_whatever_format(
    run: Run, tmp_path: Path, model: Path, data: list[object]
) -> None:
    run("model", "compile", model, "--target", "rpi4", "--out", tmp_path / "out", "--recipe", "float", *data)
    artifact = tmp_path / "out" / "rpi4" / "model.tflite"
    parity = run("model", "compare", model, artifact, "--data", tmp_path / "v.npz", "--json").document["parity"]
    assert parity["n"] == 80
    assert parity["max_abs"] < 1e-5
    assert parity["argmax_agreement"] == 1.0
    assert (
        "dB (the reference's mean removed)"
        in run("model", "compare", model, artifact, "--data", tmp_path / "v.npz").out
    )
    same = run("model", "compare", model, model, "--data", tmp_path / "v.npz", "--json").document["parity"]
    assert (same["sqnr_db"], same["sqnr_undefined"]) == (None, "no noise")
    one = tmp_path / "one.npz"
    np.savez(one, x=np.ones((3, 1, 8, 8), np.float32))
    constant = run("model", "compare", model, artifact, "--data", one)
    assert "no signal: the reference gives the same in every case" in constant.out
    other = run("model", "compare", model, DIGITS / "digits.onnx", "--data", tmp_path / "v.npz")
    assert (other.status, "shapes" in other.err) == (2, True)


def test_a_bundle_is_shown_verified_unpacked_and_packed_again(
    run: Run, tmp_path: Path, model: Path, data: list[object]
) -> None:
    run("model", "compile", model, "--target", "rpi4", "--out", tmp_path / "out", "--recipe", "float", *data)
    bundle = tmp_path / "out" / "rpi4" / "model-0.1.0-rpi4.efb"
    shown = run("bundle", "show", bundle, "--json").document
    assert shown["manifest"]["target"] == "rpi4"
    assert shown["digest"] in run("bundle", "show", bundle).out
    assert run("bundle", "verify", bundle, "--json").document["digest"] == shown["digest"]
    assert run("bundle", "unpack", bundle, "--out", tmp_path / "unpacked").status == 0
    packed = run("bundle", "pack", tmp_path / "unpacked", "--out", tmp_path / "again.efb", "--json").document
    assert packed["digest"] == shown["digest"]
    consent = tmp_path / "consent.toml"
    recipient = keys.public_text(keys.generate_device_key().public_key())
    consent.write_text(f'purpose = "mistakes"\ncontact = "a@b.c"\nretention_days = 9\nrecipient = "{recipient}"\n')
    policy = ("--security-floor", 7, "--sampling-rate", "0.25", "--samples-per-day", 40, "--consent", consent)
    run("bundle", "pack", tmp_path / "unpacked", "--out", tmp_path / "set.efb", *policy)
    told = run("bundle", "show", tmp_path / "set.efb").out
    assert "floor     7" in told
    assert "0.25 of the inferences, at most 40 a day" in told
    assert "mistakes (ask a@b.c)" in told
    consent.write_text('purpose = "mistakes"\n')
    refused = run("bundle", "pack", tmp_path / "unpacked", "--out", tmp_path / "no.efb", "--consent", consent)
    assert (refused.status, (tmp_path / "no.efb").exists()) == (2, False)
    assert (tmp_path / "again.efb").read_bytes() == bundle.read_bytes()


@pytest.mark.attack
def test_a_bundle_with_one_bit_flipped_is_exit_4(run: Run, tmp_path: Path, model: Path, data: list[object]) -> None:
    run("model", "compile", model, "--target", "rpi4", "--out", tmp_path / "out", "--recipe", "float", *data)
    whole = bytearray((tmp_path / "out" / "rpi4" / "model-0.1.0-rpi4.efb").read_bytes())
    whole[len(whole) // 2] ^= 4
    (tmp_path / "flipped.efb").write_bytes(whole)
    ended = run("bundle", "verify", tmp_path / "flipped.efb", "--json")
    assert ended.status == 4
    assert ended.document["error"]["code"] == "bundle.hash_mismatch"
    assert run("bundle", "unpack", tmp_path / "flipped.efb").status == 4
    assert not (tmp_path / "flipped").exists()


def test_targets_are_listed_and_shown(run: Run) -> None:
    names = [target["name"] for target in run("target", "list", "--json").document["targets"]]
    assert "nrf52840" in names
    assert "nrf52840" in run("target", "list").out
    assert run("target", "show", "nrf52840", "--json").document["flash"] == "1MiB"
    assert "Product Specification" in run("target", "show", "nrf52840").out


def test_nothing_of_a_runtime_is_written_to_the_home_folder(tmp_path: Path, model: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    environment = {**os.environ, "HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [
        sys.executable,
        "-m",
        "edgefleet",
        "model",
        "compile",
        model,
        "--target",
        "x86-64",
        "--out",
        tmp_path / "o",
    ]
    subprocess.run(
        [str(word) for word in command], env=environment, check=True, timeout=120, capture_output=True, cwd=tmp_path
    )
    assert list(home.rglob("*")) == []
