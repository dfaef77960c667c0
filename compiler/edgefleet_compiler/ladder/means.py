"""The means that the search for a budget has, in the order in which several are applied.

What changes the layers comes first, what is chosen for each of them last. The search tries them the other way round:
the last is the gentlest.
"""

from __future__ import annotations

from typing import Final

from edgefleet_compiler.ladder.dials import Means
from edgefleet_compiler.ladder.narrowing import narrowing
from edgefleet_compiler.ladder.pruning import pruning
from edgefleet_compiler.ladder.ranking import ranking

MEANS: Final = (
    Means("channels", frozenset({"flash", "ram", "latency_ms"}), pruning),
    Means("low rank", frozenset({"flash", "latency_ms"}), ranking),
    Means("4-bit weights", frozenset({"flash"}), narrowing, says_layers=True),
)
