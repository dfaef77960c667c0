"""Keras models, whole: ``.keras`` and ``.h5``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from edgefleet_compiler.importers.tensorflow.child.model import LoadedModel, Tensors, distinct, first_line, fixed_inputs
from edgefleet_contract.errors import ModelMalformed, OperatorUnsupported


def load_keras(path: Path, given: Mapping[str, tuple[int, ...]]) -> LoadedModel:
    """Load a model with Keras's safe mode, without its optimiser.

    Args:
        path: A file that was inspected.
        given: Shapes of inputs that the model leaves open, by name.

    Raises:
        ModelMalformed: Keras does not load it.
        OperatorUnsupported: Custom layers; layers that keep state between inferences, or compute in 16 or 64 bits.
        UsageMalformed: An input stays open, or ``given`` does not fit.
        MemoryError: It takes too much memory.
    """
    model = _load(path)
    if not model.inputs:
        raise ModelMalformed(
            "The model does not say what it takes",
            expected="a model with an Input layer, or one that was built",
            remedy="Build it with model.build(shape), and save it again.",
        )
    _refuse_state(model)
    _refuse_other_widths(model)
    declared = dict(zip(distinct([_layer_name(tensor) for tensor in model.inputs]), model.inputs, strict=True))

    def call(values: Tensors) -> Tensors:
        # A list stands for any structure of inputs; Keras warns of that, and nobody hears it here.
        return list(tf.nest.flatten(model(values if len(values) > 1 else values[0], training=False)))

    return LoadedModel(
        inputs=fixed_inputs(declared, given),
        outputs=distinct([_layer_name(tensor) for tensor in model.outputs]),
        call=call,
        prepare=lambda: _unroll(model),
    )


def _load(path: Path) -> Any:
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except tf.errors.ResourceExhaustedError as cause:
        raise MemoryError from cause
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, OSError, tf.errors.OpError) as cause:
        if str(cause).startswith("Unknown layer"):  # the older form, in which only Keras knows what is its own
            raise OperatorUnsupported(
                f"The model holds a layer that is not Keras's own. {first_line(cause).partition('. ')[0]}",
                expected="built-in layers, whose code need not come from elsewhere",
                remedy="Export the model to ONNX or TFLite where its code is, and compile that.",
            ) from cause
        raise ModelMalformed(
            f"Keras {keras.__version__} does not load the model: {first_line(cause)}",
            expected="a whole model of built-in layers",
            remedy="Export it to ONNX or TFLite with the Keras that made it, and compile that.",
        ) from cause


def _layer_name(tensor: Any) -> str:
    """The name of the layer that gives a tensor, which is what Keras calls its inputs and outputs by."""
    return str(tensor._keras_history.operation.name)  # noqa: SLF001 - Sequential has no public output_names


def _layers(model: Any) -> list[Any]:
    return list(model._flatten_layers(include_self=False))  # noqa: SLF001 - the public `layers` stops at wrappers


def _refuse_state(model: Any) -> None:
    stateful = [layer.name for layer in _layers(model) if getattr(layer, "stateful", False)]
    if stateful:
        raise OperatorUnsupported(
            f"Layers keep their state from one inference to the next: {', '.join(map(repr, stateful))}",
            expected="inferences that do not depend on earlier ones",
            remedy="Set stateful=False, or give the state as an input and an output.",
            layers=stateful,
        )


def _refuse_other_widths(model: Any) -> None:
    """Refuse what the converter answers with operators that are not there."""
    others = {layer.compute_dtype for layer in _layers(model)} & {"float16", "bfloat16", "float64"}
    if others:
        raise OperatorUnsupported(
            f"Layers compute in {', '.join(sorted(others))}",
            expected="float32, which the recipes narrow for each target",
            remedy="Build the model under keras.config.set_dtype_policy('float32'), load its weights, and save it.",
            dtypes=sorted(others),
        )


def _unroll(model: Any) -> None:
    """Let recurrent layers compute step by step: TFLite's converter makes loops of them, which no target runs well."""
    for layer in _layers(model):
        if isinstance(layer, keras.layers.RNN):
            layer.unroll = True
