"""PRelu: PRELU."""

from __future__ import annotations

from edgefleet_compiler.lower.elementwise import operand
from edgefleet_compiler.lower.site import Site


def lower_prelu(site: Site) -> None:
    """Lower a PRelu; its slope broadcasts to the shape of its input."""
    site.finish("PRELU", [site.input(), operand(site, 1)])
