"""``report.html`` of a sweep: the front in pictures and as a table, on one self-contained page without scripts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from edgefleet_compiler.report.page import page
from edgefleet_compiler.report.pictures.front import Axis, Point, draw_front
from edgefleet_compiler.sweep.options import SweepOptions
from edgefleet_compiler.sweep.record import Candidate, Figures
from edgefleet_compiler.sweep.results import Results
from edgefleet_hardware.units import format_bytes

_RECIPE = "candidates/{}/recipe.toml"


@dataclass(frozen=True)
class _Cost:
    """What a picture shows from left to right."""

    heading: str
    axis: Axis
    of: Callable[[Figures], int | None]


def render(results: Results, options: SweepOptions, folder: Path) -> str:
    """The page of a sweep; every text in it is escaped.

    Args:
        results: What came of it.
        options: The request.
        folder: Where the candidates lie.
    """
    return page(
        "sweep.html.j2",
        results=results,
        model=options.compile.model.name,
        measured=sum(candidate.evaluation.outcome == "measured" for candidate in results.candidates),
        pictures=[(cost.heading, drawn) for cost in _COSTS if (drawn := _picture(results, cost)) is not None],
        replays={each.number: options.replay(folder / _RECIPE.format(each.label)) for each in results.front},
    )


def _picture(results: Results, cost: _Cost) -> Markup | None:
    points = [point for each in results.candidates if (point := _point(each, results, cost)) is not None]
    return draw_front(points, cost.axis, _quality_axis(results.metric))


def _point(candidate: Candidate, results: Results, cost: _Cost) -> Point | None:
    figures = candidate.evaluation.figures
    amount = None if figures is None else cost.of(figures)
    quality = None if figures is None else _quality(figures, results.metric)
    if amount is None or quality is None:
        return None
    reached = _quality_axis(results.metric).tick(quality)
    told = f"{candidate.label} {candidate.idea.name}: {cost.axis.tick(amount)}, {reached}"
    return Point(candidate.label, told, float(amount), quality, candidate in results.front)


def _quality(figures: Figures, metric: str | None) -> float | None:
    """More is better: the metric, less what is an error; without one the signal to noise ratio."""
    if metric is None or figures.accuracy is None:
        return figures.sqnr_db
    return -figures.accuracy if metric == "mse" else figures.accuracy


def _quality_axis(metric: str | None) -> Axis:
    if metric is None:
        return Axis("SQNR", "{:.1f} dB".format)
    return Axis(metric, lambda value: f"{abs(value):.4g}")


def _work(figures: Figures) -> int | None:
    return figures.macs if figures.instructions is None else figures.instructions


_COSTS = (
    _Cost(
        "Bytes",
        Axis("size of the artifact", lambda value: format_bytes(round(value)), unit=1024),
        lambda each: each.bytes,
    ),
    _Cost(
        "Memory",
        Axis("peak RAM", lambda value: format_bytes(round(value)), unit=1024),
        lambda each: each.peak_ram_bytes,
    ),
    _Cost("Work", Axis("million operations an inference", lambda value: f"{value / 1e6:.4g} M"), _work),
)
