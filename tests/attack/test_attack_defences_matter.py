"""Each defence is taken away in turn, and its test must fail because the attack then succeeds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from attack.defences import DEFENCES

ROOT = Path(__file__).resolve().parents[2]
SHARES = 4  # children that take the rows in turn, so that runners of tests can spread them


@pytest.mark.parametrize("share", range(SHARES))
def test_without_its_defence_each_attack_succeeds(share: int) -> None:
    places = range(share, len(DEFENCES), SHARES)
    done = subprocess.run(
        [sys.executable, "-m", "attack.without_each", *map(str, places)],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": f"{ROOT / 'tests'}:{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    verdicts = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"row"')]
    assert [verdict["row"] for verdict in verdicts] == list(places)
    still_standing = {DEFENCES[v["row"]].threat: v["why"] for v in verdicts if not v["attack_succeeded"]}
    assert still_standing == {}
