"""From a loaded model to a float ``.tflite`` file.

Variables are frozen into constants first and control flow is kept whole: the converter's own way over a SavedModel
takes four times as long, and leaves variables of Keras 3 unread.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow.lite.python.convert import ConverterError
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from edgefleet_compiler.importers.tensorflow.child.model import LoadedModel, first_line
from edgefleet_compiler.importers.tensorflow.child.renaming import rename
from edgefleet_contract.errors import ModelMalformed, OperatorUnsupported


def convert(model: LoadedModel) -> bytes:
    """The model as a ``.tflite`` file with the source's names.

    Raises:
        OperatorUnsupported: Operators that TFLite does not have; all of them are named.
        ModelMalformed: TensorFlow cannot trace the model.
        MemoryError: It takes too much memory.
    """
    model.prepare()
    try:
        frozen = convert_variables_to_constants_v2(_traced(model), lower_control_flow=False)
    except tf.errors.ResourceExhaustedError as cause:
        raise MemoryError from cause
    except (ValueError, TypeError, tf.errors.OpError) as cause:
        raise ModelMalformed(
            f"TensorFlow cannot trace the model: {first_line(cause)}",
            expected="a model that computes with tensors of static shapes",
        ) from cause
    try:
        # The second argument is for variables, of which none are left.
        converted = tf.lite.TFLiteConverter.from_concrete_functions([frozen], None).convert()
    except ConverterError as cause:
        raise _unsupported(cause) from cause
    return rename(bytes(converted), [tensor.name for tensor in model.inputs], model.outputs)


def _traced(model: LoadedModel) -> Any:
    """The model as a graph whose inputs and outputs stay in order."""
    specifications = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in model.inputs]

    @tf.function(input_signature=specifications, autograph=False)  # type: ignore[untyped-decorator]  # TensorFlow ships no types
    def function(*values: Any) -> tuple[Any, ...]:
        return tuple(tf.identity(value) for value in model.call(list(values)))

    return function.get_concrete_function()


def _unsupported(error: ConverterError) -> OperatorUnsupported:
    operators = sorted({entry.operator.name for entry in error.errors if entry.operator.name})
    told = f"TFLite does not have the operators {', '.join(operators)}" if operators else first_line(error)
    return OperatorUnsupported(
        f"The model cannot be converted to TFLite: {told}",
        expected="operators that TFLite has itself",
        remedy="Replace them; or export the model to ONNX, and compile that.",
        operators=[{"node": "", "operator": name} for name in operators],
    )
