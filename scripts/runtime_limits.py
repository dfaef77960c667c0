"""Print the ``[operators]`` table of a TFLite runtime's limits, asked of the runtime that is installed here.

The resolver is asked for each operator with one version after the other, in files of one operator: it refuses with
"Didn't find op" what it does not have, and anything else means that the kernel was found and did not like the file.

Run it with the Python of an environment that holds ai-edge-litert, or tflite-runtime with numpy < 2 and flatbuffers,
and with the schema's module from ai-edge-litert in the path.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

_NEWEST = 20  # no operator has had as many versions
_NO_OPERATORS = ("CUSTOM", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES")


def main() -> None:
    """Print the table of ai-edge-litert, or of tflite-runtime if that is the first argument."""
    if sys.argv[1:] == ["tflite-runtime"]:
        from tflite_runtime.interpreter import Interpreter  # noqa: PLC0415 - either of the two
    else:
        from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415 - either of the two
    for kind, version in operator_versions(Interpreter):
        print(f"{kind} = {{ version = {version} }}")


def operator_versions(interpreter_class: Any) -> Iterator[tuple[str, int]]:
    """The operators that a runtime has, by name, each with its newest version."""
    numbers = {kind: number for kind, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    for kind, number in sorted(numbers.items()):
        newest = newest_version(interpreter_class, number)
        if newest and kind not in _NO_OPERATORS:
            yield kind, newest


def newest_version(interpreter_class: Any, number: int) -> int:
    """The newest version of an operator; 0 if the runtime does not have it."""
    return max((version for version in range(1, _NEWEST + 1) if has(interpreter_class, number, version)), default=0)


def has(interpreter_class: Any, number: int, version: int) -> bool:
    """Whether a runtime has one version of an operator; BROADCAST_TO, for one, begins with version 2."""
    try:
        interpreter_class(model_content=one_operator(number, version))
    except (ValueError, RuntimeError) as refusal:
        return "Didn't find op" not in str(refusal) and "out of range" not in str(refusal)
    return True


def one_operator(number: int, version: int) -> bytes:
    """A file with one operator between two floats; what the operator needs beyond that is missing."""
    model = schema.ModelT()
    model.version = 3
    model.buffers = [schema.BufferT()]
    code = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), version
    model.operatorCodes = [code]
    graph = schema.SubGraphT()
    graph.tensors = [schema.TensorT(), schema.TensorT()]
    for tensor in graph.tensors:
        tensor.shape, tensor.buffer, tensor.type = [1], 0, schema.TensorType.FLOAT32
    graph.inputs, graph.outputs = [0], [1]
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0], [1]
    graph.operators = [operator]
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(512)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


if __name__ == "__main__":
    main()
