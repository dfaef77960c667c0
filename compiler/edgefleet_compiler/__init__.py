"""The compiler: a trained model in, a measured artifact for a named target out.

``compile`` and ``compile_targets`` are the Python interface; the package loads onnx and numpy at their first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgefleet_compiler.deferred import defer

if TYPE_CHECKING:
    from edgefleet_compiler.api import CompiledModel, compile, compile_targets  # noqa: A004 - it compiles

__all__ = ["CompiledModel", "compile", "compile_targets"]

defer("sympy", "onnx_ir._symbolic_shapes")


def __getattr__(name: str) -> object:
    """The Python interface, loaded when it is asked for (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from edgefleet_compiler import api  # noqa: PLC0415 - heavy: onnx, numpy and runtimes

    return getattr(api, name)
