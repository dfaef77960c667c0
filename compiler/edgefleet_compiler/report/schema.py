"""The JSON schema of ``report.json``, made from the record, so that both say the same."""

from __future__ import annotations

import inspect
import re
from typing import Any

import msgspec

from edgefleet_compiler.report.record import SCHEMA_VERSION, Report

# An attribute of a docstring in Google's style: its name, then its text up to the next line that is no deeper.
_ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)


def report_schema() -> dict[str, Any]:
    """The schema: JSON Schema, draft 2020-12. Later versions may add fields, so that unknown ones are no error."""
    schema = msgspec.json.schema(Report)
    for definition in schema["$defs"].values():
        _describe(definition)
    report = schema["$defs"]["Report"]
    report["properties"]["schema_version"] = {"const": SCHEMA_VERSION}
    report["required"] = ["schema_version", *report["required"]]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "edgefleet report.json",
        "$ref": schema["$ref"],
        "$defs": schema["$defs"],
    }


def _describe(definition: dict[str, Any]) -> None:
    """Move what a docstring says of each attribute to the property of that name."""
    summary, _, attributes = inspect.cleandoc(definition["description"]).partition("\n\nAttributes:\n")
    definition["description"] = " ".join(summary.split())
    for name, told in _ATTRIBUTE.findall(attributes):
        definition["properties"][name]["description"] = " ".join(told.split())
