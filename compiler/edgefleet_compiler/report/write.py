"""``report.json`` and ``report.html`` in a folder."""

from __future__ import annotations

from pathlib import Path

from edgefleet_compiler.output import MARK
from edgefleet_compiler.report.html import render
from edgefleet_compiler.report.pictures import Pictures
from edgefleet_compiler.report.record import Report

HTML = "report.html"


def write_report(report: Report, pictures: Pictures, folder: Path) -> None:
    """Write both forms of a report."""
    write_json(report, folder)
    (folder / HTML).write_text(render(report, pictures), encoding="utf-8")


def write_json(report: Report, folder: Path) -> None:
    """Write the form for programs."""
    (folder / MARK).write_bytes(report.as_json())
