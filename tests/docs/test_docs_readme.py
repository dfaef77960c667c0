"""Every command of the README runs, in its order, as a reader would type it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
RUNS_ON = ("server run", "agent run")
MADE_BY_MAKE = {"make demo", "make test", "make install && . .venv/bin/activate"}


def commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


class Reader:
    """A person who follows the README in an empty folder beside a copy of the examples."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(ROOT / "examples", folder / "examples")
        self.environment = os.environ | {"EDGEFLEET_HOME": str(folder / "home")}
        self.words: dict[str, str] = {}
        self.background: list[subprocess.Popen[str]] = []

    def type(self, line: str) -> None:
        arguments = [self.words.get(word, word) for word in shlex.split(line)[1:]]
        arguments = [path for word in arguments for path in self.expanded(word)]
        verb = " ".join(arguments[:2])
        if verb in RUNS_ON:
            self.start(verb, arguments)
            return
        wants_json = verb in ("device token", "rollout create")
        done = subprocess.run(
            [sys.executable, "-m", "edgefleet", *arguments, *(["--json"] if wants_json else [])],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        if verb == "device token":
            answer = json.loads(done.stdout)
            self.words |= {"TOKEN": answer["token"], "URL": answer["server"]}
        if verb == "rollout create":
            self.words["ROLLOUT"] = json.loads(done.stdout)["id"]

    def expanded(self, word: str) -> list[str]:
        return sorted(str(path) for path in self.folder.glob(word)) if "*" in word else [word]

    def start(self, verb: str, arguments: list[str]) -> None:
        port = ["--port", "0"] if verb == "server run" else ["--listen", "127.0.0.1:0"]
        process = subprocess.Popen(
            [sys.executable, "-m", "edgefleet", *arguments, *port, "--json"],
            cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.background.append(process)
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())

    def leave(self) -> None:
        for process in reversed(self.background):
            process.terminate()
        for process in reversed(self.background):
            assert process.wait(20) == 0
            assert process.stdout is not None
            process.stdout.close()


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    person = Reader(tmp_path)
    yield person
    person.leave()


@pytest.mark.e2e
def test_every_command_of_the_readme_runs(reader: Reader) -> None:
    typed = [line for line in commands() if line.startswith("edgefleet ")]
    assert set(commands()) - set(typed) == MADE_BY_MAKE
    assert len(typed) >= 10
    for line in typed:
        reader.type(line)
