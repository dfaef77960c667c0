"""The files that a sweep ends with: for programs, for spreadsheets and for people. Nothing in them is timed."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import msgspec

from edgefleet_compiler.sweep.folder import RECIPE, SweepFolder
from edgefleet_compiler.sweep.options import SweepOptions
from edgefleet_compiler.sweep.page import render
from edgefleet_compiler.sweep.record import SCHEMA_VERSION, Candidate, Figures, Idea
from edgefleet_compiler.sweep.results import Results

FRONT_JSON, FRONT_CSV, CANDIDATES_CSV, PAGE = "front.json", "front.csv", "candidates.csv", "report.html"


def write_results(results: Results, options: SweepOptions, folder: SweepFolder) -> None:
    """Write every form of the results.

    Raises:
        OutputUnwritable: The disk does not take them.
    """
    document = msgspec.json.format(msgspec.json.encode(front_document(results)), indent=2) + b"\n"
    folder.write(CANDIDATES_CSV, _table(results, results.candidates))
    folder.write(PAGE, render(results, options, folder.path).encode())
    folder.write(FRONT_CSV, _table(results, results.front))
    folder.write(FRONT_JSON, document)


def front_document(results: Results) -> dict[str, Any]:
    """``front.json``: the points of the front, then the candidates beside it."""
    return {
        "schema_version": SCHEMA_VERSION,
        "source_sha256": results.source_sha256,
        "target": results.target,
        "seed": results.seed,
        "metric": results.metric,
        "baseline": results.baseline,
        "front": [_entry(candidate) for candidate in results.front],
        "others": [_entry(candidate) for candidate in results.candidates if candidate not in results.front],
    }


def recipe_of(candidate: Candidate) -> str:
    """Where a candidate's recipe lies, from the sweep's folder; empty where there is none."""
    return f"candidates/{candidate.label}/{RECIPE}" if candidate.evaluation.recipe else ""


def _entry(candidate: Candidate) -> dict[str, Any]:
    evaluation = candidate.evaluation
    return {
        "number": candidate.number,
        "name": candidate.idea.name,
        "idea": candidate.idea,
        "outcome": evaluation.outcome,
        "why": evaluation.why,
        "recipe": recipe_of(candidate) or None,
        "figures": evaluation.figures,
    }


def _table(results: Results, candidates: Sequence[Candidate]) -> bytes:
    figures = [name for name in Figures.__struct_fields__ if name != "refusals"]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    columns = ["number", "on_front", "name", *Idea.__struct_fields__, "outcome", *figures, "refusals", "recipe", "why"]
    writer.writerow(columns)
    for candidate in candidates:
        evaluation = candidate.evaluation
        measured = evaluation.figures
        writer.writerow(
            [
                candidate.number,
                "yes" if candidate in results.front else "no",
                candidate.idea.name,
                *msgspec.structs.astuple(candidate.idea),
                evaluation.outcome,
                *(None if measured is None else getattr(measured, name) for name in figures),
                " ".join([] if measured is None else measured.refusals),
                recipe_of(candidate),
                evaluation.why,
            ]
        )
    return text.getvalue().encode()
