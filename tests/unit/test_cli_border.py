"""The command's border: what goes wrong becomes one text, one JSON object and one exit status."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from edgefleet.border import run_guarded
from edgefleet.main import main
from edgefleet.nouns import NOUNS
from edgefleet_contract.errors import BudgetExceeded, EdgefleetError, ServerUnreachable, SignatureInvalid, TargetUnknown

Captured = pytest.CaptureFixture[str]


def fail(error: BaseException) -> object:
    def act() -> int:
        raise error

    return act


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (EdgefleetError("ours"), 1),
        (TargetUnknown("typing error"), 2),
        (BudgetExceeded("too large"), 3),
        (SignatureInvalid("not signed"), 4),
        (ServerUnreachable("nobody there"), 5),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("oops"), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_branch_of_errors_has_its_exit_status(error: BaseException, status: int, capsys: Captured) -> None:
    assert run_guarded(fail(error), wants_json=False) == status  # type: ignore[arg-type]
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert "Traceback" not in said.err


def test_an_error_is_told_with_its_code_and_what_to_do(capsys: Captured) -> None:
    error = TargetUnknown("No target is called 'x'", expected="y", remedy="Look it up.", target="x")
    run_guarded(fail(error), wants_json=True)  # type: ignore[arg-type]
    said = capsys.readouterr()
    assert said.err == "error[target.unknown]: No target is called 'x'. Expected y. Look it up.\n"
    assert json.loads(said.out) == {
        "error": {
            "code": "target.unknown",
            "seen": "No target is called 'x'",
            "expected": "y",
            "remedy": "Look it up.",
            "facts": {"target": "x"},
        }
    }


def test_the_traceback_is_shown_when_asked_for(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEFLEET_DEBUG", "1")
    assert run_guarded(fail(ZeroDivisionError("oops")), wants_json=False) == 1  # type: ignore[arg-type]
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("module", "extra"), [("fastapi", "server"), ("onnxruntime.capi", "onnxruntime"), ("typer", "cli")]
)
def test_a_missing_package_names_the_extra_to_install(module: str, extra: str, capsys: Captured) -> None:
    missing = ModuleNotFoundError(f"No module named {module!r}", name=module)
    assert run_guarded(fail(missing), wants_json=False) == 2  # type: ignore[arg-type]
    assert f"edgefleet[{extra}]" in capsys.readouterr().err


def test_a_missing_module_of_ours_is_our_fault(capsys: Captured) -> None:
    missing = ModuleNotFoundError("No module named 'edgefleet_compiler.nothing'", name="edgefleet_compiler.nothing")
    assert run_guarded(fail(missing), wants_json=False) == 1  # type: ignore[arg-type]
    assert "defect" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["modle"], "Did you mean model or sample?"),
        (["target", "shwo"], "shwo"),
        (["target", "show"], "'name'"),
        (["model", "compile", "m.onnx", "--out", "", "--target", "rpi4"], "--out is empty"),
        (["model", "compile", "m.onnx", "--out", "o", "--target", "rpi4", "--format", "c++"], "'--format': 'c++'"),
        (["model", "compile", "m.onnx", "--out", "o", "--target", "rpi4", "--seed", str(2**63)], "--seed"),
        (["target", "list", "--jsn"], "--jsn"),
        (["model", "compile", "m.onnx", "--out", "o"], "--target"),
        (["model", "compile", "m.onnx", "--out", "o", "--target", "rpi4", "--io", "int4"], "int4"),
        (["model", "compile", "m.onnx", "--out", "o", "--target", "rpi4", "--max-flash", "64 potatoes"], "--max-flash"),
        (["model", "compile", "m.onnx", "--out", "o", "--target", "rpi4", "--max-latency", "soon"], "--max-latency"),
        (["model", "compile", "m.onnx", "--out", "o", "--target", "rpi4", "--input-shape", "x"], "--input-shape"),
        (["model", "compile", "m.onnx", "--out", "o", "--target", "rpi4", "--mean", "dark"], "--mean"),
    ],
)
def test_a_wrong_command_line_is_usage(arguments: list[str], said: str, capsys: Captured) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error[usage]: ")
    assert said in captured.err


def test_help_shows_every_noun(capsys: Captured) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"\n  {noun} " in out and entry.help in out for noun, entry in NOUNS.items())


@pytest.mark.parametrize("noun", [noun for noun, entry in NOUNS.items() if entry.attribute == "app"])
def test_help_names_every_verb_of_a_noun(noun: str) -> None:
    command = get_command(importlib.import_module(NOUNS[noun].module).app)
    said = set(re.findall(r"[a-z]+", NOUNS[noun].help.partition(":")[2]))
    assert said == set(getattr(command, "commands", ()))


def test_without_arguments_help_is_shown_and_the_exit_status_is_usage(capsys: Captured) -> None:
    assert main([]) == 2
    assert "Usage" in capsys.readouterr().out


def test_the_version_is_printed(capsys: Captured) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("edgefleet ")


def test_a_noun_imports_no_other_nouns_modules() -> None:
    code = (
        "import sys; from edgefleet.main import main; main(['target', 'list']);"
        "heavy = {'numpy', 'onnx', 'onnxruntime', 'ai_edge_litert', 'fastapi', 'sqlalchemy', 'edgefleet_server'};"
        "sys.exit(','.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    path = {"PYTHONPATH": ":".join(sys.path)}
    ended = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, env=path, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"{sys.executable} -m edgefleet --help | true"
    path = {"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"}
    ended = subprocess.run(["bash", "-c", command], check=False, capture_output=True, text=True, env=path, timeout=60)
    assert ended.stderr == ""


@pytest.mark.parametrize("noun", ["target", "model", "bundle"])
def test_a_missing_verb_is_named_with_the_verbs_there_are(noun: str, capsys: Captured) -> None:
    assert main([noun]) == 2
    captured = capsys.readouterr()
    assert "Usage" in captured.out
    assert captured.err.startswith(f"error[usage]: A verb is missing after `edgefleet {noun}`. Expected one of ")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("target list", "output.unwritable"),
        ("target list --json", "output.unwritable"),
        ("target show nothing --json", "target.unknown"),
    ],
)
def test_a_full_disk_behind_stdout_is_told_once_without_a_traceback(arguments: str, code: str, unbuffered: str) -> None:
    environment = {"PYTHONPATH": ":".join(sys.path), "PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "edgefleet", *arguments.split()],
            check=False, stdout=full, stderr=subprocess.PIPE, text=True, env=environment, timeout=60,
        )  # fmt: skip
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"error[{code}]: ")
    assert len(ended.stderr.splitlines()) == 1


def test_an_error_of_another_file_is_not_blamed_on_stdout(capsys: Captured) -> None:
    assert run_guarded(fail(OSError(28, "No space left on device")), wants_json=True) == 1  # type: ignore[arg-type]
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "internal"
