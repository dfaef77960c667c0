"""Pages: self-contained, without scripts and without anything from elsewhere; every text in them is escaped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from edgefleet_hardware.units import format_bytes

_NO_FILTERS: Mapping[str, Callable[..., str]] = {}


def page(template: str, filters: Mapping[str, Callable[..., str]] = _NO_FILTERS, **values: Any) -> str:
    """A page of a template of this package.

    Args:
        template: Name of its file.
        filters: What it writes values with, beside ``bytes`` and ``thousands``.
        values: What it shows.
    """
    environment = Environment(
        loader=PackageLoader("edgefleet_compiler.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"bytes": format_bytes, "thousands": "{:,}".format, **filters}
    return environment.get_template(template).render(**values)
