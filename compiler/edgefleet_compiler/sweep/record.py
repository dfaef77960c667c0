"""What a sweep tries, and what comes of it: the words of ``result.json`` and ``front.json``."""

from __future__ import annotations

from typing import Literal

import msgspec

from edgefleet_compiler.recipe import Scheme
from edgefleet_hardware.profile import Format

SCHEMA_VERSION = 1

Outcome = Literal["measured", "impossible", "failed"]


class Idea(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One way to make a model small, before anything of it is measured.

    Attributes:
        rung: Name of a rung of the ladder, which everything else is left to.
        four_bits: Which share of what 4-bit weights could save is saved, in the layers that mind least; 0 to 1.
        prune: Share of the multiply-accumulates that go with pruned channels; from 0 to below 1.
        low_rank: Share of the weights that go with lower ranks; from 0 to below 1.
    """

    rung: str
    four_bits: float = 0.0
    prune: float = 0.0
    low_rank: float = 0.0

    @property
    def name(self) -> str:
        """For people."""
        shares = {"4-bit weights": self.four_bits, "pruned": self.prune, "low rank": self.low_rank}
        return ", ".join([self.rung, *(f"{what} {share * 100:.4g} %" for what, share in shares.items() if share)])


class Figures(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was measured of an artifact; each figure is what ``model compile`` reports of the same recipe.

    Attributes:
        scheme: That was applied.
        format: Of the artifact.
        sha256: Of the artifact.
        bytes: Of the artifact.
        weights_bytes: Constants in it.
        peak_ram_bytes: By the planner of the target's runtime; None where none takes the model.
        macs: Multiply-accumulates of one inference; None as above.
        instructions: Of one inference in an emulated Raspberry Pi; None where they were not asked for.
        accuracy: By the sweep's metric; None where it was not measured.
        drop: The loss against the source, a fraction; None as above.
        sqnr_db: Of the outputs against the source; None without noise.
        agreement: Share of the cases with the source's choice.
        verdict: Of the gates.
        refusals: Codes of the gates that said no.
    """

    scheme: Scheme
    format: Format
    sha256: str
    bytes: int
    weights_bytes: int
    peak_ram_bytes: int | None
    macs: int | None
    instructions: int | None
    accuracy: float | None
    drop: float | None
    sqnr_db: float | None
    agreement: float
    verdict: Literal["accepted", "refused"]
    refusals: list[str]


class Evaluation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="evaluation"):
    """What came of an idea.

    Attributes:
        outcome: measured: an artifact was made and measured; impossible: the model or the target does not take the
            idea, now or ever; failed: its process ended, or ended up in a defect; the next start tries it again.
        why: In words, where nothing was measured.
        recipe: The explicit recipe, as ``recipe.toml`` has it; empty where nothing was measured.
        figures: None as above.
        metric: That accuracy was measured by; None where it was not.
        baseline: The source's accuracy by it; None as above.
        seconds: That the evaluation took.
    """

    outcome: Outcome
    why: str = ""
    recipe: str = ""
    figures: Figures | None = None
    metric: str | None = None
    baseline: float | None = None
    seconds: float = 0.0


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """An idea that was evaluated.

    Attributes:
        number: Of its folder, from 1.
        idea: What was tried.
        evaluation: What came of it.
    """

    number: int
    idea: Idea
    evaluation: Evaluation

    @property
    def label(self) -> str:
        """Its number as its folder is called."""
        return f"{self.number:03}"
