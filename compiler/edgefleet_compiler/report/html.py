"""``report.html``: one self-contained page, without scripts and without anything from elsewhere."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from edgefleet_compiler.checks.budget import label, quantity
from edgefleet_compiler.report.record import Report
from edgefleet_hardware.units import format_bytes

_BAR_WIDTH = 260  # of the widest bar, in the units of the drawing


def render(report: Report) -> str:
    """The page of a report; every text in it is escaped."""
    environment = Environment(
        loader=PackageLoader("edgefleet_compiler.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "bytes": format_bytes,
        "decibels": _decibels,
        "thousands": "{:,}".format,
    }
    environment.globals |= {"quantity": quantity, "label": label}
    largest = max((layer.bytes for layer in report.layers), default=0)
    widths = [_BAR_WIDTH * layer.bytes / largest if largest else 0 for layer in report.layers]
    page = environment.get_template("report.html.j2")
    return page.render(report=report, layers=list(zip(report.layers, widths, strict=True)), bar_width=_BAR_WIDTH)


def _decibels(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} dB"
