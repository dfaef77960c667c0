"""Sections of docs/benchmarks.md that a benchmark writes itself, between two comments."""

from __future__ import annotations

from pathlib import Path

from benchmarks.subjects import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
PICTURES = ROOT / "docs" / "benchmarks"


def replaced(page: str, section: str, content: str) -> str:
    """The text of a page with what stands between a section's comments replaced.

    Raises:
        ValueError: The page does not have both comments, once each and in this order.
    """
    begin, end = f"<!-- begin {section} -->\n", f"<!-- end {section} -->"
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
        raise ValueError(f"the page needs {begin.strip()} and {end}, once each")
    before, rest = page.split(begin)
    return f"{before}{begin}{content.strip()}\n{end}{rest.split(end)[1]}"


def write_section(section: str, content: str, page: Path = PAGE) -> None:
    """Replace a section of the page."""
    page.write_text(replaced(page.read_text(), section, content))
