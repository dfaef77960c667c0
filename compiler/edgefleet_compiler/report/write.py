"""``report.json`` and ``report.html`` in a folder."""

from __future__ import annotations

from pathlib import Path

from edgefleet_compiler.output import MARK
from edgefleet_compiler.report.html import render
from edgefleet_compiler.report.record import Report

HTML = "report.html"


def write_report(report: Report, folder: Path) -> None:
    """Write both forms of a report."""
    (folder / MARK).write_bytes(report.as_json())
    (folder / HTML).write_text(render(report), encoding="utf-8")
