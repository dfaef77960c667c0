"""The compiler: a trained model in, a measured artifact for a named target out."""

from edgefleet_compiler.deferred import defer

defer("sympy", "onnx_ir._symbolic_shapes")
