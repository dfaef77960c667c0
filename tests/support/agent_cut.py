"""Runs an agent in this process and kills it at a chosen point. Wraps the disk door and the state table from outside.

Run as ``python agent_cut.py WORLD DEVICE DIGEST DIGEST KIND NUMBER``: at the NUMBER-th operation of the disk door
(KIND ``disk``) or step of the state table (KIND ``step``) the process kills itself. With NUMBER 0 it counts them.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from edgefleet_agent import states
from edgefleet_agent.disk import Disk
from support.agent_world import World, update

OPERATIONS = ("write", "append", "truncate", "write_blocks", "write_new", "rename", "make_folder", "remove")


class Fuse:
    """Kills this process at the ``at``-th call."""

    def __init__(self, at: int) -> None:
        self._at = at
        self.calls = 0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any) -> Any:
            self.calls += 1
            if self.calls == self._at:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments)

        return wrapped


def main(root: str, device: str, before: str, after: str, kind: str, number: str) -> None:
    fuse = Fuse(int(number))
    if kind == "disk":
        for name in OPERATIONS:
            setattr(Disk, name, fuse.around(getattr(Disk, name)))
    else:
        states.step = fuse.around(states.step)
    update(World(Path(root), device, before, after))
    print(fuse.calls)


if __name__ == "__main__":
    main(*sys.argv[1:])
