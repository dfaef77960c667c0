"""Where: SELECT_V2, which broadcasts all three operands."""

from __future__ import annotations

from edgefleet_compiler.lower.elementwise import operand
from edgefleet_compiler.lower.site import Site


def lower_where(site: Site) -> None:
    """Lower the choice between two operands, element by element."""
    site.finish("SELECT_V2", [operand(site, index) for index in range(3)])
