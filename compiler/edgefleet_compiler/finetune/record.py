"""``finetune.json``: what a run was asked for, what it was made of, and how it went; no clock and no path in it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edgefleet_compiler.compress.settings import Finetuning, Pruning
from edgefleet_compiler.data import Normalisation
from edgefleet_compiler.finetune.messages import Epoch, Quantiser
from edgefleet_contract.errors import RunMismatch

_FEW_CASES = 100
_FEW_HELD_OUT = 50  # as `model compile` warns of a validation set


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What decides every byte of a run.

    Attributes:
        source: SHA-256 of the model.
        teacher: SHA-256 of the teacher; None without one.
        data: SHA-256 of the data set.
        validation: SHA-256 of the validation set; None where a tenth of the data is held out.
        normalisation: Of the pixels of image folders.
        prune: The share of multiply-accumulates that went before; None for none.
        quantiser: What training rounds like; None to train in float.
        settings: How it trains.
        seed: Of everything random.
        versions: Of the packages that compute.
    """

    source: str
    teacher: str | None
    data: str
    validation: str | None
    normalisation: Normalisation | None
    prune: float | None
    quantiser: Quantiser | None
    settings: Finetuning
    seed: int
    versions: dict[str, str]

    def require_like(self, found: Identity, folder: Path) -> None:
        """Refuse to go on with a run that was another one.

        Raises:
            RunMismatch: Something differs; all of it is named.
        """
        mine, theirs = msgspec.to_builtins(self), msgspec.to_builtins(found)
        mine |= mine.pop("settings")
        theirs |= theirs.pop("settings")
        differing = [name for name in mine if mine[name] != theirs.get(name)]
        if differing:
            told = [f"{name} {_short(theirs.get(name))} instead of {_short(mine[name])}" for name in differing]
            raise RunMismatch(
                f"{str(folder)!r} holds a run with {', '.join(told)}",
                expected="a run of the same model, data, options and versions",
                remedy="Give the options of that run, or another --out.",
                differing=differing,
            )


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run so far.

    Attributes:
        identity: What decides it.
        pruning: Which channels went before; None where none did.
        goal: What the first output is trained to be: classes, values, itself or teacher.
        cases: How many are trained on.
        held_out: How many say which epoch is the best.
        macs_source: Multiply-accumulates of an inference before.
        macs: And after pruning.
        weights: Trained numbers.
        epochs: Those that are done; the 0th is the model before any training.
        best: Which of them was the best; that of the model in the folder.
        finished: Whether training has ended.
    """

    version: int = 1
    identity: Identity
    pruning: Pruning | None
    goal: str
    cases: int
    held_out: int
    macs_source: int
    macs: int
    weights: int
    epochs: list[Epoch]
    best: int
    finished: bool

    @property
    def warnings(self) -> list[str]:
        """What a person should know of its data, in sentences."""
        found = []
        if self.cases < _FEW_CASES:
            cases = "1 case, which is" if self.cases == 1 else f"{self.cases} cases, which are"
            found.append(f"Training has only {cases} soon known by heart.")
        if self.held_out < _FEW_HELD_OUT:
            cases = (
                "1 case held out, which shows" if self.held_out == 1 else f"{self.held_out} cases held out, which show"
            )
            found.append(f"The epoch is chosen by only {cases} no small difference.")
        return found

    def as_json(self) -> bytes:
        """The bytes of ``finetune.json``."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def _short(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= 40 else f"{text[:12]}...")
