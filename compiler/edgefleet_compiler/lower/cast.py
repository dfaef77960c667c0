"""Cast: CAST."""

from __future__ import annotations

import numpy as np

from edgefleet_compiler.lower.site import Site


def lower_cast(site: Site) -> None:
    """Lower a conversion of elements; to bool it asks whether they differ from zero, as ONNX does."""
    tensor = site.input()
    given, wanted = site.stored_type(tensor), site.output_type
    if given == wanted:
        site.finish_with(tensor)
    elif wanted == np.bool_:
        site.finish("NOT_EQUAL", [tensor, site.add_constant("zero", np.zeros((), given))])
    else:
        site.finish("CAST", [tensor])
