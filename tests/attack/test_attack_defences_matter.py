"""Each defence is taken away in turn, and its test must fail because the attack then succeeds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from attack.defences import DEFENCES

ROOT = Path(__file__).resolve().parents[2]
SHARES = 4  # that runners of tests can spread
CHILDREN = 2  # at a time for each


@pytest.mark.parametrize("share", range(SHARES))
def test_without_its_defence_each_attack_succeeds(share: int) -> None:
    places = list(range(share, len(DEFENCES), SHARES))
    with ThreadPoolExecutor(CHILDREN) as children:
        shares = [places[first::CHILDREN] for first in range(CHILDREN)]
        verdicts = [verdict for found in children.map(verdicts_on, shares) for verdict in found]
    assert sorted(verdict["row"] for verdict in verdicts) == places
    still_standing = {DEFENCES[v["row"]].threat: v["why"] for v in verdicts if not v["attack_succeeded"]}
    assert still_standing == {}


def verdicts_on(places: Sequence[int]) -> list[dict[str, Any]]:
    """What a child says of rows without their defences."""
    done = subprocess.run(
        [sys.executable, "-m", "attack.without_each", *map(str, places)],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": f"{ROOT / 'tests'}:{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"row"')]
