"""How a layer is factored, in a recipe's words: ``svd 24``, ``spatial 8``, ``tucker 12 16``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["svd", "spatial", "tucker"]

_WORDS = re.compile(r"(?P<kind>svd|spatial|tucker)(?P<ranks>(?: [1-9]\d{0,4}){1,2})")
_RANKS: dict[Kind, int] = {"svd": 1, "spatial": 1, "tucker": 2}


@dataclass(frozen=True)
class Factors:
    """The chain that takes a layer's place.

    Attributes:
        kind: svd: the layer with fewer outputs, then a 1 x 1 one; spatial: a column of the kernel, then a row; tucker:
            1 x 1 to fewer inputs, the kernel, 1 x 1 to all outputs.
        ranks: Channels between the layers of the chain, in order; at least 1 each.
    """

    kind: Kind
    ranks: tuple[int, ...]

    @staticmethod
    def parse(text: str) -> Factors:
        """Factors as recipes have them.

        Raises:
            ValueError: They are none.
        """
        found = _WORDS.fullmatch(text)
        kind: Kind = found["kind"] if found else "svd"  # type: ignore[assignment]  # the pattern has no others
        ranks = tuple(map(int, found["ranks"].split())) if found else ()
        if len(ranks) != _RANKS[kind]:
            raise ValueError(f"{text!r} is none of svd R, spatial R, tucker R S, with ranks from 1")
        return Factors(kind, ranks)

    def __str__(self) -> str:
        """As recipes have them."""
        return " ".join([self.kind, *map(str, self.ranks)])
