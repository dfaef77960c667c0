"""What stands beside edgefleet's pruning: as many channels of each group by magnitude, and nothing makes up for them.

Run as a process of its own: ``python -m benchmarks.prune_by_magnitude COMPILED OUT ARGUMENTS...``; COMPILED is what
the process with ARGUMENTS wrote, whose recipe says how many channels stay.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_INSTEAD = {'saliency = "second-order"': 'saliency = "magnitude"', "refit = true": "refit = false"}


def main(compiled: Path, out: Path, arguments: list[str]) -> int:
    """Compile again by the recipe of COMPILED with another choice of channels."""
    text = (compiled / "recipe.toml").read_text()
    for said, instead in _INSTEAD.items():
        if text.count(said) != 1:
            raise ValueError(f"the recipe says {said!r} not once")
        text = text.replace(said, instead)
    out.mkdir(exist_ok=True)
    recipe = out.with_suffix(".toml")
    recipe.write_text(text)
    replaced = {"--recipe": str(recipe), "--out": str(out)}
    asked = list(arguments)
    prune = asked.index("--prune")
    del asked[prune : prune + 2]  # the recipe says how many
    for option, value in replaced.items():
        asked[asked.index(option) + 1] = value
    return subprocess.run([sys.executable, *asked], check=False).returncode  # noqa: S603 - our own command


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
