"""``report.html``: one self-contained page, without scripts and without anything from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from edgefleet_compiler.checks.budget import BudgetLine, label, quantity
from edgefleet_compiler.checks.layers import DROWNED, DROWNED_BY_WEIGHTS
from edgefleet_compiler.diagnose.record import Finding
from edgefleet_compiler.layer_names import short_name
from edgefleet_compiler.report.page import page
from edgefleet_compiler.report.pictures import Pictures
from edgefleet_compiler.report.pictures.histogram import draw_histogram
from edgefleet_compiler.report.pictures.interval import draw_interval
from edgefleet_compiler.report.pictures.ratios import draw_ratios
from edgefleet_compiler.report.pictures.svg import element, picture
from edgefleet_compiler.report.record import Report

_BAR_WIDTH, _BAR_HEIGHT = 150.0, 12


def render(report: Report, pictures: Pictures | None = None) -> str:
    """The page of a report; every text in it is escaped.

    Args:
        report: What was found out.
        pictures: Of graph and arena; None leaves them out.
    """
    accuracy = report.accuracy
    return page(
        "report.html.j2",
        {"decibels": _decibels, "microseconds": _microseconds, "short": short_name},
        quantity=quantity,
        label=label,
        drowned=(DROWNED, DROWNED_BY_WEIGHTS),
        report=report,
        pictures=pictures,
        interval=None if accuracy is None else draw_interval(accuracy.drop, *accuracy.ci95),
        ratios=draw_ratios(report.layers),
        findings=[(finding, _spread(finding)) for finding in report.findings],
        timed=any(layer.time_us is not None for layer in report.layers),
        budget=[(line, _used(line)) for line in report.budget],
        layers=list(
            zip(
                report.layers,
                _bars([layer.bytes for layer in report.layers], "bytes"),
                _bars([layer.macs or 0 for layer in report.layers], "multiply-accumulates"),
                strict=True,
            )
        ),
    )


def _decibels(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} dB"


def _microseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} µs"


def _spread(finding: Finding) -> Markup:
    spread = finding.spread
    return draw_histogram(spread.edges, spread.counts, spread.before, spread.after)


def _bars(values: Sequence[int], unit: str) -> list[Markup]:
    """A bar for each value, the largest as wide as there is room."""
    largest = max(values, default=0) or 1
    return [_bar(value / largest, f"{value:,} {unit}") for value in values]


def _used(line: BudgetLine) -> Markup:
    """How much of a limit is used; a value over it fills the bar."""
    if line.value is None:
        return Markup()
    share = line.value / line.limit if line.limit else 1.0
    return _bar(min(share, 1.0), f"{share:.0%} of the limit", "kept" if line.ok else "exceeded")


def _bar(share: float, told: str, kind: str | None = None) -> Markup:
    rectangle = element("rect", width=share * _BAR_WIDTH, height=_BAR_HEIGHT, rx=2, class_=kind)
    return picture(_BAR_WIDTH, _BAR_HEIGHT, told, rectangle)
