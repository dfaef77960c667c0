"""What was measured of quantisers, in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from benchmarks.contenders import FORMATS, Format
from benchmarks.quantisers import Failure, Outcome, Result
from benchmarks.scores import Score

_HEAD = (
    "| format | compiler | io | bytes | SQNR c, dB | {says} | x float [95 %] | ms | s | peak MB |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)
_SAYS = {"choice": "agreement", "score": "score shift", "ratio": "agreement"}
_BESIDE = (
    "| model | format | edgefleet | bytes | SQNR c, dB | agreement, points | speed | seconds | memory |\n"
    "|---|---|---|---|---|---|---|---|---|"
)
_NOISE = 0.97
"""Speeds nearer than this are taken for equal."""


def of_subject(outcome: Outcome) -> str:
    """Every contender on one subject."""
    labelled = any(result.score.drop is not None for result in outcome.results)
    says = _SAYS[outcome.subject.says] + (" | accuracy drop, points [95 %]" if labelled else "")
    head = _HEAD.format(says=says) + ("---|" if labelled else "")
    everyone = [*outcome.floats, *outcome.results]
    lines = [_row(result, labelled=labelled) for form in FORMATS for result in everyone if _in(result, form)]
    return "\n".join([f"### {outcome.subject.name}", "", head, *lines, *map(_failed, outcome.failures)])


def beside_the_best(outcomes: Iterable[Outcome], *settings: str) -> str:
    """What edgefleet offers, each figure beside that of the peer which is best at it.

    Args:
        outcomes: What was measured.
        settings: Of edgefleet, those that are compared.
    """
    lines = [
        _beside(outcome, ours, [result for result in outcome.results if not result.contender.is_ours])
        for outcome in outcomes
        for ours in outcome.results
        if ours.contender.is_ours and ours.contender.setting in settings
        if any(not result.contender.is_ours and _in(result, ours.contender.format) for result in outcome.results)
    ]
    return "\n".join([_BESIDE, *lines])


def _in(result: Result, form: Format) -> bool:
    return result.contender.format == form


def _row(result: Result, *, labelled: bool) -> str:
    score, speed = result.score, result.speed
    name = f"**{result.contender.name}**" if result.contender.is_ours else result.contender.name
    cells = [
        f".{result.contender.format}",
        f"{name} ({result.shipped})" if result.shipped else name,
        result.io,
        f"{result.bytes:,}",
        _decibels(score.sqnr_db),
        _said(score),
        *([_drop(score)] if labelled else []),
        f"{speed.ratio:.2f} [{speed.interval[0]:.2f}, {speed.interval[1]:.2f}]",
        f"{speed.milliseconds:.4f}",
        f"{result.cost.seconds:.1f}",
        f"{result.cost.megabytes:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def _failed(failure: Failure) -> str:
    return f"\n{failure.contender.name} gave no .{failure.contender.format}: {failure.why}"


def _decibels(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.1f}"


def _said(score: Score) -> str:
    if score.shift is not None:
        return f"{score.shift:.2%}"
    return "-" if score.agreement is None else f"{score.agreement:.4f}"


def _drop(score: Score) -> str:
    if score.drop is None or score.interval is None:
        return "-"
    return f"{score.drop * 100:+.2f} [{score.interval[0] * 100:+.2f}, {score.interval[1] * 100:+.2f}]"


def _beside(outcome: Outcome, ours: Result, peers: Sequence[Result]) -> str:
    alike = [peer for peer in peers if _in(peer, ours.contender.format)]
    cells = [
        outcome.subject.name,
        f".{ours.contender.format}",
        f"{ours.contender.setting} ({ours.shipped})" if ours.shipped else ours.contender.setting,
        _ratio(ours, alike, lambda result: result.bytes),
        _gain(ours.score.sqnr_db, [peer.score.sqnr_db for peer in peers], 1, digits=1),
        _gain(*_agreements(ours, peers), 100, digits=2),
        _speed(ours, alike),
        _ratio(ours, alike, lambda result: result.cost.seconds),
        _ratio(ours, alike, lambda result: result.cost.megabytes),
    ]
    return f"| {' | '.join(cells)} |"


def _agreements(ours: Result, peers: Sequence[Result]) -> tuple[float | None, list[float | None]]:
    """Higher is better: a shift of scores counts as negative."""
    if ours.score.shift is not None:
        return -ours.score.shift, [None if peer.score.shift is None else -peer.score.shift for peer in peers]
    return ours.score.agreement, [peer.score.agreement for peer in peers]


def _gain(ours: float | None, peers: Sequence[float | None], scale: float, *, digits: int) -> str:
    """How much more than the best peer."""
    theirs = [value for value in peers if value is not None]
    if ours is None or not theirs:
        return "-"
    gain = round((ours - max(theirs)) * scale, digits) + 0.0  # which makes -0.0 positive
    return _marked(f"{gain:+.{digits}f}", lost=gain < 0)


def _ratio(ours: Result, peers: Sequence[Result], figure: Callable[[Result], float]) -> str:
    """Over the best peer's; less is better."""
    ratio = figure(ours) / min(figure(peer) for peer in peers)
    return _marked(f"{ratio:.2f}", lost=round(ratio, 2) > 1)


def _speed(ours: Result, peers: Sequence[Result]) -> str:
    """How many times faster than the fastest peer whose inputs have the same type."""
    theirs = [peer.speed.milliseconds for peer in peers if peer.io == ours.io]
    if not theirs:
        return "-"
    ratio = min(theirs) / ours.speed.milliseconds
    return _marked(f"{ratio:.2f}", lost=ratio < _NOISE)


def _marked(figure: str, *, lost: bool) -> str:
    return f"**{figure}**" if lost else figure
