"""Load a library's rarely used halves when they are used, and not before.

``onnx_ir`` imports all of sympy for symbolic dimensions. Our graphs have static shapes: nothing ever computes with a
symbol, yet the import takes as long and as much memory (.2 s, 33 MB) as calibrating a small model.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType


class DeferringFinder:
    """Finds modules as usual, and has some of them execute at the first use of an attribute (importlib's LazyLoader).

    Args:
        names: Modules to defer; each is deferred once, so that the finder ends up idle.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._waiting = set(names)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's own spec with a lazy loader, or None for modules that are not ours to defer."""
        if name not in self._waiting:
            return None
        self._waiting.discard(name)
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


def defer(*names: str) -> None:
    """Defer modules that are not loaded yet."""
    sys.meta_path.insert(0, DeferringFinder([name for name in names if name not in sys.modules]))
